"""Jobs on Hugging Face where one answer is not to be believed: what may still run is never given up for it."""

import os
from pathlib import Path

import pytest

from servers.core.disk import write_jsonl
from servers.core.job_files import SampleSpec, begin_attempt, write_wire
from servers.core.models import model_digest
from servers.core.remote_note import note_for_next_attempt
from servers.core.services import Services
from servers.core.settings import Settings
from tests.doubles.hub import Fault, HubDouble
from tests.remote_world import REMOTE, Played
from tests.test_jobs import TASK, fitted_here, rows, training
from training_jobs.remote import Following

pytestmark = pytest.mark.services

ONE_JOB, SUBMIT = "^GET /api/jobs/ada/0[0-9a-f]*$", r"^POST /api/jobs/ada$"


@pytest.mark.parametrize("times", [1, 3])
def test_a_job_that_is_not_found_for_a_moment_is_not_given_up(times: int, played: Played):
    """Ours: a service that has just taken a job in, or takes the token for a stranger's, says 404 too."""
    played.hub.faults = [Fault(ONE_JOB, "status", 404, times=times)]

    played.follow()

    assert (played.folder / "result.json").exists() and played.hub.count(SUBMIT) == 1


def test_a_token_that_may_not_see_the_job_leaves_it_open(played: Played):
    """Ours: what nobody here can see may run and cost, so it is no end, and nothing is submitted beside it."""
    played.go_on.clear()
    played.hub.faults = [Fault("^GET /api/jobs/ada", "status", 404, times=999)]
    with pytest.raises(ValueError, match="HF_TOKEN may not see it"):
        played.follow()
    unseen = played.note
    played.hub.faults = []
    played.go_on.set()

    played.follow()

    assert unseen.use is None and unseen.id is not None
    assert (played.folder / "result.json").exists() and played.hub.count(SUBMIT) == 1


def test_a_log_that_is_not_found_for_a_moment_is_still_followed(played: Played):
    """Ours: a job that was just taken in has no log yet."""
    played.hub.faults = [Fault("/logs$", "status", 404, times=2)]

    played.follow()

    assert "1/6 training" in (played.folder / "log.txt").read_text().splitlines()


# The library's own way to send a large file.
@pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")
def test_answers_that_were_fetched_are_kept_when_their_texts_could_not_be_deleted(tmp_path: Path, hub: HubDouble):
    """Ours: a deletion whose answer is lost takes the results along; they are here by then."""
    _, spec = training(tmp_path)
    folder = tmp_path / "jobs" / "sample-1"
    write_jsonl(folder / "texts.jsonl", [{"id": row["id"], "text": row["text"]} for row in rows(7)])
    sampling = SampleSpec(
        job_id="sample-1",
        model_id=spec.model_id,
        task=TASK,
        model_dir=os.path.relpath(fitted_here(tmp_path), folder),
        texts_file="texts.jsonl",
        remote=REMOTE,
    )
    write_wire(folder / "spec.json", sampling)

    def follow() -> None:
        note_for_next_attempt(folder)
        begin_attempt(folder)
        Following(folder, sampling, Services.here(Settings())).do()

    hub.faults = [Fault("repos/delete", "lost", times=4)]
    with pytest.raises(ValueError, match="does not delete the repository"):
        follow()
    hub.faults = []
    follow()

    assert (folder / "result.json").exists() and hub.count(SUBMIT) == 1
    assert len((folder / "predictions.jsonl").read_text().splitlines()) == 7


def test_words_of_the_one_who_follows_do_not_stand_for_lines_of_the_log(played: Played):
    """Ours: what a follower says when it fails lies in the same file, and the job's own lines are still all there."""
    played.lines = [f"line {number}" for number in range(6)]
    played.go_on.clear()
    played.hub.faults = [Fault(ONE_JOB, "status", 403)]
    with pytest.raises(ValueError, match="does not say how the job is"):
        played.follow()
    with (played.folder / "log.txt").open("a") as log:
        log.write("error: Hugging Face does not say how the job is\n")
    played.go_on.set()

    played.follow()

    found = [line for line in (played.folder / "log.txt").read_text().splitlines() if line.startswith("line")]
    assert found == played.lines and model_digest(played.folder / "model") == model_digest(played.fitted)
