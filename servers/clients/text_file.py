"""A configuration file of somebody else's program: read as it is, and replaced whole or not at all.

Kept are the byte order mark, the line ends, the mode, and the link where the file is one. What stood there before is
kept beside it. A file that changed since it was read is left alone: the program may have written it itself.
"""

import os
import secrets
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

MARK = b"\xef\xbb\xbf"
MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class TextFile:
    """A file as it was read."""

    path: Path
    """Where it is, links followed."""
    raw: bytes | None
    """None where there is no file."""

    @property
    def text(self) -> str:
        """What it says, without the mark; nothing where there is no file."""
        return (self.raw or b"").removeprefix(MARK).decode()


def read(path: Path) -> TextFile:
    """Read a file that may not be there.

    Raises:
        ValueError: it cannot be read, is no UTF-8, or is no configuration by its size.
    """
    try:
        real = path.resolve()
        if real.exists() and not real.is_file():
            raise ValueError(f"{path} is no file")
        if real.exists() and real.stat().st_size > MOST_BYTES:
            raise ValueError(f"{path} has more than {MOST_BYTES:,} bytes, too many for a configuration")
        found = TextFile(real, real.read_bytes() if real.exists() else None)
        _ = found.text
    except OSError as error:
        raise ValueError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except RuntimeError as error:  # a link that leads to itself
        raise ValueError(f"cannot read {str(path)!r}: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8; save it as UTF-8 and call again") from error
    return found


def replace(was: TextFile, text: str) -> Path | None:
    """Put `text` where the file is; where its old content was kept, or None where there was none.

    Raises:
        ValueError: it cannot be written, or changed since it was read.
    """
    path = was.path
    new = (MARK if (was.raw or b"").startswith(MARK) else b"") + text.encode()
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(path.stat().st_mode) if was.raw is not None else None
        kept = _keep(was, mode) if was.raw is not None and mode is not None else None
        _write(draft, new, mode)
        if (path.read_bytes() if path.exists() else None) != was.raw:
            raise ValueError(f"{path} changed while it was being read; close the client and call again")
        os.replace(draft, path)
    except OSError as error:
        raise ValueError(f"cannot write {str(path)!r}: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    return kept


def _keep(was: TextFile, mode: int) -> Path:
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S")
    name = f"{was.path.name}.{stamp}"
    kept = was.path.with_name(f"{name}.bak")
    if kept.exists():  # two changes within a second
        kept = was.path.with_name(f"{name}-{secrets.token_hex(2)}.bak")
    _write(kept, was.raw or b"", mode)
    return kept


def _write(path: Path, content: bytes, mode: int | None) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600 if mode is not None else 0o666)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        if mode is not None:
            os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
