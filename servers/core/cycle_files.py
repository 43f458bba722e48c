"""What the tools of a cycle leave for one another in `loop/<cycle>/`, and the refusal when a step is missing."""

from typing import Any, Literal

from pydantic import Field

from servers.core.backends import Backends
from servers.core.disk import now, read_json, write_json
from servers.core.wire import Wire
from servers.core.workspace import Workspace, checked_name


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
    campaign: bool = False
    """Whether several ways are tried on the diagnose rows before one candidate reaches the gate."""
    backends: Backends
    """What the cycle works with; another configuration is for the next one."""


def opening(workspace: Workspace, cycle: str) -> Opening:
    """How this cycle was opened.

    Raises:
        ValueError: there is no such cycle.
    """
    path = workspace.cycle_dir(cycle) / "cycle.json"
    if not path.exists():
        folders = (workspace.root / "loop").glob("*/cycle.json")
        known = ", ".join(sorted(folder.parent.name for folder in folders)) or "none"
        raise ValueError(f"no cycle {cycle!r}; known: {known}; open_cycle, or etude cycle, opens one")
    return Opening.model_validate(read_json(path))


def open_cycles(workspace: Workspace, dataset: str) -> list[str]:
    """Ids of the cycles on a dataset that are not closed."""
    folders = (path.parent for path in sorted((workspace.root / "loop").glob("*/cycle.json")))
    unfinished = [folder.name for folder in folders if not (folder / "summary.json").exists()]
    return [cycle for cycle in unfinished if opening(workspace, cycle).dataset == dataset]


def is_closed(workspace: Workspace, cycle: str) -> bool:
    """Whether the cycle's report was written."""
    return (workspace.cycle_dir(cycle) / "summary.json").exists()


def needs_open(workspace: Workspace, cycle: str) -> Opening:
    """The opening of a cycle that is still open.

    Raises:
        ValueError: there is no such cycle, or it is closed.
    """
    found = opening(workspace, cycle)
    if is_closed(workspace, cycle):
        raise ValueError(f"{cycle} is closed and changes no more; call open_cycle for the next one")
    return found


def needs_unjudged(workspace: Workspace, cycle: str, besides: str | None = None) -> Opening:
    """The opening of a cycle that is open and has no verdict: one candidate a cycle reaches the gate.

    A candidate that was not fit for service was not judged, and may come back mended.

    Args:
        workspace: The artifacts folder.
        cycle: Cycle id.
        besides: Id of the verdict that is asked for again, which the cycle may have.

    Raises:
        ValueError: there is no such cycle, it is closed, or its verdict was given.
    """
    found = needs_open(workspace, cycle)
    if (gate := verdict_of(workspace, cycle)) is not None and gate["verdict_id"] != besides:
        raise ValueError(
            f"{cycle} has its verdict, {gate['outcome']!r} on {gate['candidate']!r}, and one candidate a cycle is "
            "judged; end it as get_cycle says, and call open_cycle for the next one"
        )
    return found


def note_sampled(workspace: Workspace, cycle: str, model: str, split: str) -> None:
    """Note that a model which answers in a job has answered a split's rows, in `sampled/<split>.<model>.json`."""
    path = workspace.cycle_dir(cycle) / "sampled" / f"{split}.{checked_name(model, 'model')}.json"
    if not path.exists():
        write_json(path, {"schema": 1, "model": model, "split": split, "at": now()})


def sampled_in(workspace: Workspace, cycle: str) -> set[tuple[str, str]]:
    """Model and split of what was noted."""
    files = (workspace.cycle_dir(cycle) / "sampled").glob("*.json")
    return {(noted["model"], noted["split"]) for noted in map(read_json, files)}


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
    value = document_so_far(workspace, cycle, name)
    if value is None:
        raise ValueError(f"{cycle} has no {name} yet; call {made_by} first")
    return value


def document_so_far(workspace: Workspace, cycle: str, name: str) -> dict[str, Any] | None:
    """The same; None while no tool has written it."""
    path = workspace.cycle_dir(cycle) / name
    value: dict[str, Any] | None = read_json(path) if path.exists() else None
    return value


def verdict_of(workspace: Workspace, cycle: str) -> dict[str, Any] | None:
    """What may be shown of the cycle's verdict; None before it, and where the candidate was not fit to be judged."""
    gate = document_so_far(workspace, cycle, "gate.json")
    # A promotion has no failed check, and of another verdict only those are told that look at no error.
    return None if gate is None or any(check["passed"] is False for check in gate["checks"]) else gate
