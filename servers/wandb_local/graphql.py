"""The GraphQL that the stand-in answers: the part of W&B's schema about projects and their runs, read-only."""

import base64
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError, OperationDefinitionNode, OperationType, build_schema, graphql_sync, parse

from servers.core.tracking import Compare, LocalTracker, Run
from servers.core.words import refusal
from servers.wandb_local.filters import run_condition, run_field
from servers.wandb_local.pages import Info, Pages

LOCAL_USER = "local"
"""The name of the viewer; and of the entity, as long as nothing was saved."""
MAX_ERRORS = 10  # of one query that are told; a long query can have as many as words

_SCHEMA = build_schema(
    """
    scalar JSON
    scalar JSONString
    scalar DateTime

    type Query {
        viewer: User
        project(name: String, entityName: String): Project
        models(entityName: String, first: Int, after: String): ProjectConnection
    }
    type User { id: ID! username: String name: String email: String entity: String }
    type PageInfo { hasNextPage: Boolean! endCursor: String }
    type ProjectConnection { edges: [ProjectEdge!]! pageInfo: PageInfo! totalCount: Int! }
    type ProjectEdge { node: Project! cursor: String! }
    type Project {
        id: ID!
        name: String!
        entityName: String!
        runCount(filters: JSONString): Int!
        run(name: String!): Run
        runs(first: Int, after: String, order: String, filters: JSONString): RunConnection!
    }
    type RunConnection { edges: [RunEdge!]! pageInfo: PageInfo! totalCount: Int! }
    type RunEdge { node: Run! cursor: String! }
    type Run {
        id: ID!
        name: String!
        displayName: String!
        state: String!
        jobType: String!
        group: String
        tags: [String!]!
        description: String
        notes: String
        createdAt: DateTime!
        heartbeatAt: DateTime!
        config: JSONString!
        summaryMetrics: JSONString!
        historyKeys: JSON
        historyLineCount: Int!
        user: User
    }
    """
)


def execute(
    tracker: LocalTracker, query: str, variables: dict[str, Any] | None, max_items: int, items_per_page: int
) -> dict[str, Any]:
    """Answer a query; where it cannot be answered, return `{"errors": [{"message": ...}]}`."""
    if max_items < 1 or items_per_page < 1:
        return _failed(f"max_items and items_per_page must be at least 1, got {max_items} and {items_per_page}")
    try:
        document = parse(query)
    except GraphQLError as error:
        return _failed(f"Failed to parse initial query: {error}")
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode) and definition.operation is not OperationType.QUERY:
            return _failed(f"read_only_violation: this server only reads, a {definition.operation.value} is refused")
    root = _Query(tracker, Pages(max_items, items_per_page))
    answer = graphql_sync(_SCHEMA, query, root_value=root, variable_values=variables)
    for failure in answer.errors or ():
        if failure.original_error and not isinstance(failure.original_error, ValueError):
            raise failure.original_error
    return _failed(*(failure.message for failure in answer.errors)) if answer.errors else dict(answer.data or {})


def _failed(*messages: str) -> dict[str, Any]:
    return {"errors": [{"message": refusal(message)} for message in messages[:MAX_ERRORS]]}


# From here on attributes, methods and arguments have the names of the schema: graphql-core finds them by these.


@dataclass(frozen=True)
class _Query:
    tracker: LocalTracker
    pages: Pages

    def viewer(self, _info: Info) -> dict[str, Any]:
        return _user(self._entity())

    def project(self, _info: Info, name: str | None = None, entityName: str | None = None) -> "_Project | None":
        place = (entityName or self._entity(), name or "")
        return _Project(self.tracker, self.pages, *place) if place in self.tracker.projects() else None

    def models(
        self, info: Info, entityName: str | None = None, first: int | None = None, after: str | None = None
    ) -> dict[str, Any]:
        entity = entityName or self._entity()

        def nodes(names: Sequence[str]) -> list[_Project]:
            return [_Project(self.tracker, self.pages, entity, name) for name in names]

        names = [name for _, name in self.tracker.projects(entity)]
        return self.pages.connection(info, names, nodes, first, after)

    def _entity(self) -> str:
        """Return the entity that has the newest project."""
        return next((entity for entity, _ in self.tracker.projects()), LOCAL_USER)


