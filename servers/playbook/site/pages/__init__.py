"""What each kind of page shows: read from the archive, ready for its template."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Page:
    """One page before it is rendered."""

    template: str
    title: str
    values: dict[str, Any]
    """What the template names."""
