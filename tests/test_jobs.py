"""Jobs: started once, found by anyone, and honest about how they ended. Every job here is a real process."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from servers.core.answers import Answer, parse_answer
from servers.core.dataset import Example
from servers.core.disk import read_json, read_jsonl, write_jsonl
from servers.core.job_files import SampleSpec, TrainResult, TrainSpec, is_alive, locked_pid, try_lock
from servers.core.jobs import ENDED, JobStatus, JobStore
from servers.core.models import model_digest
from servers.core.student import Student, StudentHparams
from servers.core.task import load_task
from servers.core.workspace import Workspace

ROOT = Path(__file__).parent.parent
JOB = "train-0123456789ab"
TASK = load_task("kotone")
LIMIT_S = 60.0


def wait_for(happened: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + LIMIT_S
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def ended(store: JobStore, job_id: str = JOB) -> JobStatus:
    """The job once it has ended."""
    wait_for(lambda: store.status(job_id).state in ENDED)
    return store.status(job_id)


def rows(n: int) -> list[dict[str, object]]:
    words = ["calm", "fast", "warm", "cold", "bright"]
    return [
        {
            "id": f"r{number}",
            "text": f"a {words[number % 5]} and {words[number % 4]} piece, number {number}",
            "target": {name: float(number % 5 * 20 + place) for place, name in enumerate(TASK.names)},
            "source": "import",
            "weight": 2.0 if number < 5 else 1.0,
        }
        for number in range(n)
    ]


def training(folder: Path, n: int = 30) -> tuple[Workspace, TrainSpec]:
    """A training of a job that is not started, with its rows in place."""
    workspace = Workspace(folder / "artifacts")
    write_jsonl(workspace.root / "train.jsonl", rows(n))
    write_jsonl(workspace.root / "diagnose.jsonl", rows(7))
    spec = TrainSpec(
        job_id=JOB,
        model_id="student-0123456789ab",
        family="student",
        hparams={"min_texts": 2},
        seed=0,
        task=TASK,
        dataset="small",
        dataset_version="0123456789abcdef",
        cycle="begin_small",
        plan_id="retrain-0123456789ab",
        train_file="../../train.jsonl",
        texts_file="../../diagnose.jsonl",
    )
    return workspace, spec


def waiting_training(folder: Path) -> tuple[Workspace, TrainSpec, Path]:
    """A training whose rows come through a pipe, so that it waits for them for as long as the test needs."""
    workspace, spec = training(folder)
    pipe = workspace.root / "train.jsonl"
    pipe.unlink()
    os.mkfifo(pipe)
    return workspace, spec, pipe


def fitted_here(folder: Path) -> Path:
    """The folder of the student that `training` asks for, made in this process."""
    examples = [Example.model_validate(row) for row in rows(30)]
    targets = np.array([[row.target[name] for name in TASK.names] for row in examples])
    weights = np.array([row.weight for row in examples])
    hparams = StudentHparams(min_texts=2)
    student = Student.fit([row.text for row in examples], targets, TASK.names, 0, 100, weights, hparams)
    student.save(folder / "here")
    return folder / "here"


def test_a_training_leaves_a_model_its_answers_and_how_it_came_about(tmp_path: Path):
    """Ours: a job's folder is all there is to it, and repeating the start finds it."""
    workspace, spec = training(tmp_path)
    store = JobStore(workspace)

    started = store.start(spec)
    job = ended(store)
    folder = workspace.job_dir(JOB)

    assert started.state in ("queued", "running") and started.model is None
    assert (job.state, job.model, job.attempt, job.error) == ("succeeded", spec.model_id, 1, None)
    result = TrainResult.model_validate(read_json(folder / "result.json"))
    assert result.digest == model_digest(folder / "model")
    assert result.digest == model_digest(fitted_here(tmp_path))
    assert result.hparams["min_texts"] == 2 and result.hparams["word_ngrams"] == 2
    assert (result.train_rows, result.dataset_version) == (30, spec.dataset_version)
    answers = [Answer.model_validate(row) for row in read_jsonl(folder / "predictions.jsonl")]
    assert [answer.id for answer in answers] == [f"r{number}" for number in range(7)]
    assert all(parse_answer(answer.text, TASK) for answer in answers)
    assert {answer.served_by.digest for answer in answers} == {result.digest}
    steps = list(read_jsonl(folder / "metrics.jsonl"))
    assert [step["data/train_rows"] for step in steps] == [10, 12, 18, 24, 30]
    figures = {"objective/train_loss", "left_out/mae_raw", "left_out/mae_raw_energy", "iter_eval/mae_raw_energy"}
    assert figures <= set(steps[-1])
    assert steps[-1]["iter_eval/mae_raw"] < steps[0]["iter_eval/mae_raw"]
    assert read_json(folder / "status.json")["state"] == "succeeded"
    assert store.start(spec) == job == JobStore(workspace).start(spec)
    wait_for(lambda: not Path(f"/proc/{locked_pid(folder)}").exists())  # nobody is left behind as a zombie


