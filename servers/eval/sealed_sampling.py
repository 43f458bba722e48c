"""Ask a model about sealed rows in a process of its own, inside the sealed folder.

The job gets ids and texts, never a label, in `<sealed>/<name>/<fingerprint>/jobs/<job id>/`, and its answers go there.
That is not where jobs otherwise lie, so no tool lists it, no evidence names it and nothing publishes it. A job's folder
lasts until its answers are handed over: whoever was killed while waiting finds the job again, running or done.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from servers.core.answers import Answer
from servers.core.dataset import Card, Example
from servers.core.disk import digest, read_jsonl, write_jsonl
from servers.core.job_files import PREDICTIONS, SampleSpec, TrainResult
from servers.core.jobs import ENDED, JobStore
from servers.core.models import intact_folder
from servers.core.task import Task
from servers.core.workspace import Workspace

TEXTS = "texts.jsonl"
LIMIT_S = 600.0  # a student takes a second; weights that need a framework take minutes to load
POLL_S = 0.05
PRIVATE = 0o700


def sample_sealed(
    workspace: Workspace,
    task: Task,
    card: Card,
    made: TrainResult,
    rows: Sequence[Example],
    limit_s: float = LIMIT_S,
) -> list[Answer]:
    """One answer of a trained model to each of the rows, in order, given by a process that saw no label.

    Args:
        workspace: Where the model lies.
        task: What is read from the texts.
        card: Whose sealed rows they are.
        made: The model.
        rows: The sealed rows, or some of them.
        limit_s: How long to wait for the job; it goes on afterwards, and the next call finds it.

    Raises:
        ValueError: the model's files are gone or changed, the job failed or takes longer, or its answers are not this
            model's. No text of a row is in the message.
        PermissionError: the sealed folder is another user's.
    """
    root = workspace.sealed_dir(card.name, card.gate_fingerprint) / "jobs"
    # As seen from the job's folder, so that both folders can be moved together.
    model = os.path.relpath(intact_folder(workspace, made), root / "job")
    asked = [{"id": row.id, "text": row.text} for row in rows]
    job_id = "sample-" + digest([made.model_id, made.digest, model, task, asked])[:12]
    folder = root / job_id
    deadline = time.monotonic() + limit_s
    root.mkdir(mode=PRIVATE, exist_ok=True)
    with _one_at_a_time(root, deadline):
        folder.mkdir(mode=PRIVATE, exist_ok=True)
        write_jsonl(folder / TEXTS, asked)
        spec = SampleSpec(
            job_id=job_id,
            model_id=made.model_id,
            task=task,
            model_dir=model,
            texts_file=TEXTS,
        )
        _wait(JobStore(workspace, root), spec, folder, deadline)
        answers = [Answer.model_validate(row) for row in read_jsonl(folder / PREDICTIONS)]
        _take_away(folder)
    _refuse_other_answers(answers, asked, made)
    return answers


def _wait(jobs: JobStore, spec: SampleSpec, folder: Path, deadline: float) -> None:
    """Start or find the job, and wait until it has answered."""
    state = jobs.start(spec).state
    while state not in ENDED:
        if time.monotonic() >= deadline:
            raise ValueError(
                f"{spec.model_id!r} is still answering the sealed rows in {folder}; call again to go on waiting"
            )
        time.sleep(POLL_S)
        state = jobs.status(spec.job_id).state
    if state != "succeeded":
        (folder / TEXTS).unlink(missing_ok=True)
        # Not its last words: a traceback may quote what it worked on.
        raise ValueError(
            f"the job that asks {spec.model_id!r} about the sealed rows {state}; its log is in {folder}, and calling "
            "again starts it afresh"
        )


def _take_away(folder: Path) -> None:
    """Remove a job's folder, the texts first; cut short, it is no longer found as a job."""
    (folder / TEXTS).unlink()
    rest = folder.with_name(f".{folder.name}")
    shutil.rmtree(rest, ignore_errors=True)
    folder.rename(rest)
    shutil.rmtree(rest)


def _refuse_other_answers(answers: Sequence[Answer], asked: Sequence[dict[str, str]], made: TrainResult) -> None:
    if [answer.id for answer in answers] != [row["id"] for row in asked]:
        raise ValueError(f"{made.model_id!r} did not answer each sealed row once, in order; call again")
    others = sum(answer.served_by.digest != made.digest for answer in answers)
    if others:
        raise ValueError(
            f"{others} of {len(answers)} answers to the sealed rows were not given by {made.model_id!r} as it was "
            "trained; call again"
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
