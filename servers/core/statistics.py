"""Is one model better than another, and by how much: paired, clustered, and good in the far tail.

Both models answered the same rows, so the row-wise difference is what is tested. Near-copies of one text are one piece
of evidence: sums over clusters, not rows, carry the variance (cluster-robust, G/(G-1) correction, t with G-1 degrees of
freedom; Cameron & Miller 2015, sections II and VI). A t-test keeps its level far out, where a percentile bootstrap does
not; and no test of G clusters can claim less than 2^-G, the smallest p-value of the sign-flip test.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from servers.core.wire import Wire

Floats = NDArray[np.float64]
Labels = NDArray[Any]


class Comparison(Wire):
    """Candidate minus champion on the same rows; negative is better for errors."""

    difference: float
    """Mean difference, points."""
    standard_error: float
    ci: tuple[float, float]
    """Interval that fits the one-sided `level`: it covers with probability 1 - 2 * level."""
    level: float
    """One-sided."""
    p_better: float
    """Probability of a difference this low or lower if there were none."""
    p_worse: float
    """Probability of a difference this high or higher if there were none."""
    n: int
    clusters: int
    smallest_visible: float
    """The smallest gain, in points, that would have been shown at `level` with this spread and these rows, were there
    clusters enough for that level."""


def clustered_standard_error(values: Floats, clusters: Labels) -> float:
    """Standard error of the mean of `values` (n,), rows of a cluster counted as dependent; infinite for one cluster."""
    _, index = np.unique(clusters, return_inverse=True)
    groups = int(index.max()) + 1
    if groups < 2:
        return float("inf")
    sums = np.bincount(index, weights=values - values.mean())
    return float(np.sqrt(groups / (groups - 1) * np.square(sums).sum()) / len(values))


def smallest_p_value(groups: int) -> float:
    """What so many clusters can show at the very most: the sign-flip test's smallest p-value."""
    return 2.0**-groups


def compare(candidate: Floats, champion: Floats, clusters: Labels, level: float = 0.025) -> Comparison:
    """Compare two models' errors on the same rows.

    Args:
        candidate: Error of each row, shape (n,), points.
        champion: The champion's, same rows, same order.
        clusters: Near-copy group of each row, shape (n,).
        level: One-sided level of the interval and of `smallest_visible`.

    Raises:
        ValueError: the shapes differ, or there are fewer than two clusters, so that nothing can be told.
    """
    if not candidate.shape == champion.shape == clusters.shape or candidate.ndim != 1:
        raise ValueError(f"paired rows differ in shape: {candidate.shape}, {champion.shape}, {clusters.shape}")
    groups = len(np.unique(clusters))
    if groups < 2:
        raise ValueError(f"{len(candidate)} rows in {groups} group of near-copies cannot tell two models apart")
    differences = candidate - champion
    mean = float(differences.mean())
    error = clustered_standard_error(differences, clusters)
    quantile = float(stdtrit(groups - 1, 1 - level))
    below, above = _tails(mean, error, groups)
    return Comparison(
        difference=mean,
        standard_error=error,
        ci=(mean - quantile * error, mean + quantile * error),
        level=level,
        p_better=below,
        p_worse=above,
        n=len(differences),
        clusters=groups,
        smallest_visible=quantile * error,
    )


def _tails(mean: float, error: float, groups: int) -> tuple[float, float]:
    """One-sided p-values: (mean below zero, mean above zero)."""
    if mean == 0.0 and error == 0.0:  # both models answered the same everywhere: nothing is shown either way
        return 1.0, 1.0
    t = mean / error if error > 0 else math.copysign(math.inf, mean)
    floor = smallest_p_value(groups)
    return max(float(stdtr(groups - 1, t)), floor), max(float(stdtr(groups - 1, -t)), floor)
