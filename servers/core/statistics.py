"""Is one model better than another, and by how much: paired, clustered, and good in the far tail.

Both models answered the same rows, so the row-wise difference is what is tested. Near-copies of one text are one piece
of evidence: sums over clusters, not rows, carry the variance (cluster-robust, G/(G-1) correction; Cameron & Miller
2015, sections II and VI). A p-value is the larger of two, so that a gain has to pass both tests:

- Student's t with G-1 degrees of freedom, after Hall's correction for skewness (1992, "On the removal of skewness by
  transformation") wherever that makes it more careful: a few rows that lost much hide in the tail of a plain t;
- the sign-flip test of the clusters' sums, exact for symmetric differences whatever the clusters' sizes, where a t of
  unequal clusters is too sure (its tail by saddlepoint: Robinson 1982; Lugannani & Rice 1980).

How well this holds far out is measured in `tests/test_statistics.py` and told in docs/judging.md.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr, stdtrit

from servers.core.wire import Wire

Floats = NDArray[np.float64]
Labels = NDArray[Any]

POWER = 0.8  # with which a difference is to be seen, where rows are counted that it would take
NEARLY = 1e-9  # relative; sums of the same figures differ by less


class Comparison(Wire):
    """Candidate minus champion on the same rows; negative is better for errors."""

    difference: float
    """Mean difference, points."""
    standard_error: float
    ci: tuple[float, float]
    """Interval that fits the one-sided `level` of the t: it covers with probability 1 - 2 * level."""
    level: float
    """One-sided."""
    p_better: float
    """Probability of a difference this low or lower if there were none. At most `level` only if `ci` is below 0."""
    p_worse: float
    """Probability of a difference this high or higher if there were none."""
    n: int
    clusters: int
    smallest_visible: float
    """The smallest gain, in points, that would have been shown at `level` with this spread and these rows, were there
    clusters enough for that level."""
    rows_needed: int | None
    """Rows like these with which the observed gain, were it the true one, would be shown at `level` with 80 % power;
    null where there is no gain."""
    clusters_needed: int | None
    """Near-copy groups among them."""


def compare(candidate: Floats, champion: Floats, clusters: Labels, level: float = 0.025) -> Comparison:
    """Compare two models' errors on the same rows.

    Args:
        candidate: Error of each row, shape (n,), points.
        champion: The champion's, same rows, same order.
        clusters: Near-copy group of each row, shape (n,).
        level: One-sided level of the interval, of `smallest_visible` and of `rows_needed`.

    Raises:
        ValueError: the shapes differ, or there are fewer than two clusters, so that nothing can be told.
    """
    if not candidate.shape == champion.shape == clusters.shape or candidate.ndim != 1:
        raise ValueError(f"paired rows differ in shape: {candidate.shape}, {champion.shape}, {clusters.shape}")
    differences = candidate - champion
    n, mean = len(differences), float(differences.mean())
    sums = cluster_sums(differences, clusters)
    centred = cluster_sums(differences - mean, clusters)
    groups = len(sums)
    if groups < 2:
        raise ValueError(f"{n} rows in {groups} group of near-copies cannot tell two models apart")
    error = math.sqrt(groups / (groups - 1) * float(np.square(centred).sum())) / n
    skew = _skew(centred)
    quantile = float(stdtrit(groups - 1, 1 - level))
    lowest, highest = min(-quantile, _uncorrected(-quantile, skew)), max(quantile, _uncorrected(quantile, skew))
    needed = _clusters_needed(mean, error, groups, quantile, level)
    return Comparison(
        difference=mean,
        standard_error=error,
        ci=(mean - highest * error, mean - lowest * error),
        level=level,
        p_better=_p_value(mean, error, skew, sums),
        p_worse=_p_value(-mean, error, -skew, -sums),
        n=n,
        clusters=groups,
        smallest_visible=-lowest * error,
        rows_needed=None if needed is None else math.ceil(needed * n / groups),
        clusters_needed=needed,
    )


def cluster_sums(values: Floats, clusters: Labels) -> Floats:
    """The sum of `values` (n,) over each cluster, shape (groups,)."""
    _, index = np.unique(clusters, return_inverse=True)
    return np.asarray(np.bincount(index, weights=values), dtype=np.float64)


def smallest_p_value(groups: int) -> float:
    """What so many clusters can show at the very most: the sign-flip test's smallest p-value."""
    return 2.0**-groups


def sign_flip_p_value(sums: Floats) -> float:
    """Probability of a total this low or lower, were the sign of each of `sums` (groups,) a fair coin's.

    By Lugannani and Rice's formula; its relative error is of the order of 1 / groups, far out as well.
    """
    sums = sums[sums != 0]
    if len(sums) == 0:
        return 1.0
    if sums.sum() > 0:
        return 1 - sign_flip_p_value(-sums)
    norm = math.sqrt(float(np.square(sums).sum()))
    sizes, total = np.abs(sums) / norm, -float(sums.sum()) / norm
    if total < 1e-3:  # where the formula divides nothing by nothing, the normal distribution is as good
        return float(ndtr(-total))
    if total >= sizes.sum() * (1 - NEARLY):  # all of one sign
        return smallest_p_value(len(sums))
    point = total
    for _ in range(100):  # from the left of the root of a concave function, Newton's steps never pass it
        tanh = np.tanh(point * sizes)
        curvature = float((sizes**2 * (1 - tanh**2)).sum())
        step = (total - float((sizes * tanh).sum())) / curvature
        point += step
        if step <= NEARLY * point:
            break
    generating = float((np.logaddexp(point * sizes, -point * sizes) - math.log(2)).sum())
    root = math.sqrt(max(2 * (point * total - generating), 0.0))
    weighted = point * math.sqrt(curvature)
    tail = float(ndtr(-root)) - math.exp(-(root**2) / 2) / math.sqrt(2 * math.pi) * (1 / root - 1 / weighted)
    return max(tail, smallest_p_value(len(sums)))


def _p_value(mean: float, error: float, skew: float, sums: Floats) -> float:
    """One-sided, that the mean is below zero: the more careful of the two tests."""
    if mean == 0.0 and error == 0.0:  # both models answered the same everywhere: nothing is shown either way
        return 1.0
    t = mean / error if error > 0 else math.copysign(math.inf, mean)
    return max(float(stdtr(len(sums) - 1, max(t, _corrected(t, skew)))), sign_flip_p_value(sums))


def _skew(centred: Floats) -> float:
    """Skewness of the clusters' sums, divided by the root of their number."""
    squares = float(np.square(centred).sum())
    return float((centred**3).sum()) / squares**1.5 if squares > 0 else 0.0


def _corrected(t: float, skew: float) -> float:
    """Hall's transformation, under which t is as good as free of skewness; increasing in t."""
    return t + skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / 6 if math.isfinite(t) else t


def _uncorrected(quantile: float, skew: float) -> float:
    """The t that Hall's transformation takes to `quantile`."""
    if abs(skew) < NEARLY:
        return quantile
    return 3 * (float(np.cbrt(1 + skew * (quantile - skew / 6))) - 1) / skew


def _clusters_needed(mean: float, error: float, groups: int, quantile: float, level: float) -> int | None:
    """Standard errors shrink with the root of the number of clusters: (t at the level + t at the power)² of them."""
    if mean >= 0:
        return None
    wanted = groups * ((quantile + float(stdtrit(groups - 1, POWER))) * error / mean) ** 2
    return max(2, math.ceil(wanted - NEARLY), math.ceil(-math.log2(level)))
