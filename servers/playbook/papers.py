"""The written papers of a closed cycle: the figures before and after, and the log of decisions.

Markdown says only what the summary, the snapshot and the playbook hold; texts and names from data are escaped.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from servers.core.task import Task
from servers.playbook.book import Playbook
from servers.playbook.conclusion import BASELINES
from servers.playbook.facts import Facts
from servers.playbook.markdown import escaped, figure, table
from servers.playbook.outlook import Plan

Summary = Mapping[str, Any]
OTHER_METRICS = ("mse_norm", "r2_score", "json_valid_rate", "intent_score_mean", "p95_inference_latency_ms")


def before_after_csv(task: Task, summary: Summary) -> str:
    """`before_after_metrics.csv`: a metric a line on the diagnose rows; before = champion, after = candidate."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["metric", "before", "after", "difference", *BASELINES])
    writer.writerows(_before_after(task, summary, BASELINES))
    return file.getvalue()


def decision_log(facts: Facts, playbook: Playbook, summary: Summary, plan: Plan) -> str:
    """`decision_log.md`: what was decided, by whom, and on what numbers."""
    parts = [
        f"# Decisions of {escaped(facts.cycle)}",
        f"Dataset {escaped(facts.opening.dataset)}, version {escaped(facts.opening.dataset_version)}. "
        f"Errors are points of the task's scale on the diagnose rows, where nothing else is said.",
        table(["decision", "by", "on what"], decisions_of(facts, playbook, summary)),
        "## The next cycle",
        table(["what", "plan"], [[escaped(what), escaped(words, 1000)] for what, words in plan]),
    ]
    return "\n\n".join(parts) + "\n"


def _before_after(task: Task, summary: Summary, baselines: Sequence[str]) -> list[list[Any]]:
    names = ["vector_mae", *(f"mae_raw_{name}" for name in task.names), *OTHER_METRICS]

    def row(name: str) -> list[Any]:
        before, after = (_metric(summary, role, name) for role in ("champion", "candidate"))
        difference = None if before is None or after is None else after - before
        return [name, before, after, difference, *(_metric(summary, role, name) for role in baselines)]

    return [row(name) for name in names]


def _metric(summary: Summary, role: str, name: str) -> float | None:
    metrics = summary["diagnose"][role]
    return None if metrics is None else metrics.get(name)


def _error_of(summary: Summary, role: str) -> str:
    return figure(_metric(summary, role, "vector_mae"))


def decisions_of(facts: Facts, playbook: Playbook, summary: Summary) -> list[list[str]]:
    """One line for each decision that was taken, in the order of the cycle."""
    opened, diagnosis, plan = facts.opening, facts.diagnosis, facts.plan
    lines = [(f"open against {opened.champion}", "caller of open_cycle", f"dataset version {opened.dataset_version}")]
    if facts.champion:
        words = f"vector_mae {_error_of(summary, 'champion')}, constant {_error_of(summary, 'constant')}"
        lines.append(("measure the models in place", "caller of evaluate_model", words))
    if diagnosis:
        lines.append((f"diagnosis: {diagnosis['verdict']}", "eval server", diagnosis["reason"]))
    if facts.augmentation:
        aim = ", ".join(facts.augmentation["focus_dimensions"]) or "more of the same"
        by = "caller of plan_campaign" if facts.opening.campaign else "caller of plan_augmentation"
        lines.append((f"new rows for {aim}", by, facts.augmentation["rationale"]))
    if facts.campaign_result:
        chosen = facts.campaign_result["chosen"]
        lines.append((f"way: {chosen['way'] if chosen else 'none'}", "eval server", facts.campaign_result["reason"]))
    for remedy in playbook.remedies:
        words = f"{remedy.dimension}, error {figure(remedy.error_before)} on trace {remedy.trace_id}"
        lines.append((remedy.told, "caller of write_playbook", words))
    if plan:
        changes = "; ".join(f"{c.name} from {c.before:g} to {c.after:g}: {c.reason}" for c in facts.changes)
        by = "caller of plan_campaign" if facts.opening.campaign else "caller of plan_retrain"
        lines.append(("retrain", by, changes or "the recipe was kept"))
    if facts.gate:
        lines.append((f"gate: {facts.gate['outcome']}", "eval server", facts.gate["reason"]))
    if facts.release:
        lines.append((f"{facts.release.model} into service", "caller of promote_model", facts.release.reason))
    if summary["rows_kept"] is False:
        words = "the candidate is shown worse on the diagnose rows"
        lines.append(("take the new rows back", "caller of write_report", words))
    lines.append((f"close: {summary['verdict']}", "caller of write_report", summary["reason"]))
    return [[escaped(cell, 600) for cell in line] for line in lines]
