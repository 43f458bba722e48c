"""What a run shows while it runs, on stderr: a moving line on a terminal, plain lines elsewhere, one for each step.

Showing never stops a run: a closed, broken or narrow stderr loses words, nothing else.
"""

import io
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter
from typing import TextIO, cast

from rich.console import Console
from rich.status import Status
from rich.table import Table

STEP_WIDTH = 10


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
                self._stream.write(text)
        except (OSError, ValueError):  # ValueError: the stream is closed, or its encoding cannot hold the text
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
    def encoding(self) -> str:  # type: ignore[override]
        """Of the stream beneath, so that rich draws only what it can take."""
        return getattr(self._stream, "encoding", None) or "utf-8"


class StepLine:
    """One step while it runs.

    `outcome` is what came out, in a few words; the step's caller sets it.
    """

    def __init__(self, name: str, status: Status | None) -> None:
        self.name = name
        self.outcome = ""
        self.started = perf_counter()
        self._tools: dict[str, int] = {}
        self._status = status

    def calling(self, tool: str) -> None:
        """A tool is being called."""
        self._tools[tool] = self._tools.get(tool, 0) + 1
        self.saying(tool)

    def saying(self, words: str) -> None:
        """Show what is going on, on a terminal."""
        if self._status is not None:
            self._status.update(f"{self.name}: {words}")

    @property
    def tools(self) -> str:
        """The tools that were called, with how often."""
        return ", ".join(name if count == 1 else f"{name} x{count}" for name, count in self._tools.items())


class Progress:
    """The screen of one run."""

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = stream if stream is not None else sys.stderr
        file = cast(TextIO, Unbreakable(stream))
        self.console = Console(file=file, highlight=False, markup=False, emoji=False)

    def say(self, line: str, style: str | None = None) -> None:
        """One line, as it is."""
        self.console.print(line, style=style, soft_wrap=True)

    def show(self, table: Table) -> None:
        """A table, as wide as there is room."""
        self.console.print(table)

    @contextmanager
    def step(self, name: str) -> Iterator[StepLine]:
        """Show one step while it runs, and its line when it is over."""
        with ExitStack() as stack:
            status = stack.enter_context(self.console.status(name)) if self.console.is_terminal else None
            line = StepLine(name, status)
            try:
                yield line
            except BaseException as error:
                what = "failed" if isinstance(error, Exception) else "interrupted"
                self._close(line, line.outcome or what, "red")
                raise
            self._close(line, line.outcome or "done", None)

    def _close(self, line: StepLine, outcome: str, style: str | None) -> None:
        seconds = perf_counter() - line.started
        tools = f"  [{line.tools}]" if line.tools else ""
        self.say(f"  {line.name:<{STEP_WIDTH}} {seconds:6.1f} s  {outcome}{tools}", style)
