"""Replies of a W&B MCP server, read from the words they came in.

Two shapes are known: GraphQL (camelCase, `config` and `summaryMetrics` as JSON strings, config values wrapped in
{"value": …}) and the structured form (snake_case, parsed); either may come in any of the forms of `documents.py`. A
reply failed when it says `is_error`, when its JSON has `error` or `errors` at the top, or when it found no project: any
of these refuses the whole recording, because half a picture would pass for a whole one.
"""

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from servers.core.wire import Wire
from servers.core.words import cleaned
from servers.playbook.documents import document_in, items, mapping, number

MAX_CALLS = 64
MAX_REPLY_CHARS = 2_000_000  # a hundred full traces take a few hundred thousand
MAX_DEPTH = 3  # of the settings in a run's config that are kept
MAX_SETTINGS = 64
MAX_FIGURES = 256  # of a run; an evaluation has a few, and some for each dimension

RUNS, COUNTS, TRACES = "query_wandb_tool", "count_weave_traces_tool", "query_weave_traces_tool"

Scalar = str | float | int | bool | None


class Call(Wire):
    """One call of a W&B tool, and its reply word for word."""

    tool: str
    arguments: dict[str, Any]
    text: Annotated[str, Field(max_length=MAX_REPLY_CHARS)]
    """The reply's text block, unchanged."""
    is_error: bool


class ReportedRun(Wire):
    """A tracked run as it was reported."""

    run_id: str
    name: str
    group: str | None
    job_type: str | None
    state: str | None
    created_at: str | None
    url: str | None
    config: dict[str, Scalar]
    """Settings by dotted name."""
    summary: dict[str, float]
    """Figures by name; what is no number is left out."""


class ReportedCount(Wire):
    """An answer to how many traces there are."""

    entity: str
    project: str
    filters: dict[str, Any]
    total: int
    roots: int


class ReportedTrace(Wire):
    """A trace as it was reported; a part that was not asked for, or was cut to pieces, is empty."""

    trace_id: str
    """Without the hyphens that some trackers put in, in lower case; empty where it came without."""
    call_id: str
    """What the tracker calls this one call, in the same spelling."""
    entity: str
    project: str
    attributes: dict[str, Any]
    inputs: dict[str, Any]
    output: dict[str, Any]


class Replies(Wire):
    """Everything that the calls brought back."""

    tools: list[str]
    viewer: str | None
    entity: str | None
    project: str | None
    runs: list[ReportedRun]
    """As often as they were reported."""
    counts: list[ReportedCount]
    traces: list[ReportedTrace]
    """As often as they were reported."""
    truncated: bool
    """Whether a reply says that it left traces out."""


def read_replies(calls: Sequence[Call]) -> Replies:
    """Read all replies.

    Raises:
        ValueError: a reply failed or cannot be read; the message says which and why.
    """
    if not calls:
        raise ValueError("calls is empty; pass the replies of the W&B tools; nothing was recorded")
    if len(calls) > MAX_CALLS:
        raise ValueError(f"{len(calls)} calls are more than {MAX_CALLS}; pass fewer; nothing was recorded")
    documents = [(call, _document(position, call)) for position, call in enumerate(calls, start=1)]
    runs = [run for call, document in documents if call.tool == RUNS for run in _runs(document)]
    traces = [trace for call, document in documents if call.tool == TRACES for trace in _traces(call, document)]
    entity, project = _coordinates([call for call, _ in documents])
    return Replies(
        tools=sorted({cleaned(call.tool, 64) for call in calls}),
        viewer=next((name for call, document in documents if (name := _viewer(document))), None),
        entity=entity,
        project=project,
        runs=runs,
        counts=[_count(call, document) for call, document in documents if call.tool == COUNTS],
        traces=traces,
        truncated=any(_left_out(document) for call, document in documents if call.tool == TRACES),
    )


def _document(position: int, call: Call) -> dict[str, Any]:
    what = f"reply {position} ({cleaned(call.tool, 64)})"
    if call.is_error:
        raise ValueError(f"{what} is an error: {cleaned(call.text)}; nothing was recorded")
    document = document_in(call.text)
    if document is None:
        if call.tool in (RUNS, COUNTS, TRACES):
            raise ValueError(f"{what} is not a JSON object: {cleaned(call.text, 120)!r}; nothing was recorded")
        return {}
    for key in ("error", "errors"):
        if document.get(key):
            message = document.get("message") or document[key]
            words = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
            raise ValueError(f"{what} failed: {cleaned(words)}; nothing was recorded")
    if call.tool == RUNS and "project" in document and document["project"] is None:
        raise ValueError(f"{what} found no such project; nothing was recorded")
    return document


def _words(value: Any, limit: int = 200) -> str | None:
    return cleaned(value, limit) if isinstance(value, str) and value else None