def test_two_servers_that_start_the_same_job_at_once_start_it_once(tmp_path: Path):
    """Ours: a job is not submitted twice, and outlives whoever submitted it."""
    workspace, spec = training(tmp_path)
    code = (
        "import sys; from pathlib import Path; from servers.core.job_files import TrainSpec; "
        "from servers.core.jobs import JobStore; from servers.core.workspace import Workspace; "
        "sys.stdin.readline(); "
        "JobStore(Workspace(Path(sys.argv[1]))).start(TrainSpec.model_validate_json(sys.argv[2]))"
    )
    arguments = [sys.executable, "-c", code, str(workspace.root), spec.model_dump_json(by_alias=True)]
    servers = [subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE) for _ in range(2)]

    for server in servers:
        assert server.stdin is not None
        server.stdin.write(b"go\n")
        server.stdin.close()
    assert [server.wait(LIMIT_S) for server in servers] == [0, 0]
    job = ended(JobStore(workspace))

    assert (job.state, job.attempt) == ("succeeded", 1)
    assert (workspace.job_dir(JOB) / "log.txt").read_text().count("--- attempt") == 1


def test_a_killed_job_has_failed_and_starts_afresh(tmp_path: Path):
    """Ours: a job that died without a result is failed, with the last words of its log, never running."""
    workspace, spec, pipe = waiting_training(tmp_path)
    store = JobStore(workspace)
    store.start(spec)
    wait_for(lambda: store.status(JOB).state == "running")
    pid = locked_pid(workspace.job_dir(JOB))
    assert pid is not None

    os.kill(pid, signal.SIGKILL)
    job = ended(JobStore(workspace))

    assert job.state == "failed" and job.model is None
    assert job.error == ("attempt 1 ended without a result; it left no word, so it was killed or the machine stopped")
    assert read_json(workspace.job_dir(JOB) / "status.json")["error"] == job.error
    pipe.unlink()
    write_jsonl(pipe, rows(30))
    store.start(spec)
    again = ended(store)
    assert (again.state, again.attempt, again.error) == ("succeeded", 2, None)


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_cancelled_job_is_gone_and_never_succeeds(state: str, tmp_path: Path):
    """Ours: when cancel returns, nobody is left who could write a result; any server may cancel."""
    workspace, spec, pipe = waiting_training(tmp_path)
    store, other = JobStore(workspace), JobStore(workspace)
    store.start(spec)
    if state == "running":
        wait_for(lambda: store.status(JOB).state == state)

    cancelled = other.cancel(JOB)
    pipe.unlink()
    write_jsonl(pipe, rows(30))

    assert (cancelled.state, cancelled.model) == ("cancelled", None)
    assert store.cancel(JOB) == store.status(JOB) == cancelled
    assert not (workspace.job_dir(JOB) / "result.json").exists()
    wait_for(lambda: not Path(f"/proc/{locked_pid(workspace.job_dir(JOB))}").exists())
    assert store.status(JOB).state == "cancelled"


def test_a_job_that_cannot_do_its_work_says_why(tmp_path: Path):
    """Ours: the error of a job reaches whoever asks, without a traceback for what the caller can mend."""
    workspace, spec = training(tmp_path, n=9)
    store = JobStore(workspace)

    store.start(spec)
    job = ended(store)

    assert job.state == "failed"
    assert job.error is not None and job.error.endswith("error: 9 rows to train on; a student needs at least 10")
    assert "Traceback" not in (workspace.job_dir(JOB) / "log.txt").read_text()


