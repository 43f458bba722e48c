"""What a run shows while it runs, on stderr: a line for each step, and on a terminal a board that moves below them.

A pipe gets plain lines, whatever the environment asks for. Showing never stops a run: a closed, broken or narrow stderr
loses words, nothing else.
"""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO, cast

from rich.console import Console
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from agent.board import Board
from agent.marks import marks_for
from agent.step_line import StepLine
from agent.words import cleaned

LABEL_WIDTH = 10
LINE_CHARS = 4_000  # of anything that is said in one go
SPOKEN_CHARS = 1_200  # of a brain's words for one answer
MIN_BESIDE = 60  # characters; a terminal that has fewer is narrow
MIN_TOOLS = 110  # characters; a terminal that has fewer shows a step's tools only while they are called
REDRAWN_PER_S = 4


class Unbreakable(io.TextIOBase):
    """A text stream that swallows what cannot be written any more.

    Args:
        stream: Where the words go; None where the process was started without it.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            if self._stream is not None:
                self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
        except (OSError, ValueError):  # ValueError: the stream is closed
            self._stream = None
        return len(text)

    def flush(self) -> None:
        try:
            if self._stream is not None:
                self._stream.flush()
        except (OSError, ValueError):
            self._stream = None

    def isatty(self) -> bool:
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:
            return False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has an attribute here; it is only read, and a property reads the same
        """Of the stream beneath, so that rich draws only what it can take."""
        return getattr(self._stream, "encoding", None) or "utf-8"


class Progress:
    """The screen of one run."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.console = console_on(stream if stream is not None else sys.stderr)
        self.board = Board()
        self.marks = marks_for(self.console)

    @property
    def narrow(self) -> bool:
        """Whether there is no room for words beside a label, or for more than a few columns."""
        return self.console.width < MIN_BESIDE

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show the board while the run goes on, where something can move."""
        if not self.console.is_terminal or self.console.is_dumb_terminal or os.environ.get("CI"):
            yield
            return
        with Live(
            self.board,
            console=self.console,
            refresh_per_second=REDRAWN_PER_S,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ):
            yield

    def headline(self, line: str) -> None:
        """What a part of the run begins with."""
        if not self.console.is_terminal or self.narrow:
            return self.say(line, "bold")
        title = Text(cleaned(line, LINE_CHARS), style="bold cyan")
        self.console.print(Rule(title, align="left", style="dim cyan"))

    def entry(self, label: str, words: str, style: str | None = None) -> None:
        """A label and its words; a terminal gets the words wrapped beside the label, a file gets one line."""
        self._columns([Text(f"{label:<{LABEL_WIDTH}}", style="cyan")], Text(words), style)

    def say(self, line: str, style: str | None = None) -> None:
        """One line; a terminal gets it broken between words where it is too long."""
        # Words of tools, servers and models end up here, and a terminal takes orders from control characters.
        self.console.print(cleaned(line, LINE_CHARS), style=style, soft_wrap=not self.console.is_terminal)

    @contextmanager
    def speech(self) -> Iterator[Callable[[str], None]]:
        """Show a brain's words as they come: a line at a time, between words, and not without end."""
        waiting, shown = "", 0

        def heard(piece: str) -> None:
            nonlocal waiting
            waiting += piece
            while "\n" in waiting or len(waiting) > self.console.width:
                line, waiting = _first_line(waiting, self.console.width)
                show(line)

        def show(line: str) -> None:
            nonlocal shown
            if line.strip() and shown < SPOKEN_CHARS:
                shown += len(line)
                self.say(f"  {line.strip()}" if shown < SPOKEN_CHARS else "  …", "italic")

        yield heard
        show(waiting)

    def show(self, table: Table) -> None:
        """A table, as wide as there is room."""
        self.console.print(table)

    @contextmanager
    def step(self, name: str) -> Iterator[StepLine]:
        """Show one step while it runs, and its line when it is over."""
        line = StepLine(name)
        self.board.began(line)
        try:
            yield line
        except BaseException as error:
            what = "failed" if isinstance(error, Exception) else "interrupted"
            self._close(line, line.outcome or what, failed=True)
            raise
        self.board.ended(line)
        self._close(line, line.outcome or "done", failed=False)

    def _close(self, line: StepLine, outcome: str, failed: bool) -> None:
        words, seconds = Text(outcome), f"{line.seconds:6.1f} s "
        if line.tools and (not self.console.is_terminal or self.console.width >= MIN_TOOLS):
            words.append(f"  [{line.tools}]", style="dim")
        if not self.console.is_terminal:
            return self._columns([Text(f"  {line.name:<{LABEL_WIDTH}}"), Text(seconds)], words, None)
        mark, style = (self.marks.failed, "red") if failed else (self.marks.done, "green")
        label = Text(f"{mark} ", style=style).append(f"{line.name:<{LABEL_WIDTH}}", style="red" if failed else "")
        self._columns([label, Text(seconds, style="dim")], words, "red" if failed else None)

    def _columns(self, cells: list[Text], words: Text, style: str | None) -> None:
        words = Text(cleaned(words.plain, LINE_CHARS), spans=words.spans)
        if not self.console.is_terminal or self.narrow:
            return self.say(" ".join([*(cell.plain for cell in cells), words.plain]), style)
        grid = Table.grid(padding=(0, 1, 0, 0))
        for _ in cells:
            grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(*cells, words, style=style)
        self.console.print(grid)


def console_on(stream: TextIO | None) -> Console:
    """A console that writes to a stream; colours and movement are for terminals alone.

    Args:
        stream: Where the words go; None where the process was started without it.
    """
    file = Unbreakable(stream)
    # Said here, because rich would take FORCE_COLOR for a reason to send colour codes into a pipe.
    return Console(file=cast(TextIO, file), force_terminal=file.isatty(), highlight=False, markup=False, emoji=False)


def _first_line(text: str, width: int) -> tuple[str, str]:
    """What fits into the first line, and the rest."""
    line, broken, rest = text.partition("\n")
    if len(line) <= width:
        return line, rest if broken else ""
    space = text.rfind(" ", 0, width)
    end = space if space > 0 else width
    return text[:end], text[end:].lstrip(" ")
