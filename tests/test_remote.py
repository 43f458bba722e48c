"""Jobs on Hugging Face: submitted once, followed by anyone, fetched whole, and honest about what went wrong.

Hugging Face is a double that speaks its HTTP and really runs each job; its own library stands in between.
"""

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

from servers.core.disk import read_json, read_jsonl, write_jsonl
from servers.core.job_files import (
    CampaignSpec,
    RemoteSpec,
    RemoteUse,
    SampleResult,
    SampleSpec,
    TrainResult,
    TrainSpec,
    begin_attempt,
    locked_pid,
    write_wire,
)
from servers.core.jobs import JobStatus, JobStore
from servers.core.models import model_digest
from servers.core.remote_note import RemoteNote, note_for_next_attempt, open_note, read_note
from servers.core.services import Services
from servers.core.settings import Settings
from servers.core.workspace import Workspace
from tests.doubles.hub import TOKEN, Fault, HubDouble
from tests.doubles.hub_jobs import HubJob
from tests.doubles.hub_repos import Repo
from tests.test_jobs import JOB, TASK, ended, fitted_here, rows, training, wait_for
from training_jobs.remote import Following

pytestmark = pytest.mark.services

REMOTE = RemoteSpec(namespace="ada", flavor="t4-small", image="uv", timeout_s=60, usd_per_minute=0.6)
MODEL_REPO = "ada/etude-kotone-student-0123456789ab"
SUBMIT = r"^POST /api/jobs/ada$"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    with HubDouble() as double:
        for name, value in double.environment.items():
            monkeypatch.setenv(name, value)
        yield double


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


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted_here(tmp_path_factory.mktemp("fitted"))


@pytest.fixture
def player(hub: HubDouble, fitted: Path) -> Player:
    return Player(hub, fitted)


@pytest.fixture
def played(tmp_path: Path, hub: HubDouble, fitted: Path) -> Played:
    return Played(tmp_path, hub, fitted)


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


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_a_submission_that_is_refused_costs_nothing_and_says_why(status: int, played: Played):
    """Ours: one clear line without the token, nothing paid, and the same start works once it is mended."""
    played.hub.faults = [Fault(SUBMIT, "status", status)]

    with pytest.raises(ValueError, match="does not start the job") as refused:
        played.follow()

    assert TOKEN not in str(refused.value) and "\n" not in str(refused.value)
    assert played.note.use == RemoteUse(seconds=0.0, usd=0.0)
    played.follow()
    assert played.note.attempt == 2 and (played.folder / "result.json").exists()
    assert len(played.hub.jobs.all) == 1


ONCE = [
    ("repos/create", "reset"),
    ("repos/create", "status"),
    ("datasets/ada/etude-jobs$", "garbage"),
    ("paths-info", "half"),
    ("commit/main", "lost"),
    ("GET /api/jobs/ada/0", "status"),
    ("GET /api/jobs/ada/0", "reset"),
    ("models/.*tree", "garbage"),
    ("resolve", "half"),
    ("resolve", "reset"),
]


@pytest.mark.parametrize(("request_", "how"), ONCE)
def test_what_goes_wrong_once_is_tried_again(request_: str, how: str, played: Played):
    """Ours: a broken connection, an answer that is none, and too many requests, are no end of a training."""
    played.hub.faults = [Fault(request_, how, 429, headers={"Retry-After": "0"})]

    played.follow()

    assert (played.folder / "result.json").exists()
    assert model_digest(played.folder / "model") == model_digest(played.fitted)
    assert len(played.hub.jobs.all) == 1


def test_a_service_that_stays_away_leaves_everything_as_it_is(played: Played):
    """Ours: results that cannot be fetched now are fetched by the next start, and paid once."""
    played.hub.faults = [Fault("models/.*tree", "garbage", times=99)]
    with pytest.raises(ValueError, match="does not hand over the results"):
        played.follow()
    left = played.note
    played.hub.faults = []

    played.follow()

    assert (left.stage, left.use) == ("COMPLETED", None)
    assert (played.folder / "result.json").exists() and played.note.attempt == 1
    assert len(played.hub.jobs.all) == 1


