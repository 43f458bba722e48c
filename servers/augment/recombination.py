"""Recombination: clauses of the own train rows put together anew, their labels estimated again.

The teacher for a task that has no other. It writes no word that was not there before, and its labels are no better than
its reading of the clauses; whether that teaches anything is measured before it writes (`trust.py`).
"""

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from servers.augment.aim import Aim, words_of
from servers.augment.clause_reader import ClauseReader, Floats
from servers.augment.teachers import Draft
from servers.core.dataset import Example
from servers.core.task import Task

CLAUSE_ENDS = ".!?;,"
CLAUSE = re.compile(rf"(?<=[{CLAUSE_ENDS}])\s+")
FOLDS = 5
MAX_SOURCES = 2_000  # rows whose clauses are used; of more a sample is taken, since six readers are fitted to them
THIN_SHARE = 1 / 2  # of the focused drafts begin with a row that holds a thin word or lies in a thin range
OUTER_SHARE = 1 / 3  # the others begin with a row from the lowest or highest third of a focus dimension

Reader = Callable[[Sequence[str]], list[dict[str, float] | None]]
"""What somebody else makes of texts, in order; None where nothing can be made of one."""


class RecombinationTeacher:
    """Puts two rows' clauses together and reads them twice: knowing all train rows, and without the two."""

    name = "recombination"

    def __init__(self, task: Task, check: Reader | None) -> None:
        self._task, self._check = task, check

    def write(self, n: int, aim: Aim, seed: int, train: Sequence[Example]) -> list[Draft]:
        random = np.random.default_rng(seed)
        rows = sources_of(train)
        if len(rows) > MAX_SOURCES:
            rows = [rows[i] for i in np.sort(random.choice(len(rows), MAX_SOURCES, replace=False))]
        if len(rows) < FOLDS:
            return []
        firsts = _Beginnings(aim, rows)
        pairs = [(firsts.draw(random), int(random.integers(len(rows)))) for _ in range(n)]
        texts = [_joined(rows[first].text, rows[second].text) for first, second in pairs]
        with_all = ClauseReader.fit(rows, self._task).read(texts)
        without = self._without_sources(rows, np.array(pairs).reshape(-1, 2), texts, random)
        checks = self._check(texts) if self._check else [None] * len(texts)
        return [
            Draft(
                text=text,
                readings=(self._vector(with_all[k]), self._vector(without[k])),
                check=check,
                made_from={"first": rows[first].id, "second": rows[second].id},
            )
            for k, (text, check, (first, second)) in enumerate(zip(texts, checks, pairs, strict=True))
        ]

    def _without_sources(
        self, rows: Sequence[Example], pairs: NDArray[np.int64], texts: Sequence[str], random: np.random.Generator
    ) -> Floats:
        """(n, d), the mean of two readings, of which each knows a fifth of the rows not, one of the sources in it."""
        fold = random.permutation(len(rows)) % FOLDS
        parts = [[row for row, place in zip(rows, fold, strict=True) if place != k] for k in range(FOLDS)]
        readings = np.stack([ClauseReader.fit(part, self._task).read(texts) for part in parts])  # (fold, n, d)
        each = np.arange(len(texts))
        mean: Floats = (readings[fold[pairs[:, 0]], each] + readings[fold[pairs[:, 1]], each]) / 2
        return mean

    def _vector(self, values: Floats) -> dict[str, float]:
        return dict(zip(self._task.names, map(float, values), strict=True))


def sources_of(train: Sequence[Example]) -> list[Example]:
    """The rows that people wrote: what a teacher made is not taken apart again."""
    return [row for row in train if not row.source.startswith(("teacher:", "replay"))]


class _Beginnings:
    """Which rows a draft may begin with: of an aim those that say what is thinly covered, or lie far out."""

    def __init__(self, aim: Aim, rows: Sequence[Example]) -> None:
        self._everything = list(range(len(rows)))
        words = {thin.word for thin in aim.thin_words}
        self._thin = [
            k
            for k, row in enumerate(rows)
            if not words.isdisjoint(words_of(row.text))
            or any(thin.holds(row.target[thin.dimension]) for thin in aim.thin_ranges)
        ]
        self._outer = [_outer(name, rows) for name in aim.focus_dimensions]

    def draw(self, random: np.random.Generator) -> int:
        pool = self._everything
        if self._outer:
            far_out = self._outer[int(random.integers(len(self._outer)))]
            pool = self._thin if self._thin and random.random() < THIN_SHARE else far_out
        return pool[int(random.integers(len(pool)))]


def _outer(name: str, rows: Sequence[Example]) -> list[int]:
    ordered = sorted(range(len(rows)), key=lambda k: rows[k].target[name])
    count = max(1, int(len(ordered) * OUTER_SHARE))
    return [*ordered[:count], *ordered[-count:]]


def _joined(first: str, second: str) -> str:
    """The first half of one text's clauses and the last half of the other's."""
    head, tail = CLAUSE.split(first.strip()), CLAUSE.split(second.strip())
    beginning, end = " ".join(head[: (len(head) + 1) // 2]), " ".join(tail[len(tail) // 2 :])
    return f"{beginning} {end}" if beginning.endswith(tuple(CLAUSE_ENDS)) else f"{beginning}, {end}"
