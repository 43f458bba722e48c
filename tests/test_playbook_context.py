"""What came back through W&B enters the snapshot only where it agrees with what the eval server wrote."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.playbook_world import (
    STAND_IN,
    World,
    altered,
    failed,
    measured_begin,
    read_back,
    recorded_begin,
)
from tests.workshop import call, refusal

pytestmark = pytest.mark.anyio

RUNS, COUNTS, TRACES = "query_wandb_tool", "count_weave_traces_tool", "query_weave_traces_tool"


async def test_replies_that_agree_become_the_snapshot_of_the_cycle(tmp_path: Path) -> None:
    """Ours: the snapshot says where it comes from, who answered, and what the worst answers were."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle, result = await recorded_begin(world, playbook)

    snapshot = world.file("loop", cycle, "mcp_eval_snapshot.json")
    assert result["agrees"] and result["snapshot"] == f"loop/{cycle}/mcp_eval_snapshot.json"
    assert snapshot["source"] == "wandb_mcp_tools_call" and snapshot["cycle_id"] == cycle
    assert snapshot["server"] == STAND_IN | {"kind": "stand-in"}
    assert snapshot["mcp"]["entity"] == "local" and snapshot["mcp"]["project"] == "etude-kotone"
    assert set(snapshot["eval_summary"]) == {"constant", "rule"}
    written = world.evaluations.find(cycle, "constant")
    assert written is not None
    assert snapshot["eval_summary"]["constant"]["vector_mae"] == written.metrics["vector_mae"]
    worst = sorted((row.mae_raw for row in world.evaluations.rows(written.evaluation_id)), reverse=True)
    assert [row["mae_raw"] for row in snapshot["failures_top_k"]] == worst[:20]
    assert snapshot["trace_project_selected"] == "local/etude-kotone"
    assert [entry["tool"] for entry in snapshot["calls"]] == [RUNS, RUNS, RUNS, COUNTS, TRACES]
    decision = world.file("loop", cycle, "mcp_decision_input.json")
    assert decision["failures_top_k"] == snapshot["failures_top_k"]


async def test_a_server_of_another_name_is_recorded_as_the_official_one(tmp_path: Path) -> None:
    """Ours: only the handshake tells who answered."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        calls = await read_back(world, playbook, cycle)
        server = {"name": "weave-mcp-server", "version": "1.14.0"}
        await call(playbook, "record_context", cycle=cycle, server=server, calls=calls)

    assert world.file("loop", cycle, "mcp_eval_snapshot.json")["server"]["kind"] == "official"


async def test_one_failed_reply_refuses_all_of_them(tmp_path: Path) -> None:
    """MCP: the official server reports most failures inside a reply that says is_error false."""
    world = World(tmp_path)
    replies = {
        "400 Client Error": failed(RUNS, '{"errors": [{"message": "400 Client Error"}]}'),
        "ask for fewer": failed(TRACES, '{"error": "query_too_large", "message": "ask for fewer"}'),
        "no such project": failed(RUNS, '{"project": null}'),
        "Unknown tool: x": failed(COUNTS, "Unknown tool: x", is_error=True),
        "not a JSON object: '<html>": failed(TRACES, "<html>502</html>"),
        "not a JSON object: '[[": failed(COUNTS, "[" * 100_000),
        "no total_count": failed(COUNTS, "{}"),
    }

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        calls = await read_back(world, playbook, cycle)
        for words, reply in replies.items():
            said = await refusal(playbook, "record_context", cycle=cycle, server=STAND_IN, calls=[*calls, reply])
            assert words in said and "nothing was recorded" in said

    assert not (world.workspace.cycle_dir(cycle) / "mcp_eval_snapshot.json").exists()


async def test_a_figure_of_a_run_that_differs_is_refused_by_name(tmp_path: Path) -> None:
    """Ours: a tracker that shows another error than the eval server measured is no evidence."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        calls = await read_back(world, playbook, cycle)
        constant = world.evaluations.find(cycle, "constant")
        assert constant is not None
        error = f'eval/vector_mae\\": {constant.metrics["vector_mae"]}'
        said = await refusal(
            playbook,
            "record_context",
            cycle=cycle,
            server=STAND_IN,
            calls=altered(calls, RUNS, error, 'eval/vector_mae\\": 3.25'),
        )

    assert f"run {constant.run_id}" in said and "vector_mae" in said
    assert "3.25" in said and str(constant.metrics["vector_mae"]) in said


