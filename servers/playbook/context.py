"""What came back through the W&B MCP server, kept word for true word: the only way into a cycle's snapshot.

`mcp_eval_snapshot.json` holds what the replies said and nothing else, after every figure and trace of ours was compared
with what the eval server wrote (agreement.py). Runs that nobody here knows are listed as other runs and prove nothing.
`mcp_decision_input.json` is the part that a decision looks at. Values are data: texts are cut, control characters gone.
"""

from collections.abc import Sequence
from typing import Any

from servers.core.cycle_files import Opening, document, needs_open
from servers.core.disk import canonical, digest, now, write_json
from servers.core.evaluations import Evaluation, EvaluationStore, ScoredRow
from servers.core.task import Task
from servers.core.wire import Wire
from servers.core.workspace import Workspace
from servers.playbook.agreement import check_count, check_run, check_trace
from servers.playbook.replies import COUNTS, RUNS, TRACES, Call, Count, Replies, Run, Trace, read_replies
from servers.playbook.words import cleaned

SOURCE = "wandb_mcp_tools_call"
STAND_IN = "etude-wandb-local"  # the name in the stand-in's handshake
TOP_FAILURES = 20
RECENT_RUNS = 10
RESULT_TEXT_CHARS = 200


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


class Recorded(Wire):
    """What record_context kept."""

    snapshot: str
    """Path under the artifacts folder."""
    failures: list[Failure]
    """The champion's worst rows among the replies, worst first."""
    eval_summary: dict[str, dict[str, float]]
    """By model, the figures of its run."""
    recent_runs: list[Run]
    other_runs: int
    """Runs that none of these servers wrote; they are no evidence."""
    agrees: bool
    next: str


def record(
    workspace: Workspace, task: Task, cycle: str, server: ServerName, calls: Sequence[Call], remedied: Sequence[str]
) -> Recorded:
    """Check the replies and write the snapshot; the replies of a later call take the place of the earlier ones.

    Args:
        workspace: The artifacts folder.
        task: What the traces are about.
        cycle: An open cycle whose champion was measured.
        server: Who answered.
        calls: The W&B tool calls and their replies, word for word.
        remedied: Traces that the playbook already rests on; the replies have to hold them.

    Raises:
        ValueError: a reply failed, disagrees, or what the cycle needs is missing. Nothing is written then.
    """
    opening = needs_open(workspace, cycle)
    store = EvaluationStore(workspace)
    everything = {evaluation.evaluation_id: evaluation for evaluation in store.all()}
    ours = [evaluation for evaluation in everything.values() if evaluation.cycle == cycle]
    champion = store.find(cycle, opening.champion)
    if champion is None:
        raise ValueError(f"{cycle} has no evaluation of its champion {opening.champion!r}; call evaluate_model first")
    rows = {row.trace_id: row for evaluation in ours for row in store.rows(evaluation.evaluation_id)}
    replies = read_replies(calls)
    for run in replies.runs:
        if run.run_id in everything:
            check_run(run, everything[run.run_id])
    for count in replies.counts:
        check_count(count, cycle, ours)
    known = [(trace, row) for trace in replies.traces if (row := _row_of(trace, rows, everything))]
    for trace, row in known:
        check_trace(trace, row, task.text_name)
    failures = [_failure(trace, row, task) for trace, row in known if row.run_id == champion.run_id]
    _needs_everything(replies, champion, failures)
    failures = sorted(failures, key=lambda failure: (-failure.mae_raw, failure.trace_id))
    worst = {failure.trace_id for failure in failures[:TOP_FAILURES]}
    if lost := [trace for trace in remedied if trace not in worst]:
        raise ValueError(
            f"the playbook rests on trace {lost[0]}, which is not among the worst of these; nothing was recorded"
        )
    snapshot = _snapshot(workspace, opening, server, replies, ours, failures, calls)
    folder = workspace.cycle_dir(cycle)
    write_json(folder / "mcp_eval_snapshot.json", snapshot)
    kept = ("schema", "cycle_id", "source", "eval_summary", "failures_top_k", "recent_runs")
    write_json(folder / "mcp_decision_input.json", {key: snapshot[key] for key in kept})
    return Recorded(
        snapshot=f"loop/{cycle}/mcp_eval_snapshot.json",
        failures=[_shortened(failure) for failure in failures[:TOP_FAILURES]],
        eval_summary=snapshot["eval_summary"],
        recent_runs=snapshot["recent_runs"],
        other_runs=len(snapshot["other_runs"]),
        agrees=True,
        next="diagnose_dataset, then get_cycle for the next step",
    )


def recorded_failures(workspace: Workspace, cycle: str) -> dict[str, Failure]:
    """The failures of a cycle's snapshot by trace id, worst first.

    Raises:
        ValueError: nothing was recorded yet.
    """
    snapshot = document(workspace, cycle, "mcp_eval_snapshot.json", "record_context")
    return {row["trace_id"]: Failure.model_validate(row) for row in snapshot["failures_top_k"]}


