"""What a training elsewhere costs: quoted, approved, reserved, tried out small, and put right by what it took."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.telling import told
from servers.core.disk import read_json, read_jsonl, write_json
from servers.core.families import FAMILIES
from servers.core.job_files import (
    RESULT,
    SPEC,
    CampaignSpec,
    TrainSpec,
    ending,
)
from servers.core.quotes import Quotes, most_usd
from servers.core.recipes import HparamChange, RetrainPlan
from servers.core.remote_note import RemoteNote, write_note
from servers.core.services import Services
from servers.core.settings import BudgetSettings, JobsSettings, ModelSettings, Settings
from servers.playbook.cycles import open_cycle
from servers.playbook.facts import facts_of
from servers.playbook.making_steps import training
from servers.retrain.paying import Paying, refuse_unapproved
from servers.retrain.planning import Planning
from tests.doubles.price_list import TOKEN, PriceList
from tests.market_world import FLAVOR, PRICE, Market, ScriptedJobs
from tests.test_retrain_server import FIRST, TASK, World, change
from tests.workshop import call, refusal

pytestmark = pytest.mark.services


@pytest.fixture
def prices() -> Iterator[PriceList]:
    with PriceList({"cpu-basic": 0.0, FLAVOR: PRICE, "t4-small": 0.01}) as listed:
        yield listed


@pytest.fixture
def market(tmp_path: Path, prices: PriceList) -> Market:
    return Market(tmp_path, prices)


@pytest.mark.anyio
async def test_a_quote_says_minutes_and_dollars_with_what_they_rest_on(market: Market):
    """Ours: hardware and price are the service's own; what it can cost at most is the time limit times the price."""
    async with market.client() as client:
        plan = await call(client, "plan_retrain", cycle=market.cycle, changes=[])

    quote = plan["quote"]
    assert quote["hardware"] == "a10g-small of Hugging Face Jobs" and quote["smoke_run"]
    assert quote["minutes_low"] < quote["minutes"] < quote["minutes_high"]
    assert 0 < quote["usd_low"] < quote["usd"] == plan["cost_usd"] < quote["usd_high"] < quote["approve_usd"]
    assert quote["timeout_s"] >= 15 * 60 and quote["timeout_s"] % 60 == 0
    assert quote["approve_usd"] == pytest.approx((quote["timeout_s"] + 1200) / 60 * PRICE, abs=0.01)
    assert quote["basis"] == "a guess, nothing was trained on a10g-small yet"
    resolved = quote["resolved"]
    assert (resolved["namespace"], resolved["flavor"], resolved["usd_per_minute"]) == ("ada", FLAVOR, PRICE)
    assert resolved["dataset_version"] == market.world.card.fingerprint and resolved["base"] is None
    assert f"about {quote['usd']:.2f} USD and at most {quote['approve_usd']:.2f}" in told("plan_retrain", plan)
    assert plan["budget_left"] == 10.0 and f"approve_usd {quote['approve_usd']:.2f}" in plan["next"]
    assert market.figures == (0.0, 0.0)


def test_the_uncertainty_shrinks_with_what_was_trained_before(market: Market):
    """Ours: past trainings of the same family on the same hardware replace the guess."""
    quotes = Quotes(market.world.workspace, market.services, FAMILIES["student"])
    guess = quotes.quote("small", "v", [(30, {})])
    for number, (seconds, flavor) in enumerate([(600.0, FLAVOR), (660.0, FLAVOR), (9999.0, "t4-small")]):
        market.world.trained(f"student-00000000000{number}")
        folder = market.world.workspace.job_dir(f"train-00000000000{number}")
        result = read_json(folder / RESULT)
        write_json(folder / RESULT, result | {"seconds": seconds})
        write_json(folder / SPEC, {"remote": {"flavor": flavor}})
    known = quotes.quote("small", "v", [(30, {})])
    twice = quotes.quote("small", "v", [(30, {}), (60, {})])

    assert known.basis == "2 earlier trainings on a10g-small" and guess.basis.startswith("a guess")
    assert known.minutes_high / known.minutes_low < guess.minutes_high / guess.minutes_low
    assert known.timeout_s >= 660 and known.minutes == pytest.approx((300 + 630 + 420) / 60, abs=0.01)
    assert twice.usd > 2 * known.usd - 0.2 and twice.approve_usd > known.approve_usd


