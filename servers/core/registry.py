"""Which model serves each dataset, and how it came to: `models/registry.json`.

The history is only ever added to, and the champion is its last entry's model. A change is made only from the champion
that the caller saw, so two callers cannot both replace it. Models themselves are found from the jobs that made them: a
registry that is lost loses nothing but the promotions. Callers hold the workspace's write lock.
"""

from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from servers.core.disk import now, read_json, write_json
from servers.core.wire import Wire
from servers.core.workspace import Workspace

Action = Literal["begin", "promote", "rollback"]

CONSTANT = "constant"
"""What serves before any model does."""
MIN_REMEDIES = 3
"""Trace-linked failures, with what was changed for each, that a promotion needs."""


class Move(Wire):
    """One change of champion."""

    at: str
    action: Action
    model: str
    """Champion from here on."""
    digest: str
    """Of its weights, or of the constant's definition."""
    previous: str | None
    """Champion until here; null at the beginning."""
    cycle: str | None
    """In which it was judged; null for a rollback."""
    verdict_id: str | None
    """The gate's verdict that allowed it; null for a rollback."""
    reason: str


class Line(Wire):
    """One dataset's champions."""

    champion: str
    digest: str
    history: list[Move] = Field(min_length=1)
    """Oldest first."""

    @model_validator(mode="after")
    def _ends_with_the_champion(self) -> Self:
        last = self.history[-1]
        if (last.model, last.digest) != (self.champion, self.digest):
            raise ValueError(f"champion {self.champion!r} is not what the last entry of the history says")
        return self

    @property
    def standing(self) -> list[Move]:
        """The moves that a rollback can go back to, oldest first, the champion's own last.

        A rollback takes away every move above the one that it goes back to.
        """
        moves: list[Move] = []
        for move in self.history:
            if move.action == "rollback":
                while moves and (moves[-1].model, moves[-1].digest) != (move.model, move.digest):
                    moves.pop()
            moves = moves if moves and move.action == "rollback" else [*moves, move]
        return moves


class _Document(Wire):
    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema", ge=1, le=1)
    lines: dict[str, Line] = {}


class Registry:
    """The champions of one artifacts folder."""

    def __init__(self, workspace: Workspace) -> None:
        self._file = workspace.registry_file

    def champion(self, dataset: str) -> str | None:
        """Model id of the champion; None before the beginning."""
        line = self.line(dataset)
        return None if line is None else line.champion

    def history(self, dataset: str) -> list[Move]:
        """Every change of champion, oldest first."""
        line = self.line(dataset)
        return [] if line is None else line.history

    def line(self, dataset: str) -> Line | None:
        """Champion and history of a dataset; None before the beginning.

        Raises:
            ValueError: the file is no registry; the message names it.
        """
        return self._read().lines.get(dataset)

    def put_in_service(
        self,
        dataset: str,
        model: str,
        digest: str,
        *,
        action: Literal["begin", "promote"],
        cycle: str,
        verdict_id: str,
        reason: str,
        replaces: str | None = None,
    ) -> Move:
        """Make a model the champion. The same verdict again finds the move that it made, while that is the last one.

        Args:
            dataset: Whose champion it becomes.
            model: Model id, or 'constant'.
            digest: Of its weights.
            action: Whether it is the first champion or replaces one.
            cycle: The cycle of the verdict.
            verdict_id: What allows it.
            reason: In words.
            replaces: The champion that the verdict compared with; None where there is none yet.

        Raises:
            ValueError: the champion is another by now, or the verdict was used already and taken back.
        """
        history = self.history(dataset)
        # By weights: the same ones under another name have been in service as well.
        made = [move for move in history if (move.verdict_id, move.digest) == (verdict_id, digest)]
        if made and made[-1] == history[-1]:
            return made[-1]
        if made:
            raise ValueError(
                f"{verdict_id} put {model!r} into service on {made[-1].at} and it was taken out since; "
                "a verdict counts once, so train and gate a new candidate"
            )
        move = Move(
            at=now(),
            action=action,
            model=model,
            digest=digest,
            previous=self.champion(dataset),
            cycle=cycle,
            verdict_id=verdict_id,
            reason=reason,
        )
        return self._add(dataset, move, replaces)

    def roll_back(self, dataset: str, model: str, digest: str, *, replaces: str, reason: str) -> Move:
        """Put an earlier model back into service.

        Args:
            dataset: Whose champion it becomes.
            model: Model id of one that stood before, or 'constant'.
            digest: Of its weights.
            replaces: The champion to take out.
            reason: In words.

        Raises:
            ValueError: the champion is another by now.
        """
        move = Move(
            at=now(),
            action="rollback",
            model=model,
            digest=digest,
            previous=self.champion(dataset),
            cycle=None,
            verdict_id=None,
            reason=reason,
        )
        return self._add(dataset, move, replaces)

    def _add(self, dataset: str, move: Move, replaces: str | None) -> Move:
        document = self._read()
        line = document.lines.get(dataset)
        current = None if line is None else line.champion
        if current != replaces:
            raise ValueError(
                f"the champion of {dataset!r} is {current!r} now, not {replaces!r}; look again with list_models"
            )
        history = [*([] if line is None else line.history), move]
        changed = Line(champion=move.model, digest=move.digest, history=history)
        whole = document.model_copy(update={"lines": {**document.lines, dataset: changed}})
        write_json(self._file, whole.model_dump(mode="json", by_alias=True))
        return move

    def _read(self) -> _Document:
        if not self._file.exists():
            return _Document()
        try:
            return _Document.model_validate(read_json(self._file))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ValueError(f"{self._file} is not a registry ({where}: {first['msg']}); restore it") from error
