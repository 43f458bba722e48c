"""What all five servers share: refusals that are fit to read, and a ledger of their own."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError

from servers.core.workspace import Workspace
from servers.ledger import ServerLedger
from servers.room import Room
from tests.workshop import Workshop

pytestmark = pytest.mark.anyio
ENTRY = ["call", "at", "tool", "arguments", "is_error", "result_digest", "result_chars", "seconds"]
HUGE = "\u202e" + "x" * 1_000_000


def ledgers(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What each server wrote down, by server."""
    files = (folder / "ledger").glob("*.jsonl")
    return {file.stem: [json.loads(line) for line in file.read_text().splitlines()] for file in files}


async def test_every_server_writes_down_the_calls_that_it_answered(tmp_path: Path):
    """Ours: who asked does not matter, and a refusal is a call too."""
    async with Workshop(tmp_path) as shop:
        await shop.call("describe_task")
        await shop.call("list_datasets")
        await shop.call("list_jobs")
        await shop.refusal("get_cycle")
        await shop.call("count_weave_traces_tool", entity_name="local", project_name="demo")
        await shop.refusal("query_wandb_tool", question="{ viewer { entity } }")

    found = ledgers(tmp_path)
    assert {server: [(row["tool"], row["is_error"]) for row in rows] for server, rows in found.items()} == {
        "eval": [("describe_task", False)],
        "augment": [("list_datasets", False)],
        "retrain": [("list_jobs", False)],
        "playbook": [("get_cycle", True)],
        "wandb": [("count_weave_traces_tool", False), ("query_wandb_tool", True)],
    }
    assert {tuple(row) for rows in found.values() for row in rows} == {tuple(ENTRY)}
    assert found["wandb"][1]["arguments"] == {"question": "{ viewer { entity } }"}
    assert all(len(row["result_digest"]) == 64 and row["result_chars"] > 0 for rows in found.values() for row in rows)


async def test_every_call_in_the_ledgers_has_an_id_of_its_own(tmp_path: Path):
    """Ours: a line that was copied or merged twice shows."""
    for _ in range(2):
        async with Workshop(tmp_path) as shop:
            for _ in range(3):
                await shop.call("list_jobs")
                await shop.call("list_datasets")

    calls = [row["call"] for rows in ledgers(tmp_path).values() for row in rows]
    starts = {call.partition("-")[0] for call in calls}
    assert len(set(calls)) == 12 and len(starts) == 4
    assert all(re.fullmatch(r"[0-9a-f]{8}-[123]", call) for call in calls)
    assert [call.partition("-")[2] for call in calls] == ["1", "2", "3"] * 4


async def test_a_call_that_brought_no_result_is_in_the_ledger_too(tmp_path: Path):
    """Ours: what a call did may outlive the call; a cancelled one may have spent a verdict."""
    room = Room("eval", "For a test.", Workspace(tmp_path))

    @room.reads()
    def look_away() -> str:
        """Answer nothing."""
        raise MCPError(code=-32000, message="not for you")

    async with Client(room.server) as client:
        with pytest.raises(MCPError, match="not for you"):
            await client.call_tool("look_away", {})

    assert [(row["tool"], row["is_error"]) for row in ledgers(tmp_path)["eval"]] == [("look_away", True)]


def test_what_json_cannot_hold_stands_in_the_ledger_as_words(tmp_path: Path):
    """Bug: the call had its effect, and its reply was lost with the line that could not be written."""
    ledger = ServerLedger(tmp_path / "ledger" / "retrain.jsonl")

    ledger.add("list_jobs", {"limit": float("nan"), "of": [float("inf"), "\ud800", 1.5]}, {"content": []}, 0.1)

    (row,) = ledgers(tmp_path)["retrain"]
    assert row["arguments"] == {"limit": "NaN", "of": ["Infinity", "\ud800", 1.5]}


@pytest.mark.parametrize(
    ("tool", "arguments", "what", "way_on"),
    [
        ("get_cycle", {"cycle": HUGE}, "is not a plain name", "at most 64 characters"),
        ("get_evaluation", {"evaluation_id": HUGE}, "is not a plain name", "at most 64 characters"),
        ("read_evidence", {"ref": f"{HUGE}:1"}, "no document of kind", "report:<cycle>"),
        ("list_jobs", {"limit": HUGE}, "Input should be a valid integer", ""),
        ("list_failures", {}, "list_failures needs evaluation_id", "(id that evaluate_model returned)"),
        ("plan_augmentation", {}, "needs cycle (cycle id, such as 'cycle_1'; open_cycle gives it), and ", ""),
        ("list_jobs", {HUGE: 1}, "list_jobs takes no argument", "it takes limit, offset"),
        ("write_playbook", {"cycle": "c", "remedies": [{HUGE: 1}], "lessons": []}, "validation errors", ""),
        ("write_playbook", {"cycle": "c", "remedies": [1] * 9000, "lessons": []}, "9000 validation errors", ""),
        ("search_playbook", {"query": "?" * 1_000_000}, "query '???", "name a dimension, a change or a cycle"),
        ("query_wandb_tool", {"query": 7, "max_items": HUGE}, "validation errors", ""),
        ("query_weave_traces_tool", {"entity_name": "e", "project_name": "p", "detail_level": HUGE}, "must be one", ""),
    ],
)  # fmt: skip
async def test_a_refusal_is_short_and_clean_whatever_it_echoes(
    tmp_path: Path, tool: str, arguments: dict[str, Any], what: str, way_on: str
):
    """Ours: a refusal goes into a model's prompt; it says what is wrong and what to do, and nothing unseen."""
    async with Workshop(tmp_path) as shop:
        said = await shop.refusal(tool, **arguments)

    assert len(said) <= 1000 and said.isprintable()
    assert what in said and said.endswith(way_on)
    assert "errors.pydantic.dev" not in said


async def test_a_tool_that_does_not_exist_is_refused_in_few_words(tmp_path: Path):
    """Ours: a name may be of any length, too."""
    async with Client(Room("eval", "For a test.", Workspace(tmp_path)).server) as client:
        result = await client.call_tool(HUGE, {})

    (block,) = result.content
    assert result.is_error and block.type == "text" and block.text.startswith("Unknown tool: xxx")
    assert len(block.text) <= 1000


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("query_wandb_tool", {"query": f"{{ {'x' * 1_000_000} }}"}),
        ("query_wandb_tool", {"query": f"{{ {' '.join(f'x{n}{HUGE[1:500]}' for n in range(90))} }}"}),
        ("count_weave_traces_tool", {"entity_name": "e", "project_name": "p", "filters": {HUGE: 1}}),
        ("query_weave_traces_tool", {"entity_name": "e", "project_name": "p", "sort_by": HUGE, "limit": 5}),
        ("get_run_history_tool", {"entity_name": "e", "project_name": "p", "run_id": HUGE}),
    ],
)
async def test_what_the_stand_in_refuses_inside_a_result_is_short_and_clean(
    tmp_path: Path, tool: str, arguments: dict[str, Any]
):
    """Ours: its refusals come as results, as the official server's do, and are read by the same reader."""
    async with Workshop(tmp_path) as shop:
        await shop.call(tool, **arguments)

    text = shop.calls[0]["text"]
    assert "error" in text and len(text) < 15_000 and text.replace("\n", "").isprintable()
