"""From a row of somebody's file to an example: where id, text and target stand, and what is no example."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from servers.core.dataset import Example, fingerprint
from servers.core.task import Layout, Task
from servers.core.wire import Wire
from servers.eval.source_files import Source

MAX_ID_CHARS = 200
DECIMAL_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


class Rejected(Wire):
    """A row that is no example."""

    number: int
    """The line, or the row's number."""
    reason: str
    detail: str = ""
    """More about this one row; never a text or an id, which may stand in other rows too."""

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


class Unfit(ValueError):
    """The row is no example: (reason, detail)."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Columns:
    """What the caller said about where things stand; what is not said is looked for as the task's layout says."""

    text: str | None = None
    id: str | None = None
    target: dict[str, str] = field(default_factory=dict)
    """By dimension, the path of its value."""


@dataclass
class Intake:
    """What a file gave."""

    kept: list[Example] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    """Names of the first row's fields."""

    @property
    def read(self) -> int:
        return len(self.kept) + len(self.rejected)

    def dropped(self) -> dict[str, int]:
        """How many rows were dropped for each reason, most frequent first."""
        return dict(Counter(row.reason for row in self.rejected).most_common())


def take_in(source: Source, task: Task, columns: Columns) -> Intake:
    """Read all rows of a source.

    Raises:
        ValueError: the source cannot be read.
    """
    intake = Intake()
    reader = _RowReader(task, columns, source.untyped)
    for record in source.records:
        intake.fields = intake.fields or list(record.fields)
        try:
            if record.problem:
                raise Unfit(record.problem)
            intake.kept.append(reader.example(record.number, record.fields))
        except Unfit as unfit:
            intake.rejected.append(Rejected(number=record.number, reason=unfit.reason, detail=unfit.detail))
    return intake


class _RowReader:
    """Reads rows one after the other, because an id may stand only once."""

    def __init__(self, task: Task, columns: Columns, untyped: bool) -> None:
        self._task, self._columns, self._untyped = task, columns, untyped
        self._places: dict[str, int] = {}  # the number of the row that has an id

    def example(self, number: int, fields: dict[str, Any]) -> Example:
        text = self._text(fields)
        target = {name: self._value(name, found) for name, found in self._target(fields)}
        example_id = self._id(fields) or self._id_from_content(text, target)
        if example_id in self._places:
            raise Unfit("duplicate id", f"first on {self._places[example_id]}")
        self._places[example_id] = number
        return Example(id=example_id, text=text, target=target, source="import")

    @property
    def _layout(self) -> Layout:
        return self._task.layout

    def _text(self, fields: dict[str, Any]) -> str:
        column = self._columns.text
        text = _first(fields, [column] if column else self._layout.text)
        if text is None:
            raise Unfit("no text" + _at_column(column))
        if not isinstance(text, str):
            raise Unfit("text is not a string")
        if not text.strip():
            raise Unfit("empty text")
        if not _is_unicode(text):
            raise Unfit("text is not UTF-8" if self._untyped else "text is not Unicode")
        return text

    def _target(self, fields: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        """Each dimension with what stands for it."""
        named = self._columns.target
        values: Any = {}
        if any(name not in named for name in self._task.names):
            values = _first(fields, self._layout.target)
            if values is None and any(name in fields for name in self._task.names):
                values = fields  # a flat table: each dimension has a column of its own name
            if values is None:
                raise Unfit("no target")
            if not isinstance(values, Mapping):
                raise Unfit("target is not an object")
        for name in self._task.names:
            yield name, _at(fields, named[name]) if name in named else values.get(name)

    def _value(self, name: str, found: Any) -> float:
        if found is None or (self._untyped and not str(found).strip()):
            raise Unfit(f"{name} is missing" + _at_column(self._columns.target.get(name)))
        if isinstance(found, Decimal) or (self._untyped and DECIMAL_NUMBER.fullmatch(str(found))):
            found = float(found)
        if isinstance(found, str) and not self._untyped:
            raise Unfit(f"{name} is a string, not a number")
        if isinstance(found, bool) or not isinstance(found, (int, float)):
            raise Unfit(f"{name} is not a number")
        if isinstance(found, float) and not math.isfinite(found):
            raise Unfit(f"{name} is not finite")
        scale = self._task.scale
        if not scale.low <= found <= scale.high:
            raise Unfit(f"{name} is outside {scale.low:g} to {scale.high:g}", str(found)[:20])
        return float(found)

    def _id(self, fields: dict[str, Any]) -> str | None:
        """The row's own id, or None where it may do without."""
        found = _first(fields, [self._columns.id] if self._columns.id else self._layout.id)
        if found is None or found == "":
            if self._columns.id:
                raise Unfit("no id" + _at_column(self._columns.id))
            return None
        if isinstance(found, bool) or not isinstance(found, (int, str)):
            raise Unfit("id is neither a string nor a whole number")
        text = str(found)
        if len(text) > MAX_ID_CHARS or any(unicodedata.category(char)[0] == "C" for char in text):
            raise Unfit("id is no plain id", f"at most {MAX_ID_CHARS} characters, none of them invisible")
        return text

    def _id_from_content(self, text: str, target: dict[str, float]) -> str:
        """An id that the same row gets again; copies of it are counted."""
        own = f"row-{fingerprint([text, target])}"
        copy = 1
        while (candidate := own if copy == 1 else f"{own}-{copy}") in self._places:
            copy += 1
        return candidate


def _first(fields: Mapping[str, Any], paths: list[str]) -> Any:
    """What stands at the first path where something stands."""
    return next((found for path in paths if (found := _at(fields, path)) is not None), None)


def _at(fields: Mapping[str, Any], path: str) -> Any:
    """What stands at a dotted path; '' is the row itself, None is nothing. A field's name may hold dots of its own."""
    if not path:
        return fields
    if path in fields:
        return fields[path]
    name, _, rest = path.partition(".")
    inner = fields.get(name)
    return _at(inner, rest) if rest and isinstance(inner, Mapping) else None


def _at_column(column: str | None) -> str:
    """Where it was looked for, if the caller said where: a misspelt column is seen at once."""
    return f" at {column!r}" if column else ""


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
