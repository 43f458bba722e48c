"""Jobs: processes of their own that train or sample, started here and found again by any server.

The process inherits the lock on `job.lock` from whoever starts it, so there is no moment at which a job lives and looks
dead, and whether it lives can be seen from anywhere. `start.lock` serialises starting, cancelling and settling. A job
that ended without a result has failed, unless it was told to stop; it may be started again, as its next attempt.
"""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from servers.core.disk import now, open_or_create, read_json, seconds_between, write_json
from servers.core.job_files import (
    CANCELLED,
    LOG,
    RESULT,
    SPEC,
    STATUS,
    TRACKED,
    CampaignSpec,
    JobSpec,
    Progress,
    SampleSpec,
    State,
    TrainSpec,
    begin_attempt,
    ending,
    is_alive,
    is_same_work,
    locked_pid,
    log_header,
    read_progress,
    read_spec,
    try_lock,
    write_pid,
    write_wire,
)
from servers.core.remote_note import note_for_next_attempt, open_folders, read_note, runs_remotely
from servers.core.wire import Wire
from servers.core.words import cleaned
from servers.core.workspace import Workspace, checked_name

ENDED = ("succeeded", "failed", "cancelled")
LOCK_HANDLE = "ETUDE_JOB_LOCK"  # tells the job which inherited handle is its lock
START_LOCK = "start.lock"
TERMINATE_WAIT_S, KILL_WAIT_S = 5.0, 5.0
REMOTE, REMOTE_CANCEL_WAIT_S = "remote", 45.0  # the program that follows a job elsewhere, and how long its end may take
LOG_TAIL_LINES, LOG_TAIL_CHARS = 5, 600
LOG_LINES = 10  # shown to whoever looks at a job
MESSAGE_CHARS, ERROR_CHARS = 200, 1000  # of a job's words, where its state is told
SOURCE_ROOT = Path(__file__).resolve().parents[2]
TRAIN_PYTHON = SOURCE_ROOT / ".venv-train" / "bin" / "python"


class JobStatus(Wire):
    """What can be said of a job now."""

    job_id: str
    kind: str
    """train, sample, campaign for several trainings, smoke for a training that tries a recipe out, or teach."""
    state: State
    attempt: int
    """Counts the starts."""
    cycle: str | None
    plan_id: str | None
    message: str
    """What it is doing, in its own words, on one line."""
    step: int
    of: int
    """How many steps there are; 0 until it has said so."""
    started_at: str
    """When this attempt began."""
    seconds: float
    """From the start of this attempt to its end, or to now."""
    model: str | None
    """Model id that a training made; null until it succeeded."""
    models: list[str]
    """All that it made; several for a campaign."""
    error: str | None
    """Why it failed, with the last words of its log."""
    tracked: bool
    """Whether the tracker knows how this attempt ended."""


