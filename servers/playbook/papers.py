"""The written papers of a closed cycle: the figures before and after, the log of decisions, the draft of a report.

Markdown says only what the summary, the snapshot and the playbook hold; texts and names from data are escaped.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from servers.core.task import Task
from servers.playbook.book import PROVES_NOTHING, Playbook
from servers.playbook.conclusion import BASELINES, ROLES
from servers.playbook.facts import Facts
from servers.playbook.outlook import Plan
from servers.playbook.prose import filled, sources_of
from servers.playbook.words import escaped, figure, lesson, table

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
        table(["decision", "by", "on what"], _decisions(facts, playbook, summary)),
        "## The next cycle",
        table(["what", "plan"], [[escaped(what), escaped(words, 1000)] for what, words in plan]),
    ]
    return "\n\n".join(parts) + "\n"


def report_draft(
    task: Task, facts: Facts, playbook: Playbook, summary: Summary, plan: Plan, files: Iterable[str]
) -> str:
    """`report_draft.md`: the whole cycle in Markdown, a draft for a report elsewhere."""
    opened, snapshot = facts.opening, facts.snapshot
    champion, candidate = (_error_of(summary, role) for role in ("champion", "candidate"))
    parts = [
        f"# {escaped(task.title)}: {escaped(facts.cycle)}, {escaped(summary['verdict'])}",
        "## Problem and goal",
        f"A model reads {len(task.names)} numbers ({escaped(', '.join(task.names))}) from a text, and answers in "
        f"strict JSON. {escaped(opened.champion)} was in service; the goal was a candidate that is better on the "
        "sealed rows.",
        "## Setup and MCP compliance",
        *_compliance(snapshot),
        "## Key results",
        f"Verdict: **{escaped(summary['verdict'])}**. {escaped(summary['reason'], 1000)}.",
        f"vector\\_mae {champion} before, {candidate} after; {PROVES_NOTHING}.",
        _before_after_table(task, summary),
        *_gate(summary),
        "## Hard cases and augmentation",
        *_augmentation(facts),
        "## Weave evidence",
        *_evidence(snapshot, playbook),
        "## The cycle step by step",
        table(["decision", "by", "on what"], _decisions(facts, playbook, summary)),
        "## Lessons",
        "In the words of whoever ran the cycle: each figure, its unit and its direction were checked against the "
        "source with its number, the words were not.",
        *([lesson(x.title, filled(x.text, x.claims), sources_of(x.claims)) for x in playbook.lessons] or ["None."]),
        "## The planned next cycle",
        table(["what", "plan"], [[escaped(what), escaped(words, 1000)] for what, words in plan]),
        "## Latency against quality",
        table(["role", "vector\\_mae", "p95 latency, ms"], _latencies(summary)),
        "## All files and links",
        "\n".join(f"- {escaped(file)}" for file in [*files, *_links(facts)]),
    ]
    return "\n\n".join(parts) + "\n"


def _before_after(task: Task, summary: Summary, baselines: Sequence[str]) -> list[list[Any]]:
    names = ["vector_mae", *(f"mae_raw_{name}" for name in task.names), *OTHER_METRICS]

    def row(name: str) -> list[Any]:
        before, after = (_metric(summary, role, name) for role in ("champion", "candidate"))
        difference = None if before is None or after is None else after - before
        return [name, before, after, difference, *(_metric(summary, role, name) for role in baselines)]

    return [row(name) for name in names]


def _before_after_table(task: Task, summary: Summary) -> str:
    measured = [role for role in BASELINES if summary["diagnose"][role] is not None]
    rows = _before_after(task, summary, measured)
    cells = [[escaped(name), *(figure(value, 4) for value in values)] for name, *values in rows]
    return table(["metric", "before", "after", "difference", *measured], cells)


def _metric(summary: Summary, role: str, name: str) -> float | None:
    metrics = summary["diagnose"][role]
    return None if metrics is None else metrics.get(name)


def _error_of(summary: Summary, role: str) -> str:
    return figure(_metric(summary, role, "vector_mae"))


def _compliance(snapshot: Mapping[str, Any] | None) -> list[str]:
    if snapshot is None:
        return ["Nothing was read back through the W&B MCP server in this cycle."]
    server = snapshot["server"]
    calls = [[escaped(c["tool"]), escaped(c["arguments"], 120), c["reply_digest"][:16]] for c in snapshot["calls"]]
    return [
        f"All context came through tools/call of {escaped(server['name'])} {escaped(server['version'])} "
        f"({escaped(server['kind'])}) at {escaped(snapshot['fetched_at'])}, and agreed with what the eval server "
        "wrote.",
        table(["tool", "arguments", "digest of the reply"], calls),
    ]


def _gate(summary: Summary) -> list[str]:
    gate = summary["gate"]
    if gate is None:
        return ["No verdict was asked of the sealed rows."]
    sealed = "sealed" if gate["difference"] is None else f"{gate['difference']:+.3f} points"
    return [
        f"Gate: verdict {gate['verdicts_asked']} of this split, {gate['n']} sealed rows, level {gate['level']:.4g}, "
        f"difference {escaped(sealed)}; the next verdict may spend {gate['level_left']:.4g}.",
        table(
            ["check", "passed", "detail", "found on"],
            [
                [escaped(c["name"]), "yes" if c["passed"] else "no", escaped(c["detail"]), escaped(c["evidence"])]
                for c in gate["checks"]
            ],
        ),
    ]


def _augmentation(facts: Facts) -> list[str]:
    spec = facts.augmentation
    if spec is None or not facts.augmented:
        return ["No rows were added."]
    outcome = spec["outcome"]
    dropped = ", ".join(f"{reason}: {count}" for reason, count in outcome["dropped"].items()) or "none"
    return [
        f"{outcome['added']} rows by teacher {escaped(spec['teacher'])}, {outcome['replayed']} train rows counted "
        f"double. Aim: {escaped(', '.join(spec['focus_dimensions']) or 'more of the same')}. "
        f"{escaped(spec['rationale'], 1000)}.",
        f"Dropped by the filters: {escaped(dropped, 1000)}.",
        *(
            f"No row was added: {escaped(why, 1000)}."
            for why in (outcome.get("distrusted"), outcome.get("refused"))
            if why
        ),
    ]


def _evidence(snapshot: Mapping[str, Any] | None, playbook: Playbook) -> list[str]:
    if snapshot is None:
        return ["None was recorded."]
    urls = {failure["trace_id"]: failure["trace_url"] for failure in snapshot["failures_top_k"]}
    rows = [
        [
            escaped(urls.get(remedy.trace_id, remedy.trace_id)),
            escaped(remedy.dimension),
            escaped(remedy.told),
            figure(remedy.error_before),
            figure(remedy.error_after),
        ]
        for remedy in playbook.remedies
    ]
    if not rows:
        return [f"{snapshot['failures_len']} failures were recorded, none was remedied."]
    return [f"Errors in points; {PROVES_NOTHING}.", table(["trace", "dimension", "change", "before", "after"], rows)]


def _decisions(facts: Facts, playbook: Playbook, summary: Summary) -> list[list[str]]:
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


def _latencies(summary: Summary) -> list[list[str]]:
    return [
        [role, _error_of(summary, role), figure(_metric(summary, role, "p95_inference_latency_ms"), 3)]
        for role in ROLES
        if summary["diagnose"][role] is not None
    ]


def _links(facts: Facts) -> list[str]:
    return [evaluation.run_url for evaluation in facts.evaluations.values()]
