"""The student: a text model that fits in a fraction of a second on a CPU and answers in a fraction of a millisecond.

TF-IDF of words and characters, ridge regression by dimension. Copies of a text are trained on as one row, its target
their weighted mean, its weight their sum, and a text is left out together with its near copies; so none votes for
itself when the penalty is chosen, and weights move the fit but not the choice. A dimension whose left-out error does
not beat its own constant's, or may well do so by chance, answers the constant.

The saved files are the same bytes for the same rows in the same order: weights are rounded to a hundred-thousandth of
the scale, far below any error and far above the last bits in which linear algebra libraries differ.
"""

import io
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from servers.core.disk import read_json, write_json
from servers.core.medians import Floats, left_out_median, weighted_median
from servers.core.near_copies import groups
from servers.core.ridge import LinearFit, fit_ridge, rows_left_out
from servers.core.statistics import compare
from servers.core.text_features import TextFeatures, Vocabulary, normalised
from servers.core.wire import Wire

FAMILY = "student"
MIN_TEXTS = 10
PENALTIES_A_DECADE = 4
# On halves of a templated file of the first task a dimension without signal was served in one of forty at a cost of two
# points; at this level in none, and the demo's students stay what they are (at 0.1 they lose 0.03 points).
CHANCE = 0.2
RESOLUTION = 1e-5  # of the scale's width
DESCRIPTION_FILE = "student.json"
WEIGHTS_FILE = "weights.npz"

Penalty = Annotated[float, Field(ge=1e-4, le=1e5)]


class StudentHparams(Wire):
    """What may be changed about a student's training."""

    word_ngrams: int = Field(2, ge=0, le=3)
    """Longest run of words that is a feature; 0 leaves words out."""
    char_ngrams: int = Field(5, ge=0, le=7)
    """Longest run of characters inside words that is a feature; 0 leaves characters out, else at least 2."""
    min_texts: int = Field(1, ge=1, le=20)
    """In how many distinct train texts a run has to stand to be a feature."""
    min_penalty: Penalty = 0.03
    """Smallest ridge penalty that may be chosen, relative to the features' mean variance."""
    max_penalty: Penalty = 1000.0
    """Largest ridge penalty that may be chosen."""
    constant_margin: float = Field(0.01, ge=0, le=0.5)
    """Share by which the text model has to beat the constant on left-out texts; else the dimension stays constant."""

    @property
    def penalties(self) -> list[float]:
        """The candidates, ascending, evenly spaced in the logarithm."""
        decades = np.log10(self.max_penalty / self.min_penalty)
        count = 1 + round(PENALTIES_A_DECADE * decades)
        return [float(f"{value:.6g}") for value in np.geomspace(self.min_penalty, self.max_penalty, count)]

    @model_validator(mode="after")
    def _can_be_trained(self) -> Self:
        if self.char_ngrams == 1:
            raise ValueError("char_ngrams: 1 is no run; give 0 or 2 to 7")
        if self.word_ngrams == 0 and self.char_ngrams == 0:
            raise ValueError("word_ngrams and char_ngrams are both 0, which leaves no feature; raise one")
        if self.min_penalty > self.max_penalty:
            raise ValueError(f"min_penalty {self.min_penalty:g} is above max_penalty {self.max_penalty:g}")
        return self


class DimensionFit(Wire):
    """What training found for one dimension. Errors are mean absolute errors in points of the scale."""

    name: str
    penalty: float
    left_out_error: float
    """Of the text model, on distinct train texts, each predicted by the fit without it and its near copies."""
    constant_error: float
    """Of the median of the other distinct texts, on the same texts."""
    is_constant: bool
    intercept: float
    """Answer where no feature speaks; the answer to everything where `is_constant`."""

    @property
    def served_error(self) -> float:
        """Left-out error of what this dimension answers with, the text model or the constant."""
        return self.constant_error if self.is_constant else self.left_out_error


class StudentDescription(Wire):
    """The readable half of a saved student."""

    schema_version: int = Field(1, alias="schema", ge=1, le=1)
    family: str = FAMILY
    hparams: StudentHparams
    low: float
    high: float
    rows: int
    distinct_texts: int
    dimensions: list[DimensionFit]