def test_a_silent_service_is_not_waited_for_for_ever(played: Played, monkeypatch: pytest.MonkeyPatch):
    """Ours: a request without an answer is given up and made again."""
    monkeypatch.setenv("ETUDE_HUB_TIMEOUT_S", "0.3")
    played.hub.faults = [Fault("repos/create", "hang")]

    played.follow()

    assert (played.folder / "result.json").exists()


def test_a_log_that_is_cut_goes_on_without_doubled_lines(played: Played):
    """Ours: the service replays a log from its beginning, the file has each line once."""
    played.lines = [f"line {number}" for number in range(6)]
    played.hub.cut_logs = [3, 5]

    played.follow()

    lines = [line for line in (played.folder / "log.txt").read_text().splitlines() if line.startswith("line")]
    assert lines == played.lines


def test_a_job_that_says_it_succeeded_but_left_no_model_has_failed(played: Played):
    """Ours: success is a model whose bytes are those that were named; the next start trains anew."""
    played.hub.forget_models = True
    with pytest.raises(ValueError, match="says that it succeeded, but it left no model"):
        played.follow()
    assert played.note.use is not None and not (played.folder / "result.json").exists()
    played.hub.forget_models = False

    played.follow()

    assert (played.folder / "result.json").exists() and len(played.hub.jobs.all) == 2


def test_other_bytes_than_those_that_were_named_are_no_model(played: Played, tmp_path: Path):
    """Ours: what is fetched is looked at byte by byte."""
    act = played.act

    def meddling(job: HubJob) -> int:
        act(job)
        repo = played.hub.repos["model", MODEL_REPO]
        repo.commit(
            {path: data + b" " if path.endswith("student.json") else data for path, data in repo.tree().items()}
        )
        return 0

    played.hub.jobs.act = meddling

    with pytest.raises(ValueError, match="not the one that it names"):
        played.follow()

    assert not (played.folder / "model").exists() and not (played.folder / "result.json").exists()


@pytest.mark.parametrize("stage", ["ERROR", "CANCELED", "DELETED"])
def test_a_job_that_fails_there_has_failed_here_and_starts_afresh(stage: str, played: Played):
    """Ours: its last words are in the log, what it took is noted, and another start is another job."""

    def failing(job: HubJob) -> int:
        job.say("CUDA out of memory")
        if stage == "CANCELED":
            job.cancel()
        if stage == "DELETED":
            del played.hub.jobs.all[job.job_id]
        return 1

    played.hub.jobs.act = failing
    with pytest.raises(ValueError, match=f"ended as {stage}"):
        played.follow()
    first = played.note
    played.hub.jobs.act = played.act

    played.follow()

    if stage != "DELETED":
        assert "CUDA out of memory" in (played.folder / "log.txt").read_text()
    assert first.use is not None
    assert (played.folder / "result.json").exists() and played.note.attempt == 2


@pytest.mark.parametrize(("kind", "name"), [("dataset", "ada/etude-jobs"), ("model", MODEL_REPO)])
def test_rows_go_to_private_repositories_only(kind: str, name: str, played: Played):
    """Ours: a repository that somebody made public gets nothing."""
    played.hub.repos[kind, name] = Repo(kind, name, private=False)

    with pytest.raises(ValueError, match=f"{name} is public"):
        played.follow()

    assert list(played.hub.files(kind, name)) == [".gitattributes"]
    assert not played.hub.jobs.all


def test_rows_of_another_place_are_not_uploaded(played: Played):
    """Ours: only a dataset's open splits leave the machine, whatever a specification says."""
    sealed = played.workspace.sealed_dir("small", "0123456789abcdef") / "rows.jsonl"
    write_jsonl(sealed, rows(3))
    played.spec = played.spec.model_copy(update={"train_file": os.path.relpath(sealed, played.folder)})

    with pytest.raises(ValueError, match="so it is not uploaded"):
        played.follow()

    assert not [path for path in played.hub.files("dataset", "ada/etude-jobs") if path.startswith("jobs/")]


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
