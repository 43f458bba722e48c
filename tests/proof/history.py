"""A history of verdicts on one sealed split: who proposes candidates, what is shown to them, and which rule decides.

Two agents here. One tries at random: every candidate is a retraining that has nothing to do with the ones before. The
other combines: it asks the diagnose rows and whatever a verdict showed which models looked good, and proposes weighted
means of them. After a promotion both go on from the new champion; a third, in rolling_back.py, goes back instead. No
candidate is truly better than the champion, unless the history plants true gains between.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from servers.core.demo_world.world import DIMENSIONS
from servers.core.gate import level_for_next, shown
from servers.core.statistics import Labels, compare
from tests.proof.evidence import judged
from tests.proof.population import Floats, Population

DIAGNOSE_ROWS = 120
FOCUS = 2  # dimensions
TRUE_GAIN = 0.6  # points in every dimension, of the candidates that are truly better


@dataclass(frozen=True)
class Rows:
    """What was drawn for one history."""

    sealed: Labels
    """(n,) rows of the population; those of one group of near-copies are the same row."""
    groups: Labels
    """(n,) near-copy group of each."""
    diagnose: Labels
    """(DIAGNOSE_ROWS,)"""

    @classmethod
    def drawn(cls, population: Population, n: int, largest_group: int, random: np.random.Generator) -> "Rows":
        """Draw n sealed rows in groups of 1 to `largest_group`."""
        sizes = random.integers(1, largest_group + 1, n)
        groups = np.repeat(np.arange(n), sizes)[:n]
        rows = len(population.truth)
        return cls(random.integers(0, rows, n)[groups], groups, random.integers(0, rows, DIAGNOSE_ROWS))


@dataclass(frozen=True)
class Model:
    """A model's errors where somebody looks, (rows, dimensions), points."""

    sealed: Floats
    diagnose: Floats
    gain: float
    """How much better it truly is than the first champion, in every dimension."""
    weights: Floats | None = None
    """Of the versions whose answers it averages, where it does."""


class Agent(Protocol):
    """Proposes candidates."""

    champion: Model

    def propose(self, gain: float) -> tuple[Model, list[str]]:
        """The next candidate, truly better by `gain` than the champion, and the dimensions that it aims at."""
        ...

    def told(self, candidate: Model, promoted: bool, difference: float | None) -> None:
        """Hear the verdict; `difference` is what was shown of it, candidate minus champion, points."""
        ...


@dataclass(frozen=True)
class Rule:
    """A way to decide on promotions."""

    name: str
    needs: tuple[str, ...] | None
    """Checks of the gate that have to pass at the level of the verdict; None asks for its outcome, whole."""
    fixed_level: float | None = None
    """Spent on every verdict, where not the gate's own level is."""
    shows_all: bool = False
    """Whether the difference on the sealed rows is shown after every verdict."""

    def level(self, carries: Sequence[bool]) -> float:
        return level_for_next(carries) if self.fixed_level is None else self.fixed_level


OVERALL, ON_FOCUS = "vector_mae_better_than_champion", "focus_dimensions_better_than_champion"
WHOLE_GATE = Rule("the gate, whole", None)
RULES_COMPARED = (
    WHOLE_GATE,
    Rule("its tests of all and of the focus, no other check", (OVERALL, ON_FOCUS)),
    Rule("its test of all alone", (OVERALL,)),
    Rule("95 % each time", (OVERALL,), fixed_level=0.05, shows_all=True),
    Rule("a point estimate", (OVERALL,), fixed_level=0.5, shows_all=True),
)


class RandomAgent:
    """Every candidate differs from the champion as a retrained version differs from the one before, on fresh rows.

    So no verdict has anything to do with another: the case in which a bound that adds up levels has least to spare.
    """

    def __init__(self, population: Population, rows: Rows, random: np.random.Generator) -> None:
        self._population, self._rows, self._random = population, rows, random
        errors = population.errors(population.alone(0))
        self.champion = Model(errors[rows.sealed], errors[rows.diagnose], 0.0)

    def propose(self, gain: float) -> tuple[Model, list[str]]:
        retrainings = self._population.retrainings
        difference = retrainings[self._random.integers(len(retrainings))] - gain
        n = len(difference)
        sealed = difference[self._random.integers(0, n, len(self._rows.sealed))[self._rows.groups]]
        diagnose = difference[self._random.integers(0, n, DIAGNOSE_ROWS)]
        mine = self.champion
        focus = [DIMENSIONS[k] for k in self._random.choice(len(DIMENSIONS), FOCUS, replace=False)]
        return Model(mine.sealed + sealed, mine.diagnose + diagnose, mine.gain + gain), focus

    def told(self, candidate: Model, promoted: bool, difference: float | None) -> None:
        if promoted:
            self.champion = candidate


