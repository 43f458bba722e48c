"""Medians by column: with weights, and of all rows but one."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TIE = 1e-12  # share of the weight; sums of weights that differ by less are the same sum


def weighted_median(values: Floats, weights: Floats) -> Floats:
    """By column of (n, d): the value with half of the weight on either side, or the mean of the two that share it.

    Args:
        values: (n, d), n at least 1.
        weights: (n,), positive.
    """
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    up_to = np.cumsum(weights[order], axis=0) / weights.sum()
    lower, upper = (up_to < 0.5 - TIE).sum(axis=0), (up_to < 0.5 + TIE).sum(axis=0)
    columns = np.arange(values.shape[1])
    middle: Floats = (ordered[lower, columns] + ordered[upper, columns]) / 2
    return middle


def left_out_median(values: Floats) -> Floats:
    """For every row of (n, d) the median of the other rows, by column; a single row gets its own value."""
    n = len(values)
    if n == 1:
        return values
    ordered = np.sort(values, axis=0)
    rank = np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0, kind="stable")
    lower, upper = (n - 2) // 2, (n - 1) // 2  # the middle of n - 1 values
    below = np.where(rank <= lower, ordered[lower + 1], ordered[lower])
    above = np.where(rank <= upper, ordered[upper + 1], ordered[upper])
    middle: Floats = (below + above) / 2
    return middle
