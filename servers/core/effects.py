"""What a way of making a candidate does to the error, over several seeds: rows and seeds are both samples.

A way's effect is the mean over rows and seeds of `error with it - error of the reference`. Other rows would have given
another figure, and so would other seeds, so the variance has both parts: of the seeds' mean over clusters of rows
(`statistics`), and between the seeds' own means. Their sum counts the residual twice, which errs on the safe side; the
degrees of freedom are Satterthwaite's. Two seeds alone say little of their spread, so the ways of a campaign share one
estimate of it, with the degrees of freedom of the sets of rows that were drawn apart. One seed shows nothing of it: the
effect is then the model's, and the way's only as far as seeds do not matter.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from servers.core.campaign import DIFFERS_FROM, DRAWS, Cause, Way, Worked
from servers.core.statistics import Floats, Labels, compare, smallest_p_value
from servers.core.wire import Wire

LEVEL = 0.05  # two-sided, after correction for the number of ways


class Effect(Wire):
    """A way minus its reference; negative is better."""

    difference: float
    """Points."""
    standard_error: float
    """Of rows and, where there are several, of seeds; points."""
    p: float
    """Two-sided, without correction."""


@dataclass(frozen=True)
class Spread:
    """How far a mean over seeds would move with other seeds."""

    variance: float
    """Of the mean, points squared."""
    freedom: float
    """Degrees of freedom that it was estimated with; 0 where nothing is known of it."""


def effect(with_it: Floats, reference: Floats, clusters: Labels, spread: Spread | None = None) -> Effect:
    """The effect of a way.

    Args:
        with_it: Errors of its candidates, shape (seeds, rows), points.
        reference: Errors of what it is compared with, same rows, shape (seeds, rows) with the same seeds, or (1, rows).
        clusters: Near-copy group of each row, shape (rows,).
        spread: Between seeds, where it is known better than from these seeds.

    Raises:
        ValueError: the shapes do not fit, or there are fewer than two clusters.
    """
    if with_it.shape[1:] != reference.shape[1:] or with_it.shape[1:] != clusters.shape:
        raise ValueError(f"rows differ in shape: {with_it.shape}, {reference.shape}, {clusters.shape}")
    groups = len(np.unique(clusters))
    if groups < 2:
        raise ValueError(f"{with_it.shape[1]} rows in {groups} group of near-copies cannot tell two ways apart")
    differences = with_it - reference  # (seeds, rows)
    by_seeds = spread or _own_spread(differences.mean(axis=1))
    of_seeds = differences.mean(axis=0)
    by_rows = compare(of_seeds, np.zeros_like(of_seeds), clusters).standard_error ** 2
    variance = by_rows + by_seeds.variance
    mean = float(differences.mean())
    if variance == 0.0:
        return Effect(difference=mean, standard_error=0.0, p=1.0 if mean == 0.0 else smallest_p_value(groups))
    loss = by_seeds.variance**2 / by_seeds.freedom if by_seeds.freedom else 0.0
    freedom = variance**2 / (by_rows**2 / (groups - 1) + loss)
    p = 2 * float(stdtr(freedom, -abs(mean) / math.sqrt(variance)))
    return Effect(difference=mean, standard_error=math.sqrt(variance), p=max(p, smallest_p_value(groups)))


def corrected(p_values: Sequence[float]) -> list[float]:
    """The p-values after Holm's correction for their number (Holm 1979), in the order in which they came."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def worked(difference: float, p: float) -> Worked:
    """What may be said of a difference in errors with this corrected p-value."""
    if p > LEVEL or difference == 0:
        return "not shown"
    return "helped" if difference < 0 else "harmed"


def compare_ways(
    errors: Mapping[Way, Mapping[int, Floats]], champion: Floats, clusters: Labels
) -> dict[Way, tuple[Effect, Cause | None]]:
    """Each way against the champion, and against the way that it differs from by one thing.

    Args:
        errors: By way and seed, errors of shape (rows,), points.
        champion: The champion's, same rows.
        clusters: Near-copy group of each row.

    Returns:
        The effects with p-values corrected for the number of ways, and the causes with theirs for the number of causes.
    """
    means = {way: np.array([one.mean() for one in found.values()]) for way, found in errors.items()}
    effects = {
        way: effect(_of_seeds(found, sorted(found)), champion[None], clusters, _spread_of(way, means))
        for way, found in errors.items()
    }
    p_values = corrected([found.p for found in effects.values()])
    causes = _causes(errors, means, clusters)
    return {
        way: (found.model_copy(update={"p": p}), causes.get(way))
        for (way, found), p in zip(effects.items(), p_values, strict=True)
    }


def _causes(
    errors: Mapping[Way, Mapping[int, Floats]], means: Mapping[Way, Floats], clusters: Labels
) -> dict[Way, Cause]:
    raw = {}
    for way, found in errors.items():
        other = DIFFERS_FROM.get(way)
        if other is None or other not in errors or not (seeds := sorted(found.keys() & errors[other].keys())):
            continue
        # Rows drawn apart: the two spreads add up. The same rows: what is left of them stands in the paired seeds.
        apart = DRAWS.get(way) != DRAWS.get(other)
        spreads = [_spread_of(one, means) for one in (way, other)]
        spread = Spread(sum(one.variance for one in spreads), spreads[0].freedom) if apart else None
        raw[way] = (other, effect(_of_seeds(found, seeds), _of_seeds(errors[other], seeds), clusters, spread))
    p_values = corrected([found.p for _, found in raw.values()])
    return {
        way: Cause(
            against=other,
            difference=found.difference,
            standard_error=found.standard_error,
            p=p,
            worked=worked(found.difference, p),
        )
        for (way, (other, found)), p in zip(raw.items(), p_values, strict=True)
    }


def _spread_of(way: Way, means: Mapping[Way, Floats]) -> Spread:
    """The spread between seeds of a way, from all ways that draw rows; those that share a draw count once."""
    if way not in DRAWS:
        return Spread(0.0, 0.0)  # neither its rows nor its training are random
    drawn: dict[Way, list[Floats]] = {}
    for other, found in means.items():
        if other in DRAWS and len(found) > 1:
            drawn.setdefault(DRAWS[other], []).append(found)
    return _spread(list(drawn.values()), len(means[way]))


def _spread(draws: Sequence[Sequence[Floats]], seeds: int) -> Spread:
    """The spread of a mean over so many seeds.

    Args:
        draws: By independent draw, the means by seed of the ways that share it.
        seeds: Of the mean whose spread is wanted.
    """
    freedom = sum(max(len(means) for means in draw) - 1 for draw in draws)
    if freedom == 0:
        return Spread(0.0, 0.0)
    within = sum(
        (max(len(means) for means in draw) - 1) * float(np.mean([means.var(ddof=1) for means in draw]))
        for draw in draws
    )
    return Spread(within / freedom / seeds, freedom)


def _own_spread(means: Floats) -> Spread:
    return _spread([[means]] if len(means) > 1 else [], len(means))


def _of_seeds(errors: Mapping[int, Floats], seeds: Sequence[int]) -> Floats:
    return np.stack([errors[seed] for seed in seeds])
