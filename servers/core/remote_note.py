"""`remote.json` in a job's folder: what is known of the job that runs for it on Hugging Face.

It is written before anything is submitted and carries a mark of its own as a label of the job there, so one whose
submission was cut short is found again. As long as it says no `use`, that job may run, or its results are not fetched:
it is *open*, the next start goes on with it, and what was reserved for it stays reserved.
"""

import secrets
from pathlib import Path

from pydantic import Field, ValidationError

from servers.core.disk import read_json
from servers.core.job_files import (
    RESULT,
    STATUS,
    CampaignSpec,
    JobSpec,
    RemoteUse,
    SampleSpec,
    TrainSpec,
    read_progress,
    read_spec,
    write_wire,
)
from servers.core.wire import Wire

REMOTE_FILE = "remote.json"
NOT_SUBMITTED = "NOT SUBMITTED"


class RemoteNote(Wire):
    """`remote.json`."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema")
    attempt: int
    """Of the job here, for which it was submitted."""
    mark: str
    """Label `etude-start` of the job there."""
    id: str | None = None
    """Null until it is known."""
    url: str | None = None
    stage: str = NOT_SUBMITTED
    """As Hugging Face calls it."""
    use: RemoteUse | None = None
    """What it took; null while the note is open."""


def read_note(folder: Path) -> RemoteNote | None:
    """The note in a job's folder, if there is one."""
    try:
        return RemoteNote.model_validate(read_json(folder / REMOTE_FILE))
    except (FileNotFoundError, ValidationError):
        return None


def write_note(folder: Path, note: RemoteNote) -> RemoteNote:
    """Note it, and return it."""
    write_wire(folder / REMOTE_FILE, note)
    return note


def open_note(folder: Path) -> RemoteNote | None:
    """The note of a job that is not over, as far as is known here."""
    note = read_note(folder)
    return note if note is not None and note.use is None and not (folder / RESULT).exists() else None


def note_for_next_attempt(folder: Path) -> RemoteNote:
    """The open note that the next attempt goes on with, else a new one. Called before the attempt begins."""
    if (note := open_note(folder)) is not None:
        return note
    before = read_progress(folder).attempt if (folder / STATUS).exists() else 0
    return write_note(folder, RemoteNote(attempt=before + 1, mark=secrets.token_hex(8)))


def runs_remotely(spec: JobSpec) -> bool:
    """Whether a job is done on Hugging Face."""
    if isinstance(spec, CampaignSpec):
        return any(arm.remote is not None for arm in spec.arms)
    return isinstance(spec, (TrainSpec, SampleSpec)) and spec.remote is not None


def open_folders(folder: Path) -> list[Path]:
    """The folders of a job, or of a campaign's trainings, whose notes are open."""
    spec = read_spec(folder)
    parts: list[TrainSpec] = spec.arms if isinstance(spec, CampaignSpec) else []
    return [place for place in [folder, *(folder.parent / arm.job_id for arm in parts)] if open_note(place)]
