"""How often a history of verdicts promotes a candidate that is no better than its champion.

    python -m tests.proof.false_promotions [RUNS [VERDICTS]]      # 1000 runs of 50 verdicts each

Exit code 1 when the gate promotes falsely in over 5 % of the runs of any setting.
"""

import sys
from dataclasses import dataclass
from functools import partial

import numpy as np

from servers.core.gate import ALL_VERDICTS_LEVEL
from tests.proof.history import (
    RULES_COMPARED,
    TRUE_GAIN,
    WHOLE_GATE,
    CombiningAgent,
    RandomAgent,
    Rows,
    Rule,
    first_false_promotion,
)
from tests.proof.population import Population, population
from tests.proof.rolling_back import RollingBackAgent
from tests.proof.section import in_processes, print_section, share, table

RUNS, VERDICTS = 1000, 50


@dataclass(frozen=True)
class Setting:
    """Who asks, of which split."""

    agent: type[RandomAgent] | type[CombiningAgent] | type[RollingBackAgent]
    rows: int
    largest_group: int = 1
    """Of near-copies: groups have 1 to so many rows."""
    true_gain_every: int | None = None

    @property
    def words(self) -> str:
        """The setting as a row's heading."""
        split = f"{self.rows} rows" + (f" in groups of 1 to {self.largest_group}" if self.largest_group > 1 else "")
        who = {RandomAgent: "at random", CombiningAgent: "combines", RollingBackAgent: "rolls back"}[self.agent]
        return f"{who}, {split}" + (f", one truly better in {self.true_gain_every}" if self.true_gain_every else "")


SETTINGS = (
    *(Setting(agent, rows) for agent in (RandomAgent, CombiningAgent) for rows in (600, 123)),
    *(Setting(agent, 600, largest_group=6) for agent in (RandomAgent, CombiningAgent)),
    *(Setting(agent, 600, true_gain_every=10) for agent in (RandomAgent, CombiningAgent)),
    *(Setting(RollingBackAgent, rows) for rows in (600, 240)),
)


def false_promotion(setting: Setting, rule: Rule, verdicts: int, run: int) -> int | None:
    """The verdict of one run that promoted falsely, if any did. The same run draws the same rows for every rule."""
    drawn = population()
    random = np.random.default_rng([SETTINGS.index(setting), run])
    rows = Rows.drawn(drawn, setting.rows, setting.largest_group, random)
    agent = setting.agent(drawn, rows, random)
    return first_false_promotion(rule, drawn, rows, agent, verdicts, setting.true_gain_every)


def counts(setting: Setting, runs: int, verdicts: int) -> dict[str, int]:
    """By rule, in how many runs it promoted falsely."""
    found = {}
    for rule in RULES_COMPARED:
        with in_processes() as pool:
            firsts = pool.map(partial(false_promotion, setting, rule, verdicts), range(runs), chunksize=10)
        found[rule.name] = sum(first is not None for first in firsts)
    return found


def measured(drawn: Population) -> str:
    """What the population is, in a paragraph."""
    paired = drawn.retrainings.mean(axis=2)
    spread, z = paired.std(axis=1), paired / paired.std(axis=1, keepdims=True)
    before = drawn.older.mean(axis=2)
    together = [np.corrcoef(older, older + more)[0, 1] for older, more in zip(before, paired, strict=True)]
    by_dimension = drawn.retrainings.std(axis=1)
    skew, tails = (z**3).mean(axis=1), (z**4).mean(axis=1)
    return (
        f"Drawn from {len(drawn.raw)} versions of the demo's student on {len(drawn.truth)} rows of other worlds "
        f"(true errors {drawn.raw.min():.1f} to {drawn.raw.max():.1f} points before they were made equal). From a "
        f"version to the next, {len(paired)} pairs: the row-wise difference of vector_mae has a standard deviation of "
        f"{spread.min():.2f} to {spread.max():.2f} points (a paired standard error of {spread.min() / 240**0.5:.2f} to "
        f"{spread.max() / 240**0.5:.2f} at 240 rows), {by_dimension.min():.1f} to {by_dimension.max():.1f} on single "
        f"dimensions, a skew of {skew.min():+.1f} to {skew.max():+.1f}, a kurtosis of {tails.min():.1f} to "
        f"{tails.max():.1f} (3 is the bell curve's); the errors of the two correlate with {min(together):.2f} to "
        f"{max(together):.2f}."
    )


def main() -> int:
    runs, verdicts = (int(a) for a in (*sys.argv[1:3], *map(str, (RUNS, VERDICTS)[len(sys.argv[1:3]) :])))
    about = measured(population())  # here, before there are two processes
    found = {}
    for setting in SETTINGS:
        found[setting.words] = counts(setting, runs, verdicts)
        print(f"{setting.words}: {found[setting.words]}", file=sys.stderr, flush=True)
    names = [rule.name for rule in RULES_COMPARED]
    bound = ALL_VERDICTS_LEVEL
    kept = all(by_rule[WHOLE_GATE.name] <= bound * runs for by_rule in found.values())
    print_section(
        "False promotions",
        f"false_promotions {runs} {verdicts}",
        f"Share of {runs:,} runs in which at least one of {verdicts} successive verdicts promoted a candidate whose "
        f"true error equals its champion's, with its exact 95 % interval. The bound is {bound:.0%}: "
        f"{'kept' if kept else 'BROKEN'}.",
        about,
        table(["the agent, the sealed split", *names], [
            [words, *(share(by_rule[name], runs) for name in names)] for words, by_rule in found.items()
        ]),
        "*At random*: no verdict has anything to do with the one before, the hardest case for levels that are added "
        "up. *Combines*: weighted means of the models that looked good on the diagnose rows and in whatever was shown, "
        "aimed at the dimensions where they look best. *One truly better in 10*: by "
        f"{TRUE_GAIN:g} points, promoted and shown; what such a promotion did not need goes on to the next verdicts, "
        "and promoting it is not counted. *Rolls back*: has ten models promoted against a champion that is 3 points "
        "worse, goes back each time, and then asks for verdicts on the pairs that came out furthest apart; promotions "
        "over the weak champion are no mistake and not counted. The first column is what Étude does; the second and "
        "third show that its level comes from the tests, not from the checks around them. The last two show the "
        "difference after every verdict, as such rules do.",
    )  # fmt: skip
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