def _row_of(trace: Trace, rows: dict[str, ScoredRow], evaluations: dict[str, Evaluation]) -> ScoredRow | None:
    """The scored row that a trace stands for; None for a trace of somebody else or of another cycle."""
    row, claimed = rows.get(trace.trace_id), trace.attributes.get("evaluation_id")
    if claimed in {found.run_id for found in rows.values()} and (row is None or row.run_id != claimed):
        raise ValueError(
            f"trace {trace.trace_id}: evaluation_id is {claimed!r} in the reply, but the eval server wrote no such "
            "trace for it; such a reply is no evidence; nothing was recorded"
        )
    return row


def _needs_everything(replies: Replies, champion: Evaluation, failures: Sequence[Failure]) -> None:
    """Refuse half a picture: the champion's run, a count of traces, and its traces have to be there."""
    which = f"of {champion.evaluation_id}, the champion's, in {champion.entity}/{champion.project}"
    needed = {
        f"the run {which}; ask {RUNS}": champion.run_id in {run.run_id for run in replies.runs},
        f"a count of traces {which}; ask {COUNTS}": bool(replies.counts),
        f"traces {which}; ask {TRACES}": bool(failures),
    }
    for what, is_there in needed.items():
        if not is_there:
            raise ValueError(f"the replies lack {what}; nothing was recorded")


def _failure(trace: Trace, row: ScoredRow, task: Task) -> Failure:
    """A failure from the trace's own words; only where to look it up comes from the row, which agreed."""
    said = trace.output
    return Failure(
        trace_id=trace.trace_id,
        trace_url=row.trace_url,
        mode=cleaned(str(trace.attributes.get("mode", row.mode)), 64),
        scenario=cleaned(str(trace.attributes.get("split", row.scenario)), 64),
        request_text=cleaned(trace.inputs[task.text_name]),
        json_valid=said["json_valid"],
        parse_error=None if said.get("parse_error") is None else cleaned(str(said["parse_error"]), 200),
        abs_error_by_dim=said["abs_error_by_dim"],
        mae_raw=said["mae_raw"],
        intent_score=said.get("intent_score"),
        constraint_match=said.get("constraint_match"),
        slot_exact_match=said.get("slot_exact_match"),
        target_vector=said["target"],
        predicted_vector=said["prediction"],
    )


def _shortened(failure: Failure) -> Failure:
    return failure.model_copy(update={"request_text": cleaned(failure.request_text, RESULT_TEXT_CHARS)})


def _snapshot(
    workspace: Workspace,
    opening: Opening,
    server: ServerName,
    replies: Replies,
    ours: Sequence[Evaluation],
    failures: Sequence[Failure],
    calls: Sequence[Call],
) -> dict[str, Any]:
    models = {evaluation.run_id: evaluation.model for evaluation in ours}
    jobs = [run for run in replies.runs if _is_job(workspace, run)]
    known = EvaluationStore(workspace).all()
    ids = {run.run_id for run in jobs} | {evaluation.run_id for evaluation in known}
    return {
        "schema": 1,
        "source": SOURCE,
        "fetched_at": now(),
        "cycle_id": opening.cycle,
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
            "kind": "stand-in" if server.name == STAND_IN else "official",
        },
        "eval_summary": {models[run.run_id]: _metrics(run) for run in replies.runs if run.run_id in models},
        "failures_top_k": failures[:TOP_FAILURES],
        "failures_len": len(failures),
        "recent_runs": _newest(jobs),
        "other_runs": _newest([run for run in replies.runs if run.run_id not in ids]),
        "trace_project_selected": next((_place(trace) for trace in replies.traces), None),
        "trace_project_candidates": [
            {"project": _place(count), "total_count": count.total, "root_traces_count": count.roots}
            for count in replies.counts
        ],
        "truncated": replies.truncated,
        "calls": [_origin(call) for call in calls],
    }


def _is_job(workspace: Workspace, run: Run) -> bool:
    return run.run_id.startswith("train-") and (workspace.job_dir(run.run_id) / "spec.json").exists()


def _metrics(run: Run) -> dict[str, float]:
    return {name.removeprefix("eval/"): value for name, value in run.summary.items()}


def _newest(runs: Sequence[Run]) -> list[Run]:
    return sorted(runs, key=lambda run: run.created_at or "", reverse=True)[:RECENT_RUNS]


def _place(found: Trace | Count) -> str:
    return f"{found.entity}/{found.project}"


def _origin(call: Call) -> dict[str, Any]:
    return {
        "tool": cleaned(call.tool, 64),
        "arguments": cleaned(canonical(call.arguments), 2000),
        "reply_chars": len(call.text),
        "reply_digest": digest(call.text),
    }
