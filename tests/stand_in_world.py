"""Runs, rows and questions for the tests of the W&B stand-in."""

import json
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.server import MCPServer

from servers.core.tracking import LocalTracker, Run, Trace
from servers.core.workspace import Workspace
from servers.wandb_local.server import build_room

# The arguments of the official server's tools with their defaults; REQUIRED has none.
REQUIRED = object()
OFFICIAL_ARGUMENTS: dict[str, dict[str, Any]] = {
    "query_wandb_tool": {"query": REQUIRED, "variables": None, "max_items": 100, "items_per_page": 20},
    "count_weave_traces_tool": {"entity_name": REQUIRED, "project_name": REQUIRED, "filters": None},
    "query_weave_traces_tool": {
        "entity_name": REQUIRED,
        "project_name": REQUIRED,
        "filters": None,
        "sort_by": "started_at",
        "sort_direction": "desc",
        "limit": 1000,
        "include_costs": True,
        "include_feedback": True,
        "columns": None,
        "expand_columns": None,
        "truncate_length": 1000,
        "return_full_data": False,
        "metadata_only": False,
        "detail_level": "summary",
    },
    "get_run_history_tool": {
        "entity_name": REQUIRED,
        "project_name": REQUIRED,
        "run_id": REQUIRED,
        "keys": None,
        "samples": 500,
        "min_step": None,
        "max_step": None,
    },
}
CALL_FIELDS = {
    "id", "project_id", "op_name", "display_name", "trace_id", "parent_id", "thread_id", "turn_id", "started_at",
    "attributes", "inputs", "ended_at", "exception", "output", "summary", "wb_user_id", "wb_run_id", "wb_run_step",
    "wb_run_step_end", "deleted_at", "storage_size_bytes", "total_storage_size_bytes",
}  # fmt: skip
DEMO = {"entity_name": "local", "project_name": "demo"}


def stand_in(folder: Path) -> MCPServer[Any]:
    """The stand-in over the artifacts in a folder."""
    return build_room(Workspace(folder)).server


def tracker_in(folder: Path) -> LocalTracker:
    """The tracker that it reads."""
    return LocalTracker(Workspace(folder).tracking_file)


def run(number: int, **changes: Any) -> Run:
    usual = {
        "id": f"r{number:02d}",
        "name": f"run {number}",
        "entity": "local",
        "project": "demo",
        "group": "cycle_1",
        "job_type": "eval",
        "state": "finished",
        "created_at": f"2026-01-31T08:00:{number:02d}Z",
        "updated_at": "2026-01-31T09:00:00Z",
    }
    return Run(**{**usual, **changes})


def row(number: int, mae_raw: float | None, evaluation: str = "eval-a", **changes: Any) -> Trace:
    usual = {
        "id": f"{evaluation}-{number}",
        "trace_id": f"{evaluation}-{number}",
        "op_name": "evaluate_row",
        "display_name": f"student row-{number}",
        "started_at": f"2026-01-31T08:00:{number % 60:02d}Z",
        "ended_at": f"2026-01-31T08:00:{number % 60:02d}.250Z",
        "inputs": {"request_text": f"text {number}", "example_id": f"row-{number}"},
        "output": {"mae_raw": mae_raw, "abs_error_by_dim": {"energy": 1 / 3, "warmth": 2.5}, "json_valid": True},
        "attributes": {"evaluation_id": evaluation, "split": "diagnose", "cycle": "cycle_1"},
        "run_id": evaluation,
    }
    return Trace(**{**usual, **changes})


async def call(client: Client, tool: str, /, **arguments: Any) -> Any:
    """What a tool answered, read from its one text block; the structured content must say the same."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    (block,) = result.content
    answer = json.loads(block.text)
    assert result.structured_content == {"result": answer if tool == "query_wandb_tool" else block.text}
    return answer


async def query(client: Client, text: str, **arguments: Any) -> Any:
    return await call(client, "query_wandb_tool", query=text, **arguments)


async def runs(client: Client, arguments: str, **more: Any) -> tuple[list[str], dict[str, Any]]:
    """The names of the runs on a page, and its pageInfo. Variables that do not occur must not be declared."""
    kinds = {"$limit": "Int", "$n": "Int", "$cursor": "String"}
    declared = ", ".join(f"{name}: {kind}" for name, kind in kinds.items() if name in arguments)
    shown = "edges { node { name } } pageInfo { hasNextPage endCursor }"
    head = f"query Q({declared})" if declared else "query Q"
    text = f'{head} {{ project(name: "demo") {{ runs({arguments}) {{ {shown} }} }} }}'
    connection = (await query(client, text, **more))["project"]["runs"]
    return [edge["node"]["name"] for edge in connection["edges"]], connection["pageInfo"]


async def found_runs(client: Client, filters: Any) -> Any:
    """The names of the runs that match, sorted; or the errors."""
    shown = 'runs(order: "name", filters: $filters) { edges { node { name } } }'
    text = f'query Q($filters: JSONString) {{ project(name: "demo") {{ {shown} }} }}'
    answer = await query(client, text, variables={"filters": json.dumps(filters)})
    return answer if "errors" in answer else [edge["node"]["name"] for edge in answer["project"]["runs"]["edges"]]


async def found_traces(client: Client, filters: dict[str, Any], **arguments: Any) -> list[str]:
    answer = await call(client, "query_weave_traces_tool", **DEMO, filters=filters, limit=100, **arguments)
    return [trace["id"] for trace in answer["traces"]]