@pytest.mark.anyio
async def test_an_unknown_price_means_no(market: Market, prices: PriceList):
    """Ours: hardware that is not listed, priced otherwise or not told is not quoted, and the words say what to do."""
    async with market.client() as client:
        del prices.prices[FLAVOR]
        unlisted = await refusal(client, "plan_retrain", cycle=market.cycle, changes=[])
        prices.prices[FLAVOR], prices.unit = PRICE, "hour"
        hourly = await refusal(client, "plan_retrain", cycle=market.cycle, changes=[])
        prices.status = 403
        untold = await refusal(client, "plan_retrain", cycle=market.cycle, changes=[])

    assert "nobody knows what 'a10g-small' costs, and an unknown cost is not spent; set flavor in [jobs]" in unlisted
    assert hourly == unlisted
    assert "Hugging Face does not say what its hardware costs" in untold and TOKEN not in untold
    assert not (market.world.workspace.cycle_dir(market.cycle) / "hparam_patch.json").exists()


@pytest.mark.anyio
async def test_a_person_types_the_quoted_amount_back_or_nothing_starts(market: Market):
    """Ours: no word, another amount or too small a budget start nothing and reserve nothing."""
    async with market.client() as client:
        plan = await call(client, "plan_retrain", cycle=market.cycle, changes=[])
        amount = plan["quote"]["approve_usd"]
        ask = {"plan_id": plan["plan_id"]}
        unasked = await refusal(client, "start_retrain", **ask)
        expected = await refusal(client, "start_retrain", **ask, approve_usd=plan["cost_usd"])
        more = await refusal(client, "start_retrain", **ask, approve_usd=amount + 0.01)
    poor = market.with_settings(budget=BudgetSettings(usd=amount - 0.01))
    with pytest.raises(ValueError, match=r"USD in the budget are left .*; raise usd in \[budget\]"):
        poor.planning.start(plan["plan_id"], amount)

    assert f"can cost up to {amount:.2f} on a10g-small" in unasked and f"approve_usd {amount:.2f}" in unasked
    assert "set approve_usd in [budget]" in unasked
    for wrong in (expected, more):
        assert f"was quoted at {amount:.2f}; type that back" in wrong
    assert market.figures == (0.0, 0.0) and not market.jobs.list()


def test_a_smoke_run_comes_first_and_its_success_leads_on(market: Market):
    """Ours: the same code with few rows; the whole amount is reserved at once, and get_cycle leads on by itself."""
    plan = market.planning.plan(market.cycle, [])
    assert plan.quote is not None
    amount = plan.quote.approve_usd

    smoke = market.planning.start(plan.plan_id, amount)
    again = market.planning.start(plan.plan_id, None)
    spec = market.jobs.started[0]
    assert (smoke.kind, smoke.job_id) == ("smoke", again.job_id) and len(market.jobs.started) == 1
    assert market.figures == (0.0, pytest.approx(amount, abs=0.011))
    assert isinstance(spec, TrainSpec) and spec.smoke and spec.remote is not None and spec.remote.timeout_s == 1200
    folder = market.world.workspace.job_dir(spec.job_id)
    assert (
        len(list(read_jsonl(folder / spec.train_file))) == 16 and len(list(read_jsonl(folder / spec.texts_file))) == 4
    )

    market.jobs.ends(smoke.job_id, usd=0.03)
    facts = facts_of(market.world.workspace, market.cycle)
    assert [job.kind for job in facts.jobs] == ["smoke"] and facts.trained == []
    assert told("get_job", facts.jobs[0].model_dump()) == f"{smoke.job_id} succeeded"
    job = market.planning.start(plan.plan_id, None)
    assert job.kind == "train" and len(market.jobs.started) == 2
    assert market.figures[0] == 0.03
    market.jobs.ends(job.job_id, usd=0.2)
    found = market.planning.start(plan.plan_id, None)
    market.paying.settle()
    market.paying.settle()
    assert found.state == "succeeded" and len(market.jobs.started) == 2
    assert market.figures == (0.23, 0.0)

    later = market.planning
    write_json(market.world.workspace.cycle_dir(market.cycle) / "summary.json", {"verdict": "hold"})
    market.cycle = open_cycle(market.world.workspace, TASK, market.services, "small")
    write_json(market.world.workspace.cycle_dir(market.cycle) / "diagnosis.json", {"verdict": "train"})
    quote = later.plan(market.cycle, [change_of("min_texts", 2)]).quote
    assert quote is not None and not quote.smoke_run and quote.approve_usd < amount


