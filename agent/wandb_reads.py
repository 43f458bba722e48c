"""What a cycle asks the W&B MCP server, and when a reply counts as failed.

Every question is asked so that the official server and its stand-in answer alike: named fields, a literal `first`,
filters as a JSON string, at most 100 traces. Where `query_wandb_tool` takes no GraphQL, its structured form is used.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.sessions import Sessions

RUNS, COUNTS, TRACES = "query_wandb_tool", "count_weave_traces_tool", "query_weave_traces_tool"
RECORD = "record_context"
MAX_RUNS = 20
WORST_TRACES = 20
MAX_TRACES = 100  # above this the official server may refuse with query_too_large
MAX_SUMMARY_KEYS = 20  # of the structured form
TRACE_COLUMNS = ["id", "trace_id", "op_name", "display_name", "started_at", "attributes", "inputs", "output"]

_VIEWER = "query Viewer { viewer { username entity } }"
_RUNS = (
    "query Runs($entity: String!, $project: String!, $filters: JSONString) { "
    "project(name: $project, entityName: $entity) { "
    f'runs(first: {MAX_RUNS}, filters: $filters, order: "-createdAt") {{ '
    "edges { node { id name displayName state jobType group createdAt config summaryMetrics tags } } "
    "pageInfo { hasNextPage endCursor } } } }"
)


@dataclass(frozen=True)
class Question:
    """One call: the first of `ways` that does not fail is the answer."""

    tool: str
    ways: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Place:
    """Where a cycle's runs and traces are kept, and whose are looked at."""

    entity: str
    project: str
    evaluation: str
    """The champion's, whose traces are asked for."""

    @classmethod
    def named_in(cls, suggested: Iterable[Mapping[str, Any]]) -> "Place":
        """The place that the playbook server's suggested calls name.

        Raises:
            ValueError: none of them does.
        """
        for arguments in suggested:
            evaluation = arguments.get("filters", {}).get("attributes", {}).get("evaluation_id")
            if evaluation is not None:
                return cls(arguments["entity_name"], arguments["project_name"], evaluation)
        raise ValueError("the next steps name no evaluation whose traces could be read back")


def questions(place: Place, cycle: str, dimensions: Sequence[str], run_arguments: Collection[str]) -> list[Question]:
    """All that a cycle reads back before it decides.

    Args:
        place: Where to look.
        cycle: Its runs are asked for by group.
        dimensions: Of the task, for the figures that the structured form has to name.
        run_arguments: The arguments that this server's query_wandb_tool takes.

    Raises:
        ValueError: query_wandb_tool takes neither GraphQL nor the structured form.
    """
    of_champion = {"trace_roots_only": True, "attributes": {"evaluation_id": place.evaluation}}
    where = {"entity_name": place.entity, "project_name": place.project}
    traces = {
        **where,
        "filters": of_champion,
        "sort_direction": "desc",
        "include_costs": False,
        "include_feedback": False,
        "columns": TRACE_COLUMNS,
        "detail_level": "full",
    }
    return [
        *_runs(place, cycle, dimensions, run_arguments),
        Question(COUNTS, ({**where, "filters": of_champion},)),
        Question(
            TRACES,
            (
                {**traces, "sort_by": "output.mae_raw", "limit": WORST_TRACES},
                {**traces, "sort_by": "started_at", "limit": MAX_TRACES},
            ),
        ),
    ]


def handed_over(sessions: Sessions, cycle: str, calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The arguments of record_context: who answered, by its own handshake, and its replies word for word."""
    server = sessions.server_of(RUNS)
    return {"cycle": cycle, "server": {"name": server.says_it_is, "version": server.version}, "calls": list(calls)}


def failed(text: str, is_error: bool) -> str | None:
    """Why a reply is no answer, or None: this server reports most failures inside a successful reply."""
    if is_error:
        return text
    document = _json(text)
    if not isinstance(document, dict):
        return f"not a JSON object: {text[:200]!r}"
    for key in ("error", "errors"):
        if document.get(key):
            return str(document.get("message") or document[key])
    if "project" in document and document["project"] is None:
        return "the project does not exist"
    return None


def retry_after_s(text: str) -> float | None:
    """How long an overloaded server asks to be left alone; None where it does not."""
    document = _json(text)
    if not isinstance(document, dict) or document.get("retryable") is not True:
        return None
    wait_ms = document.get("retry_after_ms")
    return min(wait_ms / 1000, 30.0) if isinstance(wait_ms, (int, float)) else 1.0


def _runs(place: Place, cycle: str, dimensions: Sequence[str], takes: Collection[str]) -> list[Question]:
    eval_runs = {"group": cycle, "jobType": "eval", "state": "finished"}
    train_runs = {"jobType": "train", "state": "finished"}
    if "query" in takes:
        return [
            Question(RUNS, ({"query": _VIEWER},)),
            *(Question(RUNS, (_graphql(place, wanted),)) for wanted in (eval_runs, train_runs)),
        ]
    if "resource" not in takes:
        raise ValueError(f"this server's query_wandb_tool takes neither 'query' nor 'resource', but {sorted(takes)}")
    figures = ["eval/vector_mae", *(f"eval/mae_raw_{name}" for name in dimensions), "eval/mse_norm", "eval/n"]
    return [
        Question(RUNS, (_structured(place, eval_runs, figures),)),
        Question(RUNS, (_structured(place, train_runs, []),)),
    ]


def _graphql(place: Place, wanted: Mapping[str, str]) -> dict[str, Any]:
    variables = {"entity": place.entity, "project": place.project, "filters": json.dumps(wanted)}
    return {"query": _RUNS, "variables": variables, "max_items": MAX_RUNS, "items_per_page": MAX_RUNS}


def _structured(place: Place, wanted: Mapping[str, str], figures: Sequence[str]) -> dict[str, Any]:
    return {
        "entity_name": place.entity,
        "project_name": place.project,
        "resource": "runs",
        "filters": dict(wanted),
        "limit": MAX_RUNS,
        "summary_keys": list(figures)[:MAX_SUMMARY_KEYS],
    }


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
