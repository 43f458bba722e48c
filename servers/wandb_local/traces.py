"""What the two trace tools answer: counts, and traces as Weave's CallSchema with what is known about all of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from servers.core.tracking import LocalTracker, Trace
from servers.wandb_local.bounds import TextCut, bounded, compact
from servers.wandb_local.filters import TraceFilters, trace_field

MANY_TRACES = 500
"""Above this many matches, a limit above MANY_ASKED is refused unless only outlines are asked for."""
MANY_ASKED = 100
MAX_READ = 10_000
"""The most traces that one call looks at, outlines included."""
DETAIL_LEVELS = ("schema", "summary", "full")

_OUTLINE = ("id", "op_name", "display_name", "trace_id", "parent_id", "started_at", "ended_at")
_PAYLOAD: dict[str, Any] = {"attributes": {}, "inputs": {}, "output": None}
"""What was recorded, and what stands in its place when it was not asked for."""
_ABSENT = (
    "thread_id", "turn_id", "wb_user_id", "wb_run_step", "wb_run_step_end", "deleted_at", "storage_size_bytes",
    "total_storage_size_bytes",
)  # fmt: skip
"""What Weave has and the local tracker has not: always null."""
_COLUMNS = (*_OUTLINE, *_PAYLOAD, *_ABSENT, "project_id", "exception", "summary", "wb_run_id")


@dataclass(frozen=True)
class TraceRequest:
    """The arguments of `query_weave_traces_tool` that change its reply."""

    entity: str
    project: str
    filters: dict[str, Any]
    sort_by: str
    sort_direction: str
    limit: int
    columns: Sequence[str] | None
    truncate_length: int
    metadata_only: bool
    detail_level: str
    """One of DETAIL_LEVELS."""


def count_traces(tracker: LocalTracker, entity: str, project: str, filters: dict[str, Any]) -> dict[str, int]:
    """Return how many traces match, and how many of these are roots; ValueError for a filter that is not known."""
    known = _filters(tracker, entity, project)
    counts = tracker.count_traces(entity, project, known.condition(filters))
    return {"total_count": counts.total, "root_traces_count": counts.roots}


def query_traces(tracker: LocalTracker, request: TraceRequest) -> dict[str, Any]:
    """Return `{metadata, traces}`, or `{error: "query_too_large", message, trace_count, suggestions}`.

    Raises:
        ValueError: an argument is out of range, or names something that is not known.
    """
    _check(request)
    place = (request.entity, request.project)
    filters = _filters(tracker, *place)
    where = filters.condition(request.filters)
    order = (trace_field(request.sort_by), request.sort_direction == "desc")
    matching = tracker.count_traces(*place, where).total
    outlined = request.metadata_only or request.detail_level == "schema"
    if (not outlined and request.limit > MANY_ASKED and matching > MANY_TRACES) or (
        min(request.limit, matching) > MAX_READ
    ):
        return _too_large(matching)
    traces = tracker.traces(*place, where, *order, min(request.limit, MAX_READ))
    shaped = [_shaped(trace, request, filters) for trace in traces]
    metadata = _metadata(traces, shaped, matching)
    if request.metadata_only:
        return {"metadata": metadata, "traces": None}
    if request.detail_level == "summary":
        cut = TextCut(request.truncate_length)
        shaped = [cut.trace(trace) for trace in shaped]
        metadata |= cut.noted()
    return bounded(metadata, shaped)


def _filters(tracker: LocalTracker, entity: str, project: str) -> TraceFilters:
    return TraceFilters(entity, project, lambda: tracker.op_names(entity, project))


def _check(request: TraceRequest) -> None:
    if request.sort_direction not in ("asc", "desc"):
        raise ValueError(f"sort_direction must be 'asc' or 'desc', got {request.sort_direction!r}")
    if request.limit < 1:
        raise ValueError(f"limit must be at least 1, got {request.limit}; use count_weave_traces_tool for a count")
    if request.truncate_length < 0:
        raise ValueError(f"truncate_length must be at least 0, got {request.truncate_length}")


def _too_large(matching: int) -> dict[str, Any]:
    return {
        "error": "query_too_large",
        "message": f"{matching} traces match; ask for fewer of them or for less of each",
        "trace_count": matching,
        "suggestions": [
            f"limit of at most {MANY_ASKED}, with sort_by",
            "filters such as attributes, op_name_contains, time_range or trace_roots_only",
            "detail_level 'schema' or metadata_only true",
        ],
    }


def _shaped(trace: Trace, request: TraceRequest, filters: TraceFilters) -> dict[str, Any]:
    """Return the trace as Weave has it, with the columns that were asked for."""
    weave = {"status": trace.status, "trace_name": trace.op_name, "latency_ms": trace.latency_ms}
    call = {
        "id": trace.id,
        "project_id": f"{request.entity}/{request.project}",
        "op_name": filters.op_uri(trace.op_name),
        "display_name": trace.display_name,
        "trace_id": trace.trace_id,
        "parent_id": trace.parent_id,
        "started_at": trace.started_at,
        "attributes": trace.attributes,
        "inputs": trace.inputs,
        "ended_at": trace.ended_at,
        "exception": trace.exception,
        "output": trace.output,
        "summary": {"weave": weave},
        "wb_run_id": None if trace.run_id is None else f"{request.entity}/{request.project}/{trace.run_id}",
    } | dict.fromkeys(_ABSENT)
    derived: dict[str, Any] = {"status": trace.status, "latency_ms": trace.latency_ms, "costs": {}}
    asked = request.columns or ()
    if request.detail_level == "schema":
        return {name: call[name] for name in _OUTLINE} | {name: derived[name] for name in derived if name in asked}
    if asked:
        call |= {name: _picked(name, call[name], asked) for name in _PAYLOAD}
        for column in asked:
            if column in derived:
                call[column] = derived[column]
            elif column.partition(".")[0] not in _COLUMNS:
                call[column] = f"{column} is not a valid column name, no data returned"
    return call


def _picked(name: str, payload: Any, columns: Sequence[str]) -> Any:
    """Return what the columns ask of one of the payloads: all of it, some paths into it, or nothing."""
    if name in columns:
        return payload
    picked: dict[str, Any] = {}
    for column in columns:
        head, _, path = column.partition(".")
        if head == name and path:
            _copy(payload, picked, [path] if isinstance(payload, dict) and path in payload else path.split("."))
    return picked or _PAYLOAD[name]


def _copy(source: Any, target: dict[str, Any], keys: Sequence[str]) -> None:
    """Copy one value, under the same keys; nothing where the source has none."""
    for key in keys[:-1]:
        if not isinstance(source, dict) or not isinstance(source.get(key), dict):
            return
        source, target = source[key], target.setdefault(key, {})
    if isinstance(source, dict) and keys[-1] in source:
        target[keys[-1]] = source[keys[-1]]


def _metadata(traces: Sequence[Trace], shaped: Sequence[dict[str, Any]], matching: int) -> dict[str, Any]:
    statuses = Counter(trace.status for trace in traces)
    input_tokens = sum(_tokens(trace.get("inputs")) for trace in shaped)
    output_tokens = sum(_tokens(trace.get("output")) for trace in shaped)
    total_tokens = input_tokens + output_tokens
    return {
        "total_traces": len(traces),
        "total_matching_count": matching,
        "token_counts": {
            "total_tokens": total_tokens,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "average_tokens_per_trace": round(total_tokens / len(traces), 2) if traces else 0,
        },
        "time_range": {
            "earliest": min((trace.started_at for trace in traces), default=None),
            "latest": max((trace.ended_at or trace.started_at for trace in traces), default=None),
        },
        "status_summary": {
            "success": statuses["success"],
            "error": statuses["error"],
            "other": statuses["running"],
        },
        "op_distribution": dict(Counter(trace.op_name for trace in traces).most_common()),
        "truncation_applied": False,
        "truncation_dropped_count": 0,
        "truncation_note": None,
    }


def _tokens(payload: Any) -> int:
    return len(compact(payload)) // 4 if payload else 0
