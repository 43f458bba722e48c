"""An agent that promotes many models against a weak champion, takes each back, and then picks a pair by luck.

Each of its first candidates is truly better than the champion, so promoting it is no mistake; but a promotion is told
with its figures on the sealed rows. It rolls back to the weak champion every time. Then it puts the model that came out
worst into service, whose verdict is given again for free, and asks for a verdict on the one that came out best: the two
are equally good, and luck has set them as far apart as it could.
"""

import numpy as np

from servers.core.demo_world.world import DIMENSIONS
from tests.proof.history import FOCUS, Model, Rows
from tests.proof.population import Population

TRIED = 10  # models that it has promoted and taken back before it picks a pair
WEAKER = 3.0  # points, by which the first champion is truly worse than all others


class RollingBackAgent:
    """Knows ten models' figures on the sealed rows when it asks its first question that matters."""

    def __init__(self, population: Population, rows: Rows, random: np.random.Generator) -> None:
        self._population, self._rows, self._random = population, rows, random
        self._known: list[tuple[float, Model]] = []  # what was told of it, the model
        self._pairs: list[tuple[Model, Model]] = []  # candidate and champion, the most promising last
        versions = random.choice(population.students, TRIED + 1, replace=False)
        weak = self._model(int(versions[0]))
        self.champion = Model(weak.sealed + WEAKER, weak.diagnose + WEAKER, -WEAKER)
        self._to_try = [self._model(int(version)) for version in versions[1:]]

    def propose(self, gain: float) -> tuple[Model, list[str]]:
        if self._to_try:
            candidate = self._to_try[-1]
        elif self._pairs:
            candidate, self.champion = self._pairs.pop()
        else:
            candidate = self._model(int(self._random.integers(self._population.students)))
        looks = (candidate.diagnose - self.champion.diagnose).mean(axis=0)
        return candidate, [DIMENSIONS[k] for k in np.argsort(looks)[:FOCUS]]

    def told(self, candidate: Model, promoted: bool, difference: float | None) -> None:
        if not self._to_try:
            return
        self._to_try.pop()
        if difference is not None:
            self._known.append((difference, candidate))
        if not self._to_try:
            ranked = [model for _, model in sorted(self._known, key=lambda known: known[0])]
            furthest = sorted((b - a, a, b) for a in range(len(ranked)) for b in range(a + 1, len(ranked)))
            self._pairs = [(ranked[better], ranked[worse]) for _, better, worse in furthest]

    def _model(self, version: int) -> Model:
        errors = self._population.errors(self._population.alone(version))
        return Model(errors[self._rows.sealed], errors[self._rows.diagnose], 0.0)