@dataclass(frozen=True)
class _Project:
    tracker: LocalTracker
    pages: Pages
    entityName: str
    name: str

    @property
    def id(self) -> str:
        return _node_id("Project:v1", self.name, self.entityName)

    def runCount(self, _info: Info, filters: Any = None) -> int:
        return len(self.tracker.run_ids(self.entityName, self.name, run_condition(_filters(filters))))

    def run(self, _info: Info, name: str) -> dict[str, Any] | None:
        return next((_run(self.tracker, run) for run in self._found([name])), None)

    def runs(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        order: str | None = None,
        filters: Any = None,
    ) -> dict[str, Any]:
        by, descending = _order(order or "-createdAt")
        ids = self.tracker.run_ids(self.entityName, self.name, run_condition(_filters(filters)), by, descending)

        def nodes(page: Sequence[str]) -> list[dict[str, Any]]:
            found = {run.id: run for run in self._found(page)}
            return [_run(self.tracker, found[id]) for id in page]

        return self.pages.connection(info, ids, nodes, first, after)

    def _found(self, ids: Sequence[str]) -> list[Run]:
        return self.tracker.runs(self.entityName, self.name, Compare("id", "in", list(ids)))


def _filters(given: Any) -> dict[str, Any]:
    """Read filters: a JSON text, as W&B has it, or the object that it holds."""
    try:
        filters = json.loads(given) if isinstance(given, str) else given
    except json.JSONDecodeError as error:
        raise ValueError(f"filters must be a JSON text, got {given!r}: {error}") from None
    if not isinstance(filters, dict | None):
        raise ValueError(f"filters must be a JSON object, got {given!r}")
    return filters or {}


def _order(order: str) -> tuple[str, bool]:
    """Return the field to sort by and whether it descends; without a sign it ascends."""
    return run_field(order.removeprefix("-").removeprefix("+")), order.startswith("-")


def _run(tracker: LocalTracker, run: Run) -> dict[str, Any]:
    place = (run.entity, run.project, run.id)
    return {
        "id": _node_id("Run:v1", run.id, run.project, run.entity),
        "name": run.id,
        "displayName": run.name,
        "state": run.state,
        "jobType": run.job_type,
        "group": run.group,
        "tags": run.tags,
        "createdAt": run.created_at,
        "heartbeatAt": run.updated_at,
        "config": json.dumps({key: {"value": value} for key, value in run.config.items()}, ensure_ascii=False),
        "summaryMetrics": json.dumps(run.summary, ensure_ascii=False),
        "historyKeys": lambda _info: _history_keys(tracker.history(*place)),
        "historyLineCount": lambda _info: tracker.history_length(*place),
        "user": _user(run.entity),
    }


def _history_keys(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    counts = Counter((key, _kind(value)) for row in rows for key, value in row.items())
    keys: dict[str, Any] = {}
    for (key, kind), count in counts.items():
        keys.setdefault(key, {"typeCounts": []})["typeCounts"].append({"type": kind, "count": count})
    return {"keys": keys, "lastStep": rows[-1]["_step"] if rows else -1, "sets": []}


def _kind(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return {str: "string", bool: "boolean", list: "list", dict: "map"}.get(type(value), "nil")


def _user(entity: str) -> dict[str, Any]:
    id = _node_id("User", LOCAL_USER)
    return {"id": id, "username": LOCAL_USER, "name": LOCAL_USER, "email": None, "entity": entity}


def _node_id(*parts: str) -> str:
    return base64.b64encode(":".join(parts).encode()).decode()
