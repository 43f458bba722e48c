"""The teacher that is a language model: what it is asked, what its job leaves, how the augment server waits for it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from mcp import Client

from servers.augment.aim import Aim, ThinRange, ThinWord
from servers.augment.intents import draw_intents
from servers.augment.server import build_room
from servers.core.budget import Budget
from servers.core.dataset import DatasetStore, Example
from servers.core.demo_world.world import World
from servers.core.disk import read_json, read_jsonl, write_json
from servers.core.jobs import JobStore
from servers.core.services import Services
from servers.core.settings import BudgetSettings, EndpointSettings, ModelSettings, Settings
from servers.core.teaching import MAX_TEXT_CHARS, written_text
from servers.core.workspace import Workspace
from servers.retrain.server import build_room as build_retrain
from tests.asking_world import KEY, KOTONE, TEXTS, endpoint, taught, teach_job
from tests.campaign_world import CampaignWorld
from tests.doubles.mistral import MistralDouble, serve_answers
from tests.doubles.mistral_answers import WRITES, Answers
from tests.doubles.price_list import TOKEN, PriceList
from tests.workshop import call, refusal

pytestmark = pytest.mark.services

TRAIN = [
    Example(id=f"r{k}", text=row.text, target={n: float(v) for n, v in row.target.items()}, source="import")
    for k, row in enumerate(World(0).splits()["train"])
]
AIM = Aim(
    focus_dimensions=["nostalgia", "acousticness"],
    thin_words=[ThinWord(word="attic", worst_rows=3, train_rows=0)],
    thin_ranges=[ThinRange(dimension="nostalgia", low=80, high=100, train_share=0.01, diagnose_share=0.2)],
)
N = 12  # rows in a plan
CYCLE = "cycle_1"


def questions(answers: Answers, writing: bool) -> list[str]:
    said = [str(body["messages"][-1]["content"]) for body in answers.requests]
    return [words for words in said if words.startswith(WRITES) is writing]


def test_intents_are_spread_over_the_aim_and_show_train_rows_alone():
    """Ours: the same aim and seed ask for the same texts; thin ranges and words come in, a diagnose text never."""
    intents = draw_intents(80, AIM, KOTONE, TRAIN, 3)

    nostalgia = sorted(intent.about["nostalgia"] for intent in intents[::2])
    acousticness = sorted(intent.about["acousticness"] for intent in intents[1::2])
    assert intents == draw_intents(80, AIM, KOTONE, TRAIN, 3) != draw_intents(80, AIM, KOTONE, TRAIN, 4)
    low, high = np.percentile([row.target["acousticness"] for row in TRAIN], [5, 95])
    assert all(abs(value - low - (high - low) * (k + 0.5) / 40) < 2 for k, value in enumerate(acousticness))
    assert 10 < sum(value >= 80 for value in nostalgia) < 30 and sum(value < 60 for value in nostalgia) > 10
    assert {len(intent.about) for intent in intents} == {2, 3} and 20 < sum("attic" in i.words for i in intents) < 60
    assert {text for intent in intents for text in intent.shown} <= {row.text for row in TRAIN}
    assert all(
        set(i.about) <= set(KOTONE.names) and i.words == []
        for i in draw_intents(5, Aim(focus_dimensions=[]), KOTONE, TRAIN, 3)
    )


def test_a_text_of_a_model_is_data():
    """Ours: on one line, bounded, with nothing unseen; whatever is not exactly one text is none."""
    assert written_text('{"text": "a\\u0000 slow\\n\\u202eone\\u200b"}') == "a slow one"
    bad = ["", "a slow one", "[]", '{"text": 1}', '{"text": "x", "energy": 90}', '{"text": " \\u200b"}']
    assert [written_text(words) for words in [*bad, json.dumps({"text": "x" * (MAX_TEXT_CHARS + 1)})]] == [None] * 7


def test_a_text_is_read_twice_and_neither_reading_knows_what_it_was_meant_to_say(tmp_path: Path):
    """Ours: the label is that of the text; two readings that are asked in the same way would be one."""
    answers = Answers()
    with serve_answers(answers) as double:
        drafts = taught(teach_job(tmp_path / "job", endpoint(double.url)))

    assert len(drafts) == 6 and len(answers.requests) == 18 and len({draft["text"] for draft in drafts}) == 6
    for draft in drafts:
        asked = [
            body
            for body in answers.requests
            if body["messages"] == [{"role": "user", "content": KOTONE.prompt_for(draft["text"])}]
        ]
        assert len(asked) == 2 and asked[0]["random_seed"] != asked[1]["random_seed"]
        assert asked[0]["temperature"] != asked[1]["temperature"]
        assert len(draft["readings"]) == 2 and draft["readings"][0] != draft["readings"][1]
    assert drafts[1]["made_from"] == {"teacher": "mistral-large-latest", "intent": "energy 50, nostalgia 10"}
    assert any(TEXTS[0] in words for words in questions(answers, writing=True))


def test_what_cannot_be_read_is_a_row_without_a_reading(tmp_path: Path):
    """Ours: every draft is accounted for; one bad reading is no reading."""
    answers = Answers(faults=["prose", None, None, None, None, None, None, "around"])
    with serve_answers(answers) as double:
        drafts = taught(teach_job(tmp_path / "job", endpoint(double.url, concurrency=1)))

    assert [len(draft["readings"]) for draft in drafts] == [0, 0, 2, 2, 2, 2]
    assert [bool(draft["text"]) for draft in drafts] == [False] + [True] * 5


def test_a_model_that_writes_no_json_at_all_is_one_line(tmp_path: Path):
    """Ours: no rows would look like filters that took them all."""
    with (
        serve_answers(Answers(faults=["prose"] * 6)) as double,
        pytest.raises(ValueError, match="wrote no text that can"),
    ):
        taught(teach_job(tmp_path / "job", endpoint(double.url)))


def test_a_teacher_that_was_killed_goes_on(tmp_path: Path):
    """Ours: what was written and read is not written and read again."""
    answers = Answers()
    with serve_answers(answers) as double:
        folder = teach_job(tmp_path / "job", endpoint(double.url, concurrency=1))
        answers.faults = [*[None] * 9, "401"]
        with pytest.raises(ValueError, match="refuses the key"):
            taught(folder)
        answers.requests.clear()
        drafts = taught(folder)

    assert len(answers.requests) == 18 - 9 and all(len(draft["readings"]) == 2 for draft in drafts)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts with a cycle of the demo that is ready to plan new rows."""
    world = CampaignWorld(tmp_path_factory.mktemp("opened"), "demo")
    assert anyio.run(world.opened, False) == CYCLE
    return world.workspace.root


