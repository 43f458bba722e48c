"""The filter languages of the official server, read strictly: one for runs, one for traces.

Both become a `Condition` over the local tracker. What is not known, a key, a field or an operator, is refused by name
together with what is known; the official server ignores it and returns everything.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from servers.core.tracking import AllOf, AnyOf, Compare, Condition, Not

_RUN_FIELDS = {
    "name": "id", "displayName": "name", "display_name": "name", "state": "state", "jobType": "job_type",
    "job_type": "job_type", "group": "group", "tags": "tags", "createdAt": "created_at", "created_at": "created_at",
    "heartbeatAt": "updated_at", "heartbeat_at": "updated_at",
}  # fmt: skip
_RUN_DOCUMENTS = {"config": "config", "summaryMetrics": "summary", "summary_metrics": "summary"}
_RUN_OPERATORS: dict[str, Callable[[str, Any], Condition]] = {
    "$eq": lambda field, value: Compare(field, "=", value),
    "$ne": lambda field, value: Not(Compare(field, "=", value)),
    "$gt": lambda field, value: Compare(field, ">", value),
    "$gte": lambda field, value: Compare(field, ">=", value),
    "$lt": lambda field, value: Compare(field, "<", value),
    "$lte": lambda field, value: Compare(field, "<=", value),
    "$in": lambda field, value: Compare(field, "in", value),
    "$nin": lambda field, value: Not(Compare(field, "in", value)),
    "$regex": lambda field, value: Compare(field, "regex", value),
    "$exists": lambda field, value: Compare(field, "exists", value),
}
_RUN_CONNECTIVES: dict[str, Callable[[tuple[Condition, ...]], Condition]] = {
    "$and": AllOf,
    "$or": AnyOf,
    "$nor": lambda parts: Not(AnyOf(parts)),
}

_TRACE_FIELDS = {
    "wb_run_id": "run_id", "latency_ms": "latency_ms", "summary.weave.latency_ms": "latency_ms", "status": "status",
    "summary.weave.status": "status", "summary.weave.trace_name": "op_name",
} | {
    name: name
    for name in ("id", "trace_id", "parent_id", "op_name", "display_name", "started_at", "ended_at", "exception")
}  # fmt: skip
_TRACE_DOCUMENTS = ("inputs", "output", "attributes")
_TRACE_OPERATORS: dict[str, Callable[[str, Any], Condition]] = {
    name: _RUN_OPERATORS[name] for name in ("$eq", "$gt", "$gte", "$lt", "$lte")
} | {"$contains": lambda field, value: Compare(field, "contains", value)}
_STATUSES = ("success", "error", "running")


def run_condition(filters: Mapping[str, Any]) -> Condition:
    """Read the `filters` of GraphQL's `runs`, a subset of MongoDB's query language.

    Raises:
        ValueError: something in it is not known.
    """
    return AllOf(tuple(_run_part(key, spec) for key, spec in filters.items()))


def run_field(name: str) -> str:
    """Return the tracker's field for one of a W&B run, such as "jobType" or "summary_metrics.eval/mae_raw"."""
    if name in _RUN_FIELDS:
        return _RUN_FIELDS[name]
    document, _, path = name.partition(".")
    if document in _RUN_DOCUMENTS and path:
        # The backend keeps a config entry as {"value": ...}, and both spellings are in use.
        return f"{_RUN_DOCUMENTS[document]}.{path.removesuffix('.value') if document == 'config' else path}"
    known = [*_RUN_FIELDS, *(f"{document}.KEY" for document in _RUN_DOCUMENTS)]
    raise ValueError(f"unknown run field {name!r}; known: {', '.join(known)}")


def _run_part(key: str, spec: Any) -> Condition:
    if key in _RUN_CONNECTIVES:
        return _RUN_CONNECTIVES[key](tuple(run_condition(clause) for clause in _clauses(key, spec)))
    if key.startswith("$"):
        raise ValueError(f"unknown operator {key!r}; known: {', '.join(_RUN_CONNECTIVES)}, and after a field its own")
    return _compared(run_field(key), spec, _RUN_OPERATORS)


def trace_field(name: str) -> str:
    """Return the tracker's field for one of a Weave call, such as "wb_run_id" or "output.mae_raw"."""
    if name in _TRACE_FIELDS:
        return _TRACE_FIELDS[name]
    document, _, path = name.partition(".")
    if document in _TRACE_DOCUMENTS and path:
        return name
    known = [*_TRACE_FIELDS, *(f"{document}.KEY" for document in _TRACE_DOCUMENTS)]
    raise ValueError(f"unknown trace field {name!r}; known: {', '.join(known)}")


