"""The stand-in for the official W&B MCP server: the same names, arguments and shapes, over the local tracker.

What the official server answers inside a result, `{"error": ...}` or `{"errors": [...]}`, is answered inside a result
here too. Where the official server silently returns something else than was asked for, this one says so instead.
"""

import json
from typing import Annotated, Any

from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel

from servers.core.backends import STAND_IN
from servers.core.tracking import LocalTracker, TrackingError
from servers.core.words import escaped_unseen, refusal
from servers.core.workspace import Workspace
from servers.room import Room
from servers.wandb_local.bounds import compact
from servers.wandb_local.history import run_history
from servers.wandb_local.traces import DETAIL_LEVELS, TraceRequest, count_traces, query_traces

INSTRUCTIONS = """\
A stand-in for the official Weights & Biases MCP server: it reads Étude's local tracking database, not wandb.ai.
Runs and their metrics: query_wandb_tool (GraphQL) and get_run_history_tool. Traces, one for each evaluated row:
count_weave_traces_tool and query_weave_traces_tool. Start with { viewer { entity } } and
{ models { edges { node { name runCount } } pageInfo { hasNextPage endCursor } } } to learn entity and project.
A result that has "error" or "errors" is a refusal, and says what to change."""


class QueryReply(BaseModel):
    """The structured content of `query_wandb_tool`."""

    result: dict[str, Any]


def build_room(workspace: Workspace) -> Room:
    """The server over one artifacts folder, whose tracking it only reads."""
    room = Room("wandb", INSTRUCTIONS, workspace, handshake=STAND_IN)
    tracker = LocalTracker(workspace.tracking_file)

    @room.reads()
    def query_wandb_tool(
        query: str, variables: dict[str, Any] | None = None, max_items: int = 100, items_per_page: int = 20
    ) -> Annotated[CallToolResult, QueryReply]:
        r"""Read projects and runs with GraphQL. config and summaryMetrics come as JSON texts, a config entry as
        {"value": ...}. filters is a JSON text: $eq $ne $gt $gte $lt $lte $in $nin $regex $exists $and $or $nor over
        name, displayName, state, jobType, group, tags, createdAt, config.KEY, summary_metrics.KEY. order is like
        "-createdAt" or "+summary_metrics.KEY". At most max_items runs; go on with after: endCursor.
        Next: record_context. Example:
        { project(name: "demo", entityName: "local") { runs(first: 10, order: "-createdAt", filters:
        "{\"jobType\": \"eval\", \"state\": \"finished\"}") { edges { node { name displayName group config
        summaryMetrics } } pageInfo { hasNextPage endCursor } } } }
        """
        # Imported at the first query: graphql-core takes a quarter of the time that the server needs to start.
        from servers.wandb_local.graphql import execute

        result = execute(tracker, query, variables, max_items, items_per_page)
        text = escaped_unseen(json.dumps(result, indent=2, ensure_ascii=False))
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content={"result": result})

    @room.reads()
    def count_weave_traces_tool(entity_name: str, project_name: str, filters: dict[str, Any] | None = None) -> str:
        """Count traces, and the roots among them; filters as in query_weave_traces_tool. Next: record_context.
        Example filters: {"trace_roots_only": true, "attributes": {"evaluation_id": "..."}}
        """
        try:
            return json.dumps(count_traces(tracker, entity_name, project_name, filters or {}))
        except ValueError as error:
            return json.dumps({"error": refusal(f"Error counting traces: {error}")}, ensure_ascii=False)

    @room.reads()
    def query_weave_traces_tool(
        entity_name: str,
        project_name: str,
        filters: dict[str, Any] | None = None,
        sort_by: str = "started_at",
        sort_direction: str = "desc",
        limit: int = 1000,
        include_costs: bool = True,
        include_feedback: bool = True,
        columns: list[str] | None = None,
        expand_columns: list[str] | None = None,
        truncate_length: int = 1000,
        return_full_data: bool = False,
        metadata_only: bool = False,
        detail_level: str = "summary",
    ) -> str:
        """Read traces: inputs, output, attributes, times, status. Pass a limit of at most 100. filters:
        trace_roots_only, attributes/inputs/output {"dotted.path": value or {"$gt": ...}} ($eq $gt $gte $lt $lte
        $contains), status, has_exception, op_name_contains, display_name, call_ids, trace_id, parent_ids, wb_run_id,
        time_range {start, end}, latency, $or, $in. sort_by and columns take columns or dotted paths. detail_level:
        schema (ids and times), summary (texts cut), full. Next: record_context. The worst rows of an evaluation:
        filters {"trace_roots_only": true, "attributes": {"evaluation_id": "..."}}, sort_by "output.mae_raw", limit 20.
        """
        if detail_level not in DETAIL_LEVELS:
            raise ValueError(f"detail_level must be one of {{'schema', 'summary', 'full'}}, got {detail_level!r}")
        request = TraceRequest(
            entity=entity_name,
            project=project_name,
            filters=filters or {},
            sort_by=sort_by,
            sort_direction=sort_direction,
            limit=limit,
            columns=columns,
            truncate_length=truncate_length,
            metadata_only=metadata_only,
            detail_level="full" if return_full_data and detail_level == "summary" else detail_level,
        )
        try:
            result = query_traces(tracker, request)
        except TrackingError as error:
            result = {"error": "query_failed", "message": refusal(str(error))}
        except ValueError as error:
            result = {"error": "invalid_request", "message": refusal(str(error))}
        return compact(result)

    @room.reads()
    def get_run_history_tool(
        entity_name: str,
        project_name: str,
        run_id: str,
        keys: list[str] | None = None,
        samples: int = 500,
        min_step: int | None = None,
        max_step: int | None = None,
    ) -> str:
        """Read the metrics that a run logged by step, at most `samples` rows evenly spaced. Next: record_context.
        Example: run_id as given by `name` in query_wandb_tool, keys ["objective/train_loss"], samples 50.
        """
        try:
            history = run_history(tracker, entity_name, project_name, run_id, keys, samples, min_step, max_step)
        except ValueError as error:
            return json.dumps({"error": refusal(str(error))}, ensure_ascii=False)
        return escaped_unseen(json.dumps(history, ensure_ascii=False))

    return room
