"""The papers of a cycle, made again from what is on disk and written nowhere.

`wandb/report.html` and `wandb/report_draft.md` are of the cycle that was closed last; here any cycle's can be had.
"""

from dataclasses import dataclass
from typing import Any

from servers.core.budget import Budget
from servers.core.services import Services
from servers.core.task import Task
from servers.core.workspace import Workspace
from servers.playbook.book import playbook_of
from servers.playbook.conclusion import Conclusion
from servers.playbook.draft import report_draft
from servers.playbook.facts import Facts, facts_of
from servers.playbook.outlook import next_cycle
from servers.playbook.papers import decisions_of
from servers.playbook.report.view import ReportView
from servers.playbook.viewing import view_of
from servers.playbook.wandb_report import arguments_of


def page_of(workspace: Workspace, task: Task, services: Services, cycle: str, navigation: str = "") -> str:
    """The report of a cycle, also of an open one, as a page with pictures: HTML in one file.

    Args:
        workspace: The artifacts folder.
        task: What the cycle worked on.
        services: Where the budget stands.
        cycle: Its id.
        navigation: Markup that stands above it where it is one of several pages.

    Raises:
        ValueError: there is no such cycle, or it worked on another task.
    """
    # Here, because the template engine costs a quarter of a second, and serving does not need it.
    from servers.playbook.report.render import render_html

    return render_html(_again(workspace, task, services, cycle).view, navigation)


def draft_of(workspace: Workspace, task: Task, services: Services, cycle: str) -> str:
    """The report of a closed cycle in Markdown.

    Raises:
        ValueError: there is no such cycle, it is open, or it worked on another task.
    """
    found = _again(workspace, task, services, cycle)
    return report_draft(found.view, found.facts, found.decisions, found.summary["files"])


def for_wandb(workspace: Workspace, task: Task, services: Services, cycle: str) -> dict[str, Any]:
    """What `create_wandb_report_tool` takes, to show a closed cycle at W&B.

    Raises:
        ValueError: as for `draft_of`.
    """
    found = _again(workspace, task, services, cycle)
    words = report_draft(found.view, found.facts, found.decisions, found.summary["files"])
    return arguments_of(task, found.facts, words)


@dataclass(frozen=True)
class _Again:
    """What is known of a cycle, and how its page shows it."""

    workspace: Workspace
    facts: Facts
    view: ReportView

    @property
    def summary(self) -> dict[str, Any]:
        if self.facts.summary is None:
            raise ValueError(f"{self.facts.cycle} is open; its report is written when write_report closes it")
        return self.facts.summary

    @property
    def decisions(self) -> list[list[str]]:
        return decisions_of(self.facts, playbook_of(self.workspace, self.facts.cycle), self.summary)


def _again(workspace: Workspace, task: Task, services: Services, cycle: str) -> _Again:
    facts = facts_of(workspace, cycle)
    if facts.card.task != task.name:
        raise ValueError(f"{cycle} worked on task {facts.card.task!r}, not {task.name!r}; give its file with --task")
    summary, plan = facts.summary, []
    if summary is not None:
        ended = Conclusion.model_validate({name: summary[name] for name in Conclusion.model_fields})
        plan = next_cycle(task, facts, ended)
    budget = Budget(workspace, services).state()
    return _Again(workspace, facts, view_of(workspace, task, facts, summary, plan, budget))
