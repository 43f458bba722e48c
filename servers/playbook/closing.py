"""Write the report: the last step of a cycle. `summary.json` comes last and closes it; asking again changes nothing."""

from servers.core.budget import Budget
from servers.core.dataset import DatasetStore
from servers.core.disk import write_bytes, write_json, write_text
from servers.core.services import Services
from servers.core.task import Task
from servers.core.wire import Wire
from servers.core.workspace import Workspace
from servers.playbook.book import Playbook, bring_up_to_date
from servers.playbook.conclusion import Conclusion, conclude, summary_of
from servers.playbook.cycles import newest
from servers.playbook.draft import report_draft
from servers.playbook.facts import Facts, facts_of
from servers.playbook.failure_cases import write_failure_cases
from servers.playbook.outlook import next_cycle
from servers.playbook.papers import before_after_csv, decision_log, decisions_of
from servers.playbook.report.view_base import Outcome
from servers.playbook.reprints import page_of
from servers.playbook.viewing import view_of
from servers.playbook.wandb_report import note

REPORT = "report.html"
PAPERS = ("before_after_metrics.csv", "decision_log.md", "playbook.json", "summary.json")
PICTURE = "picture.png"


class Written(Wire):
    """A closed cycle."""

    cycle: str
    verdict: Outcome
    reason: str
    report: str
    """Path of the page with pictures."""
    files: list[str]
    """All that was written, under the artifacts folder."""
    next: str


def write_report(
    workspace: Workspace,
    task: Task,
    services: Services,
    cycle: str,
    stop_reason: str | None,
    at_wandb: str | None = None,
) -> Written:
    """Close a cycle and write its papers; of a closed one only the address of its report at W&B is taken in.

    Raises:
        ValueError: the cycle cannot be closed yet, or not in this way; the message names the tool to call.
    """
    facts = facts_of(workspace, cycle)
    if facts.summary is None:
        _close(workspace, task, services, facts, conclude(facts, stop_reason))
        facts = facts_of(workspace, cycle)
    assert facts.summary is not None  # written above
    if at_wandb is not None:
        note(workspace, facts, at_wandb)
        if cycle == newest(workspace):  # whose page it is
            render_again(workspace, task, services, cycle)
    return Written(
        cycle=cycle,
        verdict=facts.summary["verdict"],
        reason=facts.summary["reason"],
        report=str(workspace.root / facts.summary["report"]),
        files=facts.summary["files"],
        next=f"open_cycle with dataset {facts.opening.dataset!r} for the next turn",
    )


def render_again(workspace: Workspace, task: Task, services: Services, cycle: str) -> str:
    """Write the cycle's page anew from what is on disk, also of an open one, and return its path.

    Raises:
        ValueError: there is no such cycle, or it worked on another task.
    """
    path = workspace.report_dir / REPORT
    write_text(path, page_of(workspace, task, services, cycle))
    return str(path)


def _close(workspace: Workspace, task: Task, services: Services, facts: Facts, conclusion: Conclusion) -> None:
    # Here, because the template engine costs a quarter of a second, and serving does not need it.
    from servers.playbook.report.render import render_html
    from servers.playbook.report.still import still

    playbook = bring_up_to_date(workspace, facts.cycle)
    if conclusion.verdict != "promote" and not facts.opening.campaign and _harmed(playbook):
        # Else the rows stay for the next cycle; of a campaign they do only where they err less.
        DatasetStore(workspace).take_back(facts.card)
    facts = facts_of(workspace, facts.cycle)
    folder, papers = workspace.cycle_dir(facts.cycle), workspace.report_dir
    loop, shared = f"loop/{facts.cycle}", papers.name
    summary = summary_of(facts, conclusion, f"{shared}/{REPORT}")
    plan = next_cycle(task, facts, conclusion)
    view = view_of(workspace, task, facts, summary, plan, Budget(workspace, services).state())
    picture = still(view)
    files = [
        *(f"{loop}/{name}" for name in (*PAPERS, *([PICTURE] if picture else []))),
        *write_failure_cases(workspace, task, facts),
        f"{shared}/report_draft.md",
        f"{shared}/{REPORT}",
    ]
    summary["files"] = files
    write_text(folder / "before_after_metrics.csv", before_after_csv(task, summary))
    write_text(folder / "decision_log.md", decision_log(facts, playbook, summary, plan))
    if picture is not None:
        write_bytes(folder / PICTURE, picture)
    decisions = decisions_of(facts, playbook, summary)
    write_text(papers / "report_draft.md", report_draft(view, facts, decisions, files))
    write_text(papers / REPORT, render_html(view))
    write_json(folder / "summary.json", summary)


def _harmed(playbook: Playbook) -> bool:
    return any(policy.worked == "harmed" for policy in playbook.policies)
