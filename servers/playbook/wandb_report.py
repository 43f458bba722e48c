"""A closed cycle's report for W&B: what `create_wandb_report_tool` of the official server takes, and where it then is.

The server writes no report at W&B by itself: whoever runs the cycle reads the arguments as evidence (`report:<cycle>`),
hands them to the W&B MCP server as they stand, and notes the address that comes back with `write_report`. The words are
those of `report_draft.md`; the panels are drawn by W&B from its own runs.
"""

from typing import Any
from urllib.parse import unquote, urlsplit

from servers.core.disk import digest, now, write_json
from servers.core.task import Task
from servers.core.words import cleaned
from servers.core.workspace import Workspace
from servers.playbook.facts import Facts

NOTE = "wandb_report.json"
MAX_URL_CHARS = 500


def is_wanted(facts: Facts) -> bool:
    """Whether the cycle's report belongs to W&B and is not noted there yet."""
    return facts.summary is not None and facts.opening.backends.tracking == "wandb" and facts.wandb_report is None


def note(workspace: Workspace, facts: Facts, url: str) -> None:
    """Write down where the report is, in `loop/<cycle>/wandb_report.json`; the newest address counts.

    Raises:
        ValueError: it is no address of a report of the cycle's own project.
    """
    entity, project = _place(facts)
    if not _is_report_of(url, entity, project):
        raise ValueError(
            f"{cleaned(url, 120)!r} is no report of {entity}/{project}; give the address that create_wandb_report_tool "
            "came back with"
        )
    if facts.wandb_report is None or facts.wandb_report["url"] != url:
        write_json(workspace.cycle_dir(facts.cycle) / NOTE, {"schema": 1, "url": url, "noted_at": now()})


def arguments_of(task: Task, facts: Facts, markdown: str) -> dict[str, Any]:
    """The arguments of `create_wandb_report_tool`, for a closed cycle.

    Args:
        task: What the numbers are.
        facts: The cycle.
        markdown: The report's words.

    Raises:
        ValueError: the cycle measured nothing, so no project is known to put it into.
    """
    assert facts.summary is not None
    entity, project = _place(facts)
    # The same cycle of another folder may be in the same project; the digest tells them apart.
    told_apart = digest(facts.opening.model_dump(mode="json"))[:8]
    return {
        "entity_name": entity,
        "project_name": project,
        "title": f"{cleaned(task.title, 80)}: {facts.cycle}, {facts.summary['verdict']} ({told_apart})",
        "description": cleaned(facts.summary["reason"], 300),
        "markdown_report_text": markdown,
        "panels": [
            {"type": "line", "x": "_step", "y": ["objective/train_loss"], "title": "Training loss"},
            {"type": "bar", "metrics": ["eval/vector_mae"], "title": "Mean error on the diagnose rows, points"},
            {
                "type": "bar",
                "metrics": [f"eval/mae_raw_{name}" for name in task.names],
                "title": "Error by dimension on the diagnose rows, points",
            },
        ],
    }


def _place(facts: Facts) -> tuple[str, str]:
    """Entity and project of the cycle's own runs."""
    for evaluation in facts.evaluations.values():
        return evaluation.entity, evaluation.project
    raise ValueError(f"{facts.cycle} measured nothing, so it has no project at W&B")


def _is_report_of(url: str, entity: str, project: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    path = unquote(parts.path).casefold()
    return (
        len(url) <= MAX_URL_CHARS
        and url.isascii()
        and url.isprintable()
        and not any(char in url for char in " \"'<>\\`")
        and parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and path.startswith(f"/{entity}/{project}/reports/".casefold())
    )
