"""Do new rows look like the data they join? Labels, lengths and words, compared with train and with diagnose.

Filters see one row at a time; a teacher that writes one label everywhere, or five times as much as anybody, passes them
all. New rows may look like train (more of the same) or like the diagnose rows (what the model is asked, of which train
may have little); what resembles neither is refused as a whole.

Labels: for each dimension the earth mover's distance between the new labels and the others, in units of the others'
mean distance from their median; 0 = the same, 1 = as far as one label everywhere, at the median. The nearer side
counts. On six demo worlds, 90 rows: at most 0.47 on a dimension that was not aimed at, 0.76 on one that alone was.
Length: median characters, as a factor. Words: the share of words that train knows,
new rows over diagnose rows; 0.9 to 1.2 in the demo.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from servers.augment.aim import words_of
from servers.core.dataset import Example
from servers.core.task import Task
from servers.core.wire import Wire

Floats = NDArray[np.float64]
MAX_LABEL_SHIFT, MAX_FOCUS_SHIFT = 0.6, 0.85  # an aim pushes its own labels outward; one label everywhere is at 1
CHANCE = 0.7  # over the square root of the rows: by how much a fair sample strays; a handful of rows shifts nothing
MAX_LENGTH_FACTOR = 2.0
MIN_KNOWN_WORDS = 0.5
FEW_KNOWN_WORDS = 0.3  # where train knows fewer of diagnose's words than this, words tell nothing (no spaces, say)
LEAST_SPREAD = 0.02  # of the scale: labels that hardly differ are compared as if they differed by so much
QUANTILES = (np.arange(200) + 0.5) / 200


class Shift(Wire):
    """How far new rows are from the others."""

    labels: dict[str, float]
    """By dimension, in units of the spread; 0 is the same."""
    length: float
    """Median length over the nearer side's."""
    known_words: float | None
    """Share of words that train knows over that of the diagnose rows; null where words tell nothing."""

    def refusal(self, focus: Sequence[str], n: int) -> str | None:
        """Which bound is broken, with the figures; None where none is.

        Args:
            focus: Dimensions that the rows were aimed at.
            n: How many rows there are.
        """
        for name, distance in self.labels.items():
            bound = (MAX_FOCUS_SHIFT if name in focus else MAX_LABEL_SHIFT) + CHANCE / math.sqrt(n)
            if distance > bound:
                return (
                    f"the new labels for {name} lie {distance:.2f} spreads from train's and from diagnose's, "
                    f"over {bound:.2f}"
                )
        if not 1 / MAX_LENGTH_FACTOR <= self.length <= MAX_LENGTH_FACTOR:
            return f"the new texts are {self.length:.2g} times as long as the others, over a factor of 2"
        if self.known_words is not None and self.known_words < MIN_KNOWN_WORDS:
            return (
                f"train knows {self.known_words:.2f} times as many of the new texts' words as of diagnose's, "
                f"under {MIN_KNOWN_WORDS:g}"
            )
        return None


def shift_of(new: Sequence[Example], train: Sequence[Example], diagnose: Sequence[Example], task: Task) -> Shift:
    """Compare new rows with those that are there.

    Args:
        new: At least one row.
        train: The rows that they join.
        diagnose: The rows on which failures are looked for.
        task: Dimensions and scale.
    """
    sides = [rows for rows in (train, diagnose) if rows]
    labels = {
        name: min(_distance(_labels(new, name), _labels(rows, name), task.scale.width) for rows in sides)
        for name in task.names
    }
    length = _nearest([_median_length(new) / max(1.0, _median_length(rows)) for rows in sides])
    return Shift(labels=labels, length=length, known_words=_known_words(new, train, diagnose))


def _labels(rows: Sequence[Example], name: str) -> Floats:
    return np.array([row.target[name] for row in rows], dtype=float)


def _distance(new: Floats, others: Floats, width: float) -> float:
    moved = np.abs(np.quantile(new, QUANTILES) - np.quantile(others, QUANTILES)).mean()
    spread = np.abs(others - np.median(others)).mean()
    return float(moved / max(spread, LEAST_SPREAD * width))


def _median_length(rows: Sequence[Example]) -> float:
    return float(np.median([len(row.text) for row in rows]))


def _nearest(factors: Sequence[float]) -> float:
    return min(factors, key=lambda factor: abs(math.log(max(factor, 1e-9))))


def _known_words(new: Sequence[Example], train: Sequence[Example], diagnose: Sequence[Example]) -> float | None:
    known = {word for row in train for word in words_of(row.text)}
    fresh, asked = (_share_known(rows, known) for rows in (new, diagnose))
    return None if fresh is None or asked is None or asked < FEW_KNOWN_WORDS else fresh / asked


def _share_known(rows: Sequence[Example], known: set[str]) -> float | None:
    words = [word for row in rows for word in words_of(row.text)]
    return sum(word in known for word in words) / len(words) if words else None