def _coordinates(calls: Sequence[Call]) -> tuple[str | None, str | None]:
    """The entity and project that were asked about, from the first call that names them."""
    for call in calls:
        arguments = mapping(call.arguments.get("variables")) | call.arguments
        entity = _words(arguments.get("entity_name") or arguments.get("entity"))
        project = _words(arguments.get("project_name") or arguments.get("project"))
        if entity and project:
            return entity, project
    return None, None


def _viewer(document: Mapping[str, Any]) -> str | None:
    viewer = document.get("viewer")
    return _words(viewer.get("username") or viewer.get("entity")) if isinstance(viewer, dict) else None


def _runs(document: Mapping[str, Any]) -> Iterator[ReportedRun]:
    for node in _nodes(document):
        # In GraphQL the id is a number of the database's, and the name is what the run was started with.
        speaks_graphql = node.keys() & {"displayName", "jobType", "summaryMetrics"}
        run_id = _words((node.get("name") if speaks_graphql else node.get("id")) or node.get("id"), 64)
        if run_id is None:
            continue
        yield ReportedRun(
            run_id=run_id,
            name=_words(node.get("displayName") or node.get("display_name")) or run_id,
            group=_words(node.get("group")),
            job_type=_words(node.get("jobType") or node.get("job_type")),
            state=_words(node.get("state")),
            created_at=_words(node.get("createdAt") or node.get("created_at")),
            url=_words(node.get("url"), 500),
            config=dict(list(_settings(mapping(node.get("config"))))[:MAX_SETTINGS]),
            summary=dict(list(_figures(mapping(node.get("summaryMetrics") or node.get("summary"))))[:MAX_FIGURES]),
        )


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a reply that describes a run, whatever aliases the question used."""
    waiting = deque([value])
    while waiting:
        value = waiting.popleft()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            if value.keys() & {"summaryMetrics", "jobType", "job_type", "summary"} and value.keys() & {"name", "id"}:
                yield value
            else:
                waiting.extend(value.values())


def _settings(config: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, Scalar]]:
    for key, value in config.items():
        if str(key).startswith("_"):  # the tracker's own bookkeeping
            continue
        path = (*above, cleaned(str(key), 64))
        inner = value["value"] if isinstance(value, dict) and "value" in value and len(value) <= 2 else value
        if isinstance(inner, dict) and len(path) < MAX_DEPTH:
            yield from _settings(inner, path)
        elif isinstance(inner, str):
            yield ".".join(path), cleaned(inner, 200)
        elif inner is None or isinstance(inner, (bool, int, float)):
            yield ".".join(path), inner


def _figures(summary: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for key, value in summary.items():
        inner = (
            next((value[name] for name in ("value", "last") if name in value), None) if _is_wrapped(value) else value
        )
        if (figure := number(inner)) is not None and not str(key).startswith("_"):
            yield cleaned(str(key), 100), figure


def _is_wrapped(value: Any) -> bool:
    return isinstance(value, dict) and bool(value.keys() & {"value", "last"})


def _count(call: Call, document: Mapping[str, Any]) -> ReportedCount:
    total, roots = number(document.get("total_count")), number(document.get("root_traces_count"))
    if total is None or roots is None:
        raise ValueError(f"the reply of {COUNTS} has no total_count and root_traces_count; nothing was recorded")
    entity, project = _asked_about(call)
    return ReportedCount(
        entity=entity,
        project=project,
        filters=mapping(call.arguments.get("filters")),
        total=int(total),
        roots=int(roots),
    )


def _traces(call: Call, document: Mapping[str, Any]) -> Iterator[ReportedTrace]:
    entity, project = _asked_about(call)
    found = next((rows for key in ("traces", "calls", "items", "results") if (rows := items(document.get(key)))), [])
    for trace in found:
        trace_id, call_id = _id(trace.get("trace_id")), _id(trace.get("id"))
        if not trace_id and not call_id:
            continue
        yield ReportedTrace(
            trace_id=trace_id or call_id,
            call_id=call_id,
            entity=entity,
            project=project,
            attributes=mapping(trace.get("attributes")),
            inputs=mapping(trace.get("inputs")),
            output=mapping(trace.get("output")),
        )


def _asked_about(call: Call) -> tuple[str, str]:
    asked = call.arguments
    entity, project = (asked.get(f"{name}_name") or asked.get(name) for name in ("entity", "project"))
    return _words(entity) or "", _words(project) or ""


def _id(value: Any) -> str:
    return cleaned(value, 64).replace("-", "").lower() if isinstance(value, str) else ""


def _left_out(document: Mapping[str, Any]) -> bool:
    said = mapping(document.get("metadata"))
    return bool(said.get("truncation_applied") or said.get("truncation_dropped_count") or document.get("truncated"))
