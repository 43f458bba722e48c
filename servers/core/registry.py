"""Which model serves each dataset, and how it came to: `models/registry.json`.

The history is only ever added to; the champion is its last entry. Models themselves are found from the jobs that made
them, so a registry that is lost loses nothing but the promotions. Callers hold the workspace's write lock.
"""

from typing import Literal

from pydantic import Field, ValidationError

from servers.core.disk import now, read_json, write_json
from servers.core.wire import Wire
from servers.core.workspace import Workspace

Action = Literal["begin", "promote", "rollback"]


class Move(Wire):
    """One change of champion."""

    at: str
    action: Action
    model: str
    """Champion from here on."""
    digest: str
    """Of its weights; empty for the constant, which is made from the data."""
    previous: str | None
    """Champion until here; null at the beginning."""
    cycle: str | None
    verdict_id: str | None
    """The gate's verdict that allowed it; null for a rollback."""
    reason: str


class Line(Wire):
    """One dataset's champions, oldest first."""

    history: list[Move] = []

    @property
    def champion(self) -> str | None:
        return self.history[-1].model if self.history else None


class _Document(Wire):
    schema_version: int = Field(1, alias="schema", serialization_alias="schema", ge=1, le=1)
    lines: dict[str, Line] = {}


class Registry:
    """The champions of one artifacts folder."""

    def __init__(self, workspace: Workspace) -> None:
        self._file = workspace.registry_file

    def champion(self, dataset: str) -> str | None:
        """Model id of the champion; None before the beginning."""
        return self._line(dataset).champion

    def history(self, dataset: str) -> list[Move]:
        """Every change of champion, oldest first."""
        return self._line(dataset).history

    def datasets(self) -> list[str]:
        """Datasets that have a champion."""
        return sorted(self._read().lines)

    def put_in_service(
        self, dataset: str, model: str, digest: str, *, action: Action, cycle: str, verdict_id: str, reason: str
    ) -> Move:
        """Make `model` the champion. The same verdict again finds the move that it made.

        Raises:
            ValueError: the registry cannot be read.
        """
        line = self._line(dataset)
        for move in line.history:
            if (move.verdict_id, move.model) == (verdict_id, model):
                return move
        return self._add(
            dataset,
            Move(
                at=now(),
                action=action,
                model=model,
                digest=digest,
                previous=line.champion,
                cycle=cycle,
                verdict_id=verdict_id,
                reason=reason,
            ),
        )

    def earlier(self, dataset: str) -> Move:
        """The move that brought the champion before this one, which a rollback goes back to.

        Raises:
            ValueError: there is none.
        """
        standing: list[Move] = []
        for move in self.history(dataset):  # a rollback takes the champion that it replaced off the stack
            if move.action == "rollback":
                standing.pop()
            else:
                standing.append(move)
        if len(standing) < 2:
            raise ValueError(f"{dataset!r} has no earlier champion to go back to; list_models shows its history")
        return standing[-2]

    def roll_back(self, dataset: str, reason: str) -> Move:
        """Put the champion before this one back into service.

        Raises:
            ValueError: there is none.
        """
        earlier = self.earlier(dataset)
        return self._add(
            dataset,
            Move(
                at=now(),
                action="rollback",
                model=earlier.model,
                digest=earlier.digest,
                previous=self.champion(dataset),
                cycle=None,
                verdict_id=None,
                reason=reason,
            ),
        )

    def _line(self, dataset: str) -> Line:
        return self._read().lines.get(dataset, Line())

    def _add(self, dataset: str, move: Move) -> Move:
        document = self._read()
        line = Line(history=[*self._line(dataset).history, move])
        changed = document.model_copy(update={"lines": {**document.lines, dataset: line}})
        write_json(self._file, changed.model_dump(mode="json", by_alias=True))
        return move

    def _read(self) -> _Document:
        if not self._file.exists():
            return _Document()
        try:
            return _Document.model_validate(read_json(self._file))
        except ValidationError as error:
            raise ValueError(f"{self._file} is not a registry ({error.errors()[0]['msg']}); restore it") from error
