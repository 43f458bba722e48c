"""Rows out of a file that nobody prepared: JSON lines, CSV or Parquet, told apart by the file's suffix.

A row that cannot be read comes as a problem with its place, and the rest of the file survives. No copy of the rows is
left on disk by reading them.

CSV is read with the standard library and not with `datasets`: pandas, which reads CSV there, cuts fields off a row that
has too many, pads one that has too few, and knows no line numbers. Parquet is read with pyarrow, in this thread: the
streaming reader of `datasets` leaves threads behind that now and then kill the process at its exit.
"""

import csv
import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

MAX_LINE_BYTES = 1 << 20  # of JSON; a longer line is no row but a file without line breaks
FIRST_BYTES = 64  # enough to see how a file begins
BATCH_ROWS = 1000  # of Parquet at a time
SPLIT_WORDS = {
    "train": {"train", "training"},
    "validation": {"validation", "valid", "val", "dev", "eval", "evaluation"},
    "test": {"test", "testing", "holdout", "heldout", "frozen", "gate"},
}
SHOWN_FILES = 8
OTHER_SEPARATORS = (";", "\t", "|")  # what spreadsheets write where the comma is the decimal mark


@dataclass(frozen=True)
class Record:
    """One row as it stands in the file."""

    number: int
    """The line it begins on, or the row's number in a file that has no lines; from 1."""
    fields: dict[str, Any]
    """By name; empty where there is a problem."""
    problem: str = ""
    """Why the row cannot be read; without its content."""


@dataclass(frozen=True)
class Source:
    """A file's rows, and how they are to be read."""

    path: Path
    records: Iterator[Record]
    unit: str
    """What the numbers count: line or row."""
    untyped: bool
    """Whether every field is a text, as in CSV, so that numbers are written in characters."""
    name: str = ""
    """The file's name, where there are several."""
    split: str = ""
    """Which of the source's own splits the file is, by its name; '' where it tells of none."""


def open_sources(paths: Sequence[Path], split: str | None = None) -> list[Source]:
    """The rows of files, and of the files in folders.

    Args:
        paths: The files and folders.
        split: Take only files of this one of the source's own splits, by the name of the file or its folder.

    Raises:
        ValueError: a file cannot be read or stands twice, or there is none; one line that says why.
    """
    files = [file for path in paths for file in (_within(path) if path.is_dir() else [path])]
    if split is not None:
        every = files
        files = [file for file in every if (split_named(file.stem) or split_named(file.parent.name)) == split]
        if not files:
            names = ", ".join(sorted({file.name for file in every})[:SHOWN_FILES])
            raise ValueError(f"no file is called after the split {split!r}; there are {names}")
    if twice := [file for k, file in enumerate(files) if file.resolve() in {other.resolve() for other in files[:k]}]:
        raise ValueError(f"{str(twice[0])!r} is given twice; name each file once")
    if len(files) == 1:
        return [open_source(files[0])]
    return [replace(open_source(file), name=file.name, split=split_named(file.stem)) for file in files]


def split_named(name: str) -> str:
    """'train', 'validation' or 'test' where a word of the name says so, else ''."""
    said = re.split(r"[^a-z]+", name.casefold())
    return next((split for split, others in SPLIT_WORDS.items() if set(said) & others), "")


def _within(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in KINDS and path.is_file())
    if not found:
        raise ValueError(f"the folder {str(folder)!r} holds no file that ends in {', '.join(KINDS)}")
    return found


def open_source(path: Path) -> Source:
    """The rows of a file, read as they are asked for.

    Raises:
        ValueError: the file cannot be read, now or while its rows are taken; one line that says why.
    """
    kind = KINDS.get(path.suffix.lower())
    if not path.exists():
        raise ValueError(f"there is no file {str(path)!r}")
    if kind is None:
        raise ValueError(f"cannot tell what {str(path)!r} holds; its name must end in {', '.join(KINDS)}")
    unit = "row" if kind is _parquet else "line"
    return Source(path, _one_line_errors(kind(path), path), unit=unit, untyped=kind is _csv)


def _one_line_errors(records: Iterator[Record], path: Path) -> Iterator[Record]:
    try:
        yield from records
    except OSError as error:
        reason = error.strerror or str(error).partition("\n")[0]
        raise ValueError(f"cannot read {str(path)!r}: {reason}") from error


def _jsonl(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        if file.read(FIRST_BYTES).removeprefix(BOM_UTF8).lstrip()[:1] == b"[":
            raise ValueError(f"{str(path)!r} begins as one JSON array; write each row as an object on its own line")
        file.seek(0)
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                _skip_line(file, line)
                yield Record(number, {}, f"longer than {MAX_LINE_BYTES:,} bytes")
            elif content := line.removeprefix(BOM_UTF8 if number == 1 else b"").strip():
                yield _parsed(number, content)


def _skip_line(file: BinaryIO, chunk: bytes) -> None:
    while chunk and not chunk.endswith(b"\n"):
        chunk = file.readline(MAX_LINE_BYTES)


def _parsed(number: int, content: bytes) -> Record:
    try:
        value = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError:
        return Record(number, {}, "not UTF-8")
    except (ValueError, RecursionError):
        return Record(number, {}, "malformed JSON")
    return Record(number, value) if isinstance(value, dict) else Record(number, {}, "not a JSON object")


def _csv(path: Path) -> Iterator[Record]:
    # A byte that is not UTF-8 becomes half a character, which no text may hold: it costs its row, not the file.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True)
        header: list[str] = []
        while True:
            number = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                # Over several lines, nobody can tell which of them belong to the row.
                if reader.line_num > number or not header:
                    raise ValueError(
                        f"{str(path)!r} is no CSV from line {number} on: {error}; close its quotes"
                    ) from error
                yield Record(number, {}, "malformed CSV")
                continue
            if not header:
                header = _header(row, path)
            elif len(row) == len(header):
                yield Record(number, dict(zip(header, row, strict=True)))
            elif row:
                yield Record(number, {}, "has not as many fields as the header")


def _header(row: list[str], path: Path) -> list[str]:
    names = [name.strip() for name in row]
    if len(names) == 1 and (other := next((mark for mark in OTHER_SEPARATORS if mark in names[0]), None)):
        raise ValueError(f"the columns of {str(path)!r} are separated by {other!r}; save it with commas")
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise ValueError(f"column {twice[0]!r} of {str(path)!r} stands twice; name each column once")
    return names


def _parquet(path: Path) -> Iterator[Record]:
    # Here, not above: half a second that other files need not wait for.
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(str(path)) as file:
            rows = chain.from_iterable(batch.to_pylist() for batch in file.iter_batches(BATCH_ROWS, use_threads=False))
            for number, row in enumerate(rows, start=1):
                yield Record(number, row)
    except ValueError as error:  # all of Arrow's complaints about a file are
        raise ValueError(f"cannot read {str(path)!r} as Parquet: {str(error).partition(chr(10))[0]}") from error


KINDS: dict[str, Callable[[Path], Iterator[Record]]] = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
