"""The papers of a closed cycle, made again from what is on disk and written nowhere.

`wandb/report.html` and `wandb/report_draft.md` are of the cycle that was closed last; here any cycle's can be had.
"""

from typing import Any

from servers.core.services import Services
from servers.core.task import Task
from servers.core.workspace import Workspace
from servers.playbook.book import playbook_of
from servers.playbook.closing import page_of as page_of_any
from servers.playbook.conclusion import Conclusion
from servers.playbook.facts import Facts, facts_of
from servers.playbook.outlook import Plan, next_cycle
from servers.playbook.papers import report_draft


def draft_of(workspace: Workspace, task: Task, cycle: str) -> str:
    """The report of a closed cycle in Markdown.

    Raises:
        ValueError: there is no such cycle, it is open, or it worked on another task.
    """
    facts, summary, plan = _closed(workspace, task, cycle)
    return report_draft(task, facts, playbook_of(workspace, cycle), summary, plan, summary["files"])


def page_of(workspace: Workspace, task: Task, services: Services, cycle: str) -> str:
    """The report of a closed cycle as a page with pictures, HTML in one file.

    Raises:
        ValueError: as for `draft_of`.
    """
    _closed(workspace, task, cycle)
    return page_of_any(workspace, task, services, cycle)


def _closed(workspace: Workspace, task: Task, cycle: str) -> tuple[Facts, dict[str, Any], Plan]:
    facts = facts_of(workspace, cycle)
    if facts.card.task != task.name:
        raise ValueError(f"{cycle} worked on task {facts.card.task!r}, and this server works on {task.name!r}")
    if facts.summary is None:
        raise ValueError(f"{cycle} is open and has no report yet; read etude://cycles/{cycle}, which says what is next")
    conclusion = Conclusion.model_validate({name: facts.summary[name] for name in Conclusion.model_fields})
    return facts, facts.summary, next_cycle(task, facts, conclusion)
