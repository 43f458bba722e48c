"""Checkpoints of a training that may be killed at any moment, and what the next attempt goes on from.

The trainer writes a folder file by file; a note with the name and size of each is written last, so a folder without it,
or with other files than it names, is passed over. The metrics up to there lie in it as well: an attempt begins with
none, and goes on with those.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from servers.core.disk import read_json, write_json
from servers.core.job_files import METRICS
from servers.core.wire import Wire

CHECKPOINTS = "checkpoints"
KEPT = 2  # the older one is there until the newer one is whole
NOTE = "complete.json"


class CheckpointNote(Wire):
    """`complete.json`."""

    schema_version: int = 1
    work: str
    """Digest of the specification and of the rows: a checkpoint of other work is of no use."""
    step: int
    base_revision: str | None
    """Commit of the base, so that the next attempt goes on with the same one."""
    files: dict[str, int]
    """Bytes of each."""


@dataclass(frozen=True)
class Checkpoint:
    """One that is whole."""

    folder: Path
    note: CheckpointNote


def complete(folder: Path, metrics: Path, work: str, step: int, base_revision: str | None) -> None:
    """Say that a checkpoint is whole, with the metrics so far in it."""
    shutil.copyfile(metrics, folder / METRICS)
    note = CheckpointNote(work=work, step=step, base_revision=base_revision, files=_sizes(folder))
    write_json(folder / NOTE, note)


def newest(checkpoints: Path, work: str) -> Checkpoint | None:
    """The last whole checkpoint of this work; all others but those before it are taken away."""
    found: Checkpoint | None = None
    for folder in sorted(checkpoints.glob("checkpoint-*"), key=_step, reverse=True):
        note = _note(folder)
        if found is None and note is not None and note.work == work:
            found = Checkpoint(folder, note)
        elif found is None:
            shutil.rmtree(folder)
    return found


def _note(folder: Path) -> CheckpointNote | None:
    try:
        note = CheckpointNote.model_validate(read_json(folder / NOTE))
    except (FileNotFoundError, ValueError, ValidationError):
        return None
    return note if note.files == _sizes(folder) else None


def _sizes(folder: Path) -> dict[str, int]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != NOTE]
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(files)}


def _step(folder: Path) -> int:
    number = folder.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1
