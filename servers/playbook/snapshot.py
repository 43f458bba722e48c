"""`mcp_eval_snapshot.json`: what the replies of the W&B MCP server said, and nothing else.

Built only after the replies were found to agree with what the eval server wrote. Values are data: texts are cut,
control characters gone. Where a failure can be looked up (`trace_url`) is all that the row adds to the trace's words.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from servers.core.backends import STAND_INS
from servers.core.cycle_files import document
from servers.core.disk import canonical, digest, now
from servers.core.evaluations import Evaluation, ScoredRow
from servers.core.task import Task
from servers.core.wire import Wire
from servers.core.words import cleaned
from servers.core.workspace import Workspace
from servers.playbook.documents import is_unmeasured, mapping, number
from servers.playbook.replies import Call, Replies, ReportedCount, ReportedRun, ReportedTrace

SNAPSHOT = "mcp_eval_snapshot.json"
SOURCE = "wandb_mcp_tools_call"
TOP_FAILURES = 20
RECENT_RUNS = 10
SAME = 1e-9  # points; a mean of equal errors may miss them by a rounding error


class ServerName(Wire):
    """Who answered, from the handshake."""

    name: str
    version: str


class Failure(Wire):
    """A diagnose row that the champion answered badly, as its trace told it."""

    trace_id: str
    trace_url: str
    mode: str
    scenario: str
    request_text: str
    json_valid: bool
    parse_error: str | None
    abs_error_by_dim: dict[str, float]
    """Points."""
    mae_raw: float
    """Points."""
    intent_score: float | None
    constraint_match: bool | None
    slot_exact_match: float | None
    target_vector: dict[str, float]
    predicted_vector: dict[str, float] | None


def recorded_failures(workspace: Workspace, cycle: str) -> dict[str, Failure]:
    """The failures of a cycle's snapshot by trace id, worst first.

    Raises:
        ValueError: nothing was recorded yet.
    """
    snapshot = document(workspace, cycle, SNAPSHOT, "record_context")
    return {row["trace_id"]: Failure.model_validate(row) for row in snapshot["failures_top_k"]}


def erring_dimensions(errors: Mapping[str, float]) -> list[str]:
    """The dimensions on which a row errs by its mean error or more, the largest error first: what a remedy is for."""
    mean = sum(errors.values()) / len(errors)
    erring = [name for name, error in errors.items() if error >= mean - SAME]
    return sorted(erring, key=lambda name: -errors[name])


def failures_from(known: Iterable[tuple[ReportedTrace, ScoredRow]], task: Task) -> list[Failure]:
    """Traces and the rows that they agree with as failures, worst first, each trace once."""
    failures = {trace.trace_id: _failure(trace, row, task) for trace, row in known}
    return sorted(failures.values(), key=lambda failure: (-failure.mae_raw, failure.trace_id))


def snapshot_from(
    cycle: str,
    server: ServerName,
    calls: Sequence[Call],
    replies: Replies,
    evaluations: Mapping[str, Evaluation],
    jobs: set[str],
    failures: Sequence[Failure],
) -> dict[str, Any]:
    """The whole document.

    Args:
        cycle: Its id.
        server: Who answered.
        calls: What was asked.
        replies: What was answered.
        evaluations: Every evaluation that the eval server wrote, by run id.
        jobs: Ids of the training jobs that were started here, which are run ids too.
        failures: The champion's, worst first.
    """
    runs = merged(replies.runs)
    of_cycle = {run_id: found for run_id, found in evaluations.items() if found.cycle == cycle}
    of_champion = {failure.trace_id for failure in failures}
    return {
        "schema": 1,
        "source": SOURCE,
        "fetched_at": now(),
        "cycle_id": cycle,
        "mcp": {
            "tools": replies.tools,
            "viewer": replies.viewer,
            "entity": replies.entity,
            "project": replies.project,
            "eval_source": "eval_runs",
        },
        "server": {
            "name": cleaned(server.name, 100),
            "version": cleaned(server.version, 100),
            "kind": "stand-in" if server.name in STAND_INS else "official",
        },
        "eval_summary": {run_of.model: _figures(run, run_of) for run in runs if (run_of := of_cycle.get(run.run_id))},
        "failures_top_k": failures[:TOP_FAILURES],
        "failures_len": len(failures),
        "recent_runs": _newest(run for run in runs if run.run_id in jobs),
        "other_runs": _newest(run for run in runs if run.run_id not in jobs and run.run_id not in evaluations),
        "trace_project_selected": next(
            (_place(trace) for trace in replies.traces if of_champion & {trace.trace_id, trace.call_id}),
            _place(replies.traces[0]),
        ),
        "trace_project_candidates": [
            {"project": _place(count), "total_count": count.total, "root_traces_count": count.roots}
            for count in replies.counts
        ],
        "truncated": replies.truncated,
        "calls": [_origin(call) for call in calls],
    }


def merged(runs: Iterable[ReportedRun]) -> list[ReportedRun]:
    """Each run once, with all that was said of it."""
    by_id: dict[str, ReportedRun] = {}
    for run in runs:
        before = by_id.get(run.run_id, run)
        both = {"config": before.config | run.config, "summary": before.summary | run.summary}
        by_id[run.run_id] = before.model_copy(update=both)
    return list(by_id.values())


def _failure(trace: ReportedTrace, row: ScoredRow, task: Task) -> Failure:
    said = trace.output
    return Failure(
        trace_id=trace.trace_id,
        trace_url=row.trace_url,
        mode=cleaned(str(trace.attributes.get("mode", row.mode)), 64),
        scenario=cleaned(str(trace.attributes.get("split", row.scenario)), 64),
        request_text=cleaned(trace.inputs[task.text_name]),
        json_valid=_flag(said["json_valid"]),
        parse_error=None if is_unmeasured(said.get("parse_error")) else cleaned(str(said["parse_error"]), 200),
        abs_error_by_dim=_numbers(said["abs_error_by_dim"]),
        mae_raw=float(said["mae_raw"]),
        intent_score=number(said.get("intent_score")),
        constraint_match=None if is_unmeasured(said.get("constraint_match")) else _flag(said["constraint_match"]),
        slot_exact_match=number(said.get("slot_exact_match")),
        target_vector=_numbers(said["target"]),
        predicted_vector=None if is_unmeasured(said.get("prediction")) else _numbers(said["prediction"]),
    )


def _numbers(said: Any) -> dict[str, float]:
    """Values by dimension, which may have come as texts."""
    return {name: float(value) for name, value in mapping(said).items() if number(value) is not None}


def _flag(said: Any) -> bool:
    return str(said).lower() in ("true", "1")


def _figures(run: ReportedRun, evaluation: Evaluation) -> dict[str, float]:
    """The figures of a run that could be compared; others prove nothing."""
    known = {*evaluation.metrics, "n", "n_invalid"}
    figures = {name.removeprefix("eval/"): value for name, value in run.summary.items()}
    return {name: value for name, value in figures.items() if name in known}


def _newest(runs: Iterable[ReportedRun]) -> list[ReportedRun]:
    return sorted(runs, key=lambda run: run.created_at or "", reverse=True)[:RECENT_RUNS]


def _place(found: ReportedTrace | ReportedCount) -> str:
    return f"{found.entity}/{found.project}"


def _origin(call: Call) -> dict[str, Any]:
    return {
        "tool": cleaned(call.tool, 64),
        "arguments": cleaned(canonical(call.arguments), 2000),
        "reply_chars": len(call.text),
        "reply_digest": digest(call.text),
    }
