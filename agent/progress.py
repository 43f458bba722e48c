"""What a run shows while it runs, on stderr: a moving line on a terminal, plain lines elsewhere, one for each step.

Showing never stops a run: a closed, broken or narrow stderr loses words, nothing else.
"""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter
from typing import TextIO, cast

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.words import cleaned

LABEL_WIDTH = 10
LINE_CHARS = 4_000  # of anything that is said in one go
SPOKEN_CHARS = 1_200  # of a brain's words for one answer
MIN_BESIDE = 60  # characters; a terminal that has fewer is narrow


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


class StepLine:
    """One step while it runs.

    `outcome` is what came out, in a few words; the step's caller sets it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.outcome = ""
        self._started = perf_counter()
        self._tools: dict[str, int] = {}
        self._words = ""

    def calling(self, tool: str) -> None:
        """A tool is being called."""
        self._tools[tool] = self._tools.get(tool, 0) + 1
        self.saying(tool)

    def saying(self, words: str) -> None:
        """Show what is going on, on a terminal."""
        self._words = words

    @property
    def seconds(self) -> str:
        """How long it has been running."""
        return f"{perf_counter() - self._started:6.1f} s"

    @property
    def tools(self) -> str:
        """The tools that were called, with how often."""
        return ", ".join(name if count == 1 else f"{name} x{count}" for name, count in self._tools.items())

    def __rich__(self) -> Text:
        """The moving line; it is drawn anew several times a second."""
        words = f"{self.name:<{LABEL_WIDTH}} {self.seconds}  {self._words}"
        return Text(words, no_wrap=True, overflow="ellipsis")


class Progress:
    """The screen of one run."""

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = stream if stream is not None else sys.stderr
        file = cast(TextIO, Unbreakable(stream))
        self.console = Console(file=file, highlight=False, markup=False, emoji=False)

    @property
    def narrow(self) -> bool:
        """Whether there is no room for words beside a label, or for more than a few columns."""
        return self.console.width < MIN_BESIDE

    def entry(self, label: str, words: str, style: str | None = None) -> None:
        """A label and its words; a terminal gets the words wrapped beside the label, a file gets one line."""
        self._columns([f"{label:<{LABEL_WIDTH}}"], Text(words), style)

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
        with ExitStack() as stack:
            line = StepLine(name)
            if self.console.is_terminal:
                stack.enter_context(self.console.status(line))
            try:
                yield line
            except BaseException as error:
                what = "failed" if isinstance(error, Exception) else "interrupted"
                self._close(line, line.outcome or what, "red")
                raise
            self._close(line, line.outcome or "done", None)

    def _close(self, line: StepLine, outcome: str, style: str | None) -> None:
        words = Text(outcome)
        if line.tools:
            words.append(f"  [{line.tools}]", style="dim")
        self._columns([f"  {line.name:<{LABEL_WIDTH}}", f"{line.seconds} "], words, style)

    def _columns(self, cells: list[str], words: Text, style: str | None) -> None:
        words = Text(cleaned(words.plain, LINE_CHARS), spans=words.spans)
        if not self.console.is_terminal or self.narrow:
            return self.say(" ".join([*cells, words.plain]), style)
        grid = Table.grid(padding=(0, 1, 0, 0))
        for _ in cells:
            grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(*cells, words, style=style)
        self.console.print(grid)


def _first_line(text: str, width: int) -> tuple[str, str]:
    """What fits into the first line, and the rest."""
    line, broken, rest = text.partition("\n")
    if len(line) <= width:
        return line, rest if broken else ""
    space = text.rfind(" ", 0, width)
    end = space if space > 0 else width
    return text[:end], text[end:].lstrip(" ")
