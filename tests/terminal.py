"""A terminal for tests and pictures: a command in a pty of some size, and what a person sees of it."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from rich.ansi import SGR_STYLE_MAP
from rich.color import Color
from rich.style import Style
from rich.text import Text

CEILING_S = 60.0
_PIECE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n\b])|([^\x1b\r\n\b]+)|(\x1b.?)", re.DOTALL)

Cell = tuple[str, Style]


class Screen:
    """What is drawn: lines of characters with their style, from the first that scrolled away to the last.

    Knows what rich sends (colours, moves up and down, erased lines and a hidden cursor); raises on anything else.

    Args:
        width: In characters.
        height: In lines.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.cells: list[list[Cell]] = [[]]
        self.cursor_shown = True
        self._row = self._column = 0
        self._style = Style.null()

    @property
    def lines(self) -> list[str]:
        """All of it as plain text."""
        return ["".join(char for char, _ in line).rstrip() for line in self.cells]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def coloured(self) -> Text:
        """All of it with its colours."""
        lines = [Text.assemble(*line) if line else Text() for line in self.cells]
        return Text("\n").join(lines)

    def feed(self, text: str) -> None:
        """Draw what a program wrote."""
        for arguments, command, control, words, odd in _PIECE.findall(text):
            if command:
                self._command(arguments, command)
            elif control == "\n":
                self._row, self._column = self._row + 1, 0
                if self._row == len(self.cells):
                    self.cells.append([])
            elif control == "\r":
                self._column = 0
            elif words:
                for char in words:
                    self._put(char)
            elif odd:
                raise ValueError(f"unknown control {odd!r}")

    def _put(self, char: str) -> None:
        if unicodedata.category(char) == "Cc":
            raise ValueError(f"unknown control {char!r}")
        if self._column == self.width:
            self.feed("\n")
        line = self.cells[self._row]
        line.extend([(" ", Style.null())] * (self._column + 1 - len(line)))
        line[self._column] = (char, self._style)
        self._column += 1

    def _command(self, arguments: str, command: str) -> None:
        if command == "m":
            self._dress([int(code or 0) for code in arguments.split(";")])
        elif command == "A":
            self._row = max(self._row - int(arguments or 1), len(self.cells) - self.height, 0)
        elif command == "K":
            self.cells[self._row] = []
        elif command in "hl" and arguments == "?25":
            self.cursor_shown = command == "h"
        else:
            raise ValueError(f"unknown command {arguments}{command}")

    def _dress(self, codes: list[int]) -> None:
        while codes:
            code = codes.pop(0)
            if code == 0:
                self._style = Style.null()
            elif code in (38, 48):
                kind = codes.pop(0)
                colour = Color.from_ansi(codes.pop(0)) if kind == 5 else Color.from_rgb(*(codes.pop(0) for _ in "rgb"))
                self._style += Style.from_color(colour) if code == 38 else Style.from_color(bgcolor=colour)
            else:
                self._style += Style.parse(SGR_STYLE_MAP[code])


class Terminal:
    """A command that runs in a pty.

    Args:
        command: Its words.
        width: In characters.
        height: In lines.
        environment: Added to ours, which loses what would change colours.
        folder: Where it runs.
        out: Where its stdout goes instead of into the pty.
    """

    def __init__(
        self,
        command: Sequence[str],
        width: int = 80,
        height: int = 24,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        out: Any = None,
    ) -> None:
        self.screen = Screen(width, height)
        self.written = ""
        self._ours, theirs = pty.openpty()
        self.resize(width, height)
        kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "CI", "FORCE_COLOR", "COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs if out is None else out,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**kept, "TERM": "xterm-256color", **(environment or {})},
            cwd=folder,
        )
        os.close(theirs)
        self._bytes = b""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(CEILING_S)
        os.close(self._ours)

    def resize(self, width: int, height: int) -> None:
        """Change the window's size."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.screen.width, self.screen.height = width, height

    def until(self, seen: Callable[[str], bool], limit_s: float = CEILING_S) -> str:
        """Read until a person sees something, and give the whole text.

        Raises:
            TimeoutError: it was not seen in time, or the command ended without it.
        """
        ends = monotonic() + limit_s
        while not seen(self.screen.text):
            if monotonic() > ends or not self._read(ends):
                raise TimeoutError(f"not seen:\n{self.screen.text}")
        return self.screen.text

    def to_the_end(self, limit_s: float = CEILING_S) -> int:
        """Read until the command ends; its exit code."""
        ends = monotonic() + limit_s
        while self._read(ends):
            if monotonic() > ends:
                raise TimeoutError(f"it does not end:\n{self.screen.text}")
        return self.process.wait(max(0.1, ends - monotonic()))

    def press_ctrl_c(self) -> None:
        """As at the keyboard: the terminal sends SIGINT to all in the foreground."""
        os.write(self._ours, b"\x03")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def _read(self, ends: float) -> bool:
        """Whether there may be more."""
        if not select.select([self._ours], [], [], max(0.0, min(0.5, ends - monotonic())))[0]:
            return True
        with contextlib.suppress(OSError):  # what Linux says once nobody holds the other side
            if piece := os.read(self._ours, 65536):
                self._take(piece)
                return True
        return False

    def _take(self, piece: bytes) -> None:
        """Draw what is whole: a read may end inside a character or a command."""
        self._bytes += piece
        text = self._bytes.decode(errors="ignore")
        if self._bytes.decode(errors="replace").endswith("\N{REPLACEMENT CHARACTER}"):
            return
        cut = text.rfind("\x1b")
        whole = text if cut < 0 or re.match(r"\x1b\[[0-9;?]*[A-Za-z]", text[cut:]) else text[:cut]
        self._bytes = text[len(whole) :].encode()
        self.written += whole
        self.screen.feed(whole)
