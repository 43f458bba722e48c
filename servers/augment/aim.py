"""Where new rows should go: dimensions, and what train covers thinly of what the diagnose rows ask for.

Thin vocabulary: words that stand often in the diagnose rows which the champion answers worst on the aim, and seldom in
train; those that the rest of the diagnose rows hold as often come last, since they may be no trouble. Thin ranges:
fifths of the scale where train has few rows and the diagnose rows have more.
Words and counts are all that is taken from diagnose: no text of it is copied, shown to a teacher or trained on.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from servers.core.dataset import Example
from servers.core.task import Scale
from servers.core.text_features import WORD, normalised
from servers.core.wire import Wire

WORST_SHARE = 1 / 3  # of the diagnose rows: those whose words are looked at
THIN = 4.0  # a word is thin when its share of the worst rows is this many times its share of train
MIN_ROWS = 2  # of the worst rows, in which a word has to stand: once is chance
MAX_WORDS = 20
MAX_WORD_CHARS = 30  # longer ones are addresses and the like
RANGES = 5  # equal parts of the scale
THIN_RANGE = 2.0  # a range is thin when its share of diagnose is this many times its share of train
MIN_RANGE_SHARE = 0.05  # of the diagnose rows
TOLD_WORDS = 8


class ThinWord(Wire):
    """A word that the model meets and was seldom taught."""

    word: str
    """Case folded."""
    worst_rows: int
    """Of the diagnose rows answered worst, how many hold it."""
    train_rows: int


class ThinRange(Wire):
    """A part of a dimension's scale where train has few rows."""

    dimension: str
    low: float
    high: float
    train_share: float
    diagnose_share: float

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


class Aim(Wire):
    """What a teacher is asked for."""

    focus_dimensions: list[str]
    """None of them asks for more of the same."""
    thin_words: list[ThinWord] = []
    """Thinnest first."""
    thin_ranges: list[ThinRange] = []

    def why(self) -> str:
        """The coverage in words; empty where nothing is thin."""
        parts = []
        if self.thin_ranges:
            parts.append("few train rows at " + ", ".join(map(_range_words, self.thin_ranges)))
        if self.thin_words:
            told = ", ".join(repr(thin.word) for thin in self.thin_words[:TOLD_WORDS])
            parts.append(f"train seldom says {told}, which badly answered diagnose rows do (words only, no text)")
        return "; ".join(parts)


def words_of(text: str) -> set[str]:
    """The distinct words of a text, case folded."""
    return set(WORD.findall(normalised(text)))


def take_aim(
    focus: Sequence[str],
    train: Sequence[Example],
    diagnose: Sequence[Example],
    errors: Mapping[str, Mapping[str, float]],
    scale: Scale,
) -> Aim:
    """Aim at dimensions, and find what train covers thinly there.

    Args:
        focus: Dimensions; none asks for more of the same, and then nothing is looked for.
        train: Rows that are learned from.
        diagnose: Rows on which the champion was measured.
        errors: The champion's errors by diagnose row's id and dimension, points; none where it was not measured.
        scale: The task's.
    """
    if not focus:
        return Aim(focus_dimensions=[])
    return Aim(
        focus_dimensions=list(focus),
        thin_words=_thin_words(train, _ranked(diagnose, errors, focus)),
        thin_ranges=[thin for name in focus for thin in _thin_ranges(name, train, diagnose, scale)],
    )


def _ranked(
    diagnose: Sequence[Example], errors: Mapping[str, Mapping[str, float]], focus: Sequence[str]
) -> list[Example]:
    """The measured rows, worst on the aim first."""
    measured = [row for row in diagnose if row.id in errors]
    return sorted(measured, key=lambda row: (-sum(errors[row.id][name] for name in focus), row.id))


def _thin_words(train: Sequence[Example], ranked: Sequence[Example]) -> list[ThinWord]:
    n_worst = round(len(ranked) * WORST_SHARE)
    worst, rest, taught = (_Spread(rows) for rows in (ranked[:n_worst], ranked[n_worst:], train))

    def is_thin(word: str) -> bool:
        enough = worst.rows[word] >= MIN_ROWS and len(word) <= MAX_WORD_CHARS
        return enough and worst.share(word) >= THIN * taught.share(word)

    def excess(word: str) -> float:
        return worst.share(word) - max(taught.share(word), rest.share(word))

    thin = sorted(filter(is_thin, worst.rows), key=lambda word: (-excess(word), word))[:MAX_WORDS]
    return [ThinWord(word=word, worst_rows=worst.rows[word], train_rows=taught.rows[word]) for word in thin]


class _Spread:
    """In how many of some rows each word stands."""

    def __init__(self, rows: Sequence[Example]) -> None:
        self._n = max(1, len(rows))
        self.rows = Counter(word for row in rows for word in words_of(row.text))

    def share(self, word: str) -> float:
        return self.rows[word] / self._n


def _thin_ranges(name: str, train: Sequence[Example], diagnose: Sequence[Example], scale: Scale) -> list[ThinRange]:
    edges = np.linspace(scale.low, scale.high, RANGES + 1)
    taught, asked = (
        np.histogram([row.target[name] for row in rows], edges)[0] / len(rows) for rows in (train, diagnose)
    )
    thin = (asked >= MIN_RANGE_SHARE) & (asked >= THIN_RANGE * taught)
    return [
        ThinRange(
            dimension=name,
            low=float(edges[k]),
            high=float(edges[k + 1]),
            train_share=float(taught[k]),
            diagnose_share=float(asked[k]),
        )
        for k in np.flatnonzero(thin)
    ]


def _range_words(thin: ThinRange) -> str:
    return (
        f"{thin.dimension} {thin.low:g} to {thin.high:g} ({thin.train_share:.0%} of train, "
        f"{thin.diagnose_share:.0%} of diagnose)"
    )
