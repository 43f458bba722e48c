"""A process that dies without a word before its k-th step on disk; whatever it is made of, it knows nothing of it.

Python tells an audit hook of every rename, link, removal, folder, child process, opened file and database before it
happens. Drafts are let through: what is done to a file that has no name yet, nobody sees.
"""

import os
import signal
import sys
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

ON_DISK = {"os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "sqlite3.connect", "open"}
STARTS = {"subprocess.Popen"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC


def die_before(step: int, folder: Path, note: Path, events: Set[str] = ON_DISK | STARTS) -> None:
    """Kill this process before its `step`-th step, counted from 1, under `folder`, and leave in `note` what it was.

    Nothing takes this back, so it is for a process that ends soon.
    """
    place, count = os.fspath(folder), 0

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in events or not _is_step(event, arguments, place):
            return
        count += 1
        if count == step:
            note.write_text(f"{event} {_short(arguments, place)}", encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def in_child(work: Callable[[], None]) -> int:
    """Do the work in a fork of this process; 0 where it ended well, minus the signal where it was killed.

    For a process without threads: a fork keeps only the one that forks.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _is_step(event: str, arguments: tuple[Any, ...], place: str) -> bool:
    if event in STARTS:
        return True
    if not any(place in word for word in _paths(arguments)):
        return False
    if event == "os.mkdir":
        return not os.path.isdir(arguments[0])
    if event != "open":
        return True
    path, _, flags = arguments
    return bool(flags & WRITING) and not os.path.basename(os.fsdecode(path)).startswith(".")


def _paths(arguments: tuple[Any, ...]) -> list[str]:
    return [os.fsdecode(item) for item in arguments if isinstance(item, (str, bytes, os.PathLike))]


def _short(arguments: tuple[Any, ...], place: str) -> str:
    return " ".join(path.replace(f"{place}/", "") for path in _paths(arguments))[:200]