class JobStore:
    """The jobs of one artifacts folder.

    Args:
        workspace: The artifacts folder.
        root: Where the jobs' folders lie, if not with all the others; a store sees only those of its own root.
    """

    def __init__(self, workspace: Workspace, root: Path | None = None) -> None:
        self._root = root or workspace.jobs_root

    def start(self, spec: JobSpec) -> JobStatus:
        """Start a job and return at once; a job that lives or succeeded is found, not started twice.

        One that failed or was cancelled starts afresh, as its next attempt, which may ask an endpoint at another pace.

        Raises:
            ValueError: a job of this id was asked to do something else.
        """
        folder = self._folder(spec.job_id)
        folder.mkdir(parents=True, exist_ok=True)
        with _start_lock(folder, wait=True):
            if (folder / SPEC).exists() and not is_same_work(read_spec(folder), spec):
                raise ValueError(f"job {spec.job_id!r} was started with another specification; plan_retrain again")
            if (lock := try_lock(folder)) is not None:
                try:
                    if not (folder / RESULT).exists():
                        self._begin(folder, spec, lock)
                finally:
                    os.close(lock)  # the job's process has inherited it
        return self.status(spec.job_id)

    def exists(self, job_id: str) -> bool:
        """Whether a job of this id was ever started."""
        return (self._folder(job_id) / SPEC).exists()

    def status(self, job_id: str) -> JobStatus:
        """The state of a job, from its files and its lock.

        Raises:
            ValueError: there is no such job, or its files are damaged.
        """
        folder = self._folder(job_id)
        if not self.exists(job_id):
            known = ", ".join(sorted(path.parent.name for path in folder.parent.glob(f"*/{SPEC}"))[-5:]) or "none"
            raise ValueError(f"no job {job_id!r}; known: {known}; start_retrain starts one")
        state = _state(folder)
        if state in ENDED and read_progress(folder).state != state:
            _settle(folder)
        return _status(folder, read_spec(folder), state, read_progress(folder))

    def last_lines(self, job_id: str) -> "list[str]":
        """The last lines that this attempt of a job has written to its log, each on one line of bounded length."""
        folder = self._folder(job_id)
        lines = [cleaned(line, MESSAGE_CHARS) for line in _log_of(folder, read_progress(folder).attempt)[-LOG_LINES:]]
        return [line for line in lines if line]

    def list(self) -> list[JobStatus]:
        """Every job, in the order in which they were first asked for."""
        folders = [file.parent for file in self._root.glob(f"*/{SPEC}")]
        ordered = sorted(folders, key=lambda folder: (read_progress(folder).asked_at, folder.name))
        return [self.status(folder.name) for folder in ordered]

    def cancel(self, job_id: str) -> JobStatus:
        """End a living job with all its processes; one that has ended stays as it is.

        When this returns `cancelled`, the process is gone and will never write a result. What may still run for the job
        on Hugging Face is ended as well, even where the process that followed it died long ago.

        Raises:
            ValueError: there is no such job, or what runs elsewhere could not be ended.
        """
        folder = self._folder(job_id)
        self.status(job_id)
        with _start_lock(folder, wait=True):
            if _state(folder) not in ENDED:
                write_json(folder / CANCELLED, {"schema": 1, "at": now()})
                for how, wait_s in ((signal.SIGTERM, TERMINATE_WAIT_S), (signal.SIGKILL, KILL_WAIT_S)):
                    _kill(folder, how, wait_s)
            _cancel_elsewhere(folder)
        return self.status(job_id)

    def _folder(self, job_id: str) -> Path:
        return self._root / checked_name(job_id, "job")

    def _begin(self, folder: Path, spec: JobSpec, lock: int) -> None:
        """Begin an attempt: its status, its specification, and the process that inherits the lock."""
        write_pid(lock, None)
        program: str = spec.kind
        if runs_remotely(spec):
            program = REMOTE
            if not isinstance(spec, CampaignSpec):  # whose trainings have notes of their own
                note_for_next_attempt(folder)
        progress = begin_attempt(folder)
        write_wire(folder / SPEC, spec)
        with os.fdopen(open_or_create(folder / LOG, os.O_WRONLY | os.O_APPEND), "ab") as log:
            log.write(f"{log_header(progress.attempt)} {progress.started_at}\n".encode())
            log.flush()
            process = subprocess.Popen(
                [_interpreter(spec), "-P", "-m", f"training_jobs.{program}", str(folder)],
                cwd=folder,
                env=_environment(lock),
                pass_fds=(lock,),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a signal to the server's group is none of the job's business
            )
        write_pid(lock, process.pid)
        # Somebody has to take note of the end, or the process stays as a zombie for as long as the server lives.
        threading.Thread(target=process.wait, name=f"reaper of {spec.job_id}", daemon=True).start()


@contextmanager
def _start_lock(folder: Path, wait: bool) -> Iterator[bool]:
    """Hold `start.lock`; without waiting it may not be had, which is what the value says."""
    handle = open_or_create(folder / START_LOCK, os.O_RDWR)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _interpreter(spec: JobSpec) -> str:
    """Who runs a job: this interpreter, or for an adapter on this machine the one that `make setup-train` sets up.

    The framework is large, so it is in an environment of its own; where there is none the job says what to do.
    """
    has_own = _needs_framework(spec) and not runs_remotely(spec) and os.access(TRAIN_PYTHON, os.X_OK)
    return str(TRAIN_PYTHON) if has_own else sys.executable


def _needs_framework(spec: JobSpec) -> bool:
    match spec:
        case CampaignSpec(arms=arms):
            return any(map(_needs_framework, arms))
        case TrainSpec(family=family):
            return family != "student"
        case SampleSpec(arm=arm):
            return arm == "fine_tuned"
    return False