@dataclass(frozen=True)
class Student:
    """A fitted student; made by `fit` or `load`."""

    description: StudentDescription
    features: TextFeatures
    coefficients: NDArray[np.int32]
    """int32 (v, d), in RESOLUTION of the scale's width."""

    @property
    def names(self) -> list[str]:
        """The dimensions, in the order of the columns."""
        return [dimension.name for dimension in self.description.dimensions]

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        targets: Floats,
        names: Sequence[str],
        low: float,
        high: float,
        weights: Floats | None = None,
        hparams: StudentHparams | None = None,
    ) -> Self:
        """Train on n rows.

        Args:
            texts: n texts; copies are allowed.
            targets: (n, d), inside the scale.
            names: The d dimensions.
            low: Lowest value of the scale.
            high: Highest value of the scale.
            weights: (n,), positive, how much a row counts; all the same where not given.
            hparams: Defaults where not given.

        Raises:
            ValueError: fewer than MIN_TEXTS rows, shapes that do not fit, values or weights out of range, or more text
                than one machine should hold.
        """
        hparams = hparams or StudentHparams()
        targets = np.asarray(targets, dtype=float)
        weights = np.ones(len(texts)) if weights is None else np.asarray(weights, dtype=float)
        _check(texts, targets, names, low, high, weights)
        distinct, means, sums = _merge_copies(texts, targets, weights)
        features = TextFeatures.fit(distinct, hparams.word_ngrams, hparams.char_ngrams, hparams.min_texts)
        together = groups([distinct[row] for row in rows_left_out(len(distinct))], max_share=1.0).labels
        linear = fit_ridge(features.matrix(distinct), means, sums, hparams.penalties, low, high, together)
        dimensions = _dimension_fits(
            names, linear, means, weighted_median(targets, weights), hparams.constant_margin, together
        )
        learned = [not dimension.is_constant for dimension in dimensions]
        # Texts that hardly differ can ask for weights beyond any use; answers are clipped to the scale anyway.
        steps = np.clip(linear.coefficients * learned / (RESOLUTION * (high - low)), -(2**31) + 1, 2**31 - 1)
        coefficients = np.rint(steps).astype(np.int32)
        description = StudentDescription(
            schema=1, hparams=hparams, low=low, high=high, rows=len(texts), distinct_texts=len(distinct),
            dimensions=_on_the_grid(dimensions, low, high),
        )  # fmt: skip
        return cls(description, features, coefficients)

    def predict(self, texts: Sequence[str]) -> Floats:
        """Vectors inside the scale, (n, d)."""
        d = self.description
        moved = self.features.matrix([normalised(text) for text in texts]) @ self.coefficients
        intercepts = np.array([dimension.intercept for dimension in d.dimensions])
        return np.asarray(np.clip(intercepts + moved * (RESOLUTION * (d.high - d.low)), d.low, d.high))

    def save(self, folder: Path) -> None:
        """Write `student.json` and `weights.npz` into `folder`, made where missing."""
        folder.mkdir(parents=True, exist_ok=True)
        words, chars = self.features.words, self.features.chars
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            words=_packed(words.runs),
            word_counts=words.document_counts,
            chars=_packed(chars.runs),
            char_counts=chars.document_counts,
            coefficients=self.coefficients,
        )
        unfinished = folder / f".{WEIGHTS_FILE}"
        unfinished.write_bytes(buffer.getvalue())
        os.replace(unfinished, folder / WEIGHTS_FILE)
        write_json(folder / DESCRIPTION_FILE, self.description.model_dump(mode="json", by_alias=True))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ValueError: the folder holds no student, or a damaged one.
        """
        try:
            description = StudentDescription.model_validate(read_json(folder / DESCRIPTION_FILE))
            # Opened here: of a damaged file numpy would leave the handle open.
            with (folder / WEIGHTS_FILE).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                words, chars = (
                    Vocabulary(_unpacked(arrays[runs]), arrays[counts], description.distinct_texts)
                    for runs, counts in (("words", "word_counts"), ("chars", "char_counts"))
                )
                coefficients = arrays["coefficients"]
        except (OSError, KeyError, EOFError, ValueError, zipfile.BadZipFile) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"{folder} holds no usable student ({reason}); train again, or roll back") from error
        hparams = description.hparams
        if coefficients.shape != (len(words.runs) + len(chars.runs), len(description.dimensions)):
            raise ValueError(f"{folder} holds a student whose two files do not belong together; train again")
        return cls(description, TextFeatures(words, chars, hparams.word_ngrams, hparams.char_ngrams), coefficients)


def _check(
    texts: Sequence[str], targets: Floats, names: Sequence[str], low: float, high: float, weights: Floats
) -> None:
    if len(texts) < MIN_TEXTS:
        raise ValueError(f"{len(texts)} rows to train on; a student needs at least {MIN_TEXTS}")
    if targets.shape != (len(texts), len(names)) or weights.shape != (len(texts),):
        raise ValueError(
            f"targets {targets.shape} and weights {weights.shape} do not fit {len(texts)} texts and {len(names)} names"
        )
    if not (np.isfinite(targets).all() and targets.min() >= low and targets.max() <= high):
        raise ValueError(f"a target is outside {low:g} to {high:g}")
    if not (np.isfinite(weights).all() and weights.min() > 0):
        raise ValueError("a training weight is not above 0")


def _merge_copies(texts: Sequence[str], targets: Floats, weights: Floats) -> tuple[list[str], Floats, Floats]:
    """The distinct normalised texts in order of appearance, their mean targets (m, d) and summed weights (m,)."""
    places: dict[str, int] = {}
    group = np.array([places.setdefault(normalised(text), len(places)) for text in texts])
    sums = np.asarray(np.bincount(group, weights), dtype=np.float64)
    means = np.stack([np.bincount(group, weights * column) / sums for column in targets.T], axis=1)
    return list(places), means, sums


def _dimension_fits(
    names: Sequence[str],
    linear: LinearFit,
    targets: Floats,
    constants: Floats,
    margin: float,
    together: NDArray[np.int64],
) -> list[DimensionFit]:
    seen = targets[linear.rows]
    left_out_errors = np.abs(linear.left_out - seen).mean(axis=0)
    constant_errors = np.abs(left_out_median(seen) - seen).mean(axis=0)
    is_constant = left_out_errors >= (1 - margin) * constant_errors
    is_constant |= _by_chance(np.abs(linear.left_out - seen), np.abs(left_out_median(seen) - seen), together)
    intercepts = np.where(is_constant, constants, linear.intercepts)
    return [
        DimensionFit(
            name=name,
            penalty=float(linear.penalties[k]),
            left_out_error=float(left_out_errors[k]),
            constant_error=float(constant_errors[k]),
            is_constant=bool(is_constant[k]),
            intercept=float(intercepts[k]),
        )
        for k, name in enumerate(names)
    ]


def _by_chance(text: Floats, constant: Floats, together: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(d,) whether errors (m, d) so much smaller than the constant's come by chance too often to be served."""
    if len(np.unique(together)) < 2:
        return np.ones(text.shape[1], dtype=bool)
    pairs = zip(text.T, constant.T, strict=True)
    return np.array([compare(ours, theirs, together).p_better > CHANCE for ours, theirs in pairs])


def _on_the_grid(dimensions: list[DimensionFit], low: float, high: float) -> list[DimensionFit]:
    """The same with the figures rounded to RESOLUTION of the scale, for the same bytes everywhere."""
    step = RESOLUTION * (high - low)

    def rounded(value: float) -> float:
        return float(f"{round(value / step) * step:.10g}")

    figures = ("left_out_error", "constant_error", "intercept")
    return [d.model_copy(update={name: rounded(getattr(d, name)) for name in figures}) for d in dimensions]


def _packed(runs: Sequence[str]) -> NDArray[np.uint8]:
    # A run never holds a line break: runs come from texts whose white space is single spaces.
    return np.frombuffer("\n".join(runs).encode(), dtype=np.uint8)


def _unpacked(packed: NDArray[np.uint8]) -> list[str]:
    text = packed.tobytes().decode()
    return text.split("\n") if text else []
