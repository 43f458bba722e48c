"""A campaign: several ways are compared on the diagnose rows, and one candidate of the best goes on."""

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcp import Client

from servers.augment.server import build_room as build_augment
from servers.core.campaign import WAYS, Campaign, Way
from servers.core.dataset import DatasetStore
from servers.core.disk import write_json
from servers.core.effects import LEVEL, effect
from servers.core.job_files import CampaignSpec, is_same_work
from servers.core.services import Services
from servers.core.settings import JobsSettings, ModelSettings, Settings
from servers.eval.server import build_room as build_eval
from servers.retrain.planning import train_spec
from servers.retrain.server import build_room as build_retrain
from tests.campaign_world import CHANGE, FOCUS, CampaignWorld
from tests.doubles.price_list import PriceList
from tests.workshop import call, refusal

pytestmark = pytest.mark.anyio


async def due(world: CampaignWorld, cycle: str) -> list[dict[str, Any]]:
    async with world.playbook() as playbook:
        steps: list[dict[str, Any]] = (await call(playbook, "get_cycle", cycle=cycle))["next_steps"]
    return steps


async def test_a_plan_tries_every_way_so_that_each_differs_by_one_thing(tmp_path: Path):
    """Ours: aimed ways share their rows seed by seed; without new rows there is one arm, the student is not random."""
    world = CampaignWorld(tmp_path)
    cycle = await world.opened()
    step = (await due(world, cycle))[0]
    campaign = await world.planned(cycle)
    again = await world.planned(cycle)

    assert step["tool"] == "plan_campaign" and step["arguments"]["ways"] == list(WAYS)
    assert [arm.arm for arm in campaign.arms] == [
        "more-1", "more-2", "focused-1", "focused-2", "focused_replay-1", "focused_replay-2",
        "hyperparameters-1", "hyperparameters-2", "no_new_data-1",
    ]  # fmt: skip
    rows = {found.name: found for found in campaign.rows}
    assert rows["focused-1"].seed == rows["focused_replay-1"].seed != rows["focused-2"].seed
    assert [rows[name].spec["replay_rows"] for name in ("focused-1", "focused_replay-1")] == [0, 2]
    assert [rows[name].spec["focus_dimensions"] for name in ("more-1", "focused-1")] == [[], FOCUS]
    by_arm = {arm.arm: arm for arm in campaign.arms}
    assert by_arm["hyperparameters-2"].rows == "focused-2" and by_arm["no_new_data-1"].rows is None
    assert [bool(by_arm[arm].changes) for arm in ("focused-1", "hyperparameters-1", "no_new_data-1")] == [0, 1, 1]
    assert again == campaign


async def test_each_kind_of_cycle_takes_its_own_plans(tmp_path: Path):
    """Ours: a refusal names the plan that fits, and what was begun is not planned anew."""
    world = CampaignWorld(tmp_path)
    cycle = await world.opened()
    async with (
        Client(build_augment(world.workspace, world.task).server) as augment,
        Client(build_retrain(world.workspace, world.task).server) as retrain,
    ):
        rows = await refusal(augment, "plan_augmentation", cycle=cycle, focus_dimensions=[])
        training = await refusal(retrain, "plan_retrain", cycle=cycle, changes=[])
        given = {"cycle": cycle, "focus_dimensions": FOCUS}
        unknown = await refusal(augment, "plan_campaign", **given, changes=[CHANGE | {"name": "depth"}])
        one_way = await refusal(augment, "plan_campaign", **given, changes=[], ways=["more", "no_new_data"])
        campaign = await world.planned(cycle)
        too_soon = await refusal(retrain, "start_retrain", plan_id=campaign.plan_id)
        world.made(cycle)
        late = await refusal(augment, "plan_campaign", **given, changes=[])
        async with world.playbook() as playbook:
            await call(playbook, "write_report", cycle=cycle, stop_reason="the machine is needed")
        plain = await world.opened(campaign=False)
        not_one = await refusal(augment, "plan_campaign", **given | {"cycle": plain}, changes=[CHANGE])

    words = f"{cycle} is a campaign; plan_campaign plans the rows and trainings of all its ways"
    assert rows.endswith(words) and training.endswith(words)
    assert "no hyperparameter 'depth'" in unknown
    assert "1 ways are left to compare" in one_way and "no_new_data: no hyperparameter change was given" in one_way
    assert "call augment_dataset with it first" in too_soon
    assert f"has begun to carry out {campaign.plan_id}" in late
    assert f"{plain} trains one candidate; call plan_augmentation" in not_one


