"""The artifacts folder: where everything lies, which names are allowed, and who may write now.

Paths are built here and nowhere else, from names that were checked, so no argument of a tool can point outside.
The sealed folder may lie elsewhere. Only the eval server reads the rows in it; the augment server reads the sketch of
them, keyed hashes without a text, to leave near copies out.
"""

import fcntl
import json
import os
import pwd
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers.core.disk import now, open_or_create

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
LOCK_WAIT_S = 10.0  # longer than a tool holds the lock for a thousand rows; jobs run without it


def checked_name(name: str, what: str) -> str:
    """`name` if it may be part of a path.

    Raises:
        ValueError: it holds anything but a-z, 0-9, '_', '.', '-', starts with none of a-z and 0-9, or is over 64 long.
    """
    if not NAME.fullmatch(name) or ".." in name:
        raise ValueError(f"{what} {name!r} is not a plain name; use a-z, 0-9, '-', '_' and '.', at most 64 characters")
    return name


def account(user_id: int) -> str:
    """The name of a user of this machine, for a message."""
    try:
        return repr(pwd.getpwuid(user_id).pw_name)
    except KeyError:
        return f"uid {user_id}"


class Busy(Exception):
    """Somebody else is writing to this artifacts folder; the message says who."""


class Workspace:
    """One artifacts folder.

    Args:
        root: The folder; made when first written to.
        sealed: Where sealed splits lie; `root/sealed` unless the configuration moves it.
    """

    def __init__(self, root: Path, sealed: Path | None = None) -> None:
        self.root = root.resolve()
        self.sealed_root = (sealed or root / "sealed").resolve()

    def dataset_dir(self, name: str, fingerprint: str) -> Path:
        return self.datasets_dir(name) / checked_name(fingerprint, "dataset version")

    def datasets_dir(self, name: str) -> Path:
        return self.root / "datasets" / checked_name(name, "dataset")

    def sealed_dir(self, name: str, fingerprint: str) -> Path:
        return self.sealed_root / checked_name(name, "dataset") / checked_name(fingerprint, "split")

    def evaluation_dir(self, evaluation_id: str) -> Path:
        return self.root / "eval" / "runs" / checked_name(evaluation_id, "evaluation")

    @property
    def jobs_root(self) -> Path:
        return self.root / "jobs"

    def job_dir(self, job_id: str) -> Path:
        return self.jobs_root / checked_name(job_id, "job")

    def cycle_dir(self, cycle: str) -> Path:
        return self.root / "loop" / checked_name(cycle, "cycle")

    def result_file(self, cycle: str, result_id: str) -> Path:
        return self.cycle_dir(cycle) / "results" / f"{checked_name(result_id, 'result')}.json"

    @property
    def registry_file(self) -> Path:
        return self.root / "models" / "registry.json"

    @property
    def summary_file(self) -> Path:
        return self.root / "eval" / "summary" / "latest_summary.json"

    @property
    def tracking_file(self) -> Path:
        return self.root / "tracking" / "local.db"

    @property
    def uploads_file(self) -> Path:
        return self.root / "tracking" / "uploads.jsonl"

    @property
    def account_file(self) -> Path:
        return self.root / "tracking" / "account.json"

    @property
    def budget_file(self) -> Path:
        return self.root / "budget.jsonl"

    @property
    def report_dir(self) -> Path:
        return self.root / "wandb"

    def server_ledger(self, server: str) -> Path:
        return self.root / "ledger" / f"{checked_name(server, 'server')}.jsonl"

    def is_sealed(self, path: Path) -> bool:
        """Whether a path leads into the sealed folder, whatever links it goes through."""
        return path.resolve().is_relative_to(self.sealed_root)

    def denied(self, error: PermissionError) -> str:
        """Why something here could not be used, in one line: whose it is, and who asked."""
        me, path = account(os.geteuid()), Path(str(error.filename or self.root))
        owner = account(_nearest(path).stat().st_uid)
        if path.is_relative_to(self.sealed_root):
            return (
                f"the sealed rows in {self.sealed_root} belong to {owner}, and this runs as {me}; run it as {owner} "
                "(docs/own-user.md)"
            )
        return (
            f"{path} belongs to {owner}, and {me} may not use it; run this as {owner}, or let both users share the "
            "artifacts folder through a group, with umask 002 (docs/own-user.md)"
        )

    @contextmanager
    def writing(self, who: str, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
        """Hold the folder's write lock. The kernel lets go of it when the process ends, however it ends.

        Raises:
            Busy: another process held the lock for all of `wait_s` seconds; the message says who and since when.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        handle = open_or_create(self.root / ".lock", os.O_RDWR)
        try:
            self._wait_for_lock(handle, wait_s)
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps({"who": who, "pid": os.getpid(), "since": now()}).encode(), 0)
            yield
        finally:
            os.close(handle)

    def _wait_for_lock(self, handle: int, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    holder = os.pread(handle, 4096, 0).decode(errors="replace") or "an unknown process"
                    raise Busy(f"{self.root} is being written by {holder}; call again when it is done") from None
                time.sleep(0.02)


def _nearest(path: Path) -> Path:
    """The path itself, or the nearest folder above it that can be seen."""
    for place in (path, *path.parents):
        try:
            place.stat()
        except OSError:
            continue
        return place
    return Path("/")
