"""What a cycle asks the W&B MCP server, worded as the server's own schema wants it.

Every question is asked so that the official server and its stand-in answer alike: named fields, a literal `first`,
filters as a JSON string, few traces at once. `query_wandb_tool` is asked in GraphQL where it takes that, in its
structured form where it takes that, and in one after the other where it takes both.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.sessions import ServerProblem, Sessions
from agent.wandb_names import COUNTS, READS, RUNS, TRACES
from agent.words import one_line

RECORD = "record_context"
NAME_CHARS, WORDS_CHARS = 60, 300  # of a server's own name, and of its own words, in an error
MAX_RUNS = 20
MAX_SUMMARY_KEYS = 20  # of the structured form
TRACE_COLUMNS = ["id", "trace_id", "op_name", "display_name", "started_at", "attributes", "inputs", "output"]

_FIELDS = "id name displayName state jobType group createdAt config summaryMetrics tags"
_VIEWER = "query Viewer { viewer { username entity } }"
_RUNS = (
    "query Runs($entity: String!, $project: String!, $filters: JSONString) { "
    "project(name: $project, entityName: $entity) { "
    f'runs(first: {MAX_RUNS}, filters: $filters, order: "-createdAt") {{ '
    f"edges {{ node {{ {_FIELDS} }} }} "
    "pageInfo { hasNextPage endCursor } } } }"
)
_ONE_RUN = (
    "query Run($entity: String!, $project: String!, $run: String!) { "
    f"project(name: $project, entityName: $entity) {{ run(name: $run) {{ {_FIELDS} }} }} }}"
)
_OTHER_NAMES = {"entity_name": "entity", "project_name": "project"}

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """One thing to know: the first of `ways` that is answered is the answer."""

    tool: str
    ways: tuple[Arguments, ...]


@dataclass(frozen=True)
class Place:
    """Where a cycle's runs and traces are kept, and whose are looked at."""

    entity: str
    project: str
    evaluation: str
    """The champion's, whose run and traces are asked for."""

    @classmethod
    def named_in(cls, suggested: Iterable[Mapping[str, Any]]) -> "Place":
        """The place that the playbook server's suggested calls name.

        Raises:
            ValueError: none of them does.
        """
        for arguments in suggested:
            filters = arguments.get("filters")
            evaluation = filters.get("attributes", {}).get("evaluation_id") if isinstance(filters, dict) else None
            if evaluation is not None:
                return cls(arguments["entity_name"], arguments["project_name"], evaluation)
        raise ValueError("the next steps name no evaluation whose traces could be read back")

    @property
    def where(self) -> Arguments:
        return {"entity_name": self.entity, "project_name": self.project}

    @property
    def rows(self) -> Arguments:
        """The filters for the champion's rows."""
        return {"trace_roots_only": True, "attributes": {"evaluation_id": self.evaluation}}


class Schema:
    """What one tool takes, by its own schema.

    Args:
        schema: Its input schema; what it takes may stand in branches (`oneOf`), or be pointed at (`$ref`).
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._properties: dict[str, Mapping[str, Any]] = {}
        required = schema.get("required")
        self.needs_both = isinstance(required, list) and {"query", "resource"} <= {str(name) for name in required}
        """Whether query_wandb_tool wants both of its forms at once."""
        self._gather(schema, schema, depth=0)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._properties)

    def fitted(self, arguments: Mapping[str, Any]) -> Arguments:
        """The arguments as this tool takes them: those that it has, under its names, within its bounds."""
        fitted: Arguments = {}
        for name, value in arguments.items():
            if not self._properties:  # it does not say
                fitted[name] = value
                continue
            known = name if name in self._properties else _OTHER_NAMES.get(name, name)
            if known in self._properties:
                fitted[known] = _bounded(value, self._properties[known])
        return fitted

    def accepts(self, name: str, value: Any) -> bool:
        """Whether a value is among those that an argument is limited to; any is, where it is not limited."""
        choices = [choice for kind in _kinds(self._properties.get(name, {})) for choice in kind.get("enum") or ()]
        return not choices or value in choices

    def _gather(self, schema: Any, whole: Mapping[str, Any], depth: int) -> None:
        if not isinstance(schema, Mapping) or depth > 6:
            return
        if isinstance(properties := schema.get("properties"), Mapping):
            for name, kind in properties.items():
                before = self._properties.get(name)
                # A branch may say no more than "not null": the fuller word counts.
                if before is None or len(str(kind)) > len(str(before)):
                    self._properties[name] = kind if isinstance(kind, Mapping) else {}
        for key in ("oneOf", "anyOf", "allOf"):
            for branch in schema.get(key) or ():
                self._gather(branch, whole, depth + 1)
        if isinstance(ref := schema.get("$ref"), str) and ref.startswith("#/"):
            target: Any = whole
            for part in ref[2:].split("/"):
                target = target.get(part) if isinstance(target, Mapping) else None
            self._gather(target, whole, depth + 1)


def check_tools(sessions: Sessions) -> None:
    """See that all of W&B that a cycle needs is there, before it costs anything.

    Raises:
        ServerProblem: tools are missing, or query_wandb_tool takes no form that is known.
    """
    there = {tool.name for server in sessions.servers for tool in server.tools}
    if missing := [tool for tool in READS if tool not in there]:
        names = {s.name: one_line(s.says_it_is, NAME_CHARS) or "no name" for s in sessions.servers}
        connected = ", ".join(f"{name} ({says_it_is})" for name, says_it_is in names.items())
        raise ServerProblem(
            f"the W&B MCP server lacks {', '.join(missing)}, which a cycle needs; connected: {connected}; an official "
            "server needs its profile models-weave, and a key that may read Weave"
        )
    takes = Schema(sessions.input_schema(RUNS)).names
    if takes and not takes & {"query", "resource"}:
        words = one_line(", ".join(sorted(takes)), WORDS_CHARS)
        raise ServerProblem(
            f"this server's {RUNS} takes neither 'query' nor 'resource', but {words}; use the "
            "version of the official server that docs/wandb-mcp.md names"
        )


def viewer(runs: Schema) -> Question | None:
    """Whose key it is; the structured form cannot say."""
    return Question(RUNS, ({"query": _VIEWER},)) if "query" in runs.names and not runs.needs_both else None


def eval_runs(place: Place, cycle: str, dimensions: Sequence[str], runs: Schema) -> list[Question]:
    """The evaluations of a cycle, with their figures."""
    figures = ["eval/vector_mae", "eval/n", "eval/mse_norm", *(f"eval/mae_raw_{name}" for name in dimensions)]
    wanted = {"group": cycle, "jobType": "eval", "state": "finished"}
    parts = [figures[at : at + MAX_SUMMARY_KEYS] for at in range(0, len(figures), MAX_SUMMARY_KEYS)]
    if "resource" not in runs.names:  # GraphQL gives the whole summary
        parts = parts[:1]
    return [_runs(place, wanted, part, runs) for part in parts]


def train_runs(place: Place, runs: Schema) -> Question:
    """The newest trainings."""
    return _runs(place, {"jobType": "train", "state": "finished"}, [], runs)


def one_run(place: Place, runs: Schema) -> Question:
    """The champion's evaluation, by its own name."""
    variables = {"entity": place.entity, "project": place.project, "run": place.evaluation}
    graphql = {"query": _ONE_RUN, "variables": variables}
    structured = {**place.where, "resource": "run", "run_id": place.evaluation}
    return _worded(structured, graphql, runs)


