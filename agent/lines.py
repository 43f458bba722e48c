"""What the agent writes itself: lines added by one write, so that a crash can only cut the last, and whole files."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO


def append(path: Path, line: str) -> None:
    """Add one line, after dropping what a crash left of an earlier one. One run at a time holds the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        _cut_torn_line(file)
        # Half a character, which a model may send, is no UTF-8; escaped it is JSON, and reads back as it came.
        file.write(line.encode(errors="backslashreplace") + b"\n")


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file; a missing one has none, and a torn last line is left out."""
    if path.exists():
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                yield json.loads(line)


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all. One run at a time holds the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _cut_torn_line(file: BinaryIO) -> None:
    file.seek(0)
    content = file.read()
    if content and not content.endswith(b"\n"):
        file.truncate(content.rfind(b"\n") + 1)
