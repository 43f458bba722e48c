"""What W&B answers when its runs and Weave calls are asked for: filters, order and columns over a `WandbStore`."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from tests.doubles.wandb_store import CALL, Project

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda value, wanted: bool(value == wanted),
    "$ne": lambda value, wanted: bool(value != wanted),
    "$gt": lambda value, wanted: value is not None and value > wanted,
    "$gte": lambda value, wanted: value is not None and value >= wanted,
    "$lt": lambda value, wanted: value is not None and value < wanted,
    "$lte": lambda value, wanted: value is not None and value <= wanted,
    "$in": lambda value, wanted: value in wanted,
}
OUTLINE = ("id", "op_name", "display_name", "trace_id", "parent_id", "started_at", "ended_at")
PAYLOAD: dict[str, Any] = {"attributes": {}, "inputs": {}, "output": None}


def runs_of(project: Project, filters: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs that match, newest first."""
    found = [run for run in project.runs.values() if all(_holds(_field(run, k), v) for k, v in filters.items())]
    return sorted(found, key=lambda run: str(run["createdAt"]), reverse=True)


def calls_of(project: Project, filters: dict[str, Any], knows_ids: bool = True) -> list[dict[str, Any]]:
    """The calls that match; a filter that is not known matches everything, as the official server has it."""
    found = list(project.calls.values())
    if filters.get("trace_roots_only"):
        found = [call for call in found if call["parent_id"] is None]
    for part in ("attributes", "inputs", "output"):
        for path, wanted in filters.get(part, {}).items():
            found = [call for call in found if _holds(_field(call[part] or {}, path), wanted)]
    if knows_ids and "call_ids" in filters:
        found = [call for call in found if call["id"] in filters["call_ids"]]
    if start := filters.get("time_range", {}).get("start"):
        found = [call for call in found if call["started_at"] >= start]
    return found


def sorted_calls(calls: Sequence[dict[str, Any]], field: str, direction: str) -> list[dict[str, Any]]:
    """The calls in order; those that lack the field come last."""
    have = [call for call in calls if _field(call, field) is not None]
    lack = [call for call in calls if _field(call, field) is None]
    return sorted(have, key=lambda call: _field(call, field), reverse=direction == "desc") + lack


def call_as_told(call: dict[str, Any], columns: Sequence[str] | None) -> dict[str, Any]:
    """A call with the payload that was asked for; other keys always stand there."""
    told = CALL | call | {"summary": {"weave": {"status": "success", "trace_name": "evaluate_row"}}}
    if not columns:
        return told
    for name, empty in PAYLOAD.items():
        if name not in columns:
            told[name] = empty
    unknown = [column for column in columns if column.partition(".")[0] not in CALL]
    return told | {column: f"{column} is not a valid column name, no data returned" for column in unknown}


def run_in_graphql(run: dict[str, Any]) -> dict[str, Any]:
    """A run as GraphQL has it: two of its fields are JSON in a string."""
    config = {key: {"value": value} for key, value in run["config"].items()}
    return {
        "id": f"UnVuOnYxOg{run['id']}",
        "name": run["id"],
        "displayName": run["displayName"],
        "state": run["state"],
        "jobType": run["jobType"],
        "group": run["group"],
        "createdAt": run["createdAt"],
        "config": json.dumps(config | {"_wandb": {"value": {"t": {"1": [1, 2]}}}}),
        "summaryMetrics": json.dumps(run["summaryMetrics"] | {"_step": 3, "_wandb": {"runtime": 0}}),
        "tags": run["tags"],
    }


def run_in_structure(run: dict[str, Any], summary_keys: Sequence[str] | None, place: str) -> dict[str, Any]:
    """A run as the structured form has it; without keys there is no summary."""
    told = {
        "id": run["id"],
        "display_name": run["displayName"],
        "state": run["state"],
        "group": run["group"],
        "job_type": run["jobType"],
        "tags": run["tags"],
        "created_at": run["createdAt"],
        "url": f"https://wandb.ai/{place}/runs/{run['id']}",
    }
    if summary_keys is None:
        return told
    known = {key: run["summaryMetrics"][key] for key in summary_keys if key in run["summaryMetrics"]}
    return told | {"summary": known, "missing_summary_keys": [key for key in summary_keys if key not in known]}


def _field(thing: dict[str, Any], path: str) -> Any:
    if path in thing:
        return thing[path]
    value: Any = thing
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _holds(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return all(COMPARISONS[sign](value, bound) for sign, bound in wanted.items())
    return bool(value == wanted)


def literal(query: str, name: str) -> str | None:
    """The text that an argument has in a query; None where it is a variable or not there."""
    found = re.search(rf'\b{name}:\s*"((?:[^"\\]|\\.)*)"', query)
    return found[1] if found else None
