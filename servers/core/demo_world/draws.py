"""Seeded draws. Everything but the bell curve is built on uniform doubles, so that a key means the same everywhere."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Draws:
    """One stream of randomness, named by a key of non-negative integers: the same key gives the same draws."""

    def __init__(self, *key: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64(key))

    def chance(self, probability: float) -> bool:
        """Return True with this probability, 0 to 1."""
        return self._generator.random() < probability

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items, all equally likely."""
        return items[int(self._generator.random() * len(items))]

    def weighted(self, cumulative: Sequence[float]) -> int:
        """Return an index, drawn with the weights whose running sum is given."""
        # The upper bound matters only where the product rounds up to the total.
        return bisect_right(cumulative, self._generator.random() * cumulative[-1], hi=len(cumulative) - 1)

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return the items in a random order."""
        if len(items) < 2:
            return list(items)
        order = self._generator.random(len(items)).argsort(kind="stable")
        return [items[i] for i in order]

    def flags(self, n: int, share: float) -> list[bool]:
        """Return n flags in a random order of which this share, 0 to 1, is set; a fraction of one is settled by lot."""
        n_set = min(n, int(n * share + self._generator.random()))
        return self.shuffled([True] * n_set + [False] * (n - n_set))

    def normals(self, n: int, spread: float) -> list[float]:
        """Return n draws from a bell curve around 0 with this standard deviation."""
        return [spread * float(x) for x in self._generator.standard_normal(n)]