def test_a_job_that_dies_at_its_start_has_failed_for_anyone_who_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ours: whether a job lives is seen from its lock, so the first look after its death says failed, never queued."""
    workspace, spec = training(tmp_path)
    folder = workspace.job_dir(JOB)
    monkeypatch.setattr(sys, "executable", "/bin/false")  # a Python that does not come up
    JobStore(workspace).start(spec)
    pid = locked_pid(folder)
    wait_for(lambda: not Path(f"/proc/{pid}").exists())

    job = JobStore(workspace).status(JOB)

    assert (job.state, job.attempt, job.model) == ("failed", 1, None)
    assert job.error is not None and "it left no word" in job.error
    assert read_json(folder / "status.json")["state"] == "failed"


def test_who_only_looks_at_a_job_keeps_nobody_from_starting_it(tmp_path: Path):
    """Bug: a job run by hand was refused as running when somebody asked for its status at that moment."""
    looking = os.open(tmp_path / "job.lock", os.O_RDONLY | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)
    looked = threading.Timer(0.02, os.close, (looking,))
    looked.start()

    lock = try_lock(tmp_path)

    assert lock is not None and is_alive(tmp_path)
    os.close(lock)
    looked.join()


def test_a_job_id_stands_for_one_piece_of_work(tmp_path: Path):
    """Ours: an id that is asked to do something else is a mistake, not a second job."""
    workspace, spec, _ = waiting_training(tmp_path)
    store = JobStore(workspace)
    store.start(spec)

    with pytest.raises(ValueError, match="was started with another specification"):
        store.start(spec.model_copy(update={"seed": 1}))

    assert store.cancel(JOB).state == "cancelled"


def test_an_unknown_job_is_refused_with_the_known_ones(tmp_path: Path):
    """Ours: a refusal says what there is, and a job id is never a path."""
    store = JobStore(Workspace(tmp_path))

    with pytest.raises(ValueError, match="no job 'train-1'; known: none; start_retrain starts one"):
        store.status("train-1")
    with pytest.raises(ValueError, match="not a plain name"):
        store.status("../../etc")
    assert store.list() == []


def test_a_sampling_times_each_request_where_it_is_asked_to(tmp_path: Path):
    """Ours: latency is measured on single requests, and a job's answers carry what served them."""
    workspace, spec = training(tmp_path)
    store = JobStore(workspace)
    store.start(spec)
    assert ended(store).state == "succeeded"
    sampling = SampleSpec(
        job_id="sample-1",
        model_id=spec.model_id,
        task=TASK,
        model_dir=f"../{JOB}/model",
        texts_file="../../diagnose.jsonl",
        timed=1000,
    )

    store.start(sampling)
    job = ended(store, "sample-1")

    assert (job.state, job.model) == ("succeeded", None)
    answers = [Answer.model_validate(row) for row in read_jsonl(workspace.job_dir("sample-1") / "predictions.jsonl")]
    trained = [Answer.model_validate(row) for row in read_jsonl(workspace.job_dir(JOB) / "predictions.jsonl")]
    assert [(a.id, a.text, a.served_by) for a in answers] == [(a.id, a.text, a.served_by) for a in trained]
    assert all(answer.latency_ms is not None and answer.latency_ms > 0 for answer in answers)
    assert [job.job_id for job in store.list()] == [JOB, "sample-1"]


def test_a_job_run_by_hand_needs_no_server(tmp_path: Path):
    """Ours: the programs of training_jobs read a folder; who started them does not matter to anyone who looks."""
    workspace, spec = training(tmp_path)
    folder = workspace.job_dir(JOB)
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(json.dumps(spec.model_dump(mode="json", by_alias=True)))
    command = [sys.executable, "-m", "training_jobs.train", str(folder)]
    (folder / "metrics.jsonl").write_text('{"_step": 1, "of": "an attempt that died"}\n')

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert JobStore(workspace).status(JOB).state == "succeeded"
    assert len(list(read_jsonl(folder / "metrics.jsonl"))) == 5
    assert again.returncode == 1 and "has a result already" in again.stderr


def test_an_adapter_on_this_machine_is_trained_where_its_framework_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ours: a student's job keeps to the server's interpreter; an adapter's takes what make setup-train made."""
    framework = tmp_path / "venv" / "python"
    framework.parent.mkdir()
    framework.write_text(f'#!/bin/sh\necho with the framework\nexec {sys.executable} "$@"\n')
    framework.chmod(0o755)
    monkeypatch.setattr("servers.core.jobs.TRAIN_PYTHON", framework)
    workspace, spec = training(tmp_path)
    adapter = spec.model_copy(update={"job_id": "train-1", "model_id": "lora-1", "family": "lora", "base": "nowhere"})
    store = JobStore(workspace)

    for one in (spec, adapter):
        store.start(one)
        ended(store, one.job_id)

    said = {one.job_id: (workspace.job_dir(one.job_id) / "log.txt").read_text() for one in (spec, adapter)}
    assert "with the framework" in said["train-1"] and "with the framework" not in said[JOB]
