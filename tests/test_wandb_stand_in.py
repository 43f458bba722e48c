import json
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from servers.core.tracking import LocalTracker, Run, Trace
from servers.wandb_local.filters import TRACE_FILTER_KEYS
from servers.wandb_local.server import build_server

pytestmark = pytest.mark.anyio

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


async def test_names_arguments_and_defaults_are_the_official_ones(tmp_path: Path):
    """Ours: what is written against the stand-in works against the official server."""
    async with Client(build_server(LocalTracker(tmp_path / "local.db"))) as client:
        tools = (await client.list_tools()).tools
        handshake = (client.server_info.name, client.server_info.version)

    arguments = {
        tool.name: {
            name: REQUIRED if name in tool.input_schema["required"] else schema["default"]
            for name, schema in tool.input_schema["properties"].items()
        }
        for tool in tools
    }
    assert handshake == ("etude-wandb-local", "0.1.0")
    assert arguments == OFFICIAL_ARGUMENTS
    for tool in tools:
        kind = "object" if tool.name == "query_wandb_tool" else "string"
        assert tool.output_schema["properties"]["result"]["type"] == kind
        assert tool.output_schema["required"] == ["result"]


async def test_every_tool_says_that_it_only_reads_in_few_words(tmp_path: Path):
    """Ours: a client may call without asking its person, and the descriptions fit into a small model's prompt."""
    async with Client(build_server(LocalTracker(tmp_path / "local.db"))) as client:
        tools = (await client.list_tools()).tools

    for tool in tools:
        hints = tool.annotations
        assert (hints.read_only_hint, hints.idempotent_hint, hints.open_world_hint) == (True, True, False)
        assert "\n  " not in tool.description
    assert sum(len(tool.description) for tool in tools) < 2_000


async def test_before_anything_was_saved_everything_is_empty(tmp_path: Path):
    """Ours: the stand-in may start first."""
    async with Client(build_server(LocalTracker(tmp_path / "local.db"))) as client:
        answer = await query(client, '{ viewer { entity } project(name: "demo") { id } models { totalCount } }')
        counts = await call(client, "count_weave_traces_tool", **DEMO)
        traces = await call(client, "query_weave_traces_tool", **DEMO)
        history = await call(client, "get_run_history_tool", **DEMO, run_id="r1")

    assert answer == {"viewer": {"entity": "local"}, "project": None, "models": {"totalCount": 0}}
    assert counts == {"total_count": 0, "root_traces_count": 0}
    assert (traces["metadata"]["total_traces"], traces["traces"]) == (0, [])
    assert history["error"].startswith("Run not found: local/demo/r1")
    assert list(tmp_path.iterdir()) == []


