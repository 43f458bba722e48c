"""Long lists by the page: some entries, how many there are, and from where to go on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Page(Generic[Item]):
    """A part of a list."""

    items: list[Item]
    total: int
    next_offset: int | None
    """Where the next page begins; None after the last."""


def page(items: Sequence[Item], limit: int, offset: int) -> Page[Item]:
    """At most `limit` entries from `offset` on.

    Raises:
        ValueError: the offset lies behind the last of them.
    """
    if offset > 0 and offset >= len(items):
        raise ValueError(f"offset {offset} lies behind the last of {len(items)} entries")
    end = offset + limit
    return Page(list(items[offset:end]), len(items), end if end < len(items) else None)