def count(place: Place) -> Question:
    """How many rows of the champion's are there."""
    return Question(COUNTS, ({**place.where, "filters": place.rows},))


def traces(place: Place, limit: int, detail: str, sort_by: str, direction: str = "desc", **filters: Any) -> Question:
    """Some of the champion's rows.

    Args:
        place: Where they are.
        limit: The most to give.
        detail: 'schema' for ids and times alone, 'summary' for cut texts, 'full' for everything.
        sort_by: A column, or a path into one.
        direction: 'asc' or 'desc'.
        filters: Beside those for the champion's rows.
    """
    columns = {} if detail == "schema" else {"columns": TRACE_COLUMNS}
    asked = {
        **place.where,
        "filters": place.rows | filters,
        "sort_by": sort_by,
        "sort_direction": direction,
        "limit": limit,
        "include_costs": False,
        "include_feedback": False,
        "detail_level": detail,
    }
    return Question(TRACES, (asked | columns,))


def handed_over(sessions: Sessions, cycle: str, calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The arguments of record_context: who answered, by its own handshake, and its replies word for word."""
    server = sessions.server_of(RUNS)
    return {"cycle": cycle, "server": {"name": server.says_it_is, "version": server.version}, "calls": list(calls)}


def _runs(place: Place, wanted: Mapping[str, str], figures: Sequence[str], runs: Schema) -> Question:
    variables = {"entity": place.entity, "project": place.project, "filters": json.dumps(wanted)}
    graphql = {"query": _RUNS, "variables": variables, "max_items": MAX_RUNS, "items_per_page": MAX_RUNS}
    structured = {
        **place.where,
        "resource": "runs",
        "filters": dict(wanted),
        "order": "-created_at",
        "limit": MAX_RUNS,
        "summary_keys": list(figures),
    }
    if not figures:
        del structured["summary_keys"]
    return _worded(structured, graphql, runs)


def _worded(structured: Arguments, graphql: Arguments, runs: Schema) -> Question:
    """The forms that the tool takes. The structured one first where it takes both: it is the one that is kept up."""
    names = runs.names
    if runs.needs_both:
        return Question(RUNS, (structured | graphql,))
    ways = [way for name, way in (("resource", structured), ("query", graphql)) if name in names or not names]
    return Question(RUNS, tuple(ways))


def _kinds(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A property's schema, or the alternatives in it."""
    branches = [branch for key in ("anyOf", "oneOf") for branch in schema.get(key) or () if isinstance(branch, Mapping)]
    return branches or [schema]


def _names(types: Any) -> list[str | None]:
    """The types that a schema allows, which it may list; None where it does not say."""
    return [name if isinstance(name, str) else None for name in (types if isinstance(types, list) else [types])]


def _bounded(value: Any, schema: Mapping[str, Any]) -> Any:
    """A value as a property takes it: an object as text where it wants a text, a number within its maximum."""
    kinds = _kinds(schema)
    types = {name for kind in kinds for name in _names(kind.get("type"))}
    if isinstance(value, (dict, list)) and "string" in types and not types & {"object", "array", None}:
        return json.dumps(value)
    if isinstance(value, int) and not isinstance(value, bool):
        bounds = [kind["maximum"] for kind in kinds if isinstance(kind.get("maximum"), (int, float))]
        return min(value, int(max(bounds))) if bounds else value
    return value
