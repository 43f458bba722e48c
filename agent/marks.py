"""Small pictures made of characters: a trend, a bar, a tick; in ASCII where the terminal can draw nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

SHOWN_POINTS = 6  # of a trend in figures


@dataclass(frozen=True)
class Marks:
    """What a terminal can draw."""

    done: str = "✓"
    failed: str = "✗"
    now: str = "●"
    to_come: str = "○"
    arrow: str = "→"
    between: str = "·"
    levels: str = "▁▂▃▄▅▆▇█"
    turning: str = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
    full: str = "━"
    empty: str = "─"

    def trend(self, values: Sequence[float]) -> str:
        """The course of some figures, one character each; the lowest is the lowest of them, not zero."""
        low, high = min(values), max(values)
        steps = len(self.levels) - 1
        return "".join(self.levels[round(steps * (v - low) / (high - low)) if high > low else 0] for v in values)

    def course(self, values: Sequence[float]) -> str:
        """The same in figures; a long one without its middle."""
        shown = [f"{value:.2f}" for value in values]
        if len(shown) > SHOWN_POINTS:
            shown = [shown[0], "…" if self.arrow == "→" else "...", *shown[2 - SHOWN_POINTS :]]
        return f" {self.arrow} ".join(shown)

    def bar(self, share: float, width: int) -> tuple[str, str]:
        """A bar of `width` characters: the part that is `share` of it, and the rest."""
        full = round(min(1.0, max(0.0, share)) * width)
        return self.full * full, self.empty * (width - full)


PLAIN = Marks("+", "x", "*", ".", "->", "|", "_.-=^", "|/-\\", "#", "-")


def marks_for(console: Console) -> Marks:
    """Those that the console's encoding holds."""
    return Marks() if console.encoding.lower().startswith("utf") else PLAIN
