"""The W&B stand-in: what it says of traces."""

from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from servers.wandb_local.filters import TRACE_FILTER_KEYS
from tests.stand_in_world import CALL_FIELDS, DEMO, call, found_traces, row, stand_in, tracker_in

pytestmark = pytest.mark.anyio


async def test_the_worst_rows_of_an_evaluation_are_found_among_others(tmp_path: Path):
    """Ours: the question that every cycle asks; the error comes back exactly as it was measured."""
    tracker = tracker_in(tmp_path)
    errors = [3.0, 0.1 + 0.2, 17.123456789012345, None, 5]
    tracker.save_traces("local", "demo", [row(number, error) for number, error in enumerate(errors)])
    tracker.save_traces("local", "demo", [row(1, 99.0, evaluation="eval-b")])
    tracker.save_traces("local", "demo", [row(9, 50.0, parent_id="eval-a-0", op_name="predict")])
    filters = {"trace_roots_only": True, "attributes": {"evaluation_id": "eval-a"}}

    async with Client(stand_in(tmp_path)) as client:
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
    tracker = tracker_in(tmp_path)
    tracker.save_traces("local", "demo", [row(2, 4.0), row(3, 5.0, exception="ValueError", ended_at=None)])

    async with Client(stand_in(tmp_path)) as client:
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
    tracker = tracker_in(tmp_path)
    tracker.save_traces("local", "demo", [row(1, 4.0)])
    columns = ["id", "output.abs_error_by_dim.warmth", "output.mae_raw", "output.nope.deep", "status", "shoe_size"]

    async with Client(stand_in(tmp_path)) as client:
        (trace,) = (await call(client, "query_weave_traces_tool", **DEMO, columns=columns))["traces"]

    assert trace["output"] == {"abs_error_by_dim": {"warmth": 2.5}, "mae_raw": 4.0}
    assert (trace["inputs"], trace["attributes"], trace["status"]) == ({}, {}, "success")
    assert trace["shoe_size"] == "shoe_size is not a valid column name, no data returned"
    assert set(trace) == CALL_FIELDS | {"status", "shoe_size"}


async def test_detail_levels_cut_texts_but_never_ids_or_numbers(tmp_path: Path):
    """Ours: the official server blanks ids at truncate_length 0 and says nothing of texts that it cut."""
    tracker = tracker_in(tmp_path)
    tracker.save_traces("local", "demo", [row(1, 1 / 3, inputs={"request_text": "x" * 1500, "n": 12345})])

    async with Client(stand_in(tmp_path)) as client:
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
    tracker = tracker_in(tmp_path)
    tracker.save_traces("local", "demo", [row(number, number, inputs={"t": "y" * 3000}) for number in range(501)])

    async with Client(stand_in(tmp_path)) as client:
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
    tracker = tracker_in(tmp_path)
    tracker.save_traces("local", "demo", [row(1, 2.5, inputs={"t": "z" * 200_000})])

    async with Client(stand_in(tmp_path)) as client:
        answer = await call(client, "query_weave_traces_tool", **DEMO, detail_level="full")

    assert answer["traces"][0]["inputs"]["t"] == "z" * 100 + "..."
    assert answer["metadata"]["truncation_applied"] is True


async def test_trace_filters_find_what_they_say(tmp_path: Path):
    """Ours: every key of the official server's filters, one by one."""
    tracker = tracker_in(tmp_path)
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

    async with Client(stand_in(tmp_path)) as client:
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
    tracker = tracker_in(tmp_path)
    tracker.save_traces("local", "demo", [row(1, 4.0)])

    async with Client(stand_in(tmp_path)) as client:
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
    async with Client(stand_in(tmp_path)) as client:
        answer = await call(client, "query_weave_traces_tool", **DEMO, **arguments)

    assert answer["error"] == "invalid_request"
    assert message in answer["message"]


async def test_a_misspelt_argument_is_refused_rather_than_dropped(tmp_path: Path):
    """Ours: with `filter` for `filters` the SDK would answer for all traces."""
    async with Client(stand_in(tmp_path)) as client:
        result = await client.call_tool("count_weave_traces_tool", {**DEMO, "filter": {"status": "error"}})

    assert result.is_error
    assert result.content[0].text == (
        "count_weave_traces_tool takes no argument 'filter'; it takes entity_name, project_name, filters"
    )


async def test_a_bad_detail_level_is_an_error_of_the_tool(tmp_path: Path):
    """Ours: the one refusal of these tools that the official server does not put inside a reply."""
    async with Client(stand_in(tmp_path)) as client:
        result = await client.call_tool("query_weave_traces_tool", {**DEMO, "detail_level": "everything"})

    assert result.is_error
    assert result.content[0].text.startswith(
        "Error executing tool query_weave_traces_tool: detail_level must be one of"
    )


async def test_objects_may_arrive_as_json_texts(tmp_path: Path):
    """Ours: small models write nested arguments as strings, and the official server reads them."""
    tracker = tracker_in(tmp_path)
    tracker.save_traces("local", "demo", [row(1, 4.0), row(2, 5.0, evaluation="eval-b")])

    async with Client(stand_in(tmp_path)) as client:
        filters = '{"attributes": {"evaluation_id": "eval-b"}}'
        counts = await call(client, "count_weave_traces_tool", **DEMO, filters=filters)

    assert counts["total_count"] == 1
