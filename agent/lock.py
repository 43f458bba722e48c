"""One run at a time in an artifacts folder: the second is told who holds it."""

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path


class FolderBusy(Exception):
    """Another run holds the artifacts folder; the message says which."""


@contextmanager
def only_run_in(artifacts: Path) -> Iterator[None]:
    """Hold `run.lock` for as long as the run lasts; the kernel lets go of it however the process ends.

    Raises:
        FolderBusy: another run holds it.
        OSError: the folder cannot be made or written to.
    """
    artifacts.mkdir(parents=True, exist_ok=True)
    handle = os.open(artifacts / "run.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = _holder(handle)
            raise FolderBusy(f"{artifacts} is in use by another run, {who}; wait for it or end it") from None
        os.ftruncate(handle, 0)
        since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        os.pwrite(handle, json.dumps({"pid": os.getpid(), "since": since, "command": sys.argv}).encode(), 0)
        yield
    finally:
        os.close(handle)


def _holder(handle: int) -> str:
    try:
        note = json.loads(os.pread(handle, 4096, 0))
        return f"process {note['pid']}, since {note['since']}"
    except (ValueError, KeyError, TypeError):
        return "an unknown process"  # caught between taking the lock and signing it
