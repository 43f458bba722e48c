"""What every part of the page is made of: a part, a mean and where it may lie, a cycle as the lists show it."""

from typing import Literal

from pydantic import ConfigDict

from servers.core.wire import Wire

Outcome = Literal["promote", "hold", "undecided", "stopped"]
Role = Literal["constant", "rule", "student", "prompt", "teacher", "champion", "candidate"]
NORMAL = 1.96  # standard errors to either side of a mean hold the truth 19 times in 20


class Shown(Wire):
    """A part of the page."""

    model_config = ConfigDict(allow_inf_nan=False)


class Estimate(Shown):
    """A mean, and where it may lie."""

    value: float
    se: float | None = None
    """Standard error, near-copies of one text counted as one piece of evidence."""
    ci: tuple[float, float] | None = None
    """95 % interval; where only `se` is known, see `reach`."""

    @property
    def reach(self) -> tuple[float, float] | None:
        """The 95 % interval, or what follows from the standard error; None where neither is known."""
        if self.ci is not None or self.se is None:
            return self.ci
        return self.value - NORMAL * self.se, self.value + NORMAL * self.se


class CycleShown(Shown):
    """One turn of the loop, as the history lists it."""

    cycle: str
    dataset: str
    verdict: Outcome | None = None
    """Null while the cycle is open."""
    reason: str = ""
    champion_before: str | None = None
    champion_after: str | None = None
    candidate: str | None = None
    focus: list[str] = []
    new_rows: int | None = None
    level: float | None = None
    """One-sided error probability that the gate's verdict might spend."""
    difference: float | None = None
    """On the sealed rows, vector_mae of the candidate minus the champion's; below 0 is better. Null while sealed."""
    ci: tuple[float, float] | None = None
    mae_before: float | None = None
    """vector_mae of the champion before the cycle, on the diagnose rows."""
    mae_after: float | None = None
    """vector_mae of the candidate, on the diagnose rows."""
    served: Estimate | None = None
    """The same of what was in service when the cycle ended."""
    tried: Estimate | None = None
    """The candidate's, with its interval."""
    constant: Estimate | None = None