def test_a_job_that_goes_on_elsewhere_keeps_its_reservation_and_takes_no_second(market: Market):
    """Ours: whoever followed it may be killed; nothing is settled before it is over, and nothing reserved twice."""
    plan = market.planning.plan(market.cycle, [])
    assert plan.quote is not None
    smoke = market.planning.start(plan.plan_id, plan.quote.approve_usd)
    reserved = market.figures
    folder = market.world.workspace.job_dir(smoke.job_id)
    write_note(folder, RemoteNote(attempt=1, mark="0123456789abcdef", id="1", stage="RUNNING"))

    market.jobs.ends(smoke.job_id, well=False)
    market.paying.settle()
    killed = market.figures
    market.prices.prices[FLAVOR] = 2 * PRICE
    followed = market.planning.start(plan.plan_id, None)
    again = market.figures
    market.jobs.ends(smoke.job_id, usd=0.03)
    market.paying.settle()

    assert killed == again == reserved and reserved[0] == 0.0
    assert (followed.job_id, followed.attempt) == (smoke.job_id, 2)
    assert market.figures[0] == 0.03 and market.figures[1] < reserved[1]


def test_a_smoke_run_that_fails_stops_the_training_for_little(market: Market):
    """Ours: its log lines are what get_cycle tells, and what was reserved for the training is given back."""
    plan = market.planning.plan(market.cycle, [])
    assert plan.quote is not None
    smoke = market.planning.start(plan.plan_id, plan.quote.approve_usd)
    market.jobs.ends(smoke.job_id, usd=0.05, well=False, log="out of memory")
    market.paying.settle()
    assert market.figures[0] == 0.05
    failed = facts_of(market.world.workspace, market.cycle).jobs[-1]
    assert failed.state == "failed" and "out of memory" in str(failed.error)
    due = next_steps_of(market)
    assert due["tool"] == "start_retrain" and "attempt 1 failed" in due["why"] and "out of memory" in due["why"]

    market.planning.plan(market.cycle, [change_of("min_texts", 2)])
    assert market.figures == (0.05, 0.0)


def test_an_attempt_that_failed_or_was_cancelled_cost_what_it_ran(market: Market):
    """Ours: the most where nobody knows; and the next attempt needs its own approval."""
    plan = smoked(market)
    amount = quoted(plan)
    with pytest.raises(ValueError, match="once a person has agreed"):
        market.planning.start(plan.plan_id, None)
    job = market.planning.start(plan.plan_id, amount)
    market.jobs.ends(job.job_id, usd=0.11, well=False)
    with pytest.raises(ValueError, match="once a person has agreed"):
        market.planning.start(plan.plan_id, None)
    assert market.figures == (pytest.approx(0.11), 0.0)

    market.planning.start(plan.plan_id, amount)
    assert market.figures == (pytest.approx(0.11), amount)
    (market.world.workspace.job_dir(job.job_id) / "remote.json").unlink()
    market.jobs.ends(job.job_id, well=False)
    market.paying.settle()
    assert market.figures == (pytest.approx(0.11 + amount), 0.0)


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"price": 0.03}, "usd_per_minute 0.02 is 0.03 now"), ({"user": "eve"}, "namespace 'ada' is 'eve' now")],
)
def test_what_was_resolved_is_resolved_again_and_has_to_match(changes: dict[str, Any], word: str, market: Market):
    """Ours: a person approved this price for this account; anything else is planned again, and nothing is reserved."""
    plan = market.planning.plan(market.cycle, [])
    market.prices.prices[FLAVOR] = changes.get("price", PRICE)
    market.prices.user = changes.get("user", "ada")
    with pytest.raises(ValueError, match=f"was quoted for something else: {word}; plan again"):
        market.planning.start(plan.plan_id, quoted(plan))
    assert market.figures == (0.0, 0.0) and not market.jobs.started
    written = read_json(market.world.workspace.cycle_dir(market.cycle) / "hparam_patch.json")
    assert word in written["outdated"] and next_steps_of(market)["tool"] == "plan_retrain"

    anew = market.planning.plan(market.cycle, [])
    assert read_json(market.world.workspace.cycle_dir(market.cycle) / "hparam_patch.json")["outdated"] is None
    assert anew.plan_id != plan.plan_id
    market.planning.start(anew.plan_id, quoted(anew))
    assert len(market.jobs.started) == 1


