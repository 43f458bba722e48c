"""Jobs on Hugging Face: submitted once, followed by anyone, fetched whole, and honest about what went wrong.

Hugging Face is a double that speaks its HTTP and really runs each job; its own library stands in between.
"""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

from servers.core.disk import read_json, read_jsonl, write_jsonl
from servers.core.job_files import (
    CampaignSpec,
    SampleResult,
    SampleSpec,
    TrainResult,
)
from servers.core.jobs import JobStore
from servers.core.models import model_digest
from servers.core.remote_note import open_note, read_note
from tests.doubles.hub import TOKEN, Fault, HubDouble
from tests.doubles.hub_jobs import HubJob
from tests.remote_world import MODEL_REPO, REMOTE, SUBMIT, Played, Player, killed, log_of, note_in, remote_training
from tests.test_jobs import JOB, TASK, ended, fitted_here, rows, training, wait_for

pytestmark = pytest.mark.services


def test_a_training_elsewhere_leaves_what_one_here_leaves(tmp_path: Path, hub: HubDouble):
    """Ours: the same bytes come back, with what it cost, and the token is nowhere on disk."""
    workspace, spec = remote_training(tmp_path)
    store = JobStore(workspace)

    store.start(spec)
    job = ended(store)

    assert (job.state, job.model, job.error) == ("succeeded", spec.model_id, None)
    folder = workspace.job_dir(JOB)
    result = TrainResult.model_validate(read_json(folder / "result.json"))
    assert result.digest == model_digest(folder / "model") == model_digest(fitted_here(tmp_path))
    (there,) = hub.jobs.all.values()
    seconds = there.as_json()["durations"]["runningSecs"]
    assert result.remote is not None
    assert (result.remote.seconds, result.remote.usd) == (seconds, pytest.approx(seconds / 60 * 0.6, abs=1e-6))
    assert [row["data/train_rows"] for row in read_jsonl(folder / "metrics.jsonl")] == [10, 12, 18, 24, 30]
    assert len(list(read_jsonl(folder / "predictions.jsonl"))) == 7
    assert (job.step, job.of) == (6, 6)
    assert "training on 30 of 30 rows" in log_of(workspace)
    assert there.spec["labels"] == {
        "name": JOB,
        "etude-job": JOB,
        "etude-attempt": "1",
        "etude-start": note_in(folder).mark,
    }
    assert there.spec["secrets"] == {"HF_TOKEN": TOKEN} and TOKEN not in str(there.spec["environment"])
    assert (there.spec["timeoutSeconds"], there.spec["attempts"], there.spec["flavor"]) == (60, 1, "t4-small")
    assert all(repo.private for repo in hub.repos.values())
    assert {name for _, name in hub.repos} == {"ada/etude-jobs", MODEL_REPO}
    up = hub.files("dataset", "ada/etude-jobs")
    assert {path.split("/")[0] for path in up} == {".gitattributes", "code", "jobs"}
    assert not [path for path in up if "/tests/" in path or "/agent/" in path]
    assert all("==" in line for line in up[f"jobs/{JOB}/requirements.txt"].decode().split())
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and TOKEN.encode() in file.read_bytes()]


def test_a_killed_follower_is_followed_on_and_nothing_is_submitted_twice(
    tmp_path: Path, hub: HubDouble, player: Player
):
    """Ours: kill -9 costs nothing: the next start goes on with the job that runs, its log in one piece."""
    workspace, spec = remote_training(tmp_path)
    store = JobStore(workspace)
    player.go_on.clear()
    store.start(spec)
    wait_for(lambda: "1/6" in log_of(workspace))

    failed = killed(store, workspace)
    note = open_note(workspace.job_dir(JOB))
    player.go_on.set()
    store.start(spec)
    job = ended(store)

    assert failed.state == "failed" and note is not None and note.attempt == 1
    assert (job.state, job.attempt) == ("succeeded", 2)
    assert (len(hub.jobs.all), hub.count(SUBMIT), hub.count("commit/main")) == (1, 1, 2)
    lines = log_of(workspace).splitlines()
    assert [lines.count(line) for line in lines if line.startswith(("Installed", "1/6", "6/6"))] == [1, 1, 1]