async def test_a_trace_that_differs_is_refused_by_name(tmp_path: Path) -> None:
    """Ours: every value of a failure is compared with the scored row, and the row count with the number of traces."""
    world = World(tmp_path)
    alterations = [
        (TRACES, '"mae_raw":', '"mae_raw":9', "mae_raw is 9"),
        (TRACES, '"target":{"energy":', '"target":{"energy":1', "target.energy is 1"),
        (TRACES, '"prediction":{"energy":', '"prediction":{"energy":-', "prediction.energy is -"),
        (TRACES, '"json_valid":true', '"json_valid":false', "json_valid is False"),
        (TRACES, '"parse_error":null', '"parse_error":"none"', "parse_error is 'none'"),
        (TRACES, " piece for the ", " tango for the ", "request_text is"),
        (TRACES, '"abs_error_by_dim":', '"abs_error":', "came without abs_error_by_dim"),
        (COUNTS, '"root_traces_count": ', '"root_traces_count": 1', "root_traces_count is 1"),
    ]

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        calls = await read_back(world, playbook, cycle)
        for tool, old, new, words in alterations:
            said = await refusal(
                playbook, "record_context", cycle=cycle, server=STAND_IN, calls=altered(calls, tool, old, new)
            )
            assert words in said and "nothing was recorded" in said


async def test_a_trace_nobody_wrote_is_refused_where_it_claims_an_evaluation(tmp_path: Path) -> None:
    """Ours: a foreign trace is ignored, one that passes itself off as ours is not."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        calls = await read_back(world, playbook, cycle)
        trace = json.loads(calls[-1]["text"])["traces"][0]
        mine = trace | {"trace_id": "0" * 32, "id": "0" * 32}
        foreign = mine | {"attributes": {"evaluation_id": "eval-000000000000"}}
        for entry, recorded in ((mine, False), (foreign, True)):
            more = calls[-1] | {"text": json.dumps({"traces": [entry]})}
            arguments = {"cycle": cycle, "server": STAND_IN, "calls": [*calls, more]}
            if recorded:
                result = await call(playbook, "record_context", **arguments)
                assert "0" * 32 not in [failure["trace_id"] for failure in result["failures"]]
            else:
                assert f"trace {'0' * 32}" in await refusal(playbook, "record_context", **arguments)


async def test_runs_of_other_origin_stand_apart_and_are_no_evidence(tmp_path: Path) -> None:
    """Ours: somebody else's run in the same project may not enter a decision."""
    world = World(tmp_path)
    node = {"id": "x", "name": "k3x9", "displayName": "a sweep", "jobType": "eval", "state": "finished"}
    node |= {"config": '{"lr": {"value": 0.1}}', "summaryMetrics": '{"eval/vector_mae": 0.001, "_step": 3}'}
    reply = {"project": {"runs": {"edges": [{"node": node}]}}}

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        calls = [*await read_back(world, playbook, cycle), failed(RUNS, json.dumps(reply))]
        result = await call(playbook, "record_context", cycle=cycle, server=STAND_IN, calls=calls)

    snapshot = world.file("loop", cycle, "mcp_eval_snapshot.json")
    assert result["other_runs"] == 1 and set(result["eval_summary"]) == {"constant", "rule"}
    assert snapshot["other_runs"][0]["run_id"] == "k3x9"
    assert snapshot["other_runs"][0]["config"] == {"lr": 0.1}
    assert snapshot["other_runs"][0]["summary"] == {"eval/vector_mae": 0.001}
    assert "k3x9" not in json.dumps(world.file("loop", cycle, "mcp_decision_input.json"))


