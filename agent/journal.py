"""`run.json`: which cycles a run has worked on, so that the same command, after a crash, finishes that run.

Without it a run of two cycles that is killed in its second would turn the loop twice more. The cycles themselves are
the servers'; here stand only their names.
"""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.lines import write_whole
from agent.replies import CycleId


class _Note(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Annotated[Literal[1], Field(alias="schema", serialization_alias="schema")] = 1
    dataset: str
    cycles: int
    """Turns of the loop that the run was asked for."""
    campaign: bool = False
    """Whether each of them is a campaign."""
    worked_on: list[CycleId] = []
    """Oldest first, the beginning among them where the run made it."""
    finished: bool = False


class Journal:
    """The note of one artifacts folder. The caller holds the folder's `run.lock`.

    Args:
        artifacts: The folder.
    """

    def __init__(self, artifacts: Path) -> None:
        self._file = artifacts / "run.json"
        self._note: _Note | None = None

    def begin(self, dataset: str, cycles: int, campaign: bool = False) -> list[str]:
        """Begin a run, or go on with the one of the same words that was cut short.

        Returns:
            The cycles that it has worked on so far; none for a new run.
        """
        found = self._read()
        words = (dataset, cycles, campaign)
        if found is None or found.finished or (found.dataset, found.cycles, found.campaign) != words:
            self._write(_Note(dataset=dataset, cycles=cycles, campaign=campaign))
            return []
        self._note = found
        return list(found.worked_on)

    def works_on(self, cycle: str) -> None:
        """Note that the run has opened a cycle, or found it open."""
        assert self._note is not None
        if cycle not in self._note.worked_on:
            self._write(self._note.model_copy(update={"worked_on": [*self._note.worked_on, cycle]}))

    def finish(self) -> None:
        """The outcome was told, so the same command begins a new run; a crash before this has it told again."""
        assert self._note is not None
        self._write(self._note.model_copy(update={"finished": True}))

    def _read(self) -> _Note | None:
        try:
            return _Note.model_validate(json.loads(self._file.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, ValidationError):
            return None  # a note that cannot be read is no promise; the cycles say for themselves where they stand

    def _write(self, note: _Note) -> None:
        write_whole(self._file, json.dumps(note.model_dump(mode="json", by_alias=True)))
        self._note = note
