"""A look at every file that a page may be made from: when one last changed, and that none leads into the sealed folder.

Whoever can write into the artifacts folder could put a link to a sealed file there, and the site may run as a user who
can read it. So the site follows no link that leaves the folder.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from servers.core.workspace import Workspace

READ = ("datasets", "eval", "jobs", "loop", "models", "ledger")
"""Folders of the artifacts that pages are made from; not the sealed one, and not the tracker."""
FILES = ("budget.jsonl",)

Stamp = tuple[int, int, int]
"""How many files there are, the sum of their sizes, and the newest change, in nanoseconds."""


def stamp_of(workspace: Workspace) -> Stamp:
    """What changes whenever a page might.

    Raises:
        ValueError: something in the folder leads out of it.
    """
    count, size, newest = 0, 0, 0
    for entry in _entries(workspace.root):
        if entry.is_symlink() and _leaves(workspace, Path(entry.path)):
            raise ValueError(f"{entry.path} is a link that leads out of the artifacts folder; take it away")
        seen = entry.stat()
        count, size, newest = count + 1, size + seen.st_size, max(newest, seen.st_mtime_ns)
    return count, size, newest


def _entries(root: Path) -> "Iterator[os.DirEntry[str]]":
    """Every file and folder that pages are made from; what vanishes meanwhile is left out."""
    waiting = []
    for entry in _listed(root):
        if entry.name in READ or entry.name in FILES:
            yield entry
        if entry.name in READ and entry.is_dir():
            waiting.append(entry.path)
    while waiting:
        for entry in _listed(waiting.pop()):
            if entry.name.startswith("."):
                continue  # a draft, which nothing reads
            yield entry
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)


def _listed(folder: "str | Path") -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _leaves(workspace: Workspace, path: Path) -> bool:
    return workspace.is_sealed(path) or not path.resolve().is_relative_to(workspace.root)