def _environment(lock: int | None) -> dict[str, str]:
    """The server's environment, with the lock of a job that begins, and this source where it is not installed."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if lock is not None:
        environment[LOCK_HANDLE] = str(lock)
    if SOURCE_ROOT.name not in ("site-packages", "dist-packages"):
        places = [str(SOURCE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(places)
    return environment


def _state(folder: Path) -> State:
    # The lock before the result: a job that ends between the two looks is seen with the result that it left.
    alive = is_alive(folder)
    if (folder / RESULT).exists():
        return "succeeded"
    if alive:
        said = read_progress(folder).state
        return "running" if said == "running" else "queued"
    return "cancelled" if (folder / CANCELLED).exists() else "failed"


def _settle(folder: Path) -> None:
    """Write down how a job ended, unless somebody else is at it or starts it again."""
    with _start_lock(folder, wait=False) as is_ours:
        state = _state(folder)
        if not is_ours or state not in ENDED:
            return
        before = read_progress(folder)
        error = _why(folder, before.attempt) if state == "failed" else None
        update = {"state": state, "pid": None, "updated_at": now(), "error": error}
        write_wire(folder / STATUS, before.model_copy(update=update))


def _status(folder: Path, spec: JobSpec, state: State, progress: Progress) -> JobStatus:
    seconds = seconds_between(progress.started_at, progress.updated_at if progress.state in ENDED else now())
    model: str | None = None
    models: list[str] = []
    if state == "succeeded":
        result = read_json(folder / RESULT)
        seconds = float(result["seconds"])
        model = spec.model_id if isinstance(spec, TrainSpec) and not spec.smoke else None
        models = result["models"] if isinstance(spec, CampaignSpec) else [model] if model else []
    return JobStatus(
        job_id=spec.job_id,
        kind="smoke" if isinstance(spec, TrainSpec) and spec.smoke else spec.kind,
        state=state,
        attempt=progress.attempt,
        cycle=spec.cycle,
        plan_id=spec.plan_id,
        message=cleaned(progress.message, MESSAGE_CHARS),
        step=progress.step,
        of=progress.of,
        started_at=progress.started_at,
        seconds=round(seconds, 3),
        tracked=(folder / TRACKED).exists() and read_json(folder / TRACKED) == ending(progress.attempt, state),
        model=model,
        models=models,
        error=cleaned(progress.error or _why(folder, progress.attempt), ERROR_CHARS) if state == "failed" else None,
    )


def _kill(folder: Path, how: signal.Signals, wait_s: float) -> None:
    """Signal the job's processes and wait for its lock; the lock is held, so the number is not another's."""
    deadline = time.monotonic() + wait_s
    while is_alive(folder) and time.monotonic() < deadline:
        if (pid := locked_pid(folder)) is not None:
            with suppress(ProcessLookupError, PermissionError):  # gone since, or somebody else's: the lock tells
                os.killpg(pid, how)
        time.sleep(0.02)


def _cancel_elsewhere(folder: Path) -> None:
    """End what may still run for the job on Hugging Face. The caller holds the start lock; no process follows it."""
    if not (left := open_folders(folder)):
        return
    command = [sys.executable, "-P", "-m", f"training_jobs.{REMOTE}", str(folder), "--cancel"]
    with (folder / LOG).open("ab") as log, suppress(subprocess.TimeoutExpired):
        subprocess.run(
            command,
            cwd=folder,
            env=_environment(None),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=REMOTE_CANCEL_WAIT_S,
            check=False,
        )
    if left := open_folders(folder):
        note = read_note(left[0])
        where = note.url if note is not None and note.url else "https://huggingface.co/settings/jobs"
        raise ValueError(
            f"{folder.name} is not followed any more, but Hugging Face did not confirm that its job there ended; "
            f"call cancel_job again, or end it at {where}"
        )


def _why(folder: Path, attempt: int) -> str:
    """Why an attempt ended without a result: the last lines of its log."""
    words = " | ".join(_log_of(folder, attempt)[-LOG_TAIL_LINES:])[-LOG_TAIL_CHARS:]
    last = f"last words: {words}" if words else "it left no word, so it was killed or the machine stopped"
    return f"attempt {attempt} ended without a result; {last}"


def _log_of(folder: Path, attempt: int) -> list[str]:
    """What an attempt has written, without empty lines."""
    log = (folder / LOG).read_text(encoding="utf-8", errors="replace") if (folder / LOG).exists() else ""
    return [line.strip() for line in log.rpartition(log_header(attempt))[2].splitlines()[1:] if line.strip()]