@dataclass(frozen=True)
class TraceFilters:
    """Reads the `filters` of the two trace tools, for one project."""

    entity: str
    project: str
    op_names: Callable[[], list[str]]
    """Gives the short names of the ops that were traced in the project; asked only where a filter is about them."""

    def op_uri(self, name: str) -> str:
        """Return how Weave names an op; the version is always "local"."""
        return f"weave:///{self.entity}/{self.project}/op/{name}:local"

    def condition(self, filters: Mapping[str, Any]) -> Condition:
        """Return what the filters ask for, all of them together; a star in a name stands for anything.

        Raises:
            ValueError: something in them is not known, or has a value of the wrong kind.
        """
        return AllOf(tuple(self._part(key, value) for key, value in filters.items()))

    def _part(self, key: str, value: Any) -> Condition:
        match key:
            case "trace_roots_only":
                return Compare("parent_id", "exists", False) if _flag(key, value) else AllOf(())
            case "has_exception":
                return AllOf(()) if value is None else Compare("exception", "exists", _flag(key, value))
            case "op_name" | "op_names":
                return AnyOf(tuple(self._op(key, pattern) for pattern in _texts(key, value)))
            case "op_name_contains":
                return self._ops_where(lambda uri: _text(key, value).casefold() in uri.casefold())
            case "display_name":
                return _text_or_pattern("display_name", _text(key, value))
            case "trace_id" | "trace_ids":
                return Compare("trace_id", "in", _texts(key, value))
            case "call_ids":
                return Compare("id", "in", _texts(key, value))
            case "parent_ids":
                return Compare("parent_id", "in", _texts(key, value))
            case "wb_run_id":
                return self._run(value)
            case "status":
                if _text(key, value).lower() not in _STATUSES:
                    raise ValueError(f"unknown status {value!r}; known: {', '.join(_STATUSES)}")
                return Compare("status", "=", value.lower())
            case "time_range":
                return _time_range(_object(key, value))
            case "latency":
                return _compared("latency_ms", _object(key, value), _TRACE_OPERATORS)
            case "attributes" | "inputs" | "output":
                paths = _object(key, value).items()
                return AllOf(tuple(_compared(f"{key}.{path}", spec, _TRACE_OPERATORS) for path, spec in paths))
            case "$or":
                return AnyOf(tuple(self.condition(clause) for clause in _clauses(key, value)))
            case "$in":
                return AllOf(tuple(self._among(name, values) for name, values in _object(key, value).items()))
        raise ValueError(f"unknown filter key {key!r}; known: {', '.join(TRACE_FILTER_KEYS)}")

    def _op(self, key: str, name: str) -> Condition:
        if "*" in name:
            pattern = re.compile(_starred(name))
            return self._ops_where(lambda uri: pattern.search(uri) is not None)
        if not name.startswith("weave:///"):
            raise ValueError(
                f"{key} {name!r} is not the whole name of an op; write {self.op_uri(name)!r}, or use op_name_contains"
            )
        return self._ops_where(lambda uri: uri == name)

    def _ops_where(self, fits: Callable[[str], bool]) -> Condition:
        return Compare("op_name", "in", [name for name in self.op_names() if fits(self.op_uri(name))])

    def _run(self, value: Any) -> Condition:
        """Read a run by its id or, as Weave has it, by entity/project/id."""
        if isinstance(value, dict):
            return _compared("run_id", value, {"$contains": _TRACE_OPERATORS["$contains"]})
        return _text_or_pattern("run_id", _text("wb_run_id", value).removeprefix(f"{self.entity}/{self.project}/"))

    def _among(self, name: str, values: Any) -> Condition:
        if not isinstance(values, list):
            raise ValueError(f"$in needs a list for {name!r}, got {values!r}")
        if name == "op_name":
            return self._ops_where(lambda uri: uri in values)
        if name == "wb_run_id":
            return AnyOf(tuple(self._run(value) for value in values))
        return Compare(trace_field(name), "in", values)


TRACE_FILTER_KEYS = (
    "trace_roots_only", "op_name", "op_names", "op_name_contains", "display_name", "trace_id", "trace_ids", "call_ids",
    "parent_ids", "wb_run_id", "status", "has_exception", "time_range", "latency", "attributes", "inputs", "output",
    "$or", "$in",
)  # fmt: skip


def _compared(field: str, spec: Any, operators: Mapping[str, Callable[[str, Any], Condition]]) -> Condition:
    """Read a literal, which must be equal, or an object of operators, which must all hold."""
    if isinstance(spec, list):
        raise ValueError(f"{field!r} is compared with a list; compare with one value, or give one of several with $in")
    if not isinstance(spec, dict):
        return Compare(field, "=", spec)
    for name in spec or ("",):
        if name not in operators:
            raise ValueError(
                f"unknown operator {name!r} for {field!r}; known: {', '.join(operators)}; "
                "a key inside an object is written with a dot"
            )
    return AllOf(tuple(operators[name](field, value) for name, value in spec.items()))


def _text_or_pattern(field: str, text: str) -> Condition:
    return Compare(field, "regex", _starred(text)) if "*" in text else Compare(field, "=", text)


def _starred(text: str) -> str:
    # As the official server has it: found anywhere, ignoring case.
    return "(?is)" + ".*".join(re.escape(piece) for piece in text.split("*"))


def _time_range(bounds: Mapping[str, Any]) -> Condition:
    operators = {"start": ">=", "end": "<"}
    unknown = [name for name in bounds if name not in operators]
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r} in time_range; known: start (included), end (not included)")
    start = [Compare("started_at", ">=", bounds["start"])] if "start" in bounds else []
    end = [Compare("started_at", "<", bounds["end"])] if "end" in bounds else []
    return AllOf((*start, *end))


def _clauses(key: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(clause, dict) for clause in value):
        raise ValueError(f"{key} needs a list of objects, got {value!r}")
    return value


def _object(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{key} needs an object, got {value!r}")
    return value


def _texts(key: str, value: Any) -> list[str]:
    return [_text(key, one) for one in value] if isinstance(value, list) else [_text(key, value)]


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{key} needs a text, got {value!r}")
    return value


def _flag(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{key} needs true or false, got {value!r}")
    return value