class Shop:
    """An augment server over the demo's data, whose teacher is the double."""

    def __init__(
        self, opened: Path, folder: Path, double: MistralDouble, usd: float = 10.0, campaign: bool = False
    ) -> None:
        teacher = EndpointSettings(model="mistral-large-latest", usd_per_million_input=2, usd_per_million_output=6)
        settings = Settings(teacher=teacher, budget=BudgetSettings(usd=usd))
        self.services = Services(settings, {"MISTRAL_SERVER_URL": double.url, "MISTRAL_API_KEY": KEY})
        self.workspace = Workspace(Path(shutil.copytree(opened, folder / "artifacts")))
        opening = self.workspace.cycle_dir(CYCLE) / "cycle.json"
        write_json(opening, read_json(opening) | {"campaign": campaign})

    def do(self, tool: str, wait_s: float = 60.0, **arguments: Any) -> dict[str, Any]:
        """Call a tool."""
        return anyio.run(lambda: self._do(call, tool, wait_s, arguments))

    def refused(self, tool: str, **arguments: Any) -> str:
        """Call a tool that refuses."""
        return str(anyio.run(lambda: self._do(refusal, tool, 60.0, arguments)))

    def plan(self) -> dict[str, Any]:
        return self.do("plan_augmentation", cycle=CYCLE, focus_dimensions=["nostalgia"], new_rows=N)

    async def trained_next(self) -> dict[str, Any]:
        """The training that is planned after the teacher's job, and what is said of that job."""
        async with Client(build_retrain(self.workspace, KOTONE, self.services).server) as client:
            plan = await call(client, "plan_retrain", cycle=CYCLE, changes=[])
            return plan | {"next": await call(client, "get_job", job_id=self.jobs[0].job_id)}

    @property
    def jobs(self) -> list[Any]:
        return JobStore(self.workspace).list()

    @property
    def head(self) -> str:
        return DatasetStore(self.workspace).head("demo").fingerprint

    async def _do(self, how: Any, tool: str, wait_s: float, arguments: dict[str, Any]) -> Any:
        room = build_room(self.workspace, KOTONE, self.services, wait_s=wait_s)
        async with Client(room.server) as client:
            return await how(client, tool, **arguments)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    monkeypatch.setenv("MISTRAL_API_KEY", KEY)  # for the job, which inherits the server's environment
    return Answers()


