"""The W&B stand-in: its contract, and what it says of runs and their histories."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from tests.stand_in_world import (
    DEMO,
    OFFICIAL_ARGUMENTS,
    REQUIRED,
    call,
    found_runs,
    query,
    run,
    runs,
    stand_in,
    tracker_in,
)

pytestmark = pytest.mark.anyio


async def test_names_arguments_and_defaults_are_the_official_ones(tmp_path: Path):
    """Ours: what is written against the stand-in works against the official server."""
    async with Client(stand_in(tmp_path)) as client:
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
    async with Client(stand_in(tmp_path)) as client:
        tools = (await client.list_tools()).tools

    for tool in tools:
        hints = tool.annotations
        assert (hints.read_only_hint, hints.idempotent_hint, hints.open_world_hint) == (True, True, False)
        assert "\n  " not in tool.description
    assert sum(len(tool.description) for tool in tools) < 2_000


async def test_before_anything_was_saved_everything_is_empty(tmp_path: Path):
    """Ours: the stand-in may start first."""
    async with Client(stand_in(tmp_path)) as client:
        answer = await query(client, '{ viewer { entity } project(name: "demo") { id } models { totalCount } }')
        counts = await call(client, "count_weave_traces_tool", **DEMO)
        traces = await call(client, "query_weave_traces_tool", **DEMO)
        history = await call(client, "get_run_history_tool", **DEMO, run_id="r1")

    assert answer == {"viewer": {"entity": "local"}, "project": None, "models": {"totalCount": 0}}
    assert counts == {"total_count": 0, "root_traces_count": 0}
    assert (traces["metadata"]["total_traces"], traces["traces"]) == (0, [])
    assert history["error"].startswith("Run not found: local/demo/r1")
    assert [path.name for path in tmp_path.iterdir()] == ["ledger"]


async def test_the_viewer_and_the_projects_can_be_found_without_knowing_them(tmp_path: Path):
    """Ours: a person in a chat client knows neither the entity nor the project."""
    tracker = tracker_in(tmp_path)
    tracker.save_run(run(1, entity="team", project="songs"))

    async with Client(stand_in(tmp_path)) as client:
        viewer = await query(client, "query GetViewerInfo { viewer { id username email entity } }")
        models = await query(client, "{ models { edges { node { name entityName runCount } } } }")

    assert viewer == {"viewer": {"id": "VXNlcjpsb2NhbA==", "username": "local", "email": None, "entity": "team"}}
    assert models["models"]["edges"] == [{"node": {"name": "songs", "entityName": "team", "runCount": 1}}]


async def test_a_run_comes_as_the_official_backend_gives_it(tmp_path: Path):
    """Ours: config and summaryMetrics are JSON texts, a config entry is wrapped, numbers are exact."""
    tracker = tracker_in(tmp_path)
    config, summary = {"dataset/version": "v1", "lr": 1e-05}, {"eval/mae_raw": 0.1 + 0.2, "eval/n": 70}
    tracker.save_run(run(7, job_type="train", tags=["student"], config=config, summary=summary))
    tracker.log_history("local", "demo", "r07", [{"_step": 0, "train/loss": 2.5}, {"_step": 4, "train/loss": "NaN"}])

    async with Client(stand_in(tmp_path)) as client:
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
    tracker = tracker_in(tmp_path)
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

    async with Client(stand_in(tmp_path)) as client:
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
    tracker = tracker_in(tmp_path)
    tracker.save_run(run(1))

    async with Client(stand_in(tmp_path)) as client:
        answer = await found_runs(client, filters)

    assert list(answer) == ["errors"]
    assert message in answer["errors"][0]["message"]


async def test_runs_come_in_the_order_asked_for(tmp_path: Path):
    """Ours: newest first unless told otherwise; runs without the figure come last either way."""
    tracker = tracker_in(tmp_path)
    for number, mae in enumerate([20.5, None, 12.0, 9.5]):
        tracker.save_run(run(number, summary={} if mae is None else {"eval/mae_raw": mae}))

    async with Client(stand_in(tmp_path)) as client:
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
    tracker = tracker_in(tmp_path)
    for number in range(25):
        tracker.save_run(run(number))
    seen: list[str] = []
    more: list[bool] = []
    arguments = "first: 10"

    async with Client(stand_in(tmp_path)) as client:
        while not more or more[-1]:
            names, page = await runs(client, arguments)
            seen, more = seen + names, [*more, page["hasNextPage"]]
            arguments = f'first: 10, after: "{page["endCursor"]}"'
            tracker.save_run(run(50 + len(more)))

    assert seen == [f"r{number:02d}" for number in reversed(range(25))]
    assert more == [True, True, False]


async def test_max_items_bounds_a_list_and_the_page_says_that_there_is_more(tmp_path: Path):
    """Ours: a page size in $limit collects up to max_items, as documented; what is left can be fetched."""
    tracker = tracker_in(tmp_path)
    for number in range(45):
        tracker.save_run(run(number))

    async with Client(stand_in(tmp_path)) as client:
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
    tracker = tracker_in(tmp_path)
    tracker.save_run(run(1))

    async with Client(stand_in(tmp_path)) as client:
        answer = await query(client, text)

    assert list(answer) == ["errors"]
    assert message in answer["errors"][0]["message"]


async def test_a_missing_project_is_null(tmp_path: Path):
    """Ours: as the official server answers."""
    tracker = tracker_in(tmp_path)
    tracker.save_run(run(1))

    async with Client(stand_in(tmp_path)) as client:
        answer = await query(client, '{ project(name: "nope", entityName: "local") { runs { totalCount } } }')

    assert answer == {"project": None}


async def test_the_example_in_the_description_works(tmp_path: Path):
    """Ours: a model copies it."""
    tracker = tracker_in(tmp_path)
    tracker.save_run(run(1))

    async with Client(stand_in(tmp_path)) as client:
        (tool,) = [tool for tool in (await client.list_tools()).tools if tool.name == "query_wandb_tool"]
        answer = await query(client, tool.description.split("Example:")[1])

    assert [edge["node"]["name"] for edge in answer["project"]["runs"]["edges"]] == ["r01"]


async def test_history_keeps_rows_that_hold_any_of_the_keys(tmp_path: Path):
    """Ours: the official server drops rows that lack one key, and may drop the step."""
    tracker = tracker_in(tmp_path)
    tracker.save_run(run(1))
    rows = [{"_step": step, "train/loss": 1 / (step + 1), "lr": 0.1} for step in range(30)]
    tracker.log_history("local", "demo", "r01", [*rows, {"_step": 9, "val/loss": 0.5}, {"_step": 40, "val/loss": 0.4}])

    async with Client(stand_in(tmp_path)) as client:
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
    tracker = tracker_in(tmp_path)
    tracker.save_run(run(1))
    rows = [{"_step": step, **{f"metric/{name}": step / 7 for name in range(20)}} for step in range(500)]
    tracker.log_history("local", "demo", "r01", rows)

    async with Client(stand_in(tmp_path)) as client:
        answer = await call(client, "get_run_history_tool", **DEMO, run_id="r01")

    assert len(json.dumps(answer)) < 125_000
    assert (answer["rows"][0], answer["rows"][-1]) == (rows[0], rows[-1])
    assert answer["truncation_note"].startswith(f"{answer['sampled_points']} of 500 rows")


async def test_a_damaged_database_is_named_in_every_reply(tmp_path: Path):
    """Ours: the file is the person's to repair; no traceback, no empty answer."""
    path = tmp_path / "tracking" / "local.db"
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to be looked at as one" * 20)

    async with Client(stand_in(tmp_path)) as client:
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
    tracker_in(tmp_path).save_run(run(1))
    arguments = ["-m", "servers.wandb_local", "--artifacts", str(tmp_path), "--task", "kotone"]

    async with Client(StdioServerParameters(command=sys.executable, args=arguments, cwd=Path.cwd())) as client:
        answer = await query(client, '{ project(name: "demo", entityName: "local") { runCount } }')

    assert answer == {"project": {"runCount": 1}}
