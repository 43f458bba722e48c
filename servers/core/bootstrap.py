"""How far a figure may be off for having been measured on these rows: the bootstrap of whole clusters.

For pictures and reports; verdicts come from `statistics.compare`. Clusters are drawn with replacement (Davison &
Hinkley 1997, section 3.8), each with all its rows, and a figure is computed anew from how often each row was drawn.
"""

from collections.abc import Iterator

import numpy as np

from servers.core.statistics import Floats, Labels

RESAMPLES, FEWEST = 5_000, 1_000  # with 5,000 an end of an interval is good to a twenty-fifth of a standard error
DRAWS = 10_000_000  # of clusters in all; from 2,000 clusters on there are fewer resamples
BLOCK_CELLS = 4_000_000  # of resamples times rows held at once: 32 MB
COVERAGE = 0.95
SEED = 1  # the same rows give the same figures


def resamples(clusters: Labels) -> Iterator[Floats]:
    """How often each row is drawn, in blocks of shape (resamples, rows), rows in the order of `clusters` (rows,)."""
    _, index = np.unique(clusters, return_inverse=True)
    groups = int(index.max()) + 1
    random = np.random.default_rng(SEED)
    left, block = max(FEWEST, min(RESAMPLES, DRAWS // groups)), max(1, BLOCK_CELLS // len(index))
    while left > 0:
        size = min(block, left)
        drawn = random.integers(0, groups, (size, groups)) + groups * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * groups).reshape(size, groups)
        yield times[:, index].astype(np.float64)
        left -= size


def percentile_interval(drawn: Floats) -> tuple[float, float]:
    """The middle 95 % of a figure's values over the resamples; those that could not be computed (NaN) are left out."""
    low, high = np.nanpercentile(drawn, [50 * (1 - COVERAGE), 50 * (1 + COVERAGE)])
    return float(low), float(high)


def spread(drawn: Floats, groups: int) -> float:
    """Standard error from a figure's values over the resamples, with the G/(G-1) correction."""
    return float(np.nanstd(drawn)) * float(np.sqrt(groups / (groups - 1)))