async def test_the_structured_form_and_wrapped_results_read_the_same(tmp_path: Path) -> None:
    """MCP: newer official servers answer in parsed snake_case; structured content wraps a text in `result`."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        calls = await read_back(world, playbook, cycle)
        items = [
            {
                "id": evaluation.run_id,
                "display_name": "renamed",
                "job_type": "eval",
                "summary": {"eval/vector_mae": evaluation.metrics["vector_mae"], "eval/n": evaluation.n, "luck": 7},
                "config": {"dataset/version": evaluation.dataset_version},
            }
            for evaluation in world.evaluations.all()
        ]
        structured = [failed(RUNS, json.dumps({"items": items, "has_more": False}))]
        wrapped = [entry | {"text": json.dumps({"result": entry["text"]})} for entry in calls if entry["tool"] != RUNS]
        result = await call(playbook, "record_context", cycle=cycle, server=STAND_IN, calls=[*structured, *wrapped])

    assert set(result["eval_summary"]["rule"]) == {"vector_mae", "n"}
    assert len(result["failures"]) == 20


async def test_half_a_picture_is_refused(tmp_path: Path) -> None:
    """Ours: run, count and traces of the champion belong together."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        calls = await read_back(world, playbook, cycle)
        for missing in (RUNS, COUNTS, TRACES):
            rest = [entry for entry in calls if entry["tool"] != missing]
            assert f"ask {missing}" in await refusal(
                playbook, "record_context", cycle=cycle, server=STAND_IN, calls=rest
            )
        assert "calls is empty" in await refusal(playbook, "record_context", cycle=cycle, server=STAND_IN, calls=[])


async def test_a_text_cut_by_the_server_still_agrees_and_control_characters_do_not_pass(tmp_path: Path) -> None:
    """MCP: the official server cuts strings at a length and appends three dots. Ours: values are data."""
    world = World(tmp_path, text="{word}\x1b[31m\x07 \u202epiece for the {place} " + "long " * 300 + "{letter}")

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        calls = await read_back(world, playbook, cycle)
        document = json.loads(calls[-1]["text"])
        for trace in document["traces"]:
            trace["inputs"]["request_text"] = trace["inputs"]["request_text"][:1000] + "..."
        calls[-1] = calls[-1] | {"text": json.dumps(document)}
        result = await call(playbook, "record_context", cycle=cycle, server=STAND_IN, calls=calls)

    kept = world.file("loop", cycle, "mcp_eval_snapshot.json")["failures_top_k"]
    assert all(len(row["request_text"]) <= 500 and row["request_text"].isprintable() for row in kept)
    assert all(len(row["request_text"]) <= 200 for row in result["failures"])


async def test_a_number_no_float_can_hold_does_not_stop_the_recording(tmp_path: Path) -> None:
    """Bug: a huge integer in somebody's run overflowed the comparison."""
    world = World(tmp_path)
    node = {"name": "huge", "jobType": "train", "summaryMetrics": f'{{"a": {"9" * 400}, "b": 1e999, "c": NaN, "d": 2}}'}

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        more = failed(RUNS, json.dumps({"project": {"runs": {"edges": [{"node": node}]}}}))
        calls = [*await read_back(world, playbook, cycle), more]
        await call(playbook, "record_context", cycle=cycle, server=STAND_IN, calls=calls)

    assert world.file("loop", cycle, "mcp_eval_snapshot.json")["other_runs"][0]["summary"] == {"d": 2}


