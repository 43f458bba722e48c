"""What ways of making a candidate did, told by the server, found by a search, and acted on by the next cycle."""

from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from servers.core.campaign import WAYS, Cause, Way, Worked
from servers.playbook.policies import Policy, concerning
from servers.playbook.server import build_room
from servers.playbook.suggesting import CHANGES, suggested, untried, ways_to_try
from tests.campaign_world import FOCUS, CampaignWorld
from tests.workshop import call, refusal

REPLAY_HARMED: dict[Way, list[float]] = {
    "more": [-0.6, -0.6],
    "focused": [-1.5, -1.4],
    "focused_replay": [-0.26, -0.24],
}
REPLAY_HELPED: dict[Way, list[float]] = {
    "more": [-0.6, -0.6],
    "focused": [-0.9, -0.8],
    "focused_replay": [-2.1, -2.0],
}


def entry(way: Way, worked: Worked, difference: float, cycle: str = "cycle_1", **more: Any) -> Policy:
    known = {
        "way": way, "focus_dimensions": [], "rows_added": 0, "rows_replayed": 0, "changes": {}, "seeds": 2,
        "difference": difference, "standard_error": 0.1, "p": 0.001, "worked": worked, "cause": None, "evaluations": [],
        "cycle": cycle, "dataset": "small", "task": "kotone", "teacher": None, "held_over": 0,
        "champion_evaluation": "eval-0", "gate": None,
    }  # fmt: skip
    return Policy.model_validate(known | more)


def cause(worked: Worked) -> Cause:
    return Cause(against="focused", difference=0.5, standard_error=0.1, p=0.001, worked=worked)


def test_where_nothing_is_known_rows_are_aimed_and_the_recipe_is_kept():
    """Ours: the policy of a first cycle."""
    found = suggested([], FOCUS, {}, False, "student")

    assert found is not None and (found.way, found.replay_rows, found.changes) == ("focused", None, [])


def test_a_way_that_harmed_is_not_taken_again_until_it_is_shown_to_help():
    """Ours: the newest shown result of a way counts; one that shows nothing changes nothing."""
    harmed = entry("focused", "harmed", 0.8)
    unclear = entry("focused", "not shown", -0.1, "cycle_2")
    helped = entry("focused", "helped", -0.9, "cycle_3")

    ways = [
        suggested(known, FOCUS, {}, False, "student")
        for known in ([harmed], [harmed, unclear], [harmed, unclear, helped])
    ]

    assert [found and found.way for found in ways] == ["more", "more", "focused"]
    assert ways[0] is not None and "focused harmed in cycle_1: +0.80 ± 0.10 points over 2 seeds" in ways[0].why


def test_where_every_kind_of_new_row_harmed_another_recipe_is_left_and_then_nothing():
    """Ours: recipes are tried one after the other, and a cycle that knows no way stops."""
    harmed = [entry("focused", "harmed", 0.8), entry("more", "harmed", 0.5)]
    recipe = suggested(harmed, FOCUS, {}, False, "student")
    hopeless = suggested([*harmed, entry("no_new_data", "harmed", 0.2)], FOCUS, {}, False, "student")

    assert recipe is not None and recipe.way == "no_new_data"
    assert [change["name"] for change in recipe.changes] == [CHANGES["student"][0][0][0]]
    assert hopeless is None


def test_replay_and_another_recipe_need_proof_of_their_own():
    """Ours: the aim may have done it all, so a better mean alone is no reason to replay."""
    aimed = entry("focused", "helped", -1.0)
    changed = {"changes": {"min_texts": 2.0}}
    unproven = [
        aimed,
        entry("focused_replay", "helped", -1.3, cause=cause("not shown"), rows_replayed=15),
        entry("hyperparameters", "helped", -1.2, cause=cause("not shown"), **changed),
    ]
    proven = [aimed, entry("hyperparameters", "helped", -1.2, cause=cause("helped"), **changed)]

    plain, other = (suggested(known, FOCUS, {}, False, "student") for known in (unproven, proven))
    has_it = suggested(proven, FOCUS, {"min_texts": 2}, False, "student")

    assert plain is not None and plain.way == "focused"
    assert other is not None and other.way == "hyperparameters"
    assert [(change["name"], change["value"]) for change in other.changes] == [("min_texts", 2.0)]
    assert has_it is not None and (has_it.way, has_it.changes) == ("focused", [])


def test_a_task_that_asks_for_replay_is_told_no_once_it_harmed():
    """Ours: the task's file decides as long as nothing is known."""
    known = [entry("focused", "helped", -1.0), entry("focused_replay", "helped", -0.4, cause=cause("harmed"))]

    before, after = (
        suggested(entries, FOCUS, {}, replays_by_default=True, family="student") for entries in ([], known)
    )

    assert before is not None and before.replay_rows is None
    assert after is not None and (after.way, after.replay_rows) == ("focused", 0)