async def test_the_best_way_goes_on_by_its_first_seed_and_not_by_the_luckiest_of_all(tmp_path: Path):
    """Ours: the best of many draws promises more than it keeps."""
    world = CampaignWorld(tmp_path)
    ways: dict[Way, list[float]] = {"more": [-1.0, -1.1], "focused": [-2.0, 0.1]}
    before = world.head
    cycle = await world.opened()
    campaign = await world.planned(cycle, ways=list(ways))
    world.made(cycle)
    world.trained(cycle)
    world.measured(cycle, ways)
    untouched = world.head
    result = await world.chosen(cycle)
    again = await world.chosen(cycle)
    async with Client(build_eval(world.workspace, world.task).server) as judge:
        other = await refusal(judge, "gate_candidate", cycle=cycle, candidate=campaign.arms[2].model_id)

    assert [way["way"] for way in result["ways"]] == ["more", "focused"] and result["to_gate"]
    assert result["chosen"]["arm"] == "more-1" and again == result
    assert untouched == before and world.head == result["chosen"]["dataset_version"] != before
    assert f"{cycle} chose {campaign.arms[0].model_id!r} for the gate, not {campaign.arms[2].model_id!r}" in other
    spec = world.file("loop", cycle, "augmentation_spec.json")
    assert spec["plan_id"] == campaign.rows[0].spec["plan_id"] and spec["versions"]["to_version"] == world.head
    assert world.file("loop", cycle, "hparam_patch.json")["plan_id"] == campaign.plan_id
    assert len(world.text("loop", cycle, "generated_augmented_pairs.jsonl").splitlines()) == 1
    assert [step["tool"] for step in await due(world, cycle)] == ["write_playbook"]  # remedies come before the gate


@pytest.mark.parametrize(
    ("ways", "kept", "words"),
    [
        ({"more": [0.0, -0.2], "focused": [0.2, 0.3]}, True, "its rows are kept for the next cycle"),
        ({"more": [0.2, 0.1], "focused": [0.2, 0.3]}, False, "nothing is kept"),
    ],
)
async def test_a_verdict_is_saved_where_the_chosen_candidate_is_not_shown_better(
    tmp_path: Path, ways: dict[Way, list[float]], kept: bool, words: str
):
    """Ours: each verdict that is asked makes the next harder to pass, so it is asked for what the open rows show."""
    world = CampaignWorld(tmp_path)
    before = world.head
    cycle = await world.campaigned(ways)
    result = world.file("loop", cycle, "campaign_result.json")
    steps = await due(world, cycle)
    async with world.playbook() as playbook:
        for step in steps:
            await call(playbook, step["tool"], **step["arguments"])
    summary = world.file("loop", cycle, "summary.json")

    assert not result["to_gate"] and words in result["reason"] and "the verdict is saved" in result["reason"]
    assert (world.head != before) == kept == (result["chosen"] is not None)
    assert steps[-1]["tool"] == "write_report" and steps[-1]["arguments"]["stop_reason"] == result["reason"]
    assert summary["verdict"] == "stopped" and summary["gate"] is None
    assert (summary["rows_added"] is not None) == kept
    assert [way["way"] for way in summary["campaign"]["ways"]] == [way["way"] for way in result["ways"]]
    assert [file.read_text() for file in world.workspace.sealed_root.rglob("verdicts.jsonl")] == [""]