@pytest.mark.parametrize("followed", [True, False])
def test_cancelling_ends_the_job_there_too(followed: bool, tmp_path: Path, hub: HubDouble, player: Player):
    """Ours: cancel_job returns when nothing runs and nothing more is paid, even where nobody followed any more."""
    workspace, spec = remote_training(tmp_path)
    store = JobStore(workspace)
    player.go_on.clear()
    store.start(spec)
    wait_for(lambda: "1/6" in log_of(workspace))
    if not followed:
        killed(store, workspace)

    cancelled = store.cancel(JOB)

    assert cancelled.state == ("cancelled" if followed else "failed")
    assert [job.stage for job in hub.jobs.all.values()] == ["CANCELED"]
    note = read_note(workspace.job_dir(JOB))
    assert note is not None and note.use is not None and note.use.usd > 0
    assert hub.count("cancel$") == 1
    store.cancel(JOB)
    assert hub.count("cancel$") == 1


def test_a_sampling_elsewhere_leaves_none_of_its_texts_there(tmp_path: Path, hub: HubDouble):
    """Ours: texts that are answered, sealed ones among them, go without labels and are deleted with their history."""
    workspace, spec = training(tmp_path)
    fitted = fitted_here(tmp_path)
    asked = [{"id": row["id"], "text": row["text"], "target": "SECRET LABEL"} for row in rows(7)]
    root = tmp_path / "sealed" / "small" / "0123456789abcdef" / "jobs"
    write_jsonl(root / "sample-1" / "texts.jsonl", asked)
    sampling = SampleSpec(
        job_id="sample-1",
        model_id=spec.model_id,
        task=TASK,
        model_dir=os.path.relpath(fitted, root / "sample-1"),
        texts_file="texts.jsonl",
        remote=REMOTE,
    )
    store = JobStore(workspace, root)
    seen: list[bytes] = []
    hub.jobs.watched = lambda files: seen.extend(files.values())

    store.start(sampling)
    job = ended(store, "sample-1")

    assert (job.state, job.error) == ("succeeded", None)
    result = SampleResult.model_validate(read_json(root / "sample-1" / "result.json"))
    assert (result.rows, result.digest) == (7, model_digest(fitted)) and result.remote is not None
    assert len(list(read_jsonl(root / "sample-1" / "predictions.jsonl"))) == 7
    assert any(b"piece, number 6" in data for data in seen)
    assert not any(b"SECRET LABEL" in data for data in seen)
    assert [name for _, name in hub.repos] == ["ada/etude-jobs"]
    kept = [data for repo in hub.repos.values() for _, tree in repo.commits for data in tree.values()]
    assert not any(b"piece, number" in data for data in kept)


@pytest.mark.parametrize("how", ["lost", "reset", "garbage", "half"])
def test_a_submission_without_an_answer_is_looked_for_and_never_repeated(how: str, played: Played):
    """Ours: what may have been accepted is asked for by its mark, so that nothing is paid twice."""
    played.hub.faults = [Fault(SUBMIT, how)]

    played.follow()

    assert (played.folder / "result.json").exists()
    assert len(played.hub.jobs.all) == 1
    assert played.hub.count(SUBMIT) == (1 if how == "lost" else 2)


def test_a_submission_that_was_slow_and_not_lost_is_ended_when_another_runs(played: Played):
    """Bug: the second was adopted without another look, and the first ran on beside it, followed by nobody."""
    played.hub.faults = [Fault(SUBMIT, "reset")]
    played.hub.submits_twice = True
    played.go_on.clear()

    def release() -> None:
        try:
            wait_for(lambda: any(job.over.is_set() for job in list(played.hub.jobs.all.values())))
        finally:
            played.go_on.set()

    threading.Thread(target=release).start()
    played.follow()

    assert (played.folder / "result.json").exists()
    assert sorted(job.stage for job in played.hub.jobs.all.values()) == ["CANCELED", "COMPLETED"]