async def test_the_viewer_and_the_projects_can_be_found_without_knowing_them(tmp_path: Path):
    """Ours: a person in a chat client knows neither the entity nor the project."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_run(run(1, entity="team", project="songs"))

    async with Client(build_server(tracker)) as client:
        viewer = await query(client, "query GetViewerInfo { viewer { id username email entity } }")
        models = await query(client, "{ models { edges { node { name entityName runCount } } } }")

    assert viewer == {"viewer": {"id": "VXNlcjpsb2NhbA==", "username": "local", "email": None, "entity": "team"}}
    assert models["models"]["edges"] == [{"node": {"name": "songs", "entityName": "team", "runCount": 1}}]


async def test_a_run_comes_as_the_official_backend_gives_it(tmp_path: Path):
    """Ours: config and summaryMetrics are JSON texts, a config entry is wrapped, numbers are exact."""
    tracker = LocalTracker(tmp_path / "local.db")
    config, summary = {"dataset/version": "v1", "lr": 1e-05}, {"eval/mae_raw": 0.1 + 0.2, "eval/n": 70}
    tracker.save_run(run(7, job_type="train", tags=["student"], config=config, summary=summary))
    tracker.log_history("local", "demo", "r07", [{"_step": 0, "train/loss": 2.5}, {"_step": 4, "train/loss": "NaN"}])

    async with Client(build_server(tracker)) as client:
        fields = "id name displayName state jobType group tags createdAt heartbeatAt config summaryMetrics historyKeys"
        text = (
            f'{{ project(name: "demo", entityName: "local") {{ run(name: "r07") {{ {fields} historyLineCount }} }} }}'
        )
        found = (await query(client, text))["project"]["run"]
        missing = await query(client, '{ project(name: "demo") { run(name: "r99") { id } } }')

    assert {key: {"value": value} for key, value in config.items()} == json.loads(found.pop("config"))
    assert summary == json.loads(found.pop("summaryMetrics"))
    assert found == {
        "id": "UnVuOnYxOnIwNzpkZW1vOmxvY2Fs",  # Run:v1:r07:demo:local
        "name": "r07",
        "displayName": "run 7",
        "state": "finished",
        "jobType": "train",
        "group": "cycle_1",
        "tags": ["student"],
        "createdAt": "2026-01-31T08:00:07.000000Z",
        "heartbeatAt": "2026-01-31T09:00:00.000000Z",
        "historyKeys": {
            "keys": {
                "_step": {"typeCounts": [{"type": "number", "count": 2}]},
                "train/loss": {"typeCounts": [{"type": "number", "count": 1}, {"type": "string", "count": 1}]},
            },
            "lastStep": 4,
            "sets": [],
        },
        "historyLineCount": 2,
    }
    assert missing == {"project": {"run": None}}


async def test_run_filters_follow_what_wandb_documents(tmp_path: Path):
    """Ours: the operators and both spellings of the fields, checked one by one."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_run(run(1, tags=["a", "b"], config={"lr": 0.1}, summary={"eval/mae_raw": 20.5}))
    tracker.save_run(run(2, state="running", tags=["b"], config={"lr": 0.2}))
    tracker.save_run(run(3, job_type="train", group=None, summary={"eval/mae_raw": 12}))
    wanted: list[tuple[dict[str, Any], list[str]]] = [
        ({"jobType": "eval", "state": "finished"}, ["r01"]),
        ({"jobType": {"$eq": "eval"}, "state": {"$ne": "finished"}}, ["r02"]),
        ({"$and": [{"job_type": "eval"}, {"group": "cycle_1"}]}, ["r01", "r02"]),
        ({"$or": [{"state": "running"}, {"jobType": "train"}]}, ["r02", "r03"]),
        ({"$nor": [{"state": "running"}, {"jobType": "train"}]}, ["r01"]),
        ({"name": {"$in": ["r01", "r03"]}}, ["r01", "r03"]),
        ({"display_name": {"$nin": ["run 1"]}}, ["r02", "r03"]),
        ({"displayName": {"$regex": "[23]$"}}, ["r02", "r03"]),
        ({"tags": "a"}, ["r01"]),
        ({"tags": {"$in": ["a", "b"]}}, ["r01", "r02"]),
        ({"tags": {"$exists": False}}, ["r03"]),
        ({"group": {"$exists": True}}, ["r01", "r02"]),
        ({"config.lr": {"$gte": 0.1, "$lt": 0.2}}, ["r01"]),
        ({"config.lr.value": {"$gt": 0.1}}, ["r02"]),
        ({"summary_metrics.eval/mae_raw": {"$lte": 12}}, ["r03"]),
        ({"summaryMetrics.eval/mae_raw": {"$exists": True}}, ["r01", "r03"]),
        ({"createdAt": {"$gt": "2026-01-31T08:00:01Z"}}, ["r02", "r03"]),
        ({}, ["r01", "r02", "r03"]),
    ]

    async with Client(build_server(tracker)) as client:
        found = [(filters, await found_runs(client, filters)) for filters, _ in wanted]

    assert found == wanted


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"colour": "red"}, "unknown run field 'colour'; known: name, displayName"),
        ({"state": {"$like": "fin"}}, "unknown operator '$like' for 'state'; known: $eq, $ne"),
        ({"$not": {"state": "finished"}}, "unknown operator '$not'; known: $and, $or, $nor"),
        ({"$or": {"state": "finished"}}, "$or needs a list of objects"),
        ({"state": ["finished"]}, "compared with a list"),
        ({"config.lr": {"$gt": None}}, "None has no order"),
        (["state"], "filters must be a JSON object"),
    ],
)
async def test_a_run_filter_that_is_not_known_is_refused_by_name(tmp_path: Path, filters: Any, message: str):
    """Ours: an ignored filter returns runs that nobody asked for."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_run(run(1))

    async with Client(build_server(tracker)) as client:
        answer = await found_runs(client, filters)

    assert list(answer) == ["errors"]
    assert message in answer["errors"][0]["message"]


async def test_runs_come_in_the_order_asked_for(tmp_path: Path):
    """Ours: newest first unless told otherwise; runs without the figure come last either way."""
    tracker = LocalTracker(tmp_path / "local.db")
    for number, mae in enumerate([20.5, None, 12.0, 9.5]):
        tracker.save_run(run(number, summary={} if mae is None else {"eval/mae_raw": mae}))

    async with Client(build_server(tracker)) as client:
        newest, _ = await runs(client, "first: 9")
        oldest, _ = await runs(client, 'first: 9, order: "+createdAt"')
        best, _ = await runs(client, 'first: 9, order: "+summary_metrics.eval/mae_raw"')
        worst, _ = await runs(client, 'first: 9, order: "-summaryMetrics.eval/mae_raw"')

    assert newest == ["r03", "r02", "r01", "r00"]
    assert oldest == ["r00", "r01", "r02", "r03"]
    assert best == ["r03", "r02", "r00", "r01"]
    assert worst == ["r00", "r02", "r03", "r01"]


async def test_pages_join_without_a_gap_while_runs_are_added(tmp_path: Path):
    """Ours: the official server's endCursor can skip runs, and its hasNextPage can be wrong."""
    tracker = LocalTracker(tmp_path / "local.db")
    for number in range(25):
        tracker.save_run(run(number))
    seen: list[str] = []
    more: list[bool] = []
    arguments = "first: 10"

    async with Client(build_server(tracker)) as client:
        while not more or more[-1]:
            names, page = await runs(client, arguments)
            seen, more = seen + names, [*more, page["hasNextPage"]]
            arguments = f'first: 10, after: "{page["endCursor"]}"'
            tracker.save_run(run(50 + len(more)))

    assert seen == [f"r{number:02d}" for number in reversed(range(25))]
    assert more == [True, True, False]


