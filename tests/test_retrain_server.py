"""The retrain server through its tools: plans, jobs, and who may come into service."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from mcp import Client

from servers.core.dataset import Card, DatasetStore, Example
from servers.core.disk import write_json
from servers.core.job_files import TrainResult, write_wire
from servers.core.models import model_digest
from servers.core.registry import Registry
from servers.core.services import Services
from servers.core.student import Student, StudentHparams
from servers.core.task import load_task
from servers.core.tracking import LocalTracker
from servers.core.workspace import Workspace
from servers.playbook.cycles import open_cycle
from servers.retrain.server import build_room
from tests.workshop import call, refusal

pytestmark = pytest.mark.anyio
TASK = load_task("kotone")
FIRST, SECOND, THIRD = "student-000000000001", "student-000000000002", "student-000000000003"


class World:
    """Artifacts with the dataset `small` and a cycle open on it."""

    def __init__(self, folder: Path) -> None:
        self.workspace = Workspace(folder / "artifacts")
        self.datasets, self.registry = DatasetStore(self.workspace), Registry(self.workspace)
        self.tracker = LocalTracker(self.workspace.tracking_file)
        examples = [_example(number) for number in range(40)]
        self.card: Card = self.datasets.save_first(
            "small",
            task=TASK.name,
            train=examples[:30],
            diagnose=examples[30:],
            gate_size=10,
            gate_fingerprint="0123456789abcdef",
            recipe={},
            synthetic=False,
            near_copy_threshold=0.8,
        )
        self.open_cycle()

    def open_cycle(self) -> None:
        """Open a cycle, or find the open one, and diagnose its data."""
        self.cycle = open_cycle(self.workspace, TASK, Services(), "small")
        write_json(self.workspace.cycle_dir(self.cycle) / "diagnosis.json", {"schema": 1, "verdict": "train"})

    def client(self) -> Client:
        return Client(build_room(self.workspace, TASK).server)

    def file(self, *parts: str) -> Any:
        return json.loads(self.workspace.root.joinpath(*parts).read_text(encoding="utf-8"))

    def trained(self, model: str, version: str | None = None) -> None:
        """Leave a model as its training job does."""
        rows = self.datasets.train("small", self.card.fingerprint)
        folder = self.workspace.job_dir(model.replace("student", "train"))
        targets = np.array([[row.target[name] + int(model[-1]) for name in TASK.names] for row in rows])
        Student.fit([row.text for row in rows], targets, TASK.names, 0, 100).save(folder / "model")
        result = TrainResult(
            job_id=folder.name,
            model_id=model,
            digest=model_digest(folder / "model"),
            family="student",
            hparams=StudentHparams().model_dump(),
            dataset="small",
            dataset_version=version or self.card.fingerprint,
            cycle=self.cycle,
            train_rows=30,
            seconds=3.0,
            versions={},
        )
        write_wire(folder / "result.json", result)

    def judged(self, candidate: str, outcome: str, champion: str = "constant") -> None:
        """Leave the verdict of the open cycle, as gate_candidate does."""
        gate = {
            "schema": 1, "verdict_id": f"verdict-{candidate[-1]}{champion[-1]}", "cycle": self.cycle,
            "candidate": candidate, "champion": champion, "outcome": outcome, "reason": "so it came out", "checks": [],
        }  # fmt: skip
        write_json(self.workspace.cycle_dir(self.cycle) / "gate.json", gate)

    def remedied(self, *traces: str) -> None:
        """Leave remedies for these traces, as write_playbook does."""
        remedies = [{"trace_id": trace, "dimension": "energy", "change": "new rows"} for trace in traces]
        write_json(self.workspace.cycle_dir(self.cycle) / "playbook.json", {"remedies": remedies, "lessons": []})

    def next_cycle(self) -> None:
        """Close the cycle and open the next."""
        write_json(self.workspace.cycle_dir(self.cycle) / "summary.json", {"verdict": "promote"})
        self.open_cycle()

    async def promoted(self, client: Client, *models: str) -> None:
        """Bring models into service one after the other, each in a cycle of its own; the last one stays open."""
        for place, model in enumerate(models):
            if place:
                self.next_cycle()
            self.trained(model)
            self.judged(model, "promote", champion=models[place - 1] if place else "constant")
            self.remedied("t1", "t2", "t3")
            await call(client, "promote_model", cycle=self.cycle, candidate=model)


def _example(number: int) -> Example:
    words = ["calm", "fast", "warm", "cold", "bright"]
    text = f"a {words[number % 5]} and {words[number % 4]} piece, number {number}"
    target = {name: float(number % 5 * 18 + place) for place, name in enumerate(TASK.names)}
    return Example(id=f"r{number}", text=text, target=target, source="import")


def change(name: str, value: float, reason: str = "to see what it does") -> Mapping[str, object]:
    return {"name": name, "value": value, "reason": reason}


async def test_a_plan_is_trained_once_and_leaves_its_trail(tmp_path: Path):
    """Ours: plan, start, wait; the same start finds the same job, and the tracker has the run."""
    world = World(tmp_path)
    async with world.client() as client:
        plan = await call(client, "plan_retrain", cycle=world.cycle, changes=[change("min_texts", 2)])
        started = await call(client, "start_retrain", plan_id=plan["plan_id"])
        job = await call(client, "get_job", job_id=started["job_id"], wait_s=20)
        logged = world.tracker.runs("local", "etude-kotone")
        again = await call(client, "start_retrain", plan_id=plan["plan_id"])
        listed = await call(client, "list_jobs")
        models = await call(client, "list_models", dataset="small")

    assert (plan["cost_usd"], plan["dataset_version"]) == (0.0, world.card.fingerprint)
    assert plan["hparams"]["min_texts"] == 2
    written = world.file("loop", world.cycle, "hparam_patch.json")
    assert written["hparam_patch"] == {"from": {"min_texts": 1}, "to": {"min_texts": 2}}
    assert written["next_hparams"] == plan["hparams"] and written["from_model"] == "constant"
    assert job["state"] == "succeeded" and job["model"] == job["job_id"].replace("train", "student")
    assert job["log"][-1] == "6/6 answering 10 diagnose rows"
    plain = job | {"log": []}
    assert again == plain and listed["jobs"] == [plain] and listed["total"] == 1
    assert [(m["model"], m["champion"], m["problem"]) for m in models["models"]] == [(job["model"], False, None)]
    runs = world.tracker.runs("local", "etude-kotone")
    assert [(run.id, run.job_type, run.group, run.state) for run in runs] == [
        (job["job_id"], "train", world.cycle, "finished")
    ]
    assert runs == logged  # to the microsecond: found finished several times, logged once
    assert runs[0].config["min_texts"] == 2
    assert {"dataset/version", "cycle", "plan_id"} <= set(runs[0].config)
    assert runs[0].summary["iter_eval/mae_raw"] > 0
    history = world.tracker.history("local", "etude-kotone", job["job_id"])
    assert [row["data/train_rows"] for row in history] == [10, 12, 18, 24, 30]


async def test_waiting_for_a_job_leaves_the_server_free_and_ends_on_time(tmp_path: Path):
    """Ours: get_job with wait_s holds up nobody else, and a cancelled job is in the tracker too."""
    world = World(tmp_path)
    async with world.client() as client:
        plan = await call(client, "plan_retrain", cycle=world.cycle, changes=[])
        job_id = (await call(client, "start_retrain", plan_id=plan["plan_id"]))["job_id"]
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: call(client, "get_job", job_id=job_id, wait_s=20))
                cancelled = await call(client, "cancel_job", job_id=job_id)

    assert cancelled["state"] == "cancelled" and "start_retrain" in cancelled["next"]
    assert [run.state for run in world.tracker.runs("local", "etude-kotone")] == ["crashed"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([change("learning_rate", 0.1)], "no hyperparameter 'learning_rate'; known: word_ngrams 0 to 3, char_ngrams"),
        ([change("word_ngrams", 9)], "word_ngrams: Input should be less than or equal to 3; known: word_ngrams 0 to 3"),
        ([change("word_ngrams", 1.5)], "word_ngrams: Input should be a valid integer"),
        ([change("word_ngrams", 1, " ")], "the change of 'word_ngrams' has no reason"),
        ([change("word_ngrams", 2)], "'word_ngrams' is 2 already"),
        ([change("word_ngrams", 1), change("word_ngrams", 3)], "changed twice"),
        ([change(name, 1) for name in ("word_ngrams", "min_texts", "min_penalty", "max_penalty")], "4 changes at once"),
        ([change("word_ngrams", 0), change("char_ngrams", 0)], "both 0, which leaves no feature; raise one; known:"),
    ],
)
async def test_a_change_that_cannot_be_made_is_refused_with_what_can(changes: list[Any], words: str, tmp_path: Path):
    """Ours: a refusal names the known settings and their ranges; no plan is written."""
    world = World(tmp_path)
    async with world.client() as client:
        assert words in await refusal(client, "plan_retrain", cycle=world.cycle, changes=changes)

    assert not (world.workspace.cycle_dir(world.cycle) / "hparam_patch.json").exists()


async def test_a_plan_starts_from_the_champions_recipe_and_is_timed_by_past_jobs(tmp_path: Path):
    """Ours: what is not changed stays as it served; the estimate comes from what trainings took."""
    world = World(tmp_path)
    async with world.client() as client:
        first = await call(client, "plan_retrain", cycle=world.cycle, changes=[])
        await world.promoted(client, FIRST)
        world.next_cycle()
        exactly = await refusal(client, "plan_retrain", cycle=world.cycle, changes=[])
        plan = await call(client, "plan_retrain", cycle=world.cycle, changes=[change("char_ngrams", 4)])

    assert first["seconds_estimate"] == 3.2
    assert "was trained on exactly these rows and settings" in exactly
    assert plan["hparams"] == StudentHparams().model_dump() | {"char_ngrams": 4}
    assert plan["seconds_estimate"] == 6.0  # 30 rows at a tenth of a second, and the start
    assert world.file("loop", world.cycle, "hparam_patch.json")["from_model"] == FIRST


async def test_steps_that_are_missing_are_named(tmp_path: Path):
    """Ours: a refusal says which call comes first."""
    world = World(tmp_path)
    async with world.client() as client:
        assert "no training plan 'retrain-1'; known: none; call plan_retrain" in await refusal(
            client, "start_retrain", plan_id="retrain-1"
        )
        assert "no job 'train-1'; known: none; start_retrain" in await refusal(client, "get_job", job_id="train-1")
        assert "no cycle 'cycle_9'" in await refusal(client, "plan_retrain", cycle="cycle_9", changes=[])
        assert "no dataset 'other'" in await refusal(client, "list_models", dataset="other")
        assert "has no gate.json yet; call gate_candidate first" in await refusal(
            client, "promote_model", cycle=world.cycle, candidate=FIRST
        )
        assert "no champion yet" in await refusal(client, "rollback_model", dataset="small", reason="worse")


async def test_only_the_candidate_of_a_passed_gate_comes_into_service(tmp_path: Path):
    """Ours: a model without a passing gate cannot be promoted, whoever calls."""
    world = World(tmp_path)
    world.trained(FIRST)
    world.trained(SECOND)
    async with world.client() as client:
        world.judged(FIRST, "hold")
        held = await refusal(client, "promote_model", cycle=world.cycle, candidate=FIRST)
        world.judged(FIRST, "promote")
        other = await refusal(client, "promote_model", cycle=world.cycle, candidate=SECOND)
        constant = await refusal(client, "promote_model", cycle=world.cycle, candidate="constant")
        service = await call(client, "promote_model", cycle=world.cycle, candidate=FIRST)
        world.next_cycle()
        again = await call(client, "promote_model", cycle="begin_small", candidate=FIRST)

    assert "the gate says hold" in held and "call promote_model with 'constant'" in held
    assert f"is about '{FIRST}', not '{SECOND}'; call gate_candidate with it" in other
    assert f"'{FIRST}' passed the gate; call promote_model with it" in constant
    assert (service["champion"], service["previous"]) == (FIRST, None)
    assert again == service and len(world.registry.history("small")) == 1


async def test_a_beginning_that_fails_puts_the_constant_into_service(tmp_path: Path):
    """Ours: if the first model does not pass, the constant is the champion."""
    world = World(tmp_path)
    world.trained(FIRST)
    world.judged(FIRST, "hold")
    async with world.client() as client:
        service = await call(client, "promote_model", cycle=world.cycle, candidate="constant")
        back = await refusal(client, "rollback_model", dataset="small", reason="worse")
        world.next_cycle()
        world.judged(FIRST, "hold")
        later = await refusal(client, "promote_model", cycle=world.cycle, candidate="constant")

    assert service["champion"] == world.registry.champion("small") == "constant"
    assert "has no earlier champion to go back to" in back
    assert "only at a beginning; rollback_model goes back" in later


async def test_a_promotion_needs_three_failures_with_a_remedy(tmp_path: Path):
    """Ours: three trace-linked remedies, counted by trace."""
    world = World(tmp_path)
    async with world.client() as client:
        await world.promoted(client, FIRST)
        world.next_cycle()
        world.trained(SECOND)
        world.judged(SECOND, "promote", champion=FIRST)
        none = await refusal(client, "promote_model", cycle=world.cycle, candidate=SECOND)
        world.remedied("t1", "t2", "t2")
        two = await refusal(client, "promote_model", cycle=world.cycle, candidate=SECOND)
        world.remedied("t1", "t2", "t3")
        service = await call(client, "promote_model", cycle=world.cycle, candidate=SECOND)

    assert "no playbook.json yet; call write_playbook with remedies first" in none
    assert "2 failures have a remedy, a promotion needs 3; call write_playbook with more" in two
    assert (service["champion"], service["previous"]) == (SECOND, FIRST)


async def test_a_verdict_against_another_champion_counts_no_more(tmp_path: Path):
    """Ours: promotion is for exactly this candidate and the champion of now."""
    world = World(tmp_path)
    async with world.client() as client:
        await world.promoted(client, FIRST)
        world.next_cycle()
        world.trained(SECOND)
        world.remedied("t1", "t2", "t3")
        world.judged(SECOND, "promote", champion=THIRD)
        stale = await refusal(client, "promote_model", cycle=world.cycle, candidate=SECOND)

    assert f"compares with '{THIRD}', but the champion is '{FIRST}' now; close {world.cycle} with write_report" in stale
    assert world.registry.champion("small") == FIRST


async def test_files_that_changed_after_the_verdict_are_not_promoted(tmp_path: Path):
    """Ours: what was judged is what serves."""
    world = World(tmp_path)
    world.trained(FIRST)
    world.judged(FIRST, "promote")
    weights = world.workspace.job_dir("train-000000000001") / "model" / "weights.npz"
    weights.write_bytes(weights.read_bytes() + b"\0")
    async with world.client() as client:
        words = await refusal(client, "promote_model", cycle=world.cycle, candidate=FIRST)
        models = await call(client, "list_models", dataset="small")

    assert "are not those that were trained" in words and world.registry.champion("small") is None
    assert "are not those that were trained" in models["models"][0]["problem"]


async def test_a_rollback_goes_to_the_last_champion_that_still_has_its_files(tmp_path: Path):
    """Ours: back one champion, past one whose files are gone, and in the end to the constant, which needs none."""
    world = World(tmp_path)
    async with world.client() as client:
        await world.promoted(client, FIRST, SECOND, THIRD)
        (world.workspace.job_dir("train-000000000002") / "model" / "weights.npz").unlink()
        to_first = await call(client, "rollback_model", dataset="small", reason="worse on Mondays")
        reused = await refusal(client, "promote_model", cycle=world.cycle, candidate=THIRD)
        to_constant = await call(client, "rollback_model", dataset="small", reason="worse than nothing")
        none = await refusal(client, "rollback_model", dataset="small", reason="worse still")
        unsaid = await refusal(client, "rollback_model", dataset="small", reason=" ")
        models = await call(client, "list_models", dataset="small")

    assert (to_first["champion"], to_first["previous"]) == (FIRST, THIRD)
    assert f"compares with '{SECOND}', but the champion is '{FIRST}' now" in reused
    assert (to_constant["champion"], to_constant["previous"]) == ("constant", FIRST)
    assert "no earlier champion" in none and "needs a reason" in unsaid
    assert [move["action"] for move in models["history"]] == ["begin", "promote", "promote", "rollback", "rollback"]


async def test_the_tools_say_what_they_change_and_stay_small(tmp_path: Path):
    """Ours: a client knows what to ask its person about, and a model's prompt holds all servers' tools."""
    world = World(tmp_path)
    async with world.client() as client:
        tools = (await client.list_tools()).tools

    hints = {tool.name: tool.annotations for tool in tools}
    assert all(hint is not None for hint in hints.values())
    reads = {name for name, hint in hints.items() if hint is not None and hint.read_only_hint}
    destroys = {name for name, hint in hints.items() if hint is not None and hint.destructive_hint}
    assert reads == {"get_job", "list_jobs", "list_models"}
    assert destroys == {"cancel_job", "rollback_model"}
    assert all(tool.output_schema for tool in tools)
    size = sum(len(tool.name) + len(tool.description or "") + len(json.dumps(tool.input_schema)) for tool in tools)
    assert size < 5000, size