def test_another_configuration_is_for_the_next_cycle(market: Market):
    """Ours: a cycle trains what it was opened for; the words say how to go on."""
    plan = market.planning.plan(market.cycle, [])
    for changed, words in [
        ({"jobs": JobsSettings(backend="local")}, "on huggingface, and student on local is configured"),
        ({"model": ModelSettings(family="lora", base="b/c")}, "trains student on huggingface, and b/c on huggingface"),
    ]:
        other = market.with_settings(**changed).planning
        with pytest.raises(ValueError, match=words):
            other.plan(market.cycle, [])
        with pytest.raises(ValueError, match="set \\[model\\] and \\[jobs\\] back"):
            other.start(plan.plan_id, quoted(plan))
    flavored = market.with_settings(jobs=JobsSettings(flavor="t4-small")).planning
    with pytest.raises(ValueError, match="flavor 'a10g-small' is 't4-small' now"):
        flavored.start(plan.plan_id, quoted(plan))


def test_a_line_in_the_configuration_stands_for_the_person(market: Market):
    """Ours: an unattended run follows next_steps to the model without knowing of approvals or smoke runs."""
    approving = market.with_settings(budget=BudgetSettings(usd=5.0, approve_usd=1.0))
    plan = approving.planning.plan(market.cycle, [])
    done = []
    for _ in range(3):
        due = next_steps_of(market)
        if due["tool"] != "start_retrain":
            break
        done.append(approving.planning.start(due["arguments"]["plan_id"], None))
        market.jobs.ends(done[-1].job_id, usd=0.1)
        write_json(market.world.workspace.job_dir(done[-1].job_id) / "tracked.json", ending(1, "succeeded"))

    assert [job.kind for job in done] == ["smoke", "train"]
    approving.paying.settle()
    assert market.figures == (0.2, 0.0)
    assert plan.quote is not None
    with pytest.raises(ValueError, match=r"approve_usd is 0\.01"):
        refuse_unapproved("plan", plan.quote, 0.01, standing=1.0)


def next_steps_of(market: Market) -> dict[str, Any]:
    """The next step, once the champion is measured and read back."""
    facts = facts_of(market.world.workspace, market.cycle)
    found = list(training(facts, TASK)) if not facts.trained else []
    return found[0].model_dump() if found else {"tool": "evaluate_model"}


def test_a_campaign_is_one_quote_and_every_arm_is_put_right_by_its_own_job(market: Market):
    """Ours: all arms are reserved together or not at all; what never began is given back at its end."""
    campaign = market.campaign()
    assert campaign.quote is not None
    amount = campaign.quote.approve_usd
    poor = market.with_settings(budget=BudgetSettings(usd=amount - 0.02))
    with pytest.raises(ValueError, match="can cost up to"):
        market.start(poor, campaign, amount)
    assert market.figures == (0.0, 0.0)

    smoke = market.start(market, campaign, amount)
    market.jobs.ends(smoke.job_id, usd=0.02)
    job = market.start(market, campaign, None)
    assert (smoke.kind, job.kind, job.job_id) == ("smoke", "campaign", campaign.plan_id)
    spec = market.jobs.started[-1]
    assert isinstance(spec, CampaignSpec) and all(arm.remote and arm.recipe for arm in spec.arms)
    market.jobs.begin(spec.arms[0])
    market.jobs.ends(spec.arms[0].job_id, usd=0.3)
    market.paying.settle()
    elsewhere = spec.arms[1].remote
    assert elsewhere is not None
    one_arm = most_usd(elsewhere)
    assert market.figures == (pytest.approx(0.32), one_arm)

    market.jobs.ends(job.job_id, well=False)
    again = market.start(market, campaign, None)
    assert again.attempt == 2 and market.figures == (pytest.approx(0.32), one_arm)
    market.jobs.ends(again.job_id, well=False)
    market.paying.settle()
    market.paying.release_abandoned()
    assert market.figures == (pytest.approx(0.32), 0.0)


