"""One step while it runs: what it calls, how far that is, and how long it took."""

from time import perf_counter


class StepLine:
    """One step.

    `outcome` is what came out, in a few words; the step's caller sets it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.outcome = ""
        self.words = ""
        """What is going on."""
        self.done = 0.0
        self.total: float | None = None
        """Of what is being worked through; None where nobody said."""
        self._started = perf_counter()
        self._tools: dict[str, int] = {}
        self._last = ""

    def calling(self, tool: str) -> None:
        """A tool is being called."""
        self._tools[tool] = self._tools.get(tool, 0) + 1
        if tool != self._last:  # what was said of a call that is repeated until it is done still holds
            self._last = tool
            self.saying(tool)
            self.done, self.total = 0.0, None

    def saying(self, words: str) -> None:
        """Show what is going on, on a terminal."""
        self.words = words

    def reached(self, done: float, total: float | None, words: str | None) -> None:
        """A call is so far.

        Args:
            done: How much of it is done.
            total: Of how much; None where that is unknown.
            words: What it is doing; None to leave what is said as it is.
        """
        self.done, self.total = done, total
        if words:
            self.saying(words)

    @property
    def share(self) -> float | None:
        """How much is done, from 0 to 1; None where nobody knows."""
        return min(1.0, max(0.0, self.done / self.total)) if self.total and self.total > 0 else None

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return perf_counter() - self._started

    @property
    def tools(self) -> str:
        """The tools that were called, with how often."""
        return ", ".join(name if count == 1 else f"{name} x{count}" for name, count in self._tools.items())