@pytest.fixture
def double(answers: Answers) -> Iterator[MistralDouble]:
    with serve_answers(answers, api_key=KEY) as started:
        yield started


def test_the_teachers_rows_enter_the_dataset_through_the_filters_and_are_paid_once(
    opened: Path, tmp_path: Path, answers: Answers, double: MistralDouble
):
    """Ours: planned with its price, begun and waited for without the folder's lock, settled by what it used."""
    shop = Shop(opened, tmp_path, double)
    before, plan = shop.head, shop.plan()
    begun = shop.do("augment_dataset", wait_s=0.0, plan_id=plan["plan_id"])
    assert begun["state"] == "writing" and begun["next"] == "augment_dataset again, which waits"
    assert begun["added"] == 0 and begun["why_nothing"] is None and shop.head == before
    assert Budget(shop.workspace, shop.services).state().reserved == plan["cost_usd"] > 0

    made = shop.do("augment_dataset", plan_id=plan["plan_id"])
    again = shop.do("augment_dataset", plan_id=plan["plan_id"])

    assert made == again and made["state"] == "made" and made["dataset_version"] == shop.head != before
    assert made["added"] + sum(made["dropped"].values()) == N and made["added"] >= N // 2
    trained = anyio.run(shop.trained_next)
    [job] = shop.jobs
    used = read_json(shop.workspace.job_dir(job.job_id) / "result.json")["usage"]
    state = Budget(shop.workspace, shop.services).state()
    assert trained["plan_id"] and trained["next"]["next"] == "augment_dataset again, which waits"
    assert begun["job_id"] == job.job_id and job.kind == "teach" and len(answers.requests) == 3 * N == used["requests"]
    assert state.spent == used["usd"] > 0 and state.reserved == 0 and used["usd"] < plan["cost_usd"]
    new = [row for row in DatasetStore(shop.workspace).train("demo", shop.head) if row.source.startswith("teacher:")]
    assert {row.source for row in new} == {"teacher:mistral-large-latest"} and len(new) == made["added"]
    shown = "\n".join(questions(answers, writing=True))
    diagnose = DatasetStore(shop.workspace).diagnose("demo", shop.head)
    assert not any(row.text in shown for row in diagnose)
    assert not any(KEY.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_a_teacher_that_fails_is_told_of_once_and_goes_on_when_called_again(
    opened: Path, tmp_path: Path, answers: Answers, double: MistralDouble
):
    """Ours: nothing half made enters the dataset, and what was answered is not paid for again."""
    shop = Shop(opened, tmp_path, double)
    before, plan = shop.head, shop.plan()
    answers.faults = [*[None] * 6, *["403"] * 4]

    failed = shop.refused("augment_dataset", plan_id=plan["plan_id"])
    paid = len(answers.requests) - (4 - len(answers.faults))
    assert "refuses the key" in failed and "set MISTRAL_API_KEY" in failed and KEY not in failed and shop.head == before
    state = Budget(shop.workspace, shop.services).state()
    assert state.reserved == 0 and 0 < state.spent < plan["cost_usd"]  # another teacher may be paid instead
    answers.faults, answers.requests = [], []
    made = shop.do("augment_dataset", plan_id=plan["plan_id"])

    assert made["state"] == "made" and len(answers.requests) == 3 * N - paid
    used = read_json(shop.workspace.job_dir(shop.jobs[0].job_id) / "result.json")["usage"]["usd"]
    state = Budget(shop.workspace, shop.services).state()
    assert state.reserved == 0 and state.spent == pytest.approx(used, abs=2e-6)


def test_a_teacher_that_the_budget_does_not_allow_is_not_asked(
    opened: Path, tmp_path: Path, answers: Answers, double: MistralDouble
):
    """Ours: refused with the figures before a word is sent."""
    shop = Shop(opened, tmp_path, double, usd=0.01)

    refused = shop.refused("augment_dataset", plan_id=shop.plan()["plan_id"])

    assert "of the 0.01 USD in the budget are left" in refused and answers.requests == [] and shop.jobs == []


def test_ways_of_a_campaign_that_share_their_rows_pay_for_them_once(
    opened: Path, tmp_path: Path, answers: Answers, double: MistralDouble
):
    """Ours: one job for each draw, one after the other; focused and focused_replay train on the same one."""
    shop = Shop(opened, tmp_path, double, campaign=True)
    ways = ["more", "focused", "focused_replay"]
    small = KOTONE.model_copy(update={"augment": KOTONE.augment.model_copy(update={"new_rows": N})})
    room = build_room(shop.workspace, small, shop.services, wait_s=0.0)

    async def plan() -> dict[str, Any]:
        async with Client(room.server) as client:
            given = {"cycle": CYCLE, "focus_dimensions": ["nostalgia"], "changes": [], "seeds": 1, "ways": ways}
            return await call(client, "plan_campaign", **given)

    async def carry_out(plan_id: str) -> list[dict[str, Any]]:
        results = []
        async with Client(room.server) as client:
            while not results or results[-1]["state"] == "writing":
                results.append(await call(client, "augment_dataset", plan_id=plan_id))
                await anyio.sleep(0.05)
        return results

    planned = anyio.run(plan)
    results = anyio.run(carry_out, planned["plan_id"])

    assert len(shop.jobs) == 2 and len(answers.requests) == 2 * 3 * N
    assert results[-1]["by_arm"].keys() == {"more-1", "focused-1", "focused_replay-1"}
    assert results[-1]["by_arm"]["focused-1"] == results[-1]["by_arm"]["focused_replay-1"] > 0
    assert planned["cost_usd"] > 0
    state = Budget(shop.workspace, shop.services).state()
    assert state.reserved == 0 and 0 < state.spent < planned["cost_usd"]
    assert [job.state for job in shop.jobs] == ["succeeded"] * 2
    assert all(list(read_jsonl(shop.workspace.job_dir(job.job_id) / "drafts.jsonl")) for job in shop.jobs)


def test_no_teacher_is_paid_for_a_training_that_cannot_be_paid(opened: Path, tmp_path: Path):
    """Bug: a wrong token for the hardware was found out only after the new rows were written and paid."""
    with serve_answers(Answers()) as double, PriceList({"a10g-small": 0.02}) as prices:
        prices.status = 401
        shop = Shop(opened, tmp_path, double)
        shop.services = Services(
            Settings(teacher=shop.services.settings.teacher, model=ModelSettings(family="student")),
            dict(shop.services.environment) | prices.environment,
        )
        opening = shop.workspace.cycle_dir(CYCLE) / "cycle.json"
        backends = read_json(opening)["backends"] | {"jobs": "huggingface"}
        write_json(opening, read_json(opening) | {"backends": backends})

        words = shop.refused("plan_augmentation", cycle=CYCLE, focus_dimensions=["nostalgia"], new_rows=N)

        assert "Hugging Face" in words and "HF_TOKEN" in words and TOKEN not in words
        assert not (shop.workspace.cycle_dir(CYCLE) / "augmentation_spec.json").exists()
        prices.status = 200
        assert shop.do("plan_augmentation", cycle=CYCLE, focus_dimensions=["nostalgia"], new_rows=N)["plan_id"]
