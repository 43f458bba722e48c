"""From a row of somebody's file to an example: where id, text and target stand, and what is no example."""

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from servers.core.dataset import Example, fingerprint
from servers.core.task import Layout, Task
from servers.core.wire import Wire
from servers.core.words import cleaned
from servers.eval.source_files import Source, split_named

MAX_ID_CHARS = 200
MAX_NAME_CHARS = 40  # of a split or source; what is longer is no name
LIST_PLACE = re.compile(r"-?[0-9]{1,3}")
DECIMAL_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


class Rejected(Wire):
    """A row that is no example."""

    number: int
    unit: str
    """What the number counts: line or row."""
    file: str
    """The file's name, where there are several."""
    reason: str
    detail: str = ""
    """More about this one row; never a text or an id, which may stand in other rows too."""

    def __str__(self) -> str:
        place = f"{self.file}, {self.unit} {self.number}" if self.file else f"{self.unit} {self.number}"
        return f"{place}: {self.reason} ({self.detail})" if self.detail else f"{place}: {self.reason}"


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


def take_in(sources: Sequence[Source], task: Task, columns: Columns) -> Intake:
    """Read all rows of the sources.

    Raises:
        ValueError: a source cannot be read.
    """
    intake = Intake()
    places: dict[str, tuple[str, int]] = {}
    for source in sources:
        reader = _RowReader(task, columns, source, places)
        for record in source.records:
            intake.fields = intake.fields or list(record.fields)
            try:
                if record.problem:
                    raise Unfit(record.problem)
                intake.kept.append(reader.example(record.number, record.fields))
            except Unfit as unfit:
                intake.rejected.append(
                    Rejected(
                        number=record.number,
                        unit=source.unit,
                        file=source.name,
                        reason=unfit.reason,
                        detail=unfit.detail,
                    )
                )
    return intake


class _RowReader:
    """Reads a source's rows one after the other, because an id may stand only once.

    Args:
        task: Its dimensions, scale and layout.
        columns: What the caller said about where things stand.
        source: The file.
        places: File and split, and the number, of the row that has an id; shared by all sources.
    """

    def __init__(self, task: Task, columns: Columns, source: Source, places: dict[str, tuple[str, int]]) -> None:
        self._task, self._columns, self._source, self._places = task, columns, source, places
        self._untyped = source.untyped

    def example(self, number: int, fields: dict[str, Any]) -> Example:
        text = self._text(fields)
        target = {name: self._value(name, found) for name, found in self._target(fields)}
        said = _said(fields, self._layout.split)
        split = split_named(said) or said or self._source.split
        example_id = self._own_id(fields, f"{self._source.name}/{split}", split) or self._id_from_content(text, target)
        self._places[example_id] = (f"{self._source.name}/{split}", number)
        told = {"split": split, "source": _said(fields, self._layout.source)}
        provenance = {name: value for name, value in told.items() if value}
        return Example(id=example_id, text=text, target=target, source="import", provenance=provenance)

    def _own_id(self, fields: dict[str, Any], part: str, split: str) -> str | None:
        """The row's id. Each part of a source may count from one: an id of another part gets its own part's name."""
        own = self._id(fields)
        if own in self._places and self._places[own][0] != part:
            own = f"{split or self._source.name}-{own}"
        if own in self._places:
            raise Unfit("duplicate id", f"first on {self._places[own][1]}")
        return own

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
            if isinstance(values, str):
                values = _parsed(values)
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


def _at(fields: Any, path: str) -> Any:
    """What stands at a dotted path; '' is the row itself, None is nothing. A field's name may hold dots of its own."""
    if not path:
        return fields
    name, _, rest = path.partition(".")
    if isinstance(fields, Mapping):
        return fields[path] if path in fields else _at(fields.get(name), rest) if rest else None
    if isinstance(fields, list) and LIST_PLACE.fullmatch(name):
        place = int(name)
        return _at(fields[place], rest) if -len(fields) <= place < len(fields) else None
    return None


def _said(fields: Mapping[str, Any], paths: list[str]) -> str:
    """A short name at the first path where something stands; '' where it is no name."""
    found = _first(fields, paths)
    if not isinstance(found, str):
        return ""
    name = cleaned(found.strip(), MAX_NAME_CHARS + 1)
    return name if len(name) <= MAX_NAME_CHARS else ""


def _parsed(words: str) -> Any:
    """The JSON that a string holds, as in a completion; None where it holds none."""
    try:
        return json.loads(words)
    except (ValueError, RecursionError):
        return None


def _at_column(column: str | None) -> str:
    """Where it was looked for, if the caller said where: a misspelt column is seen at once."""
    return f" at {column!r}" if column else ""


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
