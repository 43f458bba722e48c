"""Ask a model about sealed rows in a process of its own, inside the sealed folder.

The job gets ids and texts, never a label, in `<sealed>/<name>/<fingerprint>/jobs/<job id>/`, and its answers go there.
That is not where jobs otherwise lie, so no tool lists it, no evidence names it and nothing publishes it. A job's folder
lasts until its answers are handed over: whoever was killed while waiting finds the job again, running or done.

A model that a remote service serves gets the texts there, which is the one thing that leaves the sealed folder.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from servers.core.answers import Answer, ServedBy
from servers.core.dataset import Card, Example
from servers.core.disk import read_jsonl
from servers.core.job_files import PREDICTIONS
from servers.core.jobs import ENDED, JobStatus, JobStore
from servers.core.progress import tell
from servers.core.telling import tell_failure_once
from servers.eval.sampling import TEXTS, Sampling

LIMIT_S = 600.0  # a student takes a second; weights that need a framework take minutes to load
POLL_S = 0.05
PRIVATE = 0o700


class StillAnswering(ValueError):
    """The job goes on; `job` says how far it is."""

    def __init__(self, words: str, job: JobStatus) -> None:
        super().__init__(words)
        self.job = job


def sample_sealed(
    sampling: Sampling,
    card: Card,
    model: str,
    served_by: ServedBy,
    rows: Sequence[Example],
    limit_s: float = LIMIT_S,
    approve_usd: float | None = None,
    keep: Callable[[list[Answer]], None] = lambda answers: None,
) -> list[Answer]:
    """One answer of a model to each of the rows, in order, given by a process that saw no label.

    Args:
        sampling: Makes the job.
        card: Whose sealed rows they are.
        model: 'prompt', 'teacher' or the id of a trained model.
        served_by: What has to answer.
        rows: The sealed rows, or some of them.
        limit_s: How long to wait for the job; it goes on afterwards, and the next call finds it.
        approve_usd: What a person typed back of a cost that was told.
        keep: Is given the answers while the job still has them: a kill in between pays for nothing twice.

    Raises:
        StillAnswering: the job takes longer.
        ValueError: the model's files are gone or changed, the job failed, or its answers are not this model's. No text
            of a row is in the message.
        PermissionError: the sealed folder is another user's.
    """
    root = sampling.workspace.sealed_dir(card.name, card.gate_fingerprint) / "jobs"
    deadline = time.monotonic() + limit_s
    root.mkdir(mode=PRIVATE, exist_ok=True)
    with _one_at_a_time(root, deadline):
        jobs = JobStore(sampling.workspace, root)
        folder = root / sampling.job_id(root, model, card, rows, "sealed")
        folder.mkdir(mode=PRIVATE, exist_ok=True)
        job = sampling.begin(jobs, root, model, card, rows, "sealed", approve_usd)
        _wait(sampling, jobs, job, folder, deadline)
        answers = [Answer.model_validate(row) for row in read_jsonl(folder / PREDICTIONS)]
        try:
            _refuse_other_answers(answers, rows, served_by)
        except ValueError:
            _take_away(folder)
            raise
        keep(answers)
        _take_away(folder)
    return answers


def _wait(sampling: Sampling, jobs: JobStore, job: JobStatus, folder: Path, deadline: float) -> None:
    """Wait until the job has answered."""
    while job.state not in ENDED:
        if time.monotonic() >= deadline:
            raise StillAnswering(
                f"a model is still answering the sealed rows in {folder}; call again to go on waiting", job
            )
        tell(job.step, job.of or None, "the sealed rows are being answered")
        time.sleep(POLL_S)
        job = jobs.status(job.job_id)
    sampling.settle(jobs, folder.parent)
    if job.state != "succeeded":
        (folder / TEXTS).unlink(missing_ok=True)
        tell_failure_once(folder, job, sealed=True)
        raise ValueError(f"the job that asks about the sealed rows was {job.state}; calling again starts it afresh")


def _take_away(folder: Path) -> None:
    """Remove a job's folder, the texts first; cut short, it is no longer found as a job."""
    (folder / TEXTS).unlink(missing_ok=True)  # gone already where this was cut short
    rest = folder.with_name(f".{folder.name}")
    shutil.rmtree(rest, ignore_errors=True)
    folder.rename(rest)
    shutil.rmtree(rest)


def _refuse_other_answers(answers: Sequence[Answer], rows: Sequence[Example], served_by: ServedBy) -> None:
    model = served_by.model_id
    if [answer.id for answer in answers] != [row.id for row in rows]:
        raise ValueError(f"{model!r} did not answer each sealed row once, in order; call again")
    others = sum(answer.served_by.digest != served_by.digest for answer in answers)
    if others:
        raise ValueError(
            f"{others} of {len(answers)} answers to the sealed rows were not given by {model!r} as it was measured on "
            "the diagnose rows; measure it again with sample_model and evaluate_model, or in the next cycle"
        )


@contextmanager
def _one_at_a_time(root: Path, deadline: float) -> Iterator[None]:
    """Hold the jobs' folder, so that nobody takes away the answers that another waits for."""
    handle = os.open(root, os.O_RDONLY)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise ValueError(f"another process asks about the sealed rows in {root}; call again") from None
                time.sleep(POLL_S)
        yield
    finally:
        os.close(handle)
