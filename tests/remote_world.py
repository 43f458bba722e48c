"""Jobs elsewhere for tests: a training that is not started yet, and Hugging Face playing what it would run."""

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

from servers.core.job_files import (
    RemoteSpec,
    TrainResult,
    TrainSpec,
    begin_attempt,
    locked_pid,
    write_wire,
)
from servers.core.jobs import JobStatus, JobStore
from servers.core.models import model_digest
from servers.core.remote_note import RemoteNote, note_for_next_attempt, read_note
from servers.core.services import Services
from servers.core.settings import Settings
from servers.core.workspace import Workspace
from tests.doubles.hub import HubDouble
from tests.doubles.hub_jobs import HubJob
from tests.doubles.hub_repos import Repo
from tests.test_jobs import JOB, ended, training
from training_jobs.remote import Following

REMOTE = RemoteSpec(namespace="ada", flavor="t4-small", image="uv", timeout_s=60, usd_per_minute=0.6)
MODEL_REPO = "ada/etude-kotone-student-0123456789ab"
SUBMIT = r"^POST /api/jobs/ada$"


def remote_training(folder: Path, job_id: str = JOB, **update: Any) -> tuple[Workspace, TrainSpec]:
    """A training that is not started, with its rows where a dataset's are."""
    workspace, spec = training(folder)
    place = workspace.dataset_dir("small", "v1")
    for name in ("train.jsonl", "diagnose.jsonl"):
        place.mkdir(parents=True, exist_ok=True)
        os.replace(workspace.root / name, place / name)
    where = {
        "train_file": "../../datasets/small/v1/train.jsonl",
        "texts_file": "../../datasets/small/v1/diagnose.jsonl",
    }
    return workspace, spec.model_copy(update={"job_id": job_id, "remote": REMOTE, **where, **update})


def note_in(folder: Path) -> RemoteNote:
    note = read_note(folder)
    assert note is not None, f"{folder} has no note of a job elsewhere"
    return note


def log_of(workspace: Workspace, job_id: str = JOB) -> str:
    return (workspace.job_dir(job_id) / "log.txt").read_text()


def killed(store: JobStore, workspace: Workspace, job_id: str = JOB) -> JobStatus:
    """The job once whoever followed it was killed."""
    pid = locked_pid(workspace.job_dir(job_id))
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return ended(store, job_id)


class Player:
    """Plays trainings, so that they take no time: leaves the results of the job whose specification was uploaded.

    Args:
        hub: Where they are played.
        fitted: The model that each of them makes.
    """

    def __init__(self, hub: HubDouble, fitted: Path) -> None:
        self.hub, self.fitted = hub, fitted
        self.lines = ["Installed what it needs", "1/6 training"]
        self.go_on = threading.Event()
        """Cleared, jobs wait in the middle of their work."""
        self.go_on.set()
        hub.jobs.act = self.act

    def act(self, job: HubJob) -> int:
        for line in self.lines:
            job.say(line)
        while not self.go_on.wait(0.02):
            if job.over.is_set():
                return 1
        job_id = job.spec["labels"]["etude-job"]
        spec = json.loads(self.hub.files("dataset", "ada/etude-jobs")[f"jobs/{job_id}/spec.json"])
        if spec["hparams"].get("min_texts") == -1:
            job.say("min_texts: must be at least 1")
            return 1
        result = TrainResult(
            job_id=job_id,
            model_id=spec["model_id"],
            digest=model_digest(self.fitted),
            family="student",
            hparams={},
            dataset="small",
            dataset_version="v1",
            cycle="begin_small",
            train_rows=30,
            seconds=1.0,
            versions={},
        )
        tree = {f"job/model/{file.name}": file.read_bytes() for file in self.fitted.iterdir()}
        tree |= {"job/result.json": result.model_dump_json(by_alias=True).encode(), "job/predictions.jsonl": b""}
        if self.hub.forget_models:
            tree = {path: data for path, data in tree.items() if "/model/" not in path}
        repo = Repo("model", f"ada/etude-kotone-{spec['model_id']}", private=True)
        repo.commit(tree)
        self.hub.repos["model", repo.name] = repo
        job.say("6/6 answering")
        return 0


class Played(Player):
    """A training that is followed in this process, and played."""

    def __init__(self, folder: Path, hub: HubDouble, fitted: Path) -> None:
        super().__init__(hub, fitted)
        self.workspace, self.spec = remote_training(folder)
        self.folder = self.workspace.job_dir(JOB)
        write_wire(self.folder / "spec.json", self.spec)

    def follow(self) -> None:
        """One start of the job."""
        note_for_next_attempt(self.folder)
        begin_attempt(self.folder)
        Following(self.folder, self.spec, Services.here(Settings())).do()

    @property
    def note(self) -> RemoteNote:
        note = read_note(self.folder)
        assert note is not None
        return note