async def test_max_items_bounds_a_list_and_the_page_says_that_there_is_more(tmp_path: Path):
    """Ours: a page size in $limit collects up to max_items, as documented; what is left can be fetched."""
    tracker = LocalTracker(tmp_path / "local.db")
    for number in range(45):
        tracker.save_run(run(number))

    async with Client(build_server(tracker)) as client:
        collected, all_of_it = await runs(client, "first: $limit", variables={"limit": 10})
        first, cut = await runs(client, "first: $limit", variables={"limit": 10}, max_items=5)
        second, _ = await runs(client, "first: $n, after: $cursor", variables={"n": 2, "cursor": cut["endCursor"]})
        one_page, page = await runs(client, "first: $limit, after: $cursor", variables={"limit": 10})
        literal, _ = await runs(client, "first: 10")
        bounded, left = await runs(client, "first: 10", max_items=3)
        unsaid, _ = await runs(client, 'order: "+createdAt"', items_per_page=3)

    assert (len(collected), all_of_it["hasNextPage"]) == (45, False)
    assert (first, cut["hasNextPage"]) == (["r44", "r43", "r42", "r41", "r40"], True)
    assert second == ["r39", "r38"]
    assert (len(one_page), page["hasNextPage"], len(literal)) == (10, True, 10)
    assert (bounded, left["hasNextPage"]) == (["r44", "r43", "r42"], True)
    assert unsaid == ["r00", "r01", "r02"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query { viewer { id ", "Failed to parse initial query: Syntax Error"),
        ("{ viewer { shoe_size } }", "Cannot query field 'shoe_size' on type 'User'"),
        ("mutation { deleteRun(id: 1) { id } }", "read_only_violation: this server only reads, a mutation is refused"),
        ("subscription { runs { id } }", "a subscription is refused"),
        ('{ project(name: "demo") { runs(first: 0) { totalCount } } }', "first must be at least 1, got 0"),
        ('{ project(name: "demo") { runs(after: "bm9wZQ==") { totalCount } } }', "stands in no such list"),
        ('{ project(name: "demo") { runs(after: "%%%") { totalCount } } }', "stands in no such list"),
        ('{ project(name: "demo") { runs(order: "-size") { totalCount } } }', "unknown run field 'size'"),
        ('{ project(name: "demo") { runs(filters: "{") { totalCount } } }', "filters must be a JSON text"),
    ],
)
async def test_a_query_that_cannot_be_answered_says_why_inside_the_reply(tmp_path: Path, text: str, message: str):
    """Ours: the official server answers this way, but loses the reason."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_run(run(1))

    async with Client(build_server(tracker)) as client:
        answer = await query(client, text)

    assert list(answer) == ["errors"]
    assert message in answer["errors"][0]["message"]


async def test_a_missing_project_is_null(tmp_path: Path):
    """Ours: as the official server answers."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_run(run(1))

    async with Client(build_server(tracker)) as client:
        answer = await query(client, '{ project(name: "nope", entityName: "local") { runs { totalCount } } }')

    assert answer == {"project": None}


async def test_the_example_in_the_description_works(tmp_path: Path):
    """Ours: a model copies it."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_run(run(1))

    async with Client(build_server(tracker)) as client:
        (tool,) = [tool for tool in (await client.list_tools()).tools if tool.name == "query_wandb_tool"]
        answer = await query(client, tool.description.split("Example:")[1])

    assert [edge["node"]["name"] for edge in answer["project"]["runs"]["edges"]] == ["r01"]


async def test_the_worst_rows_of_an_evaluation_are_found_among_others(tmp_path: Path):
    """Ours: the question that every cycle asks; the error comes back exactly as it was measured."""
    tracker = LocalTracker(tmp_path / "local.db")
    errors = [3.0, 0.1 + 0.2, 17.123456789012345, None, 5]
    tracker.save_traces("local", "demo", [row(number, error) for number, error in enumerate(errors)])
    tracker.save_traces("local", "demo", [row(1, 99.0, evaluation="eval-b")])
    tracker.save_traces("local", "demo", [row(9, 50.0, parent_id="eval-a-0", op_name="predict")])
    filters = {"trace_roots_only": True, "attributes": {"evaluation_id": "eval-a"}}

    async with Client(build_server(tracker)) as client:
        counts = await call(client, "count_weave_traces_tool", **DEMO, filters=filters)
        of_both = await call(client, "count_weave_traces_tool", **DEMO)
        worst = await call(
            client, "query_weave_traces_tool", **DEMO, filters=filters, sort_by="output.mae_raw", limit=3
        )

    assert counts == {"total_count": 5, "root_traces_count": 5}
    assert of_both == {"total_count": 7, "root_traces_count": 6}
    assert [trace["output"]["mae_raw"] for trace in worst["traces"]] == [17.123456789012345, 5, 3.0]
    assert (worst["metadata"]["total_traces"], worst["metadata"]["total_matching_count"]) == (3, 5)
    assert worst["metadata"]["truncation_applied"] is False


async def test_a_trace_comes_as_weaves_call(tmp_path: Path):
    """Ours: the fields of Weave's CallSchema, all of them."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_traces("local", "demo", [row(2, 4.0), row(3, 5.0, exception="ValueError", ended_at=None)])

    async with Client(build_server(tracker)) as client:
        answer = await call(client, "query_weave_traces_tool", **DEMO, sort_direction="asc")

    first, second = answer["traces"]
    assert set(first) == CALL_FIELDS
    assert first["project_id"] == "local/demo"
    assert first["op_name"] == "weave:///local/demo/op/evaluate_row:local"
    assert first["wb_run_id"] == "local/demo/eval-a"
    assert first["summary"] == {"weave": {"status": "success", "trace_name": "evaluate_row", "latency_ms": 250}}
    assert (second["summary"]["weave"]["status"], second["exception"]) == ("error", "ValueError")
    assert answer["metadata"]["status_summary"] == {"success": 1, "error": 1, "other": 0}
    assert answer["metadata"]["op_distribution"] == {"evaluate_row": 2}
    assert answer["metadata"]["time_range"] == {
        "earliest": "2026-01-31T08:00:02.000000Z",
        "latest": "2026-01-31T08:00:03.000000Z",
    }


async def test_columns_choose_what_is_shown_down_to_a_path(tmp_path: Path):
    """Ours: the rest comes back empty as in the official server, and a wrong name says so in its place."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_traces("local", "demo", [row(1, 4.0)])
    columns = ["id", "output.abs_error_by_dim.warmth", "output.mae_raw", "output.nope.deep", "status", "shoe_size"]

    async with Client(build_server(tracker)) as client:
        (trace,) = (await call(client, "query_weave_traces_tool", **DEMO, columns=columns))["traces"]

    assert trace["output"] == {"abs_error_by_dim": {"warmth": 2.5}, "mae_raw": 4.0}
    assert (trace["inputs"], trace["attributes"], trace["status"]) == ({}, {}, "success")
    assert trace["shoe_size"] == "shoe_size is not a valid column name, no data returned"
    assert set(trace) == CALL_FIELDS | {"status", "shoe_size"}


async def test_detail_levels_cut_texts_but_never_ids_or_numbers(tmp_path: Path):
    """Ours: the official server blanks ids at truncate_length 0 and says nothing of texts that it cut."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_traces("local", "demo", [row(1, 1 / 3, inputs={"request_text": "x" * 1500, "n": 12345})])

    async with Client(build_server(tracker)) as client:
        usual = await call(client, "query_weave_traces_tool", **DEMO)
        short = await call(client, "query_weave_traces_tool", **DEMO, truncate_length=4)
        empty = await call(client, "query_weave_traces_tool", **DEMO, truncate_length=0)
        full = await call(client, "query_weave_traces_tool", **DEMO, detail_level="full")
        same = await call(client, "query_weave_traces_tool", **DEMO, return_full_data=True, truncate_length=4)
        outline = await call(client, "query_weave_traces_tool", **DEMO, detail_level="schema")
        metadata = await call(client, "query_weave_traces_tool", **DEMO, metadata_only=True)

    assert usual["traces"][0]["inputs"]["request_text"] == "x" * 1000 + "..."
    assert usual["metadata"]["truncation_note"].startswith("1 texts cut at 1000; ask for detail_level 'full'")
    assert short["traces"][0]["inputs"] == {"request_text": "xxxx...", "n": 12345}
    assert empty["traces"][0]["inputs"] == {"request_text": None, "n": None}
    for answer in (short, empty):
        assert answer["metadata"]["truncation_applied"] is True
        assert answer["traces"][0]["id"] == "eval-a-1"
        assert answer["traces"][0]["op_name"].endswith("evaluate_row:local")
    assert short["traces"][0]["output"]["mae_raw"] == 1 / 3
    assert len(full["traces"][0]["inputs"]["request_text"]) == 1500
    assert (same, full["metadata"]["truncation_applied"]) == (full, False)
    assert set(outline["traces"][0]) == {
        "id", "op_name", "display_name", "trace_id", "parent_id", "started_at", "ended_at",
    }  # fmt: skip
    assert (metadata["traces"], metadata["metadata"]["total_traces"]) == (None, 1)


async def test_too_many_traces_are_refused_and_a_long_reply_keeps_its_beginning(tmp_path: Path):
    """Ours: query_too_large as the official server has it; but no sampling of every n-th trace."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_traces("local", "demo", [row(number, number, inputs={"t": "y" * 3000}) for number in range(501)])

    async with Client(build_server(tracker)) as client:
        refused = await call(client, "query_weave_traces_tool", **DEMO)
        cut = await call(
            client, "query_weave_traces_tool", **DEMO, sort_by="output.mae_raw", limit=100, detail_level="full"
        )
        outline = await call(client, "query_weave_traces_tool", **DEMO, limit=200, detail_level="schema")

    assert (refused["error"], refused["trace_count"]) == ("query_too_large", 501)
    assert refused["suggestions"]
    kept = len(cut["traces"])
    assert 10 < kept < 100
    assert [trace["output"]["mae_raw"] for trace in cut["traces"]] == [500 - place for place in range(kept)]
    assert cut["metadata"]["truncation_dropped_count"] == 100 - kept
    assert f"the first {kept} of 100 traces fit" in cut["metadata"]["truncation_note"]
    assert len(outline["traces"]) == 200


async def test_a_trace_too_long_for_any_reply_is_shown_with_its_texts_cut(tmp_path: Path):
    """Ours: rather than nothing at all."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_traces("local", "demo", [row(1, 2.5, inputs={"t": "z" * 200_000})])

    async with Client(build_server(tracker)) as client:
        answer = await call(client, "query_weave_traces_tool", **DEMO, detail_level="full")

    assert answer["traces"][0]["inputs"]["t"] == "z" * 100 + "..."
    assert answer["metadata"]["truncation_applied"] is True


async def test_trace_filters_find_what_they_say(tmp_path: Path):
    """Ours: every key of the official server's filters, one by one."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_traces(
        "local",
        "demo",
        [
            row(1, 4.0),
            row(2, 8.0, ended_at="2026-01-31T08:00:07Z", inputs={"request_text": "Ein Straßenlied", "n": 3}),
            row(3, None, exception="ValueError('no')", attributes={"evaluation_id": "eval-a", "model": {"name": "m1"}}),
            row(4, 9.0, evaluation="eval-b", ended_at=None, display_name="teacher row-4"),
            row(5, 1.0, parent_id="eval-a-1", trace_id="eval-a-1", op_name="predict"),
        ],
    )
    one, two, three, four, five = "eval-a-1", "eval-a-2", "eval-a-3", "eval-b-4", "eval-a-5"
    op = "weave:///local/demo/op/"
    wanted: list[tuple[dict[str, Any], list[str]]] = [
        ({}, [one, two, three, four, five]),
        ({"trace_roots_only": True}, [one, two, three, four]),
        ({"trace_roots_only": False}, [one, two, three, four, five]),
        ({"op_name": f"{op}predict:local"}, [five]),
        ({"op_name": f"{op}evaluate_row:*"}, [one, two, three, four]),
        ({"op_name": f"{op}predict:another"}, []),
        ({"op_names": [f"{op}predict:local", f"{op}evaluate_row:local"]}, [one, two, three, four, five]),
        ({"op_name_contains": "PREDICT"}, [five]),
        ({"display_name": "teacher row-4"}, [four]),
        ({"display_name": "*TEACHER*"}, [four]),
        ({"trace_id": one}, [one, five]),
        ({"trace_ids": [two, four]}, [two, four]),
        ({"call_ids": one}, [one]),
        ({"call_ids": []}, []),
        ({"parent_ids": [one]}, [five]),
        ({"wb_run_id": "eval-b"}, [four]),
        ({"wb_run_id": "local/demo/eval-b"}, [four]),
        ({"wb_run_id": "another/demo/eval-b"}, []),
        ({"wb_run_id": {"$contains": "eval-"}, "status": "error"}, [three]),
        ({"status": "SUCCESS"}, [one, two, five]),
        ({"status": "running"}, [four]),
        ({"has_exception": True}, [three]),
        ({"has_exception": False, "trace_roots_only": True}, [one, two, four]),
        ({"has_exception": None, "status": "error"}, [three]),
        ({"time_range": {"start": "2026-01-31T08:00:02Z", "end": "2026-01-31T08:00:04Z"}}, [two, three]),
        ({"latency": {"$gte": 5000}}, [two]),
        ({"attributes": {"evaluation_id": "eval-b"}}, [four]),
        ({"attributes": {"evaluation_id": {"$contains": "-B"}}}, [four]),
        ({"attributes": {"model.name": "m1"}}, [three]),
        ({"inputs": {"request_text": {"$contains": "STRASSE"}}}, [two]),
        ({"inputs": {"n": {"$gt": 2, "$lt": 4}}}, [two]),
        ({"output": {"mae_raw": {"$gt": 4}}}, [two, four]),
        ({"output": {"json_valid": True, "mae_raw": None}}, [three]),
        ({"$or": [{"status": "running"}, {"output": {"mae_raw": {"$lte": 1}}}]}, [four, five]),
        ({"$in": {"status": ["error", "running"]}}, [three, four]),
        ({"$in": {"op_name": [f"{op}predict:local"]}}, [five]),
        ({"$in": {"attributes.evaluation_id": ["eval-b", "eval-c"], "wb_run_id": ["eval-b"]}}, [four]),
    ]

    async with Client(build_server(tracker)) as client:
        found = [(filters, sorted(await found_traces(client, filters), key=lambda id: id[-1])) for filters, _ in wanted]
        counted = [(await call(client, "count_weave_traces_tool", **DEMO, filters=f))["total_count"] for f, _ in wanted]

    assert found == wanted
    assert counted == [len(ids) for _, ids in wanted]
    assert set(TRACE_FILTER_KEYS) == {key for filters, _ in wanted for key in filters}


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"evaluation_id": "eval-a"}, "unknown filter key 'evaluation_id'; known: trace_roots_only, op_name"),
        ({"attributes": {"evaluation_id": {"$like": "a"}}}, "unknown operator '$like' for 'attributes.evaluation_id'"),
        ({"attributes": {"model": {"name": "m1"}}}, "a key inside an object is written with a dot"),
        ({"attributes": "eval-a"}, "attributes needs an object"),
        ({"op_name": "evaluate_row"}, "write 'weave:///local/demo/op/evaluate_row:local', or use op_name_contains"),
        ({"status": "broken"}, "unknown status 'broken'; known: success, error, running"),
        ({"time_range": {"from": "2026-01-31T08:00:00Z"}}, "unknown key 'from' in time_range"),
        ({"time_range": {"start": "today"}}, "is not a time in UTC"),
        ({"trace_roots_only": "yes"}, "trace_roots_only needs true or false"),
        ({"call_ids": [1]}, "call_ids needs a text"),
        ({"$in": {"colour": ["red"]}}, "unknown trace field 'colour'"),
        ({"$or": [{"statu": "error"}]}, "unknown filter key 'statu'"),
        ({"latency": {}}, "known: $eq, $gt"),
    ],
)
async def test_a_trace_filter_that_is_not_known_is_refused_by_name(
    tmp_path: Path, filters: dict[str, Any], message: str
):
    """Ours: the official server ignores it and returns every trace of the project."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_traces("local", "demo", [row(1, 4.0)])

    async with Client(build_server(tracker)) as client:
        traces = await call(client, "query_weave_traces_tool", **DEMO, filters=filters)
        counts = await call(client, "count_weave_traces_tool", **DEMO, filters=filters)

    assert traces["error"] == "invalid_request"
    assert message in traces["message"]
    assert counts["error"].startswith("Error counting traces: ")
    assert message in counts["error"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sort_by": "size"}, "unknown trace field 'size'"),
        ({"sort_by": "total_cost"}, "unknown trace field 'total_cost'"),
        ({"sort_direction": "down"}, "sort_direction must be 'asc' or 'desc', got 'down'"),
        ({"limit": 0}, "limit must be at least 1"),
        ({"truncate_length": -1}, "truncate_length must be at least 0"),
    ],
)
async def test_an_argument_out_of_range_is_refused(tmp_path: Path, arguments: dict[str, Any], message: str):
    """Ours: the official server falls back to something else without a word."""
    async with Client(build_server(LocalTracker(tmp_path / "local.db"))) as client:
        answer = await call(client, "query_weave_traces_tool", **DEMO, **arguments)

    assert answer["error"] == "invalid_request"
    assert message in answer["message"]