def test_a_single_cycle_does_not_rank_ways_that_met_another_champion():
    """Ours: gains shrink from cycle to cycle, so figures of two cycles say nothing about two ways."""
    known = [
        entry("focused", "helped", -1.8),
        entry("more", "helped", -1.5),
        entry("focused", "helped", -0.7, "cycle_2", seeds=1),
    ]

    found = suggested(known, FOCUS, {}, False, "student")

    assert found is not None and found.way == "focused"


def test_a_way_that_harmed_since_gives_way_to_the_next_best():
    """Ours: a campaign ranks, and a later cycle may take a way out of its ranking."""
    known = [
        entry("focused", "helped", -1.8),
        entry("more", "helped", -1.5),
        entry("focused", "harmed", 0.7, "cycle_2", seeds=1),
    ]

    found = suggested(known, FOCUS, {}, False, "student")

    assert found is not None and found.way == "more"


def test_a_campaign_leaves_out_what_harmed_in_the_last_one_and_tries_it_in_the_next():
    """Ours: evidence may turn, and nothing is given up for ever."""
    changes = untried([], {}, "student")
    first = [entry(way, "harmed" if way == "more" else "helped", 0.1) for way in WAYS]
    second = [entry(way, "helped", -0.1, "cycle_2") for way in WAYS if way != "more"]

    assert ways_to_try([], FOCUS, changes) == list(WAYS)
    assert ways_to_try(first, FOCUS, changes) == [way for way in WAYS if way != "more"]
    assert ways_to_try([*first, *second], FOCUS, changes) == list(WAYS)
    assert ways_to_try([], [], []) == ["more"]


def test_a_change_is_tried_once():
    """Ours: the next campaign tries another, and none that the champion has already."""
    name, value, _ = CHANGES["student"][0][0]
    tried = [entry("no_new_data", "not shown", 0.0, changes={name: float(value)})]
    every = [entry("other", "harmed", 1.0, changes={n: float(v)}) for ((n, v, _),) in CHANGES["student"]]

    assert untried(tried, {}, "student") == untried([], {name: value}, "student")
    assert untried(tried, {}, "student") != untried([], {}, "student")
    assert untried(every, {}, "student") == []


def test_an_adapter_is_offered_the_first_projects_second_recipe():
    """Ours: smaller steps and a pass more are one change, and each says why; the recipes are its own."""
    served = {"learning_rate": 2e-5, "epochs": 2, "lora_r": 16, "lora_alpha": 32, "lora_dropout": 0.05}
    of_student = entry("hyperparameters", "helped", -0.5, cause=cause("helped"), changes={"min_texts": 2.0})
    offered = untried([of_student], served, "lora")

    assert [(change["name"], change["value"]) for change in offered] == [("learning_rate", 1.2e-5), ("epochs", 3)]
    assert all(change["reason"] for change in offered)
    again = [entry("hyperparameters", "helped", -0.5, changes={"learning_rate": 1.2e-5, "epochs": 3.0})]
    assert [change["name"] for change in untried(again, served, "lora")] == ["lora_r"]
    assert [change["name"] for change in untried([], served | {"epochs": 3}, "lora")] == ["learning_rate"]
    for known in ([of_student, entry("focused", "harmed", 0.4)], []):
        found = suggested(known, FOCUS, served, False, "lora")
        assert found is not None and not {"min_texts"} & {change["name"] for change in found.changes}
    aimed, proven = entry("focused", "helped", -0.2), again[0].model_copy(update={"cause": cause("helped")})
    own, others = (suggested([aimed, one], FOCUS, served, False, "lora") for one in (proven, of_student))
    assert own is not None and [change["value"] for change in own.changes] == [1.2e-5, 3.0]
    assert others is not None and (others.way, others.changes) == ("focused", [])


def test_evidence_of_the_dataset_goes_before_that_of_its_task():
    """Ours: another dataset's ways count only where this one has none."""
    here, there = entry("more", "helped", -1.0), entry("more", "harmed", 1.0, dataset="other")

    assert concerning([here, there], "small", "kotone") == [here]
    assert concerning([here, there], "third", "kotone") == [here, there]
    assert concerning([here, there], "third", "trails") == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("changes", "arguments", "words"),
    [
        (REPLAY_HARMED, {}, "without replay, which harmed in cycle_1 (+1.20"),
        (REPLAY_HELPED, {"replay_rows": 2}, "focused_replay did best in"),
    ],
)
async def test_the_next_cycle_does_what_the_campaign_showed(
    tmp_path: Path, changes: dict[Way, list[float]], arguments: dict[str, Any], words: str
):
    """Ours: replay harmed and the aim helped, so the next cycle aims without replay; contrary evidence the contrary."""
    world = CampaignWorld(tmp_path)
    async with world.playbook() as playbook:
        cycle = await world.campaigned(changes)
        await call(playbook, "write_report", cycle=cycle, stop_reason="the machine is needed")
        following = await world.opened(campaign=False)
        state = await call(playbook, "get_cycle", cycle=following)
        found = await call(playbook, "search_playbook", **state["next_steps"][0]["arguments"])

    search, plan = state["next_steps"]
    assert (search["tool"], plan["tool"]) == ("search_playbook", "plan_augmentation")
    assert len(plan["arguments"].pop("focus_dimensions")) == 2
    assert plan["arguments"] == {"cycle": following, **arguments}
    assert words in plan["why"]
    assert {policy["way"]: policy["worked"] for policy in found["policies"]} == dict.fromkeys(changes, "helped")
    assert all(policy["cycle"] == cycle for policy in found["policies"])