async def test_context_needs_the_champions_evaluation_first(tmp_path: Path) -> None:
    """Ours: there is nothing to agree with before the eval server measured."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle = (await call(playbook, "open_cycle", dataset="small"))["cycle"]
        said = await refusal(playbook, "record_context", cycle=cycle, server=STAND_IN, calls=[])

    assert "call evaluate_model first" in said


def respelt(calls: list[dict[str, Any]], change: Callable[[dict[str, Any]], None]) -> list[dict[str, Any]]:
    """The replies with every trace changed in place."""
    document = json.loads(calls[-1]["text"])
    for trace in document["traces"]:
        change(trace)
    return [*calls[:-1], calls[-1] | {"text": json.dumps(document)}]


def as_texts(trace: dict[str, Any]) -> None:
    output = trace["output"]
    output["mae_raw"], output["json_valid"] = f"{output['mae_raw']:.2f}", str(output["json_valid"])
    output["target"] = {name: f"{value:.0f}" for name, value in output["target"].items()}
    output["abs_error_by_dim"] = json.dumps(output["abs_error_by_dim"])
    output["parse_error"] = "NaN"


def with_other_ids(trace: dict[str, Any]) -> None:
    name = trace["trace_id"].upper()
    trace["trace_id"] = f"{name[:8]}-{name[8:]}"
    trace["op_name"], trace["invented_column"] = "weave:///a/b/op/evaluate_row:x", "not a valid column name"
    trace["output"]["target"] |= {"_type": "WeaveObject", "_bases": []}


def with_ids_cut(trace: dict[str, Any]) -> None:
    trace["trace_id"] = trace["id"] = trace["trace_id"][:10] + "..."


def with_another_trace_id(trace: dict[str, Any]) -> None:
    trace["trace_id"] = "0" * 32


def without_nulls(trace: dict[str, Any]) -> None:
    for part in ("output", "attributes", "inputs"):
        trace[part] = json.dumps({key: value for key, value in trace[part].items() if value is not None})


@pytest.mark.parametrize("change", [as_texts, with_other_ids, with_ids_cut, with_another_trace_id, without_nulls])
async def test_the_same_thing_said_differently_is_evidence(tmp_path: Path, change: Callable[[dict[str, Any]], None]):
    """MCP: servers and trackers round, cut, quote and respell; none of it makes another value."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        calls = await read_back(world, playbook, cycle)
        plain = await call(playbook, "record_context", cycle=cycle, server=STAND_IN, calls=calls)
        changed = respelt(calls, change)
        result = await call(playbook, "record_context", cycle=cycle, server=STAND_IN, calls=changed)

    assert {row["trace_id"] for row in result["failures"]} == {row["trace_id"] for row in plain["failures"]}
    for told, meant in zip(result["failures"], plain["failures"], strict=True):
        assert told["mae_raw"] == pytest.approx(meant["mae_raw"], abs=0.005) and told["json_valid"] is True
    assert result["failures"][0]["target_vector"].keys() == plain["failures"][0]["target_vector"].keys()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda trace: trace["output"].update(mae_raw=round(trace["output"]["mae_raw"] + 0.07, 2)), "mae_raw is"),
        (lambda trace: trace["output"].update(mae_raw=f"{trace['output']['mae_raw'] + 1:.1f}"), "mae_raw is"),
        (lambda trace: trace["output"].update(mae_raw="NaN"), "mae_raw is 'NaN'"),
        (lambda trace: trace["output"].update(prediction="NaN"), "prediction is 'NaN'"),
        (lambda trace: trace["output"].update(json_valid="False"), "json_valid is 'False'"),
        (lambda trace: trace["output"]["target"].pop("energy"), "target is"),
        (lambda trace: trace["output"]["target"].update(tempo=1.0), "target is"),
        (lambda trace: trace["inputs"].update(request_text="a ..."), "request_text is 'a ...'"),
        (lambda trace: trace["attributes"].update(mode="fine_tuned"), "mode is 'fine_tuned'"),
        (lambda trace: trace.update(id="1" * 32, trace_id="1" * 32), "wrote no such trace"),
        (lambda trace: trace.update(id="1...", trace_id="1..."), "wrote no such trace"),
    ],
)
async def test_another_value_is_no_evidence_however_it_is_said(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
):
    """Ours: tolerant in form, strict in substance."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        calls = respelt(await read_back(world, playbook, cycle), change)
        said = await refusal(playbook, "record_context", cycle=cycle, server=STAND_IN, calls=calls)

    assert words in said and "nothing was recorded" in said


@pytest.mark.parametrize(
    "text", ['{"traces": [{"trace_id": "0"}], "metad', 'Error {"traces"', "{'traces': [", "[]", "null"]
)
async def test_half_a_reply_is_none(tmp_path: Path, text: str):
    """Ours: a smaller object inside a broken one must not pass for the whole."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        calls = [*await read_back(world, playbook, cycle), failed(TRACES, text)]
        said = await refusal(playbook, "record_context", cycle=cycle, server=STAND_IN, calls=calls)

    assert "is not a JSON object" in said