async def test_a_misspelt_argument_is_refused_rather_than_dropped(tmp_path: Path):
    """Ours: with `filter` for `filters` the SDK would answer for all traces."""
    async with Client(build_server(LocalTracker(tmp_path / "local.db"))) as client:
        result = await client.call_tool("count_weave_traces_tool", {**DEMO, "filter": {"status": "error"}})

    assert result.is_error
    assert result.content[0].text == (
        "count_weave_traces_tool takes no argument 'filter'; it takes entity_name, project_name, filters"
    )


async def test_a_bad_detail_level_is_an_error_of_the_tool(tmp_path: Path):
    """Ours: the one refusal of these tools that the official server does not put inside a reply."""
    async with Client(build_server(LocalTracker(tmp_path / "local.db"))) as client:
        result = await client.call_tool("query_weave_traces_tool", {**DEMO, "detail_level": "everything"})

    assert result.is_error
    assert result.content[0].text.startswith(
        "Error executing tool query_weave_traces_tool: detail_level must be one of"
    )


async def test_objects_may_arrive_as_json_texts(tmp_path: Path):
    """Ours: small models write nested arguments as strings, and the official server reads them."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_traces("local", "demo", [row(1, 4.0), row(2, 5.0, evaluation="eval-b")])

    async with Client(build_server(tracker)) as client:
        filters = '{"attributes": {"evaluation_id": "eval-b"}}'
        counts = await call(client, "count_weave_traces_tool", **DEMO, filters=filters)

    assert counts["total_count"] == 1


async def test_history_keeps_rows_that_hold_any_of_the_keys(tmp_path: Path):
    """Ours: the official server drops rows that lack one key, and may drop the step."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_run(run(1))
    rows = [{"_step": step, "train/loss": 1 / (step + 1), "lr": 0.1} for step in range(30)]
    tracker.log_history("local", "demo", "r01", [*rows, {"_step": 9, "val/loss": 0.5}, {"_step": 40, "val/loss": 0.4}])

    async with Client(build_server(tracker)) as client:
        both = await call(
            client, "get_run_history_tool", **DEMO, run_id="r01", keys=["train/loss", "val/loss"], min_step=9
        )
        thin = await call(client, "get_run_history_tool", **DEMO, run_id="r01", keys=["train/loss"], samples=4)
        last = await call(client, "get_run_history_tool", **DEMO, run_id="r01", max_step=29, samples=1)
        none = await call(client, "get_run_history_tool", **DEMO, run_id="r01", samples=0)

    assert both["rows"][0] == {"_step": 9, "train/loss": 0.1, "val/loss": 0.5}
    assert both["rows"][-1] == {"_step": 40, "val/loss": 0.4}
    assert (both["sampled_points"], both["keys_returned"]) == (22, ["train/loss", "val/loss"])
    assert [one["_step"] for one in thin["rows"]] == [0, 10, 19, 29]
    assert {key: thin[key] for key in ("run_id", "run_name", "total_steps")} == {
        "run_id": "r01",
        "run_name": "run 1",
        "total_steps": 40,
    }
    assert last["rows"] == [{"_step": 29, "train/loss": 1 / 30, "lr": 0.1}]
    assert none == {"error": "samples must be at least 1, got 0"}


