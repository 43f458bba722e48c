"""Jobs: processes of their own that train or sample, started here and found again by any server.

A job's folder is all there is to it: `spec.json` goes in, `status.json`, `metrics.jsonl`, `predictions.jsonl`,
`result.json` and `log.txt` come out. The process holds a lock on `job.lock` for as long as it lives, so whether a job
lives can be seen from anywhere and outlives every server; `result.json` is written last and alone means success.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from servers.core.disk import now, read_json, write_json
from servers.core.wire import Wire
from servers.core.workspace import Workspace

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]

LOCK_FILE = "job.lock"
START_LIMIT_S = 30.0  # from the start of the process until it holds its lock
TERMINATE_WAIT_S = 5.0
LOG_TAIL_CHARS = 800
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
SOURCE_ROOT = Path(__file__).resolve().parents[2]


class JobStatus(Wire):
    """What can be said of a job now."""

    job_id: str
    kind: str
    """train or sample."""
    cycle: str | None
    plan_id: str | None
    state: State
    message: str | None
    """What it is doing, in its own words."""
    step: int
    of: int
    """How many steps there are."""
    started_at: str
    seconds: float | None
    """From start to end; null while it runs."""
    model: str | None
    """Model id that it made; null until it succeeded, and for a job that makes none."""
    error: str | None
    """Why it failed, with the last words of its log."""


class Progress(Wire):
    """`status.json`, written by the job itself."""

    schema_version: int = Field(1, alias="schema", serialization_alias="schema")
    pid: int
    started_at: str
    updated_at: str
    step: int
    of: int
    message: str


class JobStore:
    """The jobs of one artifacts folder."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, job_id: str, spec: Mapping[str, Any]) -> JobStatus:
        """Start a job, unless it runs or succeeded already; one that failed or was cancelled starts afresh.

        Args:
            job_id: Names the folder; derived from what the job is to do.
            spec: What to do, as `training_jobs` reads it; 'kind' names the program.
        """
        folder = self._workspace.job_dir(job_id)
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / "start.lock"):
            if (folder / "spec.json").exists() and self.status(job_id).state in ("queued", "running", "succeeded"):
                return self.status(job_id)
            for name in ("status.json", "result.json", "cancelled.json", "metrics.jsonl", "predictions.jsonl"):
                (folder / name).unlink(missing_ok=True)
            write_json(folder / "spec.json", {"schema": 1, "job_id": job_id, "started_at": now(), **spec})
            self._spawn(folder, str(spec["kind"]))
        return self.status(job_id)

    def status(self, job_id: str) -> JobStatus:
        """The state of a job, from its files and its lock.

        Raises:
            ValueError: there is no such job.
        """
        self._reap()
        folder = self._workspace.job_dir(job_id)
        if not (folder / "spec.json").exists():
            raise ValueError(f"no job {job_id!r}; list_jobs shows those that were started")
        # The lock first: a job that ends between two looks is then seen with the result that it left.
        alive = _is_locked(folder / LOCK_FILE)
        spec, result = read_json(folder / "spec.json"), _document(folder / "result.json")
        progress = _document(folder / "status.json")
        state, error = self._state(folder, spec, alive, result, progress)
        return JobStatus(
            job_id=job_id,
            kind=spec["kind"],
            cycle=spec.get("cycle"),
            plan_id=spec.get("plan_id"),
            state=state,
            message=progress["message"] if progress else None,
            step=progress["step"] if progress else 0,
            of=progress["of"] if progress else 0,
            started_at=spec["started_at"],
            seconds=result["seconds"] if result else None,
            model=result.get("model_id") if result and state == "succeeded" else None,
            error=error,
        )

    def list(self) -> list[JobStatus]:
        """Every job, oldest first."""
        folders = (self._workspace.root / "jobs").glob("*/spec.json")
        return sorted((self.status(file.parent.name) for file in folders), key=lambda job: (job.started_at, job.job_id))

    def cancel(self, job_id: str) -> JobStatus:
        """End a running job; one that has ended stays as it is."""
        folder = self._workspace.job_dir(job_id)
        if self.status(job_id).state not in ("queued", "running"):
            return self.status(job_id)
        write_json(folder / "cancelled.json", {"schema": 1, "at": now()})
        for kill in (signal.SIGTERM, signal.SIGKILL):
            progress = _document(folder / "status.json")
            if progress and _is_locked(folder / LOCK_FILE):
                # The lock is held, so the process that wrote its number still lives: the number is not another's.
                os.killpg(progress["pid"], kill)
            deadline = time.monotonic() + TERMINATE_WAIT_S
            while _is_locked(folder / LOCK_FILE) and time.monotonic() < deadline:
                time.sleep(0.02)
        return self.status(job_id)

    def _state(
        self,
        folder: Path,
        spec: dict[str, Any],
        alive: bool,
        result: dict[str, Any] | None,
        progress: dict[str, Any] | None,
    ) -> tuple[State, str | None]:
        if (folder / "cancelled.json").exists():
            return ("running" if alive else "cancelled"), None
        if result is not None:
            return "succeeded", None
        if alive:
            return ("running" if progress else "queued"), None
        if progress is None and _seconds_since(folder / "spec.json") < START_LIMIT_S and self._starting(folder):
            return "queued", None
        return "failed", f"the job ended without a result; its last words: {_tail(folder / 'log.txt')}"

    def _starting(self, folder: Path) -> bool:
        """Whether a process that has not taken its lock yet may still do so: one of ours, or one we know nothing of."""
        mine = [child for child in self._children if isinstance(child.args, list) and child.args[-1] == str(folder)]
        return not mine or mine[-1].poll() is None

    def _spawn(self, folder: Path, kind: str) -> None:
        paths = [str(SOURCE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        # Two processes that each take every core are slower than two that take one.
        environment = dict.fromkeys(THREAD_VARIABLES, "1") | os.environ
        environment |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
        with (folder / "log.txt").open("wb") as log:
            self._children.append(
                subprocess.Popen(
                    [sys.executable, "-m", f"training_jobs.{kind}", str(folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,  # a signal to the server's group is none of the job's business
                )
            )

    def _reap(self) -> None:
        """Take note of children that ended, so that they do not stay as zombies."""
        for child in self._children:
            child.poll()


def hold_lock(folder: Path) -> int:
    """Take a job folder's lock for the rest of this process's life; the handle, to be kept open.

    Raises:
        ValueError: another process works in this folder.
    """
    handle = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ValueError(f"another process works in {folder}") from None
    return handle


class _locked:
    """Hold a lock file while a block runs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self._handle, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)


def _is_locked(path: Path) -> bool:
    """Whether a living process holds the lock on `path`."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _document(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _seconds_since(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _tail(path: Path) -> str:
    words = path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""
    return " ".join(words[-LOG_TAIL_CHARS:].split()) or "none"