def test_jobs_of_others_are_never_taken_for_ours(played: Played):
    """Bug: of a list that a service does not narrow down the first was adopted, and all others were cancelled."""
    played.hub.lists_all, played.hub.jobs.act, played.hub.jobs.waiting = True, None, True
    theirs = [
        played.hub.jobs.submit("ada", {"command": ["x"], "flavor": "t4-small", "labels": labels}, "")
        for labels in ({"etude-start": "another", "etude-job": JOB}, {"etude-job": JOB})
    ]
    played.hub.faults, played.hub.jobs.act = [Fault(SUBMIT, "lost")], played.act

    played.follow()

    assert (played.folder / "result.json").exists() and played.hub.count(SUBMIT) == 1
    assert played.hub.count("cancel$") == 0 and played.note.id not in {job.job_id for job in theirs}


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -3600.0])
def test_a_duration_that_cannot_be_costs_the_whole_limit(
    seconds: float, played: Played, monkeypatch: pytest.MonkeyPatch
):
    """Bug: no file could hold what it came to, so the job stayed open for ever; or it gave money back."""
    as_json = HubJob.as_json

    def lying(job: HubJob) -> dict[str, Any]:
        return as_json(job) | {"durations": {"schedulingSecs": 0, "runningSecs": seconds, "totalSecs": seconds}}

    monkeypatch.setattr(HubJob, "as_json", lying)
    monkeypatch.setattr("tests.doubles.hub.JSONResponse", Lax)

    played.follow()

    assert read_json(played.folder / "result.json")["remote"] == {"seconds": 60.0, "usd": 0.6}


class Lax(JSONResponse):
    """Sends what JSON has no word for, as Python's own writer does."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode()


def test_a_job_that_is_not_known_everywhere_yet_is_followed_on(played: Played):
    """Bug: one 404 was taken for its end; it was paid for whole, ran on, and the next start submitted another."""
    played.hub.faults = [Fault(r"^GET /api/jobs/ada/[0-9a-f]+$", "status", 404)]

    played.follow()

    assert (played.folder / "result.json").exists() and len(played.hub.jobs.all) == 1
    assert played.note.stage == "COMPLETED"


def test_a_kill_between_submission_and_note_submits_nothing_again(played: Played):
    """Ours: the note is written first and carries the mark, so the next start finds the job."""
    played.hub.faults = [Fault(SUBMIT, "lost"), Fault(r"^GET /api/jobs/ada$", "garbage", times=9)]
    with pytest.raises(ValueError, match="does not list its jobs"):
        played.follow()
    cut_short = played.note
    played.hub.faults = []

    played.follow()

    assert (cut_short.stage, cut_short.id, cut_short.use) == ("SUBMITTING", None, None)
    assert (played.note.mark, played.note.attempt) == (cut_short.mark, 1)
    assert (len(played.hub.jobs.all), played.hub.count(SUBMIT)) == (1, 1)


def test_a_submission_that_may_turn_up_later_is_looked_for_by_the_next_start(played: Played):
    """Ours: as long as nobody knows, nothing is settled and nothing is submitted under another mark."""
    played.hub.faults = [Fault(SUBMIT, "reset", times=4)]
    with pytest.raises(ValueError, match="does not start the job"):
        played.follow()
    left = played.note

    played.follow()

    assert (left.stage, left.use) == ("SUBMITTING", None)
    assert (played.note.mark, played.note.attempt, len(played.hub.jobs.all)) == (left.mark, 1, 1)


def test_a_campaign_is_one_job_there_for_each_of_its_trainings(tmp_path: Path, hub: HubDouble, player: Player):
    """Ours: an arm costs, fails and is found again by itself."""
    workspace, first = remote_training(tmp_path, "train-000000000001", model_id="student-000000000001")
    second = first.model_copy(update={"job_id": "train-000000000002", "model_id": "student-000000000002", "seed": 1})
    bad = first.model_copy(
        update={"job_id": "train-000000000003", "model_id": "student-000000000003", "hparams": {"min_texts": -1}}
    )
    spec = CampaignSpec(job_id="campaign-1", cycle="begin_small", plan_id="campaign-1", arms=[first, second, bad])
    store = JobStore(workspace)

    store.start(spec)
    job = ended(store, "campaign-1")

    assert (job.state, job.models) == ("succeeded", [first.model_id, second.model_id])
    result = read_json(workspace.job_dir("campaign-1") / "result.json")
    assert list(result["failed"]) == [bad.job_id] and "ended as ERROR" in result["failed"][bad.job_id]
    assert [job.stage for job in hub.jobs.all.values()] == ["COMPLETED", "COMPLETED", "ERROR"]
    assert read_json(workspace.job_dir(first.job_id) / "result.json")["remote"]["usd"] >= 0
    assert note_in(workspace.job_dir(bad.job_id)).use is not None
    assert "min_texts: must be at least 1" in log_of(workspace, bad.job_id)
