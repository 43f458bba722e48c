"""All cycles at a glance: what serves, how its error moved, what each cycle came to, what worked, what is left."""

from dataclasses import dataclass
from typing import Any

from servers.core.budget import BudgetState
from servers.core.dataset import Card
from servers.core.task import Task
from servers.core.wear import MAX_VERDICTS, verdicts_asked
from servers.playbook.policies import Policy, policies_known
from servers.playbook.site.addresses import Link
from servers.playbook.site.archive import Archive, CycleLine, digits_of
from servers.playbook.site.charts import error_in_service
from servers.playbook.site.lineage import columns_of, lineage
from servers.playbook.site.pages import Page

MOST_POLICIES = 12


@dataclass(frozen=True)
class DatasetStory:
    """One dataset: its champion, its cycles, its pictures."""

    name: str
    head: Card
    task: Task | None
    digits: int
    champion: str | None
    """What serves; None before the beginning is over."""
    sentence: str
    """How it came to that, in words."""
    lines: list[CycleLine]
    """Newest first."""
    error: Any
    """The picture of the error in service; None where nothing was measured."""
    lineage: Any
    asked: int
    """Verdicts that the sealed rows have given."""
    verdicts_left: int


def home_page(archive: Archive, link: Link) -> Page:
    """The first page."""
    stories = [_story(archive, name, link) for name in archive.names if archive.lines_of(name)]
    stories.sort(key=lambda story: story.lines[0].opening.opened_at, reverse=True)
    unused = [archive.heads[name] for name in archive.names if not archive.lines_of(name)]
    known = policies_known(archive.workspace)
    values = {
        "stories": stories,
        "unused": unused,
        "policies": _newest_first(known)[:MOST_POLICIES],
        "n_policies": len(known),
        "budget": _budget(archive),
        "seconds": sum(line.seconds for line in archive.lines),
        "promotions": sum(line.shown.verdict == "promote" for line in archive.lines),
    }
    return Page("home.html.j2", "All cycles", values)


def _story(archive: Archive, name: str, link: Link) -> DatasetStory:
    lines, head, moves = archive.lines_of(name), archive.heads[name], archive.moves(name)
    task = archive.task_of(name)
    digits = digits_of(task)
    asked = verdicts_asked(archive.workspace, head.gate_fingerprint)
    cards = archive.datasets.versions(name)
    return DatasetStory(
        name=name,
        head=head,
        task=task,
        digits=digits,
        champion=moves[-1].model if moves else None,
        sentence=_sentence(archive, name, lines, digits),
        lines=lines[::-1],
        error=error_in_service(name, [line.shown for line in lines], digits),
        lineage=lineage(name, columns_of(lines, moves), cards, archive.measured, digits, link),
        asked=asked,
        verdicts_left=max(0, MAX_VERDICTS - asked),
    )


def _sentence(archive: Archive, name: str, lines: list[CycleLine], digits: int) -> str:
    """From which error to which, on the rows that prove nothing."""
    moves = archive.moves(name)
    if not moves:
        return "Nothing is in service yet."
    mine = [one for one in archive.measured if one.dataset == name]
    errors = {one.model: one.metrics.get("vector_mae") for one in mine}
    constant, now = errors.get("constant"), errors.get(moves[-1].model)
    promoted = sum(line.shown.verdict == "promote" for line in lines)
    counted = f"{promoted} of {len(lines)} {'cycle' if len(lines) == 1 else 'cycles'} ended in a promotion"
    if constant is None or now is None or moves[-1].model == "constant":
        return f"{counted}."
    return (
        f"On the diagnose rows a constant answer errs by {constant:.{digits}f} points and what serves now by "
        f"{now:.{digits}f}; {counted}."
    )


def _newest_first(policies: list[Policy]) -> list[Policy]:
    """Cycles newest first; the entries of one cycle stay in their order."""
    cycles = list(dict.fromkeys(policy.cycle for policy in policies))
    return sorted(policies, key=lambda policy: -cycles.index(policy.cycle))


def _budget(archive: Archive) -> BudgetState | None:
    try:
        return archive.budget.state()
    except ValueError:  # a damaged file: the tools say which
        return None
