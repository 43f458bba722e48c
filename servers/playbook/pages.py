"""Pages about cycles, in Markdown, made from what is on disk when somebody reads them.

Where a cycle stands and what comes next; a list of all cycles; what one cycle learned, and what all did. Words of
others are escaped; of a verdict there is only what left the sealed folder.
"""

import json
from collections.abc import Iterable
from typing import Any

from servers.core.cycle_files import document_so_far, is_closed
from servers.core.services import Services
from servers.core.task import Task
from servers.core.words import escaped_unseen
from servers.core.workspace import Workspace
from servers.playbook.book import PROVES_NOTHING, playbook_of
from servers.playbook.cycles import CycleState, all_cycles, cycle_state
from servers.playbook.markdown import escaped, figure, lesson, table
from servers.playbook.policies import Policy, policies_known
from servers.playbook.prose import filled, sources_of

MOST_LESSONS = 100  # on the page about all cycles
NOTHING = "Nothing yet."


def cycle_page(workspace: Workspace, task: Task, services: Services, cycle: str) -> str:
    """Where a cycle stands, and what to call next."""
    state = cycle_state(workspace, task, services, cycle)
    parts = [
        f"# {escaped(cycle)}: {escaped(state.verdict or 'open')}",
        f"{'A beginning' if state.kind == 'begin' else 'A cycle'} on dataset {escaped(state.dataset)}, version "
        f"{escaped(state.dataset_version)}, against {escaped(state.champion)}"
        + (", as a campaign of several ways." if state.campaign else "."),
        f"Done: {', '.join(state.done) or 'nothing yet'}.",
        *_ended(workspace, state),
        "## What to call next",
        *_steps(state),
        f"Money: {state.budget.left:.2f} of {state.budget.limit:.2f} USD are left in this artifacts folder.",
        "## Read more",
        "\n".join(f"- {uri}" for uri in _uris(workspace, state)),
    ]
    return _page(parts)


def cycles_page(workspace: Workspace) -> str:
    """All cycles, newest first."""
    rows = []
    for opened in reversed(all_cycles(workspace)):
        summary = _summary(workspace, opened.cycle)
        gate = summary.get("gate") or {}
        difference = gate.get("difference")
        rows.append(
            [
                escaped(opened.cycle),
                escaped(opened.dataset),
                escaped(summary.get("verdict", "open")),
                "sealed" if gate and difference is None else figure(difference),
                escaped(summary.get("champion_after", "")),
                figure(summary["rows_added"]) if summary.get("rows_added") is not None else "",
                f"etude://cycles/{opened.cycle}",
            ]
        )
    header = ["cycle", "dataset", "verdict", "difference on sealed rows, points", "champion after", "new rows", "page"]
    about = (
        "A difference below zero means that the candidate errs less. It is told of promotions only: what the sealed "
        "rows say of any other candidate stays sealed."
    )
    return _page(["# Cycles, newest first", table(header, rows) if rows else NOTHING, about])


def playbook_page(workspace: Workspace, cycle: str) -> str:
    """What one cycle changed for which failure, and what it learned."""
    book = playbook_of(workspace, cycle)
    remedies = [
        [escaped(r.trace_id), escaped(r.dimension), escaped(r.told), figure(r.error_before), figure(r.error_after)]
        for r in book.remedies
    ]
    parts = [
        f"# Playbook of {escaped(cycle)}",
        "## Remedies",
        f"Errors in points on the remedied rows: {PROVES_NOTHING}.",
        table(["trace", "dimension", "change", "before", "after"], remedies) if remedies else NOTHING,
        "## Lessons",
        *(
            [lesson(one.title, filled(one.text, one.claims), sources_of(one.claims)) for one in book.lessons]
            or [NOTHING]
        ),
        "## What its ways did",
        _ways(book.policies),
    ]
    return _page(parts)


def whole_playbook(workspace: Workspace) -> str:
    """What all cycles learned, newest first."""
    lessons = [
        f"{escaped(opened.cycle)}: " + lesson(one.title, filled(one.text, one.claims), sources_of(one.claims))
        for opened in reversed(all_cycles(workspace))
        for one in playbook_of(workspace, opened.cycle).lessons
    ]
    left_out = len(lessons) - MOST_LESSONS
    parts = [
        "# Playbook of all cycles",
        "## What ways of making a candidate did",
        "Differences from the champion on the diagnose rows, which chose what was tried: they prove nothing.",
        _ways(reversed(policies_known(workspace))),
        "## Lessons, newest first",
        "In the words of whoever ran the cycle: each figure was checked against its source, the words were not.",
        *(lessons[:MOST_LESSONS] or [NOTHING]),
        *([f"{left_out} older lessons are left out; search_playbook finds them."] if left_out > 0 else []),
    ]
    return _page(parts)


def _ways(policies: Iterable[Policy]) -> str:
    rows = [
        [
            escaped(p.cycle),
            escaped(p.way),
            escaped(", ".join(p.focus_dimensions) or "none"),
            escaped(p.worked),
            f"{p.difference:+.2f} ± {p.standard_error:.2f}",
            figure(p.seeds),
            escaped(p.gate or "not asked"),
        ]
        for p in policies
    ]
    header = ["cycle", "way", "aimed at", "worked", "difference, points", "seeds", "gate"]
    return table(header, rows) if rows else NOTHING


def _ended(workspace: Workspace, state: CycleState) -> list[str]:
    if not state.closed:
        return []
    summary = _summary(workspace, state.cycle)
    gate = summary.get("gate")
    lines = [
        f"Closed with **{escaped(state.verdict)}**: {escaped(summary['reason'], 1000)}.",
        f"In service afterwards: {escaped(summary['champion_after'])}.",
    ]
    if gate is not None and gate["difference"] is None:
        lines.append("What the sealed rows say of a candidate that is not promoted stays sealed.")
    return lines


def _steps(state: CycleState) -> list[str]:
    """The calls, each with arguments that can be used as they stand, as an indented block that nothing can end."""
    said = []
    for number, step in enumerate(state.next_steps, start=1):
        arguments = escaped_unseen(json.dumps(step.arguments, ensure_ascii=False))
        said.append(f"{number}. `{step.tool}`: {escaped(step.why)}\n\n        {arguments}")
    return said or [NOTHING]


def _uris(workspace: Workspace, state: CycleState) -> list[str]:
    here = f"etude://cycles/{state.cycle}"
    folder = workspace.cycle_dir(state.cycle)
    closed = [f"{here}/report", f"{here}/report.html", f"{here}/decisions"] if is_closed(workspace, state.cycle) else []
    judged = [f"{here}/gate (eval server)"] if (folder / "gate.json").exists() else []
    noted = [f"{here}/playbook"] if (folder / "playbook.json").exists() else []
    return [
        *closed,
        *judged,
        *noted,
        f"etude://datasets/{state.dataset}/{state.dataset_version} (augment server)",
    ]


def _summary(workspace: Workspace, cycle: str) -> dict[str, Any]:
    return document_so_far(workspace, cycle, "summary.json") or {}


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(parts) + "\n"
