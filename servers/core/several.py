"""Several comparisons on the same rows, corrected for their being several; and several candidates for one place.

Whoever looks at ten candidates and shows the best has taken ten chances. The corrected p-value of a comparison is the
probability that the luckiest of those not shown before it would come out as far as it did: the step-down maximum of t
under random signs of whole clusters (Westfall & Young 1993, section 2.6; Romano & Wolf 2005). Candidates that err on
the same rows, such as seeds of one recipe, are hardly more chances than one and are charged for hardly more, where
Holm's correction charges for all. A corrected p-value is never below the comparison's own.
"""

from collections.abc import Hashable, Mapping
from itertools import permutations
from typing import TypeVar

import numpy as np

from servers.core.statistics import Comparison, Floats, Labels, cluster_sums, compare
from servers.core.wire import Wire

Key = TypeVar("Key", bound=Hashable)

FLIPS = 9_999  # draws of signs; the smallest corrected p-value is one in ten thousand
SEED = 1  # the same rows give the same figures
BLOCK_CELLS = 4_000_000  # of draws times clusters or comparisons held at once: 32 MB


class Corrected(Wire):
    """One comparison of a family."""

    comparison: Comparison
    """As if it were the only one."""
    p_better: float
    """Corrected for the family, as a whole on the side of better."""
    p_worse: float
    """Likewise on the side of worse."""


class Ranking(Wire):
    """Candidates, each compared with the champion."""

    candidates: dict[str, Corrected]
    best: str | None
    """The lowest error among the candidates that are shown better than the champion; null where none is."""
    indistinguishable: list[str]
    """Candidates that are not shown worse than `best`, corrected over all pairs; where there is no best one, those not
    told from the champion."""


def compare_many(candidates: Mapping[str, Floats], champion: Floats, clusters: Labels, level: float = 0.025) -> Ranking:
    """Compare each candidate's errors with the champion's on the same rows.

    Args:
        candidates: Errors by name, each of shape (n,), points.
        champion: The champion's, same rows, same order.
        clusters: Near-copy group of each row, shape (n,).
        level: One-sided and family-wise: the probability that any candidate as good as the champion is called better.

    Raises:
        ValueError: there is no candidate, the shapes differ, or there are fewer than two clusters.
    """
    found = compare_family({name: (errors, champion) for name, errors in candidates.items()}, clusters, level)
    shown = [name for name, one in found.items() if one.p_better <= level]
    best = min(shown, key=lambda name: found[name].comparison.difference, default=None)
    if best is None:
        alike = [name for name, one in found.items() if one.p_worse > level]
    else:
        # All pairs, because which one is the best was seen on these rows.
        pairs = {(a, b): (candidates[a], candidates[b]) for a, b in permutations(candidates, 2)}
        among = compare_family(pairs, clusters, level) if pairs else {}
        alike = [name for name in candidates if name != best and among[best, name].p_better > level]
    return Ranking(candidates=found, best=best, indistinguishable=alike)


def compare_family(
    pairs: Mapping[Key, tuple[Floats, Floats]], clusters: Labels, level: float = 0.025
) -> dict[Key, Corrected]:
    """Compare each pair (candidate's errors, champion's errors), arrays of shape (n,) on the same rows, as one family.

    Raises:
        ValueError: there is no pair, the shapes differ, or there are fewer than two clusters.
    """
    if not pairs:
        raise ValueError("there is nothing to compare; give at least one candidate")
    alone = {key: compare(candidate, champion, clusters, level) for key, (candidate, champion) in pairs.items()}
    better = np.array([comparison.p_better for comparison in alone.values()])
    worse = np.array([comparison.p_worse for comparison in alone.values()])
    if len(pairs) > 1:
        sums = np.stack([cluster_sums(candidate - champion, clusters) for candidate, champion in pairs.values()], 1)
        better, worse = np.maximum(better, _step_down(-sums)), np.maximum(worse, _step_down(sums))
    return {
        key: Corrected(comparison=comparison, p_better=float(p_better), p_worse=float(p_worse))
        for (key, comparison), p_better, p_worse in zip(alone.items(), better, worse, strict=True)
    }


def _step_down(sums: Floats) -> Floats:
    """Corrected one-sided p-values that the totals of `sums` (groups, m) are above 0, shape (m,)."""
    groups, m = sums.shape
    squares = np.square(sums).sum(axis=0)
    observed = _t(sums.sum(axis=0), squares, groups)
    order = np.argsort(-observed)
    random = np.random.default_rng(SEED)
    exceeded = np.zeros(m)
    left, block = FLIPS, max(1, BLOCK_CELLS // max(groups, m))
    while left > 0:
        signs = random.integers(0, 2, (min(block, left), groups), dtype=np.int8) * 2.0 - 1
        drawn = _t(signs @ sums, squares, groups)[:, order]
        # Of each comparison and those that are shown after it, the luckiest.
        luckiest = np.maximum.accumulate(drawn[:, ::-1], axis=1)[:, ::-1]
        exceeded += (luckiest >= observed[order] - 1e-9).sum(axis=0)
        left -= len(signs)
    p_values = np.empty(m)
    p_values[order] = np.maximum.accumulate((1 + exceeded) / (1 + FLIPS))
    return p_values


def _t(totals: Floats, squares: Floats, groups: int) -> Floats:
    """The t of clusters' sums from their totals (…, m) and sums of squares (m,); 0 where all are 0."""
    spread = np.sqrt(groups / (groups - 1) * np.maximum(squares - totals**2 / groups, 1e-12 * squares))
    return np.divide(totals, spread, out=np.zeros_like(totals), where=spread > 0)
