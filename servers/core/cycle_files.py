"""What the tools of a cycle leave for one another in `loop/<cycle>/`, and the refusal when a step is missing."""

from typing import Any, Literal

from pydantic import Field

from servers.core.disk import read_json
from servers.core.wire import Wire
from servers.core.workspace import Workspace


class Opening(Wire):
    """`cycle.json`: what the cycle began with."""

    schema_version: int = Field(1, alias="schema", serialization_alias="schema")
    cycle: str
    kind: Literal["begin", "cycle"]
    """`begin` is the first model against the constant; a `cycle` improves on a champion."""
    dataset: str
    dataset_version: str
    champion: str
    """Model id; the constant at the beginning."""
    opened_at: str


def opening(workspace: Workspace, cycle: str) -> Opening:
    """How this cycle was opened.

    Raises:
        ValueError: there is no such cycle.
    """
    path = workspace.cycle_dir(cycle) / "cycle.json"
    if not path.exists():
        folders = (workspace.root / "loop").glob("*/cycle.json")
        known = ", ".join(sorted(folder.parent.name for folder in folders)) or "none"
        raise ValueError(f"no cycle {cycle!r}; known: {known}; call open_cycle first")
    return Opening.model_validate(read_json(path))


def needs_open(workspace: Workspace, cycle: str) -> Opening:
    """The opening of a cycle that is still open.

    Raises:
        ValueError: there is no such cycle, or it is closed.
    """
    found = opening(workspace, cycle)
    if (workspace.cycle_dir(cycle) / "summary.json").exists():
        raise ValueError(f"{cycle} is closed and changes no more; call open_cycle for the next one")
    return found


def document(workspace: Workspace, cycle: str, name: str, made_by: str) -> dict[str, Any]:
    """One of the cycle's JSON documents.

    Args:
        workspace: The artifacts folder.
        cycle: Cycle id.
        name: File name, such as 'diagnosis.json'.
        made_by: The tool that writes it, named when it is missing.

    Raises:
        ValueError: it is not there yet.
    """
    path = workspace.cycle_dir(cycle) / name
    if not path.exists():
        raise ValueError(f"{cycle} has no {name} yet; call {made_by} first")
    value: dict[str, Any] = read_json(path)
    return value