async def test_a_candidate_pays_for_the_ways_that_it_was_chosen_from(tmp_path: Path):
    """Ours: what one candidate alone would show is not enough for the best of two."""
    world = CampaignWorld(tmp_path)
    cycle = await world.campaigned({"more": [-0.06, -0.06], "focused": [0.5, 0.5]})
    result = world.file("loop", cycle, "campaign_result.json")
    champion, own = (
        world.evaluations.rows(found) for found in (result["champion_evaluation"], result["chosen"]["evaluation_id"])
    )
    errors = (np.array([[row.mae_raw for row in rows]]) for rows in (own, champion))

    alone = effect(*errors, np.arange(len(own))).p
    assert LEVEL / 2 < alone < LEVEL and not result["to_gate"]


async def test_a_campaign_whose_teacher_is_not_trusted_goes_on_with_what_needs_no_rows(tmp_path: Path):
    """Ours: a teacher that says no costs the ways that need it; where nothing is left its words are the reason."""
    world = CampaignWorld(tmp_path)
    cycle = await world.opened()
    await world.planned(cycle)
    campaign = world.made(cycle, added=0, distrusted="recombination is not trusted here: it harms")
    started = (await due(world, cycle))[0]
    world.trained(cycle)
    world.measured(cycle, {"no_new_data": [-0.5]}, noise=0.1)
    result = await world.chosen(cycle)
    async with world.playbook() as playbook:
        await call(playbook, "write_report", cycle=cycle, stop_reason="the machine is needed")
    second = await world.opened()
    await world.planned(second, ways=["more", "focused"])
    world.made(second, added=0, distrusted="recombination is not trusted here: it harms")
    stopped = (await due(world, second))[-1]

    assert [arm.arm for arm in campaign.trainable] == ["no_new_data-1"]
    assert started["tool"] == "start_retrain" and started["arguments"] == {"plan_id": campaign.plan_id}
    assert result["chosen"]["arm"] == "no_new_data-1" and result["to_gate"]
    assert not (world.workspace.cycle_dir(cycle) / "augmentation_spec.json").exists()
    assert world.file("loop", cycle, "playbook.json")["policies"][0]["teacher"] is None
    assert stopped["arguments"]["stop_reason"] == "recombination is not trusted here: it harms"


async def test_a_cycle_of_one_candidate_goes_on_without_rows_by_another_recipe(tmp_path: Path):
    """Ours: no row is no reason to stop while a recipe is untried, and the reason is told."""
    world = CampaignWorld(tmp_path)
    cycle = await world.opened(campaign=False)
    async with Client(build_augment(world.workspace, world.task).server) as augment:
        await call(augment, "plan_augmentation", cycle=cycle, focus_dimensions=FOCUS)
    spec = world.file("loop", cycle, "augmentation_spec.json")
    outcome = {"written": 0, "added": 0, "replayed": 0, "dropped": {}, "examples_of_dropped": {}}
    world.leave(cycle, "augmentation_spec.json", spec | {"outcome": outcome | {"distrusted": "it is not trusted"}})
    remedies = (await due(world, cycle))[0]
    async with world.playbook() as playbook:
        await call(playbook, "write_playbook", **remedies["arguments"])
    plan = (await due(world, cycle))[0]

    assert {remedy["change"] for remedy in remedies["arguments"]["remedies"]} == {"trained anew with another recipe"}
    assert plan["tool"] == "plan_retrain" and len(plan["arguments"]["changes"]) == 1
    assert plan["why"] == "it is not trusted; another recipe is left to try"


