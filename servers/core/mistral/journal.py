"""What was asked of an endpoint and what came: one file that is only added to, so that nothing is paid for twice.

A request is noted before it is sent, with the most that it can cost. What came of it takes the place of that; of one
that a kill cut short nothing came, so it stays at the most. `usage` and `could_have_cost` are sums over these lines.
"""

from pathlib import Path
from typing import Literal

from servers.core.disk import append_jsonl, read_jsonl
from servers.core.job_files import Usage
from servers.core.wire import Wire

Outcome = Literal["asked", "answered", "refused", "lost"]


class Line(Wire):
    """One line of the journal; a later one about the same number takes the place of the earlier."""

    number: int
    """Of the request, counted from 1."""
    key: str
    """Of the question; one that is lost is asked again under another number."""
    outcome: Outcome
    input_tokens: int
    output_tokens: int
    counted: bool = False
    """Whether the server counted the tokens; else they are estimated, or the most that it can be."""
    usd: float
    text: str = ""
    """The words that came, or why none did."""
    model: str | None = None
    """What answered, as the server calls it."""
    latency_ms: float | None = None


class Note(Wire):
    """A line about all that follow."""

    note: Literal["unstructured", "anew"]
    """unstructured: the server holds no model to a schema. anew: answers before this line count for nothing."""


class Journal:
    """The journal of one job.

    Args:
        path: Its file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[int, Line] = {}
        self._outcomes: dict[str, Line] = {}
        self.unstructured = False
        """Whether the server was found to refuse `response_format`."""
        for row in read_jsonl(path):
            if "note" in row:
                self._take_note(Note.model_validate(row))
            else:
                self._take(Line.model_validate(row))
        if len(self.models) > 1 or (self._outcomes and not self.models):
            # What two models said is no model's answers, and what was only refused may have been asked of a wrong one.
            self._note("anew")

    @property
    def models(self) -> list[str]:
        """What answered, as the server calls it; one name if all is well."""
        return list(dict.fromkeys(line.model for line in self._outcomes.values() if line.model is not None))

    @property
    def refused(self) -> int:
        """How many questions were refused."""
        return sum(line.outcome == "refused" for line in self._outcomes.values())

    def outcome(self, key: str) -> Line | None:
        """The answer to a question, or its refusal; None where it has to be asked."""
        return self._outcomes.get(key)

    def could_have_cost(self) -> float:
        """USD, with what is under way or was cut short at the most that it can be."""
        return sum(line.usd for line in self._lines.values())

    def usage(self) -> Usage:
        """What was used, with what was cut short at the most that it can be."""
        lines = self._lines.values()
        return Usage(
            requests=len(lines),
            input_tokens=sum(line.input_tokens for line in lines),
            output_tokens=sum(line.output_tokens for line in lines),
            usd=round(self.could_have_cost(), 6),
        )

    @property
    def all_counted(self) -> bool:
        """Whether the server counted all that it answered; else `usage` is in part an estimate."""
        return all(line.counted for line in self._lines.values() if line.outcome == "answered")

    def asking(self, key: str, input_tokens: int, output_tokens: int, usd: float) -> Line:
        """Note that a request is about to be sent, with the most that it can take."""
        number = max(self._lines, default=0) + 1
        line = Line(
            number=number, key=key, outcome="asked", input_tokens=input_tokens, output_tokens=output_tokens, usd=usd
        )
        self.add(line)
        return line

    def add(self, line: Line) -> None:
        """Note what came of a request."""
        append_jsonl(self._path, line, durable=True)
        self._take(line)

    def note_unstructured(self) -> None:
        """Note that the server refuses `response_format`."""
        self._note("unstructured")

    def _note(self, note: Literal["unstructured", "anew"]) -> None:
        line = Note(note=note)
        append_jsonl(self._path, line, durable=True)
        self._take_note(line)

    def _take(self, line: Line) -> None:
        self._lines[line.number] = line
        if line.outcome in ("answered", "refused"):
            self._outcomes[line.key] = line

    def _take_note(self, note: Note) -> None:
        if note.note == "unstructured":
            self.unstructured = True
        else:
            self._outcomes.clear()
