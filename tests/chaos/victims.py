"""The processes of one run, found by number: the agent's children are its servers, a job's lock names the job."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from servers.core.job_files import LOCK, is_alive, locked_pid

LOOK_S = 0.02


@dataclass(frozen=True)
class Process:
    """A process of this machine; a number that another process got since is not it."""

    pid: int
    born: int
    """Clock ticks from the machine's start to the process's."""

    @classmethod
    def at(cls, pid: int) -> "Process | None":
        """The process that has this number now, unless it has ended."""
        found = _facts(pid)
        return None if found is None else cls(pid, found[1])

    @property
    def lives(self) -> bool:
        return Process.at(self.pid) == self

    @property
    def words(self) -> list[str]:
        """Its command line; empty once it has ended."""
        try:
            return Path(f"/proc/{self.pid}/cmdline").read_text(errors="replace").split("\0")[:-1]
        except OSError:
            return []

    def kill(self) -> bool:
        """End it without a word; False where it was gone already."""
        if not self.lives:
            return False
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
            return True
        return False

    def ends_within(self, seconds: float) -> bool:
        """Whether it is gone at the latest after so many seconds."""
        deadline = time.monotonic() + seconds
        while self.lives:
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_S)
        return True


def children(pid: int) -> list[Process]:
    """The processes that this one started and that have not ended, oldest first."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (facts := _facts(int(entry.name))) is not None and facts[0] == pid:
            found.append(Process(int(entry.name), facts[1]))
    return sorted(found, key=lambda process: (process.born, process.pid))


def job_in(folder: Path) -> Process | None:
    """The process that works in a job's folder now; None where none does, or it has not signed its lock yet."""
    if not (folder / LOCK).exists() or not is_alive(folder) or (pid := locked_pid(folder)) is None:
        return None
    found = Process.at(pid)
    return found if is_alive(folder) else None


def job_folders(artifacts: Path) -> list[Path]:
    """The folders of all jobs, in the order in which they were made."""
    folders = [file.parent for file in (artifacts / "jobs").glob(f"*/{LOCK}")]
    return sorted(folders, key=lambda folder: (folder / "start.lock").stat().st_mtime_ns)


def _facts(pid: int) -> tuple[int, int] | None:
    """Parent and birth of a process; None once it has ended, a zombie among them."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    state, parent, *rest = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return None if state in "ZX" else (int(parent), int(rest[17]))