async def test_a_choice_that_was_cut_short_is_made_again_and_the_same(tmp_path: Path):
    """Ours: what it decides by is on disk, and its own document comes last."""
    world = CampaignWorld(tmp_path)
    ways: dict[Way, list[float]] = {"more": [-1.0, -1.1], "focused": [-2.0, -1.9]}
    cycle = await world.opened()
    await world.planned(cycle, ways=list(ways))
    world.made(cycle)
    world.trained(cycle)
    world.measured(cycle, ways)
    folder = world.workspace.cycle_dir(cycle)
    async with Client(build_eval(world.workspace, world.task).server) as judge:
        for name in ("augmentation_spec.json", "hparam_patch.json", "campaign_result.json"):
            (folder / name).unlink(missing_ok=True)
            (folder / name).mkdir()
            assert "Error executing tool" in await refusal(judge, "choose_candidate", cycle=cycle)
            (folder / name).rmdir()
            assert (await due(world, cycle))[0]["tool"] == "choose_candidate"
        result = await call(judge, "choose_candidate", cycle=cycle)

    assert result["chosen"]["arm"] == "focused-1" and world.head == result["chosen"]["dataset_version"]
    assert world.file("loop", cycle, "augmentation_spec.json")["versions"]["to_version"] == world.head


async def test_every_run_of_a_campaign_stands_in_one_table_failures_included(tmp_path: Path):
    """Ours: the first project's snapshot and hard dimensions, from the evaluations; a failed run has no figures."""
    world = CampaignWorld(tmp_path)
    cycle = await world.opened()
    await world.planned(cycle, ways=["more", "focused", "no_new_data"])
    campaign = world.made(cycle)
    lost = next(arm for arm in campaign.arms if arm.arm == "focused-2")
    world.trained(cycle)
    done = world.file("jobs", campaign.plan_id, "result.json")
    done["models"].remove(lost.model_id)
    write_json(world.workspace.job_dir(campaign.plan_id) / "result.json", done | {"failed": {lost.job_id: "no"}})
    (world.workspace.job_dir(lost.job_id) / "result.json").unlink()
    world.measured(cycle, {"more": [-0.5, -0.4], "focused": [-1.5, -1.4], "no_new_data": [0.1]})
    (evaluation,) = [e for e in world.evaluations.all() if e.model == lost.model_id]
    shutil.rmtree(world.workspace.evaluation_dir(evaluation.evaluation_id))
    await world.chosen(cycle)

    folder = world.workspace.cycle_dir(cycle)
    runs = world.file("loop", cycle, "campaign_validation_snapshot.json")["runs"]
    assert [run["arm"] for run in runs] == [
        "constant", "rule", "more-1", "more-2", "focused-1", "focused-2", "no_new_data-1",
    ]  # fmt: skip
    dimensions = [f"mae_raw_{name}" for name in world.task.names]
    for run in runs:
        assert list(run) == [
            "run_id", "run_name", "group", "state", "url", "created_at", "arm", "error", "mae_raw", "mse_raw",
            *dimensions,
        ]  # fmt: skip
        assert run["group"] == cycle and (run["mae_raw"] is None) == (run["arm"] == "focused-2")
        assert run["state"] == ("failed" if run["arm"] == "focused-2" else "finished")
    assert runs[5]["run_id"] == lost.job_id and "ended without a result" in runs[5]["error"]
    with (folder / "campaign_validation_snapshot.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["run_id"] for line in lines] == [run["run_id"] for run in runs] and lines[5]["mae_raw"] == ""
    assert float(lines[2]["mae_raw"]) == pytest.approx(runs[2]["mae_raw"])

    hard = world.file("loop", cycle, "campaign_hard_dims.json")
    candidates = [run for run in runs[2:] if run["state"] == "finished"]
    for name in world.task.names:
        everywhere = [run[f"mae_raw_{name}"] for run in candidates]
        assert hard["aggregate_dim_mae_raw"][name] == pytest.approx(sum(everywhere) / len(everywhere), abs=1e-5)
        assert hard["aggregate_hard_case_dim_mae_raw"][name] >= hard["aggregate_dim_mae_raw"][name] - 1e-5
    assert len(hard["recommended_focus_dims"]) == 2 and set(hard["recommended_focus_dims"]) <= set(world.task.names)


async def test_a_campaign_of_adapters_has_their_recipe_and_every_seed(tmp_path: Path):
    """Ours: an adapter is random, so another recipe alone is tried with several seeds, too; a student's is not."""
    world = CampaignWorld(tmp_path)
    cycle = await world.opened()
    opened = world.file("loop", cycle, "cycle.json")
    world.leave(cycle, "cycle.json", opened | {"backends": opened["backends"] | {"model": "a/base"}})
    services = Services(Settings(model=ModelSettings(family="lora", base="a/base")))
    slower = [
        {"name": "learning_rate", "value": 1.2e-5, "reason": "smaller steps"},
        {"name": "epochs", "value": 3, "reason": "one pass more"},
    ]
    asked: dict[str, Any] = {"cycle": cycle, "focus_dimensions": FOCUS, "changes": slower}
    async with Client(build_augment(world.workspace, world.task, services).server) as client:
        plan = await call(client, "plan_campaign", **asked, ways=["focused", "hyperparameters", "no_new_data"])
    async with Client(build_augment(world.workspace, world.task).server) as client:
        other = await refusal(client, "plan_campaign", **asked)

    campaign = world.campaign(cycle)
    assert [arm.arm for arm in campaign.arms] == [
        f"{way}-{seed}" for way in ("focused", "hyperparameters", "no_new_data") for seed in (1, 2)
    ]
    assert {arm.model_id.partition("-")[0] for arm in campaign.arms} == {"lora"} and campaign.family.name == "lora"
    assert (plan["quote"]["hardware"], plan["cost_usd"], plan["quote"]["resolved"]) == ("this machine", 0.0, None)
    assert f"{cycle} trains a/base on local, and student on local is configured" in other


async def test_a_campaign_that_is_planned_again_is_quoted_at_the_price_of_now(tmp_path: Path):
    """Bug: start_retrain refused it for the changed price, and plan_campaign gave the old quote back, for ever."""
    world = CampaignWorld(tmp_path)
    cycle = await world.opened()
    opened = world.file("loop", cycle, "cycle.json")
    world.leave(cycle, "cycle.json", opened | {"backends": opened["backends"] | {"jobs": "huggingface"}})
    settings = Settings(model=ModelSettings(family="student"), jobs=JobsSettings(flavor="t4-small"))
    asked: dict[str, Any] = {"cycle": cycle, "focus_dimensions": FOCUS, "changes": [CHANGE], "seeds": 1}
    with PriceList({"t4-small": 0.01}) as prices:
        services = Services(settings, prices.environment)
        async with Client(build_augment(world.workspace, world.task, services).server) as client:
            first = await call(client, "plan_campaign", **asked)
            campaign = world.made(cycle)
            same = await call(client, "plan_campaign", **asked)
            prices.prices["t4-small"] = 0.02
            dearer = await call(client, "plan_campaign", **asked)

    again = world.campaign(cycle)
    assert same == first and again.rows == campaign.rows and again.plan_id == dearer["plan_id"] == first["plan_id"]
    assert dearer["quote"]["resolved"]["usd_per_minute"] == 0.02
    assert dearer["quote"]["approve_usd"] == pytest.approx(2 * first["quote"]["approve_usd"], abs=0.01)
    assert is_same_work(_job(world, campaign), _job(world, again))  # what failed at the old price goes on


def _job(world: CampaignWorld, campaign: Campaign) -> CampaignSpec:
    """What the campaign's job is told."""
    arms = [
        train_spec(
            world.workspace, world.task, DatasetStore(world.workspace).card("small", campaign.version(arm) or ""),
            arm.job_id, {}, arm.seed, cycle=campaign.cycle, plan_id=campaign.plan_id, quote=campaign.quote,
        )
        for arm in campaign.trainable
    ]  # fmt: skip
    return CampaignSpec(job_id=campaign.plan_id, cycle=campaign.cycle, plan_id=campaign.plan_id, arms=arms)