async def test_a_long_history_is_thinned_and_says_so(tmp_path: Path):
    """Ours: a reply is bounded, and a bounded reply is not passed off as the whole."""
    tracker = LocalTracker(tmp_path / "local.db")
    tracker.save_run(run(1))
    rows = [{"_step": step, **{f"metric/{name}": step / 7 for name in range(20)}} for step in range(500)]
    tracker.log_history("local", "demo", "r01", rows)

    async with Client(build_server(tracker)) as client:
        answer = await call(client, "get_run_history_tool", **DEMO, run_id="r01")

    assert len(json.dumps(answer)) < 125_000
    assert (answer["rows"][0], answer["rows"][-1]) == (rows[0], rows[-1])
    assert answer["truncation_note"].startswith(f"{answer['sampled_points']} of 500 rows")


async def test_a_damaged_database_is_named_in_every_reply(tmp_path: Path):
    """Ours: the file is the person's to repair; no traceback, no empty answer."""
    path = tmp_path / "local.db"
    path.write_bytes(b"not a database, but long enough to be looked at as one" * 20)

    async with Client(build_server(LocalTracker(path))) as client:
        answers = [
            await query(client, "{ viewer { entity } }"),
            await call(client, "count_weave_traces_tool", **DEMO),
            await call(client, "query_weave_traces_tool", **DEMO),
            await call(client, "get_run_history_tool", **DEMO, run_id="r01"),
        ]

    assert all("local.db' cannot be used" in json.dumps(answer) for answer in answers)
    assert answers[2]["error"] == "query_failed"


async def test_the_process_starts_and_answers_over_stdio(tmp_path: Path):
    """MCP: the server is started by a client, over stdio, with the options that all of Étude's servers take."""
    LocalTracker(tmp_path / "tracking" / "local.db").save_run(run(1))
    arguments = ["-m", "servers.wandb_local", "--artifacts", str(tmp_path), "--task", "kotone"]

    async with Client(StdioServerParameters(command=sys.executable, args=arguments, cwd=Path.cwd())) as client:
        answer = await query(client, '{ project(name: "demo", entityName: "local") { runCount } }')

    assert answer == {"project": {"runCount": 1}}
