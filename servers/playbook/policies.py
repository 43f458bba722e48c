"""Policy entries: what each way of making a candidate did, figured out by the server, never by the words of a brain.

They stand in `playbook.json` under `policies`, one for each way that a cycle tried, written when the cycle is closed.
Later cycles read them (`search_playbook`) and act on them (`suggesting`).
"""

import re
from collections.abc import Sequence
from typing import Literal

from servers.core.campaign import Way, WayResult, Worked
from servers.core.cycle_files import opening
from servers.core.disk import read_json
from servers.core.paging import page
from servers.core.wire import Wire
from servers.core.workspace import Workspace

_TOKEN = re.compile(r"[^\W_]+")


class Policy(WayResult):
    """What a way did in one cycle. A single seed shows nothing of the spread between seeds."""

    cycle: str
    dataset: str
    task: str
    teacher: str | None
    """Who wrote the new rows; null where there are none."""
    held_over: int
    """Train rows, beyond the champion's, that the cycle opened with: their effect is in the difference as well."""
    champion_evaluation: str
    gate: Literal["promote", "hold", "undecided"] | None
    """What the gate said of this way's candidate; null where it was not asked."""


class PolicyPage(Wire):
    """Some of the entries that were asked for."""

    entries: list[Policy]
    total: int
    next_offset: int | None


def policies_known(workspace: Workspace) -> list[Policy]:
    """The entries of all closed cycles, oldest first, those of one cycle best first."""
    found = []
    for file in (workspace.root / "loop").glob("*/playbook.json"):
        if entries := read_json(file).get("policies"):
            at = opening(workspace, file.parent.name).opened_at
            found.append((at, file.parent.name, [Policy.model_validate(entry) for entry in entries]))
    return [entry for _, _, entries in sorted(found, key=lambda one: one[:2]) for entry in entries]


def concerning(entries: Sequence[Policy], dataset: str, task: str) -> list[Policy]:
    """The entries of this dataset, or where it has none, of the others of its task."""
    of_task = [entry for entry in entries if entry.task == task]
    return [entry for entry in of_task if entry.dataset == dataset] or of_task


def search_policies(
    workspace: Workspace,
    *,
    words: str | None,
    dataset: str | None,
    task: str | None,
    way: Way | None,
    dimension: str | None,
    worked: Worked | None,
    limit: int,
    offset: int,
) -> PolicyPage:
    """The entries that fit everything that was asked, newest cycle first, the surest of a cycle first.

    Raises:
        ValueError: the offset lies behind the last of them.
    """
    wanted = {
        "dataset": dataset,
        "task": task,
        "way": way,
        "worked": worked,
    }
    fitting = [
        entry
        for entry in policies_known(workspace)
        if all(value is None or getattr(entry, name) == value for name, value in wanted.items())
        and (dimension is None or dimension in entry.focus_dimensions)
        and (words is None or _tokens(words) & _tokens(_in_words(entry)))
    ]
    cycles = list(dict.fromkeys(entry.cycle for entry in fitting))
    fitting.sort(key=lambda entry: (-cycles.index(entry.cycle), entry.p))
    found = page(fitting, limit, offset)
    return PolicyPage(entries=found.items, total=found.total, next_offset=found.next_offset)


def _in_words(entry: Policy) -> str:
    replay = ["replay"] if entry.rows_replayed else []
    words = [entry.cycle, entry.dataset, entry.way, entry.worked, *entry.focus_dimensions, *entry.changes, *replay]
    return " ".join(words).replace("_", " ")


def _tokens(text: str) -> set[str]:
    return set(_TOKEN.findall(text.casefold()))
