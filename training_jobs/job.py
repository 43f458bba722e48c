"""A job as its own process sees it: what it was told, where it says how far it is, and how it ends."""

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import scipy

from servers.core.disk import append_jsonl, now
from servers.core.job_files import (
    LOG,
    METRICS,
    MODEL,
    RESULT,
    SPEC,
    STATUS,
    CampaignSpec,
    CampaignTrained,
    JobSpec,
    Progress,
    SampleResult,
    SampleSpec,
    TeachResult,
    TeachSpec,
    TrainResult,
    TrainSpec,
    begin_attempt,
    log_header,
    read_progress,
    read_spec,
    try_lock,
    write_pid,
    write_wire,
)
from servers.core.jobs import LOCK_HANDLE
from servers.core.models import model_digest

Spec = TypeVar("Spec", TrainSpec, SampleSpec, CampaignSpec, TeachSpec)

VERSIONS = {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__}


class Job(Generic[Spec]):
    """A running job; while its process lives, the job counts as alive.

    Args:
        folder: Where the specification lies and everything else goes.
        spec: What to do.
    """

    def __init__(self, folder: Path, spec: Spec) -> None:
        self.folder = folder
        self.spec: Spec = spec
        self._started = time.perf_counter()
        self._step = 0

    def file(self, path: str) -> Path:
        """A path of the specification, which is relative to the job's folder."""
        return self.folder / path

    @property
    def seconds(self) -> float:
        """Since the job began."""
        return round(time.perf_counter() - self._started, 3)

    def say(self, message: str, of: int, step: int | None = None) -> None:
        """Note that a step of so many begins: the next one, where none is given."""
        self._step = self._step + 1 if step is None else step
        print(f"{self._step}/{of} {message}", flush=True)
        update = {"step": self._step, "of": of, "message": message, "updated_at": now()}
        write_wire(self.folder / STATUS, read_progress(self.folder).model_copy(update=update))

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Add one row to `metrics.jsonl`."""
        append_jsonl(self.folder / METRICS, {"_step": step, **metrics})

    def finish(self, result: TrainResult | SampleResult | CampaignTrained | TeachResult) -> None:
        """Write `result.json`, which makes the job a success; nothing is written after it.

        Raises:
            ValueError: it says that a model was trained, and there is none, or another one.
        """
        if isinstance(result, TrainResult) and model_digest(self.folder / MODEL) != result.digest:
            raise ValueError(f"the model in {self.folder / MODEL} is not the one that was trained; start the job again")
        write_wire(self.folder / RESULT, result)


def run(kind: type[Spec], work: Callable[[Job[Spec]], None]) -> int:
    """Do the work of the job folder on the command line, under its lock; the exit code.

    Raises:
        Exception: whatever `work` raises that is no ValueError; the traceback goes to the log.
    """
    if len(sys.argv) != 2:
        print(f"usage: python -m training_jobs.{_word(kind)} JOB_DIR", file=sys.stderr)
        return 2
    folder = Path(sys.argv[1]).resolve()
    try:
        spec: JobSpec = read_spec(folder)
        if not isinstance(spec, kind):
            raise ValueError(f"{folder} holds a {spec.kind} job; run python -m training_jobs.{spec.kind}")
        _begin(folder)
        work(Job(folder, spec))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def needs(*libraries: str) -> Iterator[None]:
    """Say what to install where one of the libraries that a family needs is missing.

    Raises:
        ValueError: an import of one of them failed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in libraries:
            raise
        raise ValueError(
            f"{error.name} is not installed; make setup-train sets up .venv-train, which has it, "
            "or install etude with its extra: pip install 'etude[train]'"
        ) from error


def _begin(folder: Path) -> None:
    """Hold the job's lock until this process ends, and say that the job runs.

    Whoever started the job took the lock for it and noted the attempt; run by hand, it does both itself.
    """
    inherited = os.environ.pop(LOCK_HANDLE, None)
    lock = try_lock(folder) if inherited is None else int(inherited)
    if lock is None:
        raise ValueError(f"another process works in {folder}; wait for it, or call cancel_job")
    os.set_inheritable(lock, False)
    if (folder / RESULT).exists():
        raise ValueError(f"{folder} has a result already")
    write_pid(lock, os.getpid())
    _say_running(folder, begin_attempt(folder) if inherited is None else read_progress(folder))


@contextmanager
def part(folder: Path, spec: TrainSpec) -> Iterator[Job[TrainSpec]]:
    """A training that this process does as a part of its own job, in a job folder like any other.

    Its lock is held while it lasts. A ValueError in it is its failure, in its own log as well.

    Raises:
        ValueError: another process works there, or it cannot do its work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (lock := try_lock(folder)) is None:
        raise ValueError(f"another process works in {folder}; wait for it, or call cancel_job")
    try:
        write_pid(lock, os.getpid())
        progress = begin_attempt(folder)
        write_wire(folder / SPEC, spec)
        _say_running(folder, progress)
        with (folder / LOG).open("a", encoding="utf-8") as log:
            print(f"{log_header(progress.attempt)} {progress.started_at}", file=log)
            try:
                yield Job(folder, spec)
            except ValueError as error:
                print(f"error: {error}", file=log)
                raise
    finally:
        os.close(lock)


def _say_running(folder: Path, asked: Progress) -> None:
    update = {"state": "running", "pid": os.getpid(), "updated_at": now(), "message": "reading its files"}
    write_wire(folder / STATUS, asked.model_copy(update=update))


def _word(kind: type[Any]) -> str:
    return str(kind.model_fields["kind"].default)
