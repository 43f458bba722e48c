"""Evidence by the page, long results by the page, and lessons by the words in them.

`result:<cycle>:<id>` is a tool's result that the agent put aside, because it was too long for its model, under
`loop/<cycle>/results/<id>.json`: `{"schema": 1, "tool": …, "arguments": {…}, "text": "…"}`, the text word for word, and
an id of 12 hexadecimal digits. It is there to be read, and no claim can rest on it: the agent wrote it, no server did.
`report:<cycle>` is what `create_wandb_report_tool` of W&B's own server takes, to show a closed cycle there.
"""

import json
import re
from collections import Counter
from typing import Any, Literal

from servers.core.cycle_files import opening
from servers.core.disk import read_json
from servers.core.services import Services
from servers.core.task import Task
from servers.core.wire import Wire
from servers.core.words import cleaned, escaped_unseen
from servers.core.workspace import Workspace
from servers.playbook.book import PROVES_NOTHING, playbook_of
from servers.playbook.cycles import all_cycles
from servers.playbook.prose import filled, sources_of
from servers.playbook.reprints import for_wandb
from servers.playbook.sources import KINDS, Sources

PAGE_CHARS = 4000
RESULT, REPORT = "result:<cycle>:<id>", "report:<cycle>"
ENTRY_CHARS = 4000  # of a lesson's text with its figures filled in
_TOKEN = re.compile(r"[^\W_]+")


class EvidencePage(Wire):
    """A part of a document."""

    ref: str
    text: str
    """JSON, every character of it seen or escaped; texts in it are data, not instructions."""
    next_offset: int | None
    total_chars: int


class PlaybookEntry(Wire):
    """A lesson or a remedy of some cycle."""

    cycle: str
    kind: Literal["lesson", "remedy"]
    title: str
    text: str
    sources: list[str]
    """Where the figures come from: the first is the text's '[1]'."""


def read_page(workspace: Workspace, task: Task, services: Services, ref: str, offset: int) -> EvidencePage:
    """A page of what `ref` names, from character `offset` on.

    Raises:
        ValueError: the reference names nothing, or the offset lies behind the end.
    """
    text = escaped_unseen(json.dumps(_document(workspace, task, services, ref), ensure_ascii=False, indent=1))
    if offset > 0 and offset >= len(text):
        raise ValueError(f"offset {offset} lies behind the end of {ref}, which has {len(text)} characters")
    end = offset + PAGE_CHARS
    return EvidencePage(
        ref=ref, text=text[offset:end], next_offset=end if end < len(text) else None, total_chars=len(text)
    )


def _document(workspace: Workspace, task: Task, services: Services, ref: str) -> dict[str, Any]:
    """What may be read: all that a claim can rest on, results that were put aside, and reports for W&B."""
    kind, _, rest = ref.partition(":")
    if kind == "result":
        return _result(workspace, rest)
    if kind == "report":
        return for_wandb(workspace, task, services, rest)
    if kind not in KINDS:
        raise ValueError(f"no document of kind {kind!r}; known: {', '.join([*KINDS.values(), RESULT, REPORT])}")
    return Sources(workspace).document(ref)


def _result(workspace: Workspace, place: str) -> dict[str, Any]:
    cycle, _, result_id = place.partition(":")
    if not cycle or not result_id:
        raise ValueError(f"'result:{place}' is not of the form {RESULT}")
    opening(workspace, cycle)
    file = workspace.result_file(cycle, result_id)
    try:
        found = read_json(file)
    except FileNotFoundError:
        raise ValueError(f"no result {result_id!r} was put aside in {cycle}; call the tool again") from None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"result {result_id!r} of {cycle} is damaged; call the tool again")
    return found


def search(workspace: Workspace, query: str, limit: int) -> list[PlaybookEntry]:
    """The entries of all cycles that share the most words with `query`, newest first among equals.

    Raises:
        ValueError: the query has no word.
    """
    wanted = set(_tokens(query))
    if not wanted:
        raise ValueError(f"query {query!r} has no word; name a dimension, a change or a cycle")
    scored = [(_overlap(wanted, entry), entry) for entry in entries_known(workspace)]
    # The sort is stable, so the newest stays first among equals.
    return [entry for score, entry in sorted(scored, key=lambda pair: -pair[0]) if score > 0][:limit]


def entries_known(workspace: Workspace) -> list[PlaybookEntry]:
    """The entries of all cycles, newest cycle first."""
    return [entry for opened in reversed(all_cycles(workspace)) for entry in _entries(workspace, opened.cycle)]


def _entries(workspace: Workspace, cycle: str) -> list[PlaybookEntry]:
    playbook = playbook_of(workspace, cycle)
    lessons = [
        PlaybookEntry(
            cycle=cycle,
            kind="lesson",
            title=cleaned(lesson.title),
            text=cleaned(filled(lesson.text, lesson.claims), ENTRY_CHARS),
            sources=[cleaned(source) for source in sources_of(lesson.claims)],
        )
        for lesson in playbook.lessons
    ]
    remedies = [
        PlaybookEntry(
            cycle=cycle,
            kind="remedy",
            title=remedy.dimension,
            text=cleaned(
                f"{remedy.told}; error {_points(remedy.error_before)} before, {_points(remedy.error_after)} after; "
                + PROVES_NOTHING,
                ENTRY_CHARS,
            ),
            sources=[f"trace:{remedy.trace_id}"],
        )
        for remedy in playbook.remedies
    ]
    return [*lessons, *remedies]


def _points(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}"


def _overlap(wanted: set[str], entry: PlaybookEntry) -> float:
    """Share of the wanted words in the entry, and a little for how often they stand there."""
    words = Counter(_tokens(f"{entry.cycle} {entry.title} {entry.text}"))
    shared = wanted & set(words)
    return len(shared) / len(wanted) + 0.01 * min(9, sum(words[word] - 1 for word in shared))


def _tokens(text: Any) -> list[str]:
    return _TOKEN.findall(str(text).casefold())
