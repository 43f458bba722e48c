"""The rows that a report tells one by one: failures that were remedied, and the worst answers besides.

Every trace that the page names leads somewhere: to the tracker's page, where a browser can open it, or to the row's own
block, which shows all that the trace holds.
"""

from dataclasses import dataclass

from servers.playbook.report.charts.miss import miss
from servers.playbook.report.charts.picture import Picture
from servers.playbook.report.view import ReportView
from servers.playbook.report.view_results import FailureShown
from servers.playbook.report.view_work import RemedyShown

MOST_REMEDIED, MOST_OTHERS = 6, 6


@dataclass(frozen=True)
class Case:
    """One row, told."""

    anchor: str
    """Id of its block."""
    failure: FailureShown
    remedy: RemedyShown | None
    picture: Picture


@dataclass(frozen=True)
class Cases:
    """All that are told."""

    remedied: list[Case]
    others: list[Case]
    """Not remedied, the worst first."""

    def leads_to(self, trace: str, url: str | None) -> str | None:
        """Where a trace's link goes; None where the row is not told and no browser can open the trace."""
        if url is not None:
            return url
        found = (case.anchor for case in (*self.remedied, *self.others) if case.failure.trace == trace)
        return next((f"#{anchor}" for anchor in found), None)


def cases_of(view: ReportView) -> Cases:
    """The first remedied failures, in the playbook's order, and the worst of the others."""
    failures = {failure.trace: failure for failure in view.failures}
    remedied: dict[str, RemedyShown] = {}
    for remedy in view.remedies:
        if remedy.trace in failures:
            remedied.setdefault(remedy.trace, remedy)
    told = [_case(view, k, failures[trace], remedied[trace]) for k, trace in enumerate(remedied) if k < MOST_REMEDIED]
    others = [failure for failure in view.failures if failure.trace not in remedied][:MOST_OTHERS]
    return Cases(told, [_case(view, len(told) + k, failure, None) for k, failure in enumerate(others)])


def _case(view: ReportView, k: int, failure: FailureShown, remedy: RemedyShown | None) -> Case:
    first = remedy.dimension if remedy else None
    return Case(f"case-{k + 1}", failure, remedy, miss(view, failure, f"miss-{k + 1}", first))
