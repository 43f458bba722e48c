"""How often the comparison behind the gate calls an equal candidate better, far out in the tail as well.

    python -m tests.proof.level [DRAWS]      # a million draws a setting

Differences have mean zero and a shape that is known; students' row differences in the demo and in the first task's
data had a skewness of 0.5 at most. Exit code 1 when symmetric differences are called better more often than the level
says, by more than a tenth.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from servers.core.statistics import compare
from tests.proof.section import in_processes, print_section, table

Floats = NDArray[np.float64]
DRAWS = 1_000_000
BLOCK_CELLS = 3_000_000
LEVELS = (0.025, 0.001, 0.00002)  # of the first verdict, the 7th and the 50th, without a promotion
SLACK = 0.10


@dataclass(frozen=True)
class Shape:
    """How the rows' differences are distributed."""

    words: str
    draw: Callable[[np.random.Generator, tuple[int, int]], Floats]
    is_symmetric: bool = False


def _skewed(skewness: float, random: np.random.Generator, size: tuple[int, int]) -> Floats:
    """A shifted gamma distribution of mean zero."""
    shape = (2 / skewness) ** 2
    return np.asarray(random.standard_gamma(shape, size) - shape)


SHAPES = (
    Shape("normal", lambda random, size: random.standard_normal(size), is_symmetric=True),
    Shape("skewness 0.5", partial(_skewed, 0.5)),
    Shape("skewness 2", partial(_skewed, 2.0)),
)
SIZES = {
    "30 single rows": np.ones(30),
    "120 single rows": np.ones(120),
    "600 single rows": np.ones(600),
    "60 groups of 1 to 5": np.tile([1, 1, 1, 2, 5], 12).astype(float),
    "300 groups of 1 to 5": np.tile([1, 1, 1, 2, 5], 60).astype(float),
}
Setting = tuple[str, int]


def shares(draws: int, setting: Setting) -> tuple[list[float], list[float]]:
    """By level, the share of draws called better by the plain cluster t, and by `compare`."""
    name, shape = setting[0], SHAPES[setting[1]]
    sizes = SIZES[name]
    random = np.random.default_rng([list(SIZES).index(name), setting[1]])
    plain, ours = np.zeros(len(LEVELS)), np.zeros(len(LEVELS))
    quantiles = stdtrit(len(sizes) - 1, LEVELS)
    # Rows of a group are copies: each of its rows has the group's difference.
    labels = np.repeat(np.arange(len(sizes)), sizes.astype(int))
    block = max(1, BLOCK_CELLS // len(sizes))
    for begin in range(0, draws, block):
        values = shape.draw(random, (min(block, draws - begin), len(sizes)))
        means = values @ sizes / sizes.sum()
        sums = (values - means[:, None]) * sizes
        errors = np.sqrt(len(sizes) / (len(sizes) - 1) * np.square(sums).sum(axis=1)) / sizes.sum()
        t = means / errors
        plain += [(t <= quantile).sum() for quantile in quantiles]
        # `compare` is never less careful than the plain t, so only what that one calls better is looked at.
        for row in values[t <= quantiles[0]]:
            rows = row[labels]
            p = compare(rows, np.zeros(len(rows)), labels).p_better
            ours += [p <= level for level in LEVELS]
    return list(plain / draws), list(ours / draws)


def main() -> int:
    draws = int(sys.argv[1]) if sys.argv[1:] else DRAWS
    settings = [(name, shape) for name in SIZES for shape in range(len(SHAPES))]
    with in_processes() as pool:
        found = dict(zip(settings, pool.map(partial(shares, draws), settings, chunksize=1), strict=True))

    def times(values: list[float]) -> str:
        return " / ".join(f"{value / level:.2f}" for value, level in zip(values, LEVELS, strict=True))

    lines = [[name, SHAPES[shape].words, times(plain), times(ours)] for (name, shape), (plain, ours) in found.items()]
    at = " / ".join(f"{level:g}" for level in LEVELS)
    words = (
        f"Equal candidates called better, as a multiple of the level, {at}, over {draws:,} draws; 1.00 is what the "
        "level says. Rows of a group are copies. The plain test is Student's t over near-copy groups; ours is what the "
        "gate uses. Row differences between two students had a skewness of 0.5 at most."
    )
    print_section("The level in the far tail", "level", words, table(["rows", "differences", "plain t", "ours"], lines))
    worst = max(ours[0] for (_, shape), (_, ours) in found.items() if SHAPES[shape].is_symmetric)
    return 0 if worst <= (1 + SLACK) * LEVELS[0] else 1


if __name__ == "__main__":
    sys.exit(main())
