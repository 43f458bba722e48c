"""Files on disk: JSON and JSON lines that appear whole or not at all, and digests of what they hold.

Every file is written beside its place and renamed into it, so a reader never meets half of one. JSON documents carry
`schema`, the version of their layout; NaN and infinity are refused, because no other JSON reader would take them.
A new file is for those who may list its folder, as far as the umask allows: two users can share a folder through a
group, and what lies in a private folder is private.
"""

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel

_BLOCK = 4096  # bytes read at once when looking for the end of a line


def now() -> str:
    """The time, UTC, ISO 8601 to the millisecond, ending in Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_between(start: str, end: str) -> float:
    """From one such time to a later one; never below 0, for a clock may be set back."""
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())


def plain(value: Any) -> Any:
    """`value` with models turned into dicts, ready for `json`."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def canonical(value: Any) -> str:
    """One text per value: keys sorted, no spaces, Unicode as it is. What digests are taken of."""
    return json.dumps(plain(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` by write-then-rename, making the folders above it."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """The same for bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = open_or_create(draft, os.O_WRONLY | os.O_EXCL)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def open_or_create(path: Path, how: int) -> int:
    """Open a file, making it where it is missing; the handle. A link is not followed: it could lead to what is sealed.

    Args:
        path: In a folder that is there.
        how: Flags of `os.open` beside O_CREAT.
    """
    listed_by = path.parent.stat().st_mode
    mode = 0o600 | (0o060 if listed_by & 0o040 else 0) | (0o006 if listed_by & 0o004 else 0)
    return os.open(path, how | os.O_CREAT | os.O_NOFOLLOW, mode)


def write_json(path: Path, value: Any) -> None:
    """Write one JSON document, two spaces deep."""
    write_text(path, json.dumps(plain(value), ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """Write one JSON value a line."""
    write_text(path, "".join(json.dumps(plain(row), ensure_ascii=False, allow_nan=False) + "\n" for row in rows))


def append_jsonl(path: Path, row: Any, *, durable: bool = False) -> None:
    """Add one line. Writers wait for one another, and a line that a crash cut short is taken away first.

    A `durable` one is on disk when this returns.
    """
    # Half a character, which a caller may send, is no UTF-8; escaped it is JSON, and reads back as it came.
    line = json.dumps(plain(row), ensure_ascii=False, allow_nan=False).encode(errors="backslashreplace") + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(open_or_create(path, os.O_RDWR | os.O_APPEND), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
        file.truncate(_end_of_lines(file))
        file.seek(0, os.SEEK_END)
        file.write(line)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def _end_of_lines(file: BinaryIO) -> int:
    """Where the last whole line ends, in bytes; what stands behind it never happened."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - _BLOCK)
        file.seek(start)
        if (found := file.read(end - start).rfind(b"\n")) >= 0:
            return start + found + 1
        end = start
    return 0


def read_json(path: Path) -> Any:
    """The document at `path`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no JSON; the message names it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}); restore it or delete it") from error


def read_jsonl(path: Path) -> Iterator[Any]:
    """The values in a JSON lines file, in order; a missing file has none.

    A last line without its line break is a write that a crash cut short, and is left out.
    """
    if not path.exists():
        return
    with path.open("rb") as file:  # as bytes, because a cut may go through a character
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield json.loads(line.decode())
            except ValueError as error:
                raise ValueError(f"{path}, line {number}, is not JSON ({error})") from error
