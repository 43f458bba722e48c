"""Jobs on sealed rows: they see texts without labels, inside the seal, where nothing else looks."""

import json
import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from servers.core.answers import Answer
from servers.core.arms import load_arm, served_by_of
from servers.core.dataset import Card, DatasetStore, Example
from servers.core.disk import read_json, read_jsonl, write_jsonl
from servers.core.job_files import TrainResult, TrainSpec, is_alive, locked_pid
from servers.core.jobs import ENDED, JobStore
from servers.core.services import Services
from servers.core.task import load_task
from servers.core.workspace import Workspace
from servers.eval.custody import Custody
from servers.eval.sampling import Sampling
from servers.eval.sealed_sampling import sample_sealed
from tests.workshop import Workshop

TASK = load_task("kotone")
WORDS = ["calm", "fast", "warm", "cold", "bright", "dark", "slow", "loud"]
LIMIT_S = 60.0


@dataclass(frozen=True)
class World:
    """A dataset with a sealed split, and a model that was trained on its rows."""

    workspace: Workspace
    card: Card
    made: TrainResult
    rows: list[Example]

    @property
    def jobs(self) -> Path:
        return self.workspace.sealed_dir(self.card.name, self.card.gate_fingerprint) / "jobs"

    def sample(
        self, limit_s: float = LIMIT_S, keep: Callable[[list[Answer]], None] = lambda answers: None
    ) -> list[Answer]:
        sampling = Sampling(self.workspace, TASK, Services())
        served_by = served_by_of(self.made.model_id, self.workspace, TASK, [])
        return sample_sealed(sampling, self.card, self.made.model_id, served_by, self.rows, limit_s, keep=keep)

    def left_waiting(self) -> str:
        """The id of a job that somebody started and did not wait for."""
        with pytest.raises(ValueError, match=r"is still answering the sealed rows in .*; call again"):
            self.sample(limit_s=0)
        (folder,) = self.jobs.iterdir()
        return folder.name

    def ended(self, job_id: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while JobStore(self.workspace, self.jobs).status(job_id).state not in ENDED:
            assert time.monotonic() < deadline, "the job did not end in time"
            time.sleep(0.02)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    workspace = Workspace(tmp_path_factory.mktemp("sealed") / "artifacts")
    examples = [
        Example(
            id=f"row-{n}",
            text=f"marker{n}text: {WORDS[n % 8]}, then {WORDS[n // 8 % 8]} and {WORDS[n * 3 % 7]}, number {n * 7919}",
            target={name: float(n % 8 * 10 + place) for place, name in enumerate(TASK.names)},
            source="import",
        )
        for n in range(120)
    ]
    custody = Custody(workspace, TASK)
    card = custody.create("mine", examples, recipe={"kind": "import"})
    store, rows = JobStore(workspace), f"../../datasets/mine/{card.fingerprint}"
    spec = TrainSpec(
        job_id="train-0123456789ab", model_id="student-0123456789ab", family="student", hparams={"min_texts": 2},
        seed=0, task=TASK, dataset="mine", dataset_version=card.fingerprint, cycle="begin_mine",
        plan_id="retrain-0123456789ab", train_file=f"{rows}/train.jsonl", texts_file=f"{rows}/diagnose.jsonl",
    )  # fmt: skip
    store.start(spec)
    deadline = time.monotonic() + LIMIT_S
    while store.status(spec.job_id).state not in ENDED and time.monotonic() < deadline:
        time.sleep(0.02)
    made = TrainResult.model_validate(read_json(workspace.job_dir(spec.job_id) / "result.json"))
    yield World(workspace, card, made, custody.gate(card))


def test_a_process_of_its_own_answers_as_the_model_does_and_leaves_nothing_behind(world: World):
    """Ours: verify can ask a judged model again, word for word, and no text stays lying about."""
    arm = load_arm(
        world.made.model_id, world.workspace, TASK, DatasetStore(world.workspace).train("mine", world.card.root)
    )

    answers = world.sample()

    assert [answer.id for answer in answers] == [row.id for row in world.rows]
    assert [answer.text for answer in answers] == arm.answer([row.text for row in world.rows])
    assert {answer.served_by for answer in answers} == {arm.served_by}
    assert list(world.jobs.iterdir()) == []


def test_the_job_sees_texts_and_no_label_and_nobody_but_the_owner_sees_the_job(world: World):
    """Ours: what a job is given is inside the seal, and holds an id and a text for each row."""
    job_id = world.left_waiting()

    given = list(read_jsonl(world.jobs / job_id / "texts.jsonl"))
    assert given == [{"id": row.id, "text": row.text} for row in world.rows]
    world.ended(job_id)
    paths = [world.jobs, *world.jobs.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}
    assert {"spec.json", "log.txt", "predictions.jsonl", "result.json"} <= {path.name for path in paths}
    world.sample()


@pytest.mark.anyio
async def test_no_tool_lists_or_reads_a_job_on_sealed_rows(world: World):
    """Ours: such a job has no place among the others, whoever knows its id."""
    job_id = world.left_waiting()

    async with Workshop(world.workspace.root) as workshop:
        listed = await workshop.call("list_jobs")
        assert [job["job_id"] for job in listed["jobs"]] == [world.made.job_id] and listed["total"] == 1
        assert f"no job {job_id!r}" in await workshop.refusal("get_job", job_id=job_id)
        assert f"no job {job_id!r}" in await workshop.refusal("cancel_job", job_id=job_id)
        assert f"no job {job_id!r}" in await workshop.refusal("read_evidence", ref=f"job:{job_id}", offset=0)
        inside = f"../{os.path.relpath(world.jobs / job_id, world.workspace.jobs_root.parent)}"
        assert "is not a plain name" in await workshop.refusal("get_job", job_id=inside)
        assert "is not a plain name" in await workshop.refusal("read_evidence", ref=f"job:{inside}", offset=0)
    world.sample()


def test_nothing_outside_the_seal_holds_a_text_that_was_sampled(world: World):
    """Ours: no log, spec, ledger or trail of such a job lies outside."""
    world.ended(world.left_waiting())
    world.sample()

    outside = [
        path
        for path in world.workspace.root.rglob("*")
        if path.is_file() and not path.is_relative_to(world.workspace.sealed_root)
    ]
    assert len(outside) > 5
    content = b"".join(path.read_bytes() for path in outside)
    assert not [
        row.text for row in world.rows if row.text.encode() in content or json.dumps(row.id).encode() in content
    ]


def test_whoever_was_killed_while_waiting_finds_the_answers(world: World):
    """Ours: a job is not asked twice for what it has answered."""
    job_id = world.left_waiting()
    world.ended(job_id)
    file = world.jobs / job_id / "predictions.jsonl"
    first, *rest = read_jsonl(file)
    write_jsonl(file, [first | {"text": "what only the first asking can know"}, *rest])

    answers = world.sample()

    assert answers[0].text == "what only the first asking can know"
    assert world.sample()[0].text.startswith("{")  # and once handed over, the next call asks anew


def test_answers_are_kept_before_the_job_that_gave_them_is_taken_away(world: World):
    """Bug: killed between the two, the next call asked again, and what costs money was paid for twice."""
    kept: list[list[Answer]] = []

    class Killed(BaseException):
        pass

    def die(answers: list[Answer]) -> None:
        raise Killed

    with pytest.raises(Killed):
        world.sample(keep=die)
    (folder,) = world.jobs.iterdir()
    begun = read_json(folder / "status.json")["started_at"]
    assert not folder.name.startswith(".") and (folder / "result.json").exists()
    world.sample(keep=lambda answers: kept.append(answers) or _still_there(folder, begun))

    assert [len(answers) for answers in kept] == [len(world.rows)] and list(world.jobs.iterdir()) == []


def _still_there(folder: Path, begun: str) -> None:
    assert read_json(folder / "status.json")["started_at"] == begun  # the first asking, no second


def test_taking_away_that_was_cut_short_behind_the_texts_is_finished(world: World):
    """Bug: the texts were gone, and so every further call ended in a traceback."""
    job_id = world.left_waiting()
    world.ended(job_id)
    (world.jobs / job_id / "texts.jsonl").unlink()

    assert len(world.sample()) == len(world.rows)
    assert list(world.jobs.iterdir()) == []


def test_a_job_that_was_killed_is_asked_again(world: World):
    """Ours: running the same again finishes what a crash cut short, also where it was being taken away."""
    job_id = world.left_waiting()
    write_jsonl(world.jobs / f".{job_id}" / "predictions.jsonl", [])
    if (pid := locked_pid(world.jobs / job_id)) is not None:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while is_alive(world.jobs / job_id) and time.monotonic() < deadline:  # else it is found running, and then dead
        time.sleep(0.01)

    assert len(world.sample()) == len(world.rows)
    assert list(world.jobs.iterdir()) == []


@pytest.mark.parametrize("field", ["digest", "id"])
def test_answers_of_another_model_or_to_other_rows_are_refused(world: World, field: str):
    """Ours: each answer names the weights that were asked, or none of them counts."""
    job_id = world.left_waiting()
    world.ended(job_id)
    file = world.jobs / job_id / "predictions.jsonl"
    first, *rest = read_jsonl(file)
    wrong = {"served_by": first["served_by"] | {"digest": "0" * 64}} if field == "digest" else {"id": "another"}
    write_jsonl(file, [first | wrong, *rest])

    words = "1 of .* answers .* were not given by" if field == "digest" else "did not answer each sealed row once"
    with pytest.raises(ValueError, match=words):
        world.sample()
    assert {answer.served_by.digest for answer in world.sample()} == {world.made.digest}


def test_a_job_that_fails_says_so_without_a_word_of_its_log(world: World, monkeypatch: pytest.MonkeyPatch):
    """Ours: a traceback may quote what it worked on, so it stays in the sealed folder, and the texts go."""
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", "/bin/ls")  # it ends, and its complaint goes to the log
        with pytest.raises(ValueError, match=r"sample-\w+ failed: its log is in .*jobs/sample-\w+; calling again"):
            world.sample()
    (folder,) = world.jobs.iterdir()
    assert "option" in (folder / "log.txt").read_text() and not (folder / "texts.jsonl").exists()

    assert len(world.sample()) == len(world.rows)


def test_a_model_whose_files_were_changed_is_not_asked(world: World):
    """Ours: what answers is what was trained."""
    file = next((world.workspace.job_dir(world.made.job_id) / "model").iterdir())
    before = file.read_bytes()
    file.write_bytes(before + b" ")

    with pytest.raises(ValueError, match="are not those that were trained"):
        world.sample()
    file.write_bytes(before)