@pytest.mark.anyio
async def test_entries_are_found_by_what_they_say_a_page_at_a_time(tmp_path: Path):
    """Ours: newest cycle first, the surest of a cycle first; lessons only by words."""
    world = CampaignWorld(tmp_path)
    async with world.playbook() as playbook:
        for changes in (REPLAY_HARMED, REPLAY_HELPED):
            cycle = await world.campaigned(changes)
            await call(playbook, "write_report", cycle=cycle, stop_reason="the machine is needed")
        everything = await call(playbook, "search_playbook", dataset="small")
        first = await call(playbook, "search_playbook", task="kotone", limit=4)
        rest = await call(playbook, "search_playbook", task="kotone", limit=4, offset=first["next_offset"])
        one_way = await call(playbook, "search_playbook", way="more", worked="helped")
        aimed = await call(playbook, "search_playbook", dimension="warmth")
        by_words = await call(playbook, "search_playbook", query="replay")
        none = await call(playbook, "search_playbook", dataset="other")
        behind = await refusal(playbook, "search_playbook", offset=6)

    policies = everything["policies"]
    assert [policy["cycle"] for policy in policies] == ["cycle_2"] * 3 + ["cycle_1"] * 3
    assert [policy["p"] for policy in policies[:3]] == sorted(policy["p"] for policy in policies[:3])
    assert first["policies"] + rest["policies"] == policies and rest["next_offset"] is None and first["total"] == 6
    assert [policy["way"] for policy in one_way["policies"]] == ["more", "more"]
    assert {policy["way"] for policy in aimed["policies"]} == {"focused", "focused_replay"}
    assert {policy["way"] for policy in by_words["policies"]} == {"focused_replay"}
    assert none["total"] == 0 and none["policies"] == [] and everything["entries"] == []
    assert "offset 6 lies behind the last of 6 entries" in behind


@pytest.mark.anyio
@pytest.mark.parametrize(("moved", "kept"), [(0.8, False), (0.02, True)])
async def test_rows_that_harmed_are_taken_back_and_others_stay_for_the_next_cycle(
    tmp_path: Path, moved: float, kept: bool
):
    """Ours: a candidate that is not promoted leaves its rows, unless it is shown worse on the diagnose rows."""
    world = CampaignWorld(tmp_path)
    before = world.head
    cycle = await world.opened(campaign=False)
    model = await world.one_candidate(cycle, moved)
    after = world.head
    async with world.playbook() as playbook:
        await call(playbook, "write_report", cycle=cycle, stop_reason="the machine is needed")

    (entry,) = world.file("loop", cycle, "playbook.json")["policies"]
    assert (entry["way"], entry["seeds"], entry["evaluations"]) == ("focused", 1, [model.replace("student", "eval")])
    assert entry["worked"] == ("not shown" if kept else "harmed") and entry["difference"] == pytest.approx(moved)
    assert world.file("loop", cycle, "summary.json")["rows_kept"] is kept
    assert world.head == (after if kept else before) and after != before
    assert ("take the new rows back" in world.text("loop", cycle, "decision_log.md")) is not kept


@pytest.mark.anyio
async def test_an_entry_says_how_it_was_found_out(tmp_path: Path):
    """Ours: figures from the stored evaluations, with what the candidates were made of."""
    world = CampaignWorld(tmp_path)
    cycle = await world.campaigned(REPLAY_HARMED)
    async with Client(build_room(world.workspace, world.task).server) as playbook:
        await call(playbook, "write_report", cycle=cycle, stop_reason="the machine is needed")

    entries = {found["way"]: found for found in world.file("loop", cycle, "playbook.json")["policies"]}
    replay = entries["focused_replay"]
    assert replay["difference"] == pytest.approx(-0.25) and replay["worked"] == "helped"
    assert replay["cause"]["against"] == "focused" and replay["cause"]["difference"] == pytest.approx(1.2)
    assert replay["cause"]["worked"] == "harmed"
    assert (replay["seeds"], replay["rows_added"], replay["rows_replayed"]) == (2, 1, 2)
    assert replay["teacher"] == "recombination" and replay["gate"] is None
    champion = world.evaluations.get(replay["champion_evaluation"])
    mean = sum(world.evaluations.get(one).metrics["vector_mae"] or 0 for one in replay["evaluations"]) / 2
    assert replay["difference"] == pytest.approx(mean - (champion.metrics["vector_mae"] or 0))
