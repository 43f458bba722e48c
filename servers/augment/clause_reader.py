"""A reader for whom the words of a text add up: what a clause does to a dimension it does in any other text as well.

Ridge regression on which words and pairs of words a text holds. Unlike the student's features these are not scaled to
the text's length, so a clause counts the same in a short text and in a long one: the assumption on which clauses can be
put together anew. Whether it holds for some data is told by its error on left-out rows.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from servers.core.dataset import Example
from servers.core.medians import left_out_median
from servers.core.ridge import LinearFit, fit_ridge
from servers.core.student import StudentHparams
from servers.core.task import Task
from servers.core.text_features import normalised, word_runs

Floats = NDArray[np.float64]
LONGEST_RUN = 2  # words
MIN_TEXTS = 2  # a word that stands in one text only would carry that row's noise about


@dataclass(frozen=True)
class ClauseReader:
    """A fitted reader; made by `fit`."""

    _columns: dict[str, int]
    _linear: LinearFit
    _low: float
    _high: float
    left_out_errors: Floats
    """(d,), mean absolute error in points on distinct texts, each read by the fit without it; of the median of the
    others where that is smaller."""

    @classmethod
    def fit(cls, rows: Sequence[Example], task: Task) -> Self:
        """Learn from rows; rows with the same text count as one with their mean target.

        Args:
            rows: At least two distinct texts.
            task: Dimensions and scale.
        """
        by_text: dict[str, list[list[float]]] = {}
        for row in rows:
            by_text.setdefault(normalised(row.text), []).append([row.target[name] for name in task.names])
        targets = np.array([np.mean(values, axis=0) for values in by_text.values()])
        counts = np.array([len(values) for values in by_text.values()], dtype=float)
        documents = [set(word_runs(text, LONGEST_RUN)) for text in by_text]
        spread = Counter(run for document in documents for run in document)
        columns = {run: k for k, run in enumerate(sorted(run for run in spread if spread[run] >= MIN_TEXTS))}
        low, high = task.scale.low, task.scale.high
        linear = fit_ridge(_matrix(documents, columns), targets, counts, StudentHparams().penalties, low, high)
        seen = targets[linear.rows]
        errors = np.abs(linear.left_out - seen).mean(axis=0)
        constant = np.abs(left_out_median(seen) - seen).mean(axis=0)
        return cls(columns, linear, low, high, np.minimum(errors, constant))

    def read(self, texts: Sequence[str]) -> Floats:
        """Vectors inside the scale, (n, d)."""
        matrix = _matrix([set(word_runs(normalised(text), LONGEST_RUN)) for text in texts], self._columns)
        vectors: Floats = matrix @ self._linear.coefficients + self._linear.intercepts
        return np.clip(vectors, self._low, self._high)


def _matrix(documents: Sequence[set[str]], columns: dict[str, int]) -> sparse.csr_matrix:
    """(documents, columns) of ones where a document holds the run."""
    known = [sorted(columns[run] for run in document if run in columns) for document in documents]
    ends = np.cumsum([0, *map(len, known)])
    places = np.array([place for row in known for place in row], dtype=np.int64)
    return sparse.csr_matrix((np.ones(len(places)), places, ends), shape=(len(documents), len(columns)))