class CombiningAgent:
    """Averages the models that looked good so far, and aims at the dimensions where the mean looks best."""

    def __init__(self, population: Population, rows: Rows, random: np.random.Generator) -> None:
        self._population, self._rows, self._random = population, rows, random
        self._known: list[tuple[float, Floats]] = []  # how good it looks against the first champion, weights
        self.champion = self._model(population.alone(0), 0.0)
        self._champion_looks = 0.0  # against the first champion

    def propose(self, gain: float) -> tuple[Model, list[str]]:
        candidate = self._model(self._next_weights(), self.champion.gain + gain)
        looks = (candidate.diagnose - self.champion.diagnose).mean(axis=0)
        return candidate, [DIMENSIONS[k] for k in np.argsort(looks)[:FOCUS]]

    def told(self, candidate: Model, promoted: bool, difference: float | None) -> None:
        if difference is None:
            difference = float((candidate.diagnose - self.champion.diagnose).mean())
        assert candidate.weights is not None  # all that it proposes are means of versions
        self._known.append((self._champion_looks + difference, candidate.weights))
        if promoted:
            self.champion, self._champion_looks = candidate, self._champion_looks + difference

    def _next_weights(self) -> Floats:
        """One version, or the weighted mean of two to five of the best ten so far; never the champion itself."""
        while True:
            weights = self._drawn_weights()
            if not np.allclose(weights, self.champion.weights):
                return weights

    def _drawn_weights(self) -> Floats:
        if len(self._known) < 5 or self._random.random() < 0.3:
            return self._population.alone(int(self._random.integers(self._population.students)))
        best = sorted(self._known, key=lambda known: known[0])[:10]
        chosen = self._random.choice(len(best), int(self._random.integers(2, 6)))
        return np.average([best[k][1] for k in chosen], axis=0, weights=self._random.dirichlet(np.ones(len(chosen))))

    def _model(self, weights: Floats, gain: float) -> Model:
        errors = self._population.errors(weights) - gain
        return Model(errors[self._rows.sealed], errors[self._rows.diagnose], gain, weights)


def decide(
    rule: Rule,
    population: Population,
    rows: Rows,
    candidate: Model,
    champion: Model,
    focus: Sequence[str],
    level: float,
) -> tuple[bool, float | None]:
    """Whether the rule promotes, and the difference that it shows."""
    overall = compare(candidate.sealed.mean(axis=1), champion.sealed.mean(axis=1), rows.groups, level)
    if overall.p_better > level:  # no rule promotes then, and the rest of the gate need not be asked
        return False, overall.difference if rule.shows_all else None
    foreseen = compare(candidate.diagnose.mean(axis=1), champion.diagnose.mean(axis=1), np.arange(DIAGNOSE_ROWS), level)
    expected = foreseen.standard_error * float(np.sqrt(DIAGNOSE_ROWS / len(rows.sealed)))
    constant = population.constant[rows.sealed]
    verdict = judged(candidate.sealed, champion.sealed, constant, rows.groups, focus, expected, level)
    passed = {check.name for check in verdict.checks if check.passed}
    promoted = verdict.outcome == "promote" if rule.needs is None else passed.issuperset(rule.needs)
    told = verdict.difference if rule.shows_all else shown(verdict).difference
    if promoted and told is None:  # by a rule that asks for less than the gate does
        told = verdict.difference
    return promoted, told


def first_false_promotion(
    rule: Rule, population: Population, rows: Rows, agent: Agent, verdicts: int, true_gain_every: int | None = None
) -> int | None:
    """The number of the verdict that promoted a candidate no better than its champion; None where none did.

    Args:
        rule: Who decides.
        population: What was measured.
        rows: What was drawn for this history.
        agent: Who proposes.
        verdicts: How many are asked.
        true_gain_every: Every so many candidates one is truly better; None for never.
    """
    carries: list[bool] = []
    last: Model | None = None
    for number in range(1, verdicts + 1):
        gain = TRUE_GAIN if true_gain_every and number % true_gain_every == 0 else 0.0
        candidate, focus = agent.propose(gain)
        champion = agent.champion
        if carries:  # what a promotion did not need goes on only to a verdict that compares with what it promoted
            carries[-1] = carries[-1] and champion is last
        yes, told = decide(rule, population, rows, candidate, champion, focus, rule.level(carries))
        if yes and candidate.gain <= champion.gain:
            return number
        carries.append(yes)
        last = candidate
        agent.told(candidate, yes, told)
    return None