def test_a_training_here_costs_nothing_and_asks_nobody(tmp_path: Path):
    """Ours: no price, no approval, no smoke run, and no line in the budget."""
    world = World(tmp_path)
    jobs = ScriptedJobs(world)
    paying = Paying(world.workspace, Services(), jobs)
    planning = Planning(world.workspace, TASK, Services(), jobs, paying)
    plan = planning.plan(world.cycle, [])
    job = planning.start(plan.plan_id, None)

    assert plan.quote is not None and (plan.quote.hardware, plan.quote.approve_usd) == ("this machine", 0.0)
    assert job.kind == "train" and plan.quote.resolved is None and not plan.quote.smoke_run
    assert not (world.workspace.root / "budget.jsonl").exists()


def test_a_champion_of_another_family_leaves_the_defaults(tmp_path: Path, prices: PriceList):
    """Ours: the first project's recipe for an adapter, whatever the student in service was trained with."""
    market = Market(tmp_path, prices, family="lora")
    cycle_file = market.world.workspace.cycle_dir(market.cycle) / "cycle.json"
    market.world.trained(FIRST)
    write_json(cycle_file, read_json(cycle_file) | {"champion": FIRST, "kind": "cycle"})
    plan = market.planning.plan(market.cycle, [change_of("learning_rate", 1.2e-5), change_of("epochs", 3)])
    facts = facts_of(market.world.workspace, market.cycle)

    assert (plan.model_family, facts.family, facts.recipe) == ("lora", "lora", {})
    defaults = {"learning_rate": 2e-5, "epochs": 2, "lora_r": 16, "lora_alpha": 32, "lora_dropout": 0.05}
    assert plan.hparam_patch.before == {"learning_rate": 2e-5, "epochs": 2}
    assert plan.next_hparams.items() >= (defaults | {"learning_rate": 1.2e-5, "epochs": 3}).items()
    assert plan.quote is not None and plan.quote.resolved is not None
    assert plan.quote.resolved.base == market.services.settings.model.base
    smoke = market.planning.start(plan.plan_id, quoted(plan))
    spec = market.jobs.started[0]
    assert isinstance(spec, TrainSpec) and spec.hparams["epochs"] == 1 and spec.base == plan.quote.resolved.base
    assert smoke.kind == "smoke" and spec.model_id.startswith("lora-")


def smoked(market: Market) -> RetrainPlan:
    """A plan whose recipe another plan has tried out; what that reserved for its training is given back."""
    other = market.planning.plan(market.cycle, [change_of("min_texts", 3)])
    smoke = market.planning.start(other.plan_id, quoted(other))
    market.jobs.ends(smoke.job_id, usd=0.0)
    plan = market.planning.plan(market.cycle, [])
    assert plan.quote is not None and not plan.quote.smoke_run and market.figures == (0.0, 0.0)
    return plan


def quoted(plan: RetrainPlan) -> float:
    assert plan.quote is not None
    return plan.quote.approve_usd


def change_of(name: str, value: float) -> HparamChange:
    return HparamChange.model_validate(change(name, value))


def test_another_revision_of_the_base_is_another_training_here_too(tmp_path: Path):
    """Bug: the plan's id did not tell revisions apart, so the training on the one before was found in its place."""
    world = World(tmp_path)
    (world.workspace.cycle_dir(world.cycle) / "cycle.json").unlink()

    def planning(revision: str | None) -> Planning:
        services = Services(Settings(model=ModelSettings(family="lora", base="a/b", base_revision=revision)))
        jobs = ScriptedJobs(world)
        return Planning(world.workspace, TASK, services, jobs, Paying(world.workspace, services, jobs))

    settings = Settings(model=ModelSettings(family="lora", base="a/b"))
    cycle = open_cycle(world.workspace, TASK, Services(settings), "small")
    first = planning(None).plan(cycle, [])

    assert planning(None).plan(cycle, []).plan_id == first.plan_id != planning("v2").plan(cycle, []).plan_id
    with pytest.raises(ValueError, match="call plan_retrain again"):
        planning("v3").start(planning("v2").plan(cycle, []).plan_id, None)


@pytest.mark.anyio
async def test_a_job_can_be_cancelled_while_somebody_writes(market: Market):
    """Bug: cancel_job held the folder's lock for as long as Hugging Face took, and everybody else was refused."""
    smoke = market.planning.start((plan := market.planning.plan(market.cycle, [])).plan_id, quoted(plan))
    market.jobs.ends(smoke.job_id, usd=0.01, well=False)

    async with market.client() as client:
        with market.world.workspace.writing("a test"):
            seen = await call(client, "cancel_job", job_id=smoke.job_id)

    assert seen["state"] == "failed"
