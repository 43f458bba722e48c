"""How often a candidate that is truly better is promoted, beside what theory gives.

    python -m tests.proof.power [DRAWS]      # 2000 draws for every gain, number of rows and level

Theory: the t-test's power from the noncentral t distribution, with the paired standard deviations that were measured
between two student versions. Exit code 1 when the test of all dimensions together is further from it than simulation
noise explains, or when the whole gate promotes more often than that test.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from servers.core.demo_world.world import DIMENSIONS
from servers.core.gate import level_for_next
from servers.core.statistics import compare
from tests.proof.evidence import judged
from tests.proof.population import Floats, population
from tests.proof.section import in_processes, print_section, table

DRAWS = 2000
ROWS = (70, 240, 600, 1000)
GAINS = (0.3, 0.6, 1.0)  # points of vector_mae
VERDICTS = (1, 5)  # whose levels are looked at, where none before promoted
FOCUS = 2  # dimensions
NOISE_ERRORS = 3.5  # standard errors of a simulated share that count as noise: 24 shares are compared


@dataclass(frozen=True)
class Cell:
    """One true gain on one number of rows, judged at one level."""

    rows: int
    gain: float
    verdict: int

    @property
    def level(self) -> float:
        return level_for_next([False] * (self.verdict - 1))


@dataclass(frozen=True)
class Powers:
    """Shares of draws, 0 to 1."""

    theory: float
    test: float
    """Of the overall test alone."""
    even: float
    """Of the whole gate, where every dimension gains the same."""
    focused: float
    """Of the whole gate, where the two focus dimensions alone gain, three times as much."""

    def within_theory(self, draws: int) -> bool:
        """Whether simulation and theory agree, and the gate asks no less than its test."""
        # A share near 0 or 1 is given the noise of one more draw, so that its own estimate is not taken for exact.
        noise = np.sqrt(max(self.theory * (1 - self.theory), 1 / draws) / draws)
        return abs(self.test - self.theory) <= NOISE_ERRORS * noise and max(self.even, self.focused) <= self.test


def theory(spreads: Floats, cell: Cell) -> float:
    """Power of the one-sided paired t-test, a mean over retrainings.

    Args:
        spreads: Standard deviation of the paired row-wise difference of each retraining, points.
        cell: Gain, rows and level.
    """
    from scipy.stats import nct, t

    critical = t.ppf(cell.level, cell.rows - 1)
    return float(nct.cdf(critical, cell.rows - 1, -cell.gain * np.sqrt(cell.rows) / spreads).mean())


def draw(cell: Cell, number: int) -> tuple[bool, bool, bool]:
    """Whether one candidate passes: the test alone, the gate with an even gain, the gate with a focused one."""
    drawn = population()
    random = np.random.default_rng([cell.rows, int(100 * cell.gain), cell.verdict, number])
    pair = int(random.integers(len(drawn.retrainings)))
    rows = random.integers(0, len(drawn.truth), cell.rows)
    focus = random.choice(len(DIMENSIONS), FOCUS, replace=False)
    champion = drawn.older[pair][rows]
    candidate = champion + drawn.retrainings[pair][rows]
    focused = np.zeros(len(DIMENSIONS))
    focused[focus] = cell.gain * len(DIMENSIONS) / FOCUS
    groups = np.arange(cell.rows)
    overall = compare(candidate.mean(axis=1) - cell.gain, champion.mean(axis=1), groups, cell.level)
    if overall.p_better > cell.level:
        return False, False, False
    names, constant = [DIMENSIONS[k] for k in focus], drawn.constant[rows]
    even, aimed = (
        judged(candidate - gains, champion, constant, groups, names, overall.standard_error, cell.level)
        for gains in (cell.gain, focused)
    )
    return True, even.outcome == "promote", aimed.outcome == "promote"


def powers(cell: Cell, draws: int) -> Powers:
    """Simulated and theoretical power of one cell."""
    with in_processes() as pool:
        passed = np.array(pool.map(partial(draw, cell), range(draws), chunksize=50))
    spreads = population().retrainings.mean(axis=2).std(axis=1)
    return Powers(theory(spreads, cell), *(float(value) for value in passed.mean(axis=0)))


def main() -> int:
    draws = int(sys.argv[1]) if sys.argv[1:] else DRAWS
    spreads = population().retrainings.mean(axis=2).std(axis=1)  # here, before there are two processes
    cells = [Cell(rows, gain, verdict) for rows in ROWS for gain in GAINS for verdict in VERDICTS]
    found = {}
    for cell in cells:
        found[cell] = powers(cell, draws)
        print(cell, found[cell], file=sys.stderr, flush=True)
    off = [cell for cell in cells if not found[cell].within_theory(draws)]
    head = ["rows", "standard error", "true gain"]
    for verdict in VERDICTS:
        level = level_for_next([False] * (verdict - 1))
        head += [f"verdict {verdict} at {level:.4f}: theory", "test of all", "gate, even gain", "gate, focused gain"]
    print_section(
        "Power",
        f"power {draws}",
        f"Share of {draws:,} candidates, truly better by so many points of vector_mae, that are promoted. *Theory* is "
        f"the paired t-test's power (noncentral t) for the paired standard errors measured from one student version to "
        f"the next ({spreads.min() / 240**0.5:.2f} to {spreads.max() / 240**0.5:.2f} at 240 rows; the column shows the "
        f"mean). *Test of all* is that test, simulated. *Gate* is every check: with the gain spread evenly over six "
        f"dimensions, of which two are in focus, or with all of it in these two. The test within {NOISE_ERRORS:g} "
        f"standard errors of theory and the gate never above the test: "
        f"{'kept' if not off else 'BROKEN at ' + '; '.join(map(str, off))}.",
        table(
            head,
            [
                [
                    str(rows),
                    f"{(spreads / rows**0.5).mean():.2f}",
                    f"{gain:g}",
                    *_shares([found[Cell(rows, gain, verdict)] for verdict in VERDICTS]),
                ]
                for rows in ROWS
                for gain in GAINS
            ],
        ),
        "The gate asks more than its test: a gain has to show in the two focus dimensions by themselves, where an even "
        "one is as small and the noise is larger; and a candidate that is as good everywhere else is shown worse on "
        "one dimension by chance in up to one case of twenty.",
    )
    return 0 if not off else 1


def _shares(cells: Sequence[Powers]) -> list[str]:
    return [f"{value:.1%}" for cell in cells for value in (cell.theory, cell.test, cell.even, cell.focused)]


if __name__ == "__main__":
    sys.exit(main())
