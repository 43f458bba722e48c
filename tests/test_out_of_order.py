"""Calls out of order, by hand: each is refused, and the refusal names the step that is missing."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from servers.augment.server import build_room as build_augment
from servers.augment.teachers import Draft
from servers.core.arms import ConstantArm
from servers.core.dataset import DatasetStore
from servers.core.disk import write_json
from servers.core.registry import Registry
from servers.core.task import load_task
from servers.eval.server import build_room as build_eval
from tests.doubles.teacher import ScriptedTeacher
from tests.playbook_world import STAND_IN, WORDS, World
from tests.workshop import Workshop, call, refusal

pytestmark = pytest.mark.anyio
CYCLE = "cycle_1"
REMEDY = {"trace_id": "0" * 32, "dimension": "warmth", "change": "new rows"}
CHANGE = {"name": "min_texts", "value": 2, "reason": "to see what it does"}
VERSION = "0123456789abcdef"
WANDB_CALL = {"tool": "query_wandb_tool", "arguments": {}, "text": "{}", "is_error": False}
OF_A_CYCLE: list[tuple[str, dict[str, Any]]] = [
    ("evaluate_model", {"model": "constant"}),
    ("record_context", {"server": STAND_IN, "calls": [WANDB_CALL]}),
    ("diagnose_dataset", {}),
    ("plan_augmentation", {"focus_dimensions": []}),
    ("plan_retrain", {"changes": []}),
    ("gate_candidate", {"candidate": "rule"}),
    ("write_playbook", {"remedies": [], "lessons": []}),
]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """The dataset `small`, which the constant serves."""
    made = World(tmp_path)
    train = DatasetStore(made.workspace).train("small", made.card.root)
    Registry(made.workspace).put_in_service(
        "small",
        "constant",
        ConstantArm(made.task, train).served_by.digest,
        action="begin",
        cycle="begin_small",
        verdict_id="verdict-000000000000",
        reason="a test",
    )
    return made


@pytest.fixture
async def shop(world: World) -> AsyncIterator[Workshop]:
    """All servers over it, and `cycle_1` open."""
    async with Workshop(world.workspace.root) as opened:
        assert (await opened.call("open_cycle", dataset="small"))["cycle"] == CYCLE
        yield opened


@pytest.mark.parametrize(
    ("tool", "arguments", "missing"),
    [
        ("record_context", {"server": STAND_IN, "calls": [WANDB_CALL]}, "call evaluate_model first"),
        ("plan_augmentation", {"focus_dimensions": []}, "call record_context first"),
        ("plan_retrain", {"changes": [CHANGE]}, "call diagnose_dataset first"),
        ("gate_candidate", {"candidate": "constant"}, "train a candidate with plan_retrain"),
        ("gate_candidate", {"candidate": "rule"}, "a candidate comes from start_retrain"),
        ("promote_model", {"candidate": "rule"}, "call gate_candidate first"),
        ("write_playbook", {"remedies": [REMEDY], "lessons": []}, "call record_context first"),
        ("write_report", {}, "call gate_candidate first, or give a stop_reason"),
    ],
)
async def test_no_step_goes_before_the_one_that_it_needs(
    shop: Workshop, tool: str, arguments: dict[str, Any], missing: str
):
    """Ours: a refusal names the next valid step."""
    assert missing in await shop.refusal(tool, cycle=CYCLE, **arguments)


@pytest.mark.parametrize(
    ("tool", "arguments", "way_on"),
    [
        ("open_cycle", {"dataset": "nobody"}, "call prepare_dataset first"),
        ("get_cycle", {"cycle": "cycle_7"}, "known: cycle_1; open_cycle, or etude cycle, opens one"),
        ("get_evaluation", {"evaluation_id": "eval-0"}, "call evaluate_model first"),
        (
            "compare_models",
            {"champion_evaluation": "eval-1", "candidate_evaluations": ["eval-0"]},
            "call evaluate_model",
        ),
        ("evaluate_model", {"cycle": CYCLE, "model": "student-0123456789ab"}, "list_models shows all"),
        ("augment_dataset", {"plan_id": "augment-0"}, "call plan_augmentation first"),
        ("publish_dataset", {"dataset": "small", "dataset_version": VERSION}, "list_datasets shows the newest"),
        ("start_retrain", {"plan_id": "retrain-0"}, "call plan_retrain"),
        ("get_job", {"job_id": "train-0"}, "start_retrain starts one"),
        ("cancel_job", {"job_id": "train-0"}, "start_retrain starts one"),
        ("rollback_model", {"dataset": "small", "reason": "a test"}, "served by the constant and has no earlier"),
        ("list_models", {"dataset": "nobody"}, "prepare_dataset makes 'demo'"),
        ("read_evidence", {"ref": f"gate:{CYCLE}"}, "call gate_candidate first"),
    ],
)
async def test_what_is_not_there_is_refused_with_the_tool_that_makes_or_lists_it(
    shop: Workshop, tool: str, arguments: dict[str, Any], way_on: str
):
    """Ours: what is known, and what to do next."""
    assert way_on in await shop.refusal(tool, **arguments)


async def test_a_closed_cycle_takes_no_step_more(shop: Workshop):
    """Ours: what its report says stays true."""
    await shop.call("evaluate_model", cycle=CYCLE, model="constant")
    await shop.call("diagnose_dataset", cycle=CYCLE)
    plan = await shop.call("plan_retrain", cycle=CYCLE, changes=[CHANGE])
    await shop.call("write_report", cycle=CYCLE, stop_reason="a test")

    said = [await shop.refusal(tool, cycle=CYCLE, **arguments) for tool, arguments in OF_A_CYCLE]
    said.append(await shop.refusal("start_retrain", plan_id=plan["plan_id"]))

    assert all(f"{CYCLE} is closed and changes no more; call open_cycle for the next one" in words for words in said)
    assert (await shop.call("get_cycle", cycle=CYCLE))["verdict"] == "stopped"


async def test_a_plan_from_before_the_new_rows_is_not_trained(shop: Workshop, world: World):
    """Ours: a training is on the newest rows, and one that was asked for before is planned again."""
    await _diagnosed(shop, world)
    early = await shop.call("plan_retrain", cycle=CYCLE, changes=[])
    rows = await shop.call("plan_augmentation", cycle=CYCLE, focus_dimensions=[], new_rows=10)
    labels = [dict.fromkeys(world.task.names, value) for value in (20.0, 50.0, 80.0)]
    drafts = [
        Draft(f"a {word} song about {word} ships", (label,), None, {})
        for word, label in zip(WORDS, labels, strict=False)
    ]
    async with Client(build_augment(world.workspace, world.task, teacher=ScriptedTeacher(drafts)).server) as maker:
        made = await call(maker, "augment_dataset", plan_id=rows["plan_id"])

    stale = await shop.refusal("start_retrain", plan_id=early["plan_id"])
    found = world.workspace.cycle_dir(CYCLE) / "diagnosis.json"
    write_json(found, json.loads(found.read_text(encoding="utf-8")) | {"verdict": "train"})
    led_to = await shop.follow(CYCLE, until="plan_retrain")  # which is next, though there is a plan
    again = await shop.call("plan_retrain", cycle=CYCLE, changes=[])

    assert led_to == ["write_playbook"]
    assert made["added"] > 0 and made["dataset_version"] in stale and "call plan_retrain again" in stale
    assert again["dataset_version"] == made["dataset_version"] and again["plan_id"] != early["plan_id"]


async def test_a_verdict_before_there_are_new_rows_still_leads_to_the_end(shop: Workshop, world: World):
    """Bug: the list named plan_augmentation, which a judged cycle refuses, and so the cycle could never be closed."""
    await _diagnosed(shop, world)
    trained = await _trained(shop, CHANGE)
    other = await shop.refusal("plan_retrain", cycle=CYCLE, changes=[{**CHANGE, "value": 3}])
    await shop.call("evaluate_model", cycle=CYCLE, model=trained)
    verdict = await shop.call("gate_candidate", cycle=CYCLE, candidate=trained)
    await shop.follow(CYCLE)
    closed = await shop.call("get_cycle", cycle=CYCLE)

    following = (await shop.call("open_cycle", dataset="small"))["cycle"]
    await shop.call("evaluate_model", cycle=following, model=trained)
    old = await shop.refusal("gate_candidate", cycle=following, candidate=trained)

    assert "one candidate a cycle is judged" in other and closed["closed"]
    assert closed["verdict"] == verdict["outcome"] and verdict["outcome"] != "promote"
    assert f"was trained in {CYCLE}" in old


async def test_after_the_verdict_nothing_is_planned_or_made_any_more(shop: Workshop, world: World):
    """Ours: one candidate a cycle is judged, so what comes after the verdict belongs to the next cycle."""
    await _diagnosed(shop, world)
    plan = await shop.call("plan_retrain", cycle=CYCLE, changes=[])
    rows = await shop.call("plan_augmentation", cycle=CYCLE, focus_dimensions=[], new_rows=10)
    _judged(world, "hold", fit=True)

    said = [
        await shop.refusal("plan_augmentation", cycle=CYCLE, focus_dimensions=["warmth"]),
        await shop.refusal("augment_dataset", plan_id=rows["plan_id"]),
        await shop.refusal("plan_retrain", cycle=CYCLE, changes=[CHANGE]),
        await shop.refusal("start_retrain", plan_id=plan["plan_id"]),
    ]
    _judged(world, "hold", fit=False)
    mended = await shop.call("plan_retrain", cycle=CYCLE, changes=[CHANGE])

    assert all("cycle_1 has its verdict, 'hold' on 'student-0123456789ab'" in words for words in said)
    assert all("end it as get_cycle says, and call open_cycle" in words for words in said)
    assert mended["plan_id"] != plan["plan_id"]  # a candidate that was not fit for service may come back mended


async def test_a_server_for_another_task_measures_nothing_of_this_one(shop: Workshop, world: World):
    """Bug: the tools failed without a word where the task's dimensions are not the rows'."""
    evaluation = (await shop.call("evaluate_model", cycle=CYCLE, model="constant"))["evaluation_id"]
    rule = (await shop.call("evaluate_model", cycle=CYCLE, model="rule"))["evaluation_id"]
    other = load_task(str(Path(__file__).parent.parent / "examples" / "trails" / "task.toml"))
    async with Client(build_eval(world.workspace, other).server) as judge:
        said = [
            await refusal(judge, "evaluate_model", cycle=CYCLE, model="rule"),
            await refusal(judge, "diagnose_dataset", cycle=CYCLE),
            await refusal(judge, "gate_candidate", cycle=CYCLE, candidate="rule"),
            await refusal(judge, "list_failures", evaluation_id=evaluation, dimension=other.names[0]),
            await refusal(judge, "compare_models", champion_evaluation=evaluation, candidate_evaluations=[rule]),
        ]

    assert all("dataset 'small' is of task 'kotone', not of 'trails'" in words for words in said)


async def _diagnosed(shop: Workshop, world: World) -> None:
    """Take the cycle as far as its diagnosis."""
    for model in ("constant", "rule"):
        await shop.call("evaluate_model", cycle=CYCLE, model=model)
    calls = await world.replies((await shop.call("get_cycle", cycle=CYCLE))["next_steps"])
    await shop.call("record_context", cycle=CYCLE, server=STAND_IN, calls=calls)
    await shop.call("diagnose_dataset", cycle=CYCLE)


async def _trained(shop: Workshop, change: dict[str, Any]) -> str:
    """The model that a plan with one change makes."""
    plan = await shop.call("plan_retrain", cycle=CYCLE, changes=[change])
    job = await shop.call("start_retrain", plan_id=plan["plan_id"])
    while job["model"] is None:
        job = await shop.call("get_job", job_id=job["job_id"], wait_s=20)
    return str(job["model"])


def _judged(world: World, outcome: str, fit: bool) -> None:
    """Leave a verdict, as gate_candidate does."""
    gate = {
        "schema": 1, "verdict_id": "verdict-0123456789ab", "cycle": CYCLE, "candidate": "student-0123456789ab",
        "champion": "constant", "outcome": outcome, "reason": "a test",
        "checks": [{"name": "p95_latency_ms", "passed": fit, "detail": "a test"}],
    }  # fmt: skip
    write_json(world.workspace.cycle_dir(CYCLE) / "gate.json", gate)


async def test_a_cycle_is_not_closed_over_a_training_that_is_under_way(shop: Workshop):
    """Ours: a job that goes on for a closed cycle costs what nobody will look at."""
    await shop.call("evaluate_model", cycle=CYCLE, model="constant")
    await shop.call("diagnose_dataset", cycle=CYCLE)
    plan = await shop.call("plan_retrain", cycle=CYCLE, changes=[CHANGE])
    job = await shop.call("start_retrain", plan_id=plan["plan_id"])
    refused = await shop.refusal("write_report", cycle=CYCLE, stop_reason="enough")
    await shop.call("cancel_job", job_id=job["job_id"])
    closed = await shop.call("write_report", cycle=CYCLE, stop_reason="enough")

    assert f"{job['job_id']} is under way" in refused and "cancel_job" in refused
    assert closed["verdict"] == "stopped"
