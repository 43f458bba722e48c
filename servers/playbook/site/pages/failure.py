"""The rows that were answered badly in a cycle, and one row whole: every arm's answer to it."""

from dataclasses import dataclass

from servers.core.cycle_files import opening
from servers.core.evaluations import Evaluation, ScoredRow
from servers.core.registry import CONSTANT
from servers.playbook.book import Remedy, playbook_of
from servers.playbook.site.addresses import NoSuchPage
from servers.playbook.site.archive import Archive, digits_of
from servers.playbook.site.pages import Page

MOST = 50  # rows on the list


@dataclass(frozen=True)
class Answered:
    """One arm's answer to a row."""

    evaluation: Evaluation
    row: ScoredRow
    role: str


def failures_page(archive: Archive, cycle: str) -> Page:
    """The worst rows of what served when the cycle was opened.

    Raises:
        ValueError: there is no such cycle.
    """
    opened = opening(archive.workspace, cycle)
    remedies = {remedy.trace_id: remedy for remedy in playbook_of(archive.workspace, cycle).remedies}
    served = _of_champion(archive, cycle)
    rows = [] if served is None else archive.rows(served)
    task = archive.task_of(opened.dataset)
    values = {
        "cycle": cycle,
        "opened": opened,
        "rows": sorted(rows, key=lambda row: -row.mae_raw)[:MOST],
        "n": len(rows),
        "remedies": remedies,
        "rough": max(digits_of(task) - 1, 0),
    }
    return Page("failures.html.j2", f"Failures of {cycle}", values)


def failure_page(archive: Archive, cycle: str, trace: str) -> Page:
    """One diagnose row.

    Raises:
        NoSuchPage: no arm of the cycle left such a trace.
        ValueError: there is no such cycle, or an evaluation of it is damaged.
    """
    opened = opening(archive.workspace, cycle)
    by_evaluation = [(one, archive.rows(one)) for one in archive.measured if one.cycle == cycle]
    known = {row.trace_id: row for _, rows in by_evaluation for row in rows}
    if trace not in known:
        raise NoSuchPage(f"no arm of {cycle} left a trace of this id; /failures/{cycle} lists the rows")
    row = known[trace]
    answered = [
        Answered(one, found, _role(archive, cycle, one.model))
        for one, rows in by_evaluation
        for found in rows
        if found.example_id == row.example_id
    ]
    remedy = next((one for one in _remedies(archive, cycle) if one.example_id == row.example_id), None)
    task = archive.task_of(opened.dataset)
    values = {
        "cycle": cycle,
        "opened": opened,
        "row": row,
        "trace": trace,
        "task": task,
        "names": list(row.target_vector),
        "answered": answered,
        "remedy": remedy,
        "rough": max(digits_of(task) - 1, 0),
    }
    return Page("failure.html.j2", f"Row {row.example_id} of {cycle}", values)


def failure_traces(archive: Archive, cycle: str) -> list[str]:
    """The traces that the list of a cycle links to."""
    served = _of_champion(archive, cycle)
    rows = [] if served is None else archive.rows(served)
    return [row.trace_id for row in sorted(rows, key=lambda row: -row.mae_raw)[:MOST]]


def _of_champion(archive: Archive, cycle: str) -> Evaluation | None:
    champion = opening(archive.workspace, cycle).champion
    found = [one for one in archive.measured if one.cycle == cycle and one.model == champion]
    return found[-1] if found else None


def _remedies(archive: Archive, cycle: str) -> list[Remedy]:
    return playbook_of(archive.workspace, cycle).remedies


def _role(archive: Archive, cycle: str, model: str) -> str:
    line = archive.line(cycle)
    if line is not None and model == line.opening.champion and model != CONSTANT:
        return "champion"
    if line is not None and model == line.candidate:
        return "candidate"
    return model if model in ("constant", "rule", "student", "prompt", "teacher") else "tried"
