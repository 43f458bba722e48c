"""Jobs on Hugging Face when the service goes wrong: again where that helps, else one line, and everything as it was."""

import os
from pathlib import Path

import pytest

from servers.core.disk import write_jsonl
from servers.core.job_files import (
    RemoteUse,
)
from servers.core.models import model_digest
from tests.doubles.hub import TOKEN, Fault
from tests.doubles.hub_jobs import HubJob
from tests.doubles.hub_repos import Repo
from tests.remote_world import MODEL_REPO, SUBMIT, Played
from tests.test_jobs import rows

pytestmark = pytest.mark.services

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
