"""Evaluations as they lie on disk: what makes one invalid, who says so, and how it is mended."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from agent.telling import told
from servers.eval.server import build_room
from tests.playbook_world import World, measured_begin
from tests.workshop import call, refusal

pytestmark = pytest.mark.anyio
OTHER = {"backend": "rule", "model_id": "fallback", "digest": "f" * 64}

Rows = list[dict[str, Any]]


def swapped(rows: Rows) -> None:
    rows[0], rows[1] = rows[1], rows[0]


def doubled(rows: Rows) -> None:
    rows[1] = rows[0]


def cut(rows: Rows) -> None:
    rows.pop()


def mixed(rows: Rows) -> None:
    rows[3]["served_by"] = OTHER


def flattered(rows: Rows) -> None:
    rows[0]["mae_raw"] = 0.0


def reworded(rows: Rows) -> None:
    rows[0]["answer" if "answer" in rows[0] else "text"] = "{}"


def borrowed(rows: Rows) -> None:
    rows[0]["run_id"] = "eval-0"


def tampered(world: World, evaluation_id: str, name: str, change: Callable[[Rows], None]) -> None:
    """Change the rows of one file of an evaluation."""
    file = world.workspace.evaluation_dir(evaluation_id) / name
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    change(rows)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


async def measured(world: World) -> tuple[str, str]:
    """The cycle, and the evaluation of the rules in it."""
    async with world.playbook() as client:
        cycle = await measured_begin(world, client)
    found = world.evaluations.find(cycle, "rule")
    assert found is not None
    return cycle, found.evaluation_id


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("rows.jsonl", cut, "it holds 19 rows of 19 of the 20 examples"),
        ("rows.jsonl", doubled, "it holds 20 rows of 19 of the 20 examples"),
        ("rows.jsonl", swapped, "or in another order"),
        ("rows.jsonl", mixed, "a row was answered by 'fallback' (ffffffffffff), not by 'rule' ("),
        ("predictions.jsonl", mixed, "a row was answered by 'fallback' (ffffffffffff), not by 'rule' ("),
        ("rows.jsonl", borrowed, "its rows are those of another evaluation"),
        ("rows.jsonl", reworded, "what was scored is not what was answered"),
        ("predictions.jsonl", reworded, "what was scored is not what was answered"),
        ("predictions.jsonl", cut, "what was scored is not what was answered"),
        ("rows.jsonl", flattered, "its figures are not those of its rows"),
    ],
)
async def test_a_mixed_or_wrong_evaluation_is_said_to_be_invalid_wherever_it_is_read(
    tmp_path: Path, name: str, change: Callable[[Rows], None], words: str
):
    """Bug: a fallback model answered for the fine-tuned one, and nobody could tell."""
    world = World(tmp_path)
    cycle, evaluation_id = await measured(world)
    constant = world.evaluations.find(cycle, "constant")
    assert constant is not None and world.evaluations.verified(evaluation_id).evaluation_id == evaluation_id
    tampered(world, evaluation_id, name, change)

    async with Client(build_room(world.workspace, world.task).server) as judge:
        said = [
            await refusal(judge, "get_evaluation", evaluation_id=evaluation_id),
            await refusal(judge, "list_failures", evaluation_id=evaluation_id),
            await refusal(
                judge,
                "compare_models",
                champion_evaluation=constant.evaluation_id,
                candidate_evaluations=[evaluation_id],
            ),
        ]
        mended = await call(judge, "evaluate_model", cycle=cycle, model="rule")
        shown = await call(judge, "get_evaluation", evaluation_id=evaluation_id)

    for text in said:
        assert f"evaluation {evaluation_id!r} is invalid: " in text and words in text and "\n" not in text
        assert text.endswith("; call evaluate_model to measure anew")
    assert shown == mended and mended["evaluation_id"] == evaluation_id


async def test_an_evaluation_that_is_whole_is_not_measured_again(tmp_path: Path):
    """Ours: asking twice finds the first, to the byte."""
    world = World(tmp_path)
    cycle, evaluation_id = await measured(world)
    file = world.workspace.evaluation_dir(evaluation_id) / "eval.json"
    before = file.read_bytes()

    async with Client(build_room(world.workspace, world.task).server) as judge:
        await call(judge, "evaluate_model", cycle=cycle, model="rule")

    assert file.read_bytes() == before


async def test_one_champion_and_each_candidate_once(tmp_path: Path):
    """Ours: a model compared with itself says nothing, and a candidate given twice would be charged for twice."""
    world = World(tmp_path)
    cycle, evaluation_id = await measured(world)
    constant = world.evaluations.find(cycle, "constant")
    assert constant is not None

    async with Client(build_room(world.workspace, world.task).server) as judge:
        twice = await refusal(
            judge, "compare_models", champion_evaluation=evaluation_id, candidate_evaluations=[evaluation_id]
        )
        found = await call(
            judge,
            "compare_models",
            champion_evaluation=constant.evaluation_id,
            candidate_evaluations=[evaluation_id],
        )

    assert f"evaluation {evaluation_id!r} stands twice" in twice
    (rule,) = found["candidates"]
    assert found["champion"] == "constant" and rule["model"] == "rule" and "proves nothing" in found["note"]
    assert set(rule["by_dimension"]) == set(world.task.names)
    assert found["best"] is None or rule["corrected_p_better"] <= found["level"]
    low, high = rule["overall"]["ci"]
    line = f"rule {rule['overall']['difference']:+.2f} points ({low:+.2f} to {high:+.2f}) on diagnose, no proof"
    assert told("compare_models", found) == line
