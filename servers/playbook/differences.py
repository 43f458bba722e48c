"""Which way a difference goes, and whether that is better: said by the server, so that no prose can turn it around.

Differences are the figures of `compare:`, the gate's `difference` and its interval (candidate less champion, both), and
a remedied row's error after, which is told beside the error before. Whether lower or higher is better is the metric's
own definition.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from servers.core.definitions import DEFINITIONS

Direction = Literal["lower", "higher", "none"]
SaidDirection = Literal["better", "worse", "higher", "lower", "none"]
_OF_A_VERDICT = frozenset({"difference", "ci"})


@dataclass(frozen=True)
class Difference:
    """How far a figure lies from what it is compared with."""

    amount: float
    """Signed, candidate less champion, or after less before."""
    better: Literal["lower", "higher", "neither"]
    """The metric's own direction."""
    told_beside: bool
    """Whether the figure is a value of its own, and the difference is only told beside it."""

    @property
    def direction(self) -> Direction:
        return "none" if math.isclose(self.amount, 0, abs_tol=1e-12) else "lower" if self.amount < 0 else "higher"

    @property
    def judged(self) -> Literal["better", "worse"] | None:
        """None where there is no difference, or where neither way is better."""
        if self.direction == "none" or self.better == "neither":
            return None
        return "better" if self.direction == self.better else "worse"


def difference_in(
    kind: str, path: Sequence[str], found: float, document: Mapping[str, Any], dimensions: Collection[str]
) -> Difference | None:
    """What the figure at `path` says about a difference; None where it is none.

    Args:
        kind: The source's kind, such as 'compare'.
        path: Where the figure stands in the document.
        found: The figure.
        document: The source.
        dimensions: The task's.
    """
    *above, metric = path
    if kind == "compare" and above in ([], ["metrics"]) and metric in document["metrics"]:
        return Difference(found, _better(metric, dimensions), told_beside=False)
    if kind in ("gate", "summary") and _OF_A_VERDICT & set(path):
        return Difference(found, "lower", told_beside=False)
    if kind == "playbook" and metric == "error_after":
        before = document["remedies"][int(path[1])]["error_before"]
        return Difference(found - before, "lower", told_beside=True)
    return None


def check_direction(said: SaidDirection | None, difference: Difference | None) -> None:
    """Refuse a direction that the figure does not have.

    Args:
        said: The claim's; None leaves it to the server.
        difference: What the source says.

    Raises:
        ValueError: the figure goes another way, or is no difference.
    """
    if said is None or (said == "none" and difference is None):
        return
    if difference is None:
        raise ValueError(
            f"direction {said!r} belongs to a difference, which this figure is not; leave it out, or claim it from "
            "compare:<candidate evaluation>:<champion evaluation>"
        )
    true = [word for word in (difference.direction, difference.judged) if word]
    if said not in true:
        raise ValueError(f"the direction is {' and '.join(map(repr, true))}, not {said!r}")


def in_words(figure: str, unit: str, difference: Difference) -> str:
    """A difference for a reader: '1.2 points lower (which is better)'.

    Args:
        figure: The claim's value for a reader, with its sign.
        unit: What stands behind it; may be empty.
        difference: What the source says.
    """
    judged = f"which is {difference.judged}" if difference.judged else ""
    if difference.told_beside:
        way = "as before" if difference.direction == "none" else f"{difference.direction} than before"
        return f"{figure} {unit} ({', '.join(filter(None, [way, judged]))})"
    size = " ".join(filter(None, [figure.removeprefix("-"), unit]))
    if difference.direction == "none":
        return f"{size} (no difference)"
    return f"{size} {difference.direction}" + (f" ({judged})" if judged else "")


def _better(metric: str, dimensions: Collection[str]) -> Literal["lower", "higher", "neither"]:
    """The direction in the metric's definition; a dimension's figure goes the way of the whole."""
    stems = [metric, *(metric.removesuffix(f"_{name}") for name in dimensions)]
    known = (DEFINITIONS.get(name) for stem in stems for name in (stem, f"{stem}_<dimension>"))
    return next((found.better for found in known if found is not None), "neither")
