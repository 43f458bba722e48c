"""How two versions of the student err on the same rows, measured in the demo world: what the simulations draw from.

Ten lines of students, three versions each: the world's 280 rows and 100 taught ones, 200, 300. All answer 3,200 rows of
other worlds. These rows are the population: a sealed split is a draw with replacement from them, so a model's true
error is its mean over them, exactly. Errors are shifted by a constant in each dimension until every model's true error
is that of the first version; the rows keep their spread, their skew and what they share between models.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial

import numpy as np
from numpy.typing import NDArray

from servers.core.demo_world.world import DIMENSIONS, Request, World
from servers.core.student import Student
from tests.bench.world import targets
from tests.proof.section import in_processes

Floats = NDArray[np.float64]
LINES, VERSIONS = 10, 3
HOME = 0  # the world whose train rows all versions share
WORLDS = (1, 2)  # whose gate and holdout rows are the population
TAUGHT = 100  # rows that a teacher adds from version to version


@dataclass(frozen=True)
class Population:
    """Models and rows. Errors in points."""

    predictions: NDArray[np.float32]
    """(students, rows * dimensions), line after line, in each the older version first."""
    truth: Floats
    """(rows, dimensions)"""
    constant: Floats
    """(rows, dimensions), errors of the home world's train median."""
    reference: Floats
    """(dimensions,), true error of the first version."""
    raw: Floats
    """(students,), true error of each version as it was trained, before all were made equal."""

    @property
    def students(self) -> int:
        return len(self.predictions)

    def errors(self, weights: Floats) -> Floats:
        """Errors of the versions' weighted mean answer, (rows, dimensions), with the true error of the first."""
        raw = _errors(self.predictions, self.truth, weights)
        return raw - raw.mean(axis=0) + self.reference

    @cached_property
    def older(self) -> Floats:
        """(retrainings, rows, dimensions): errors of the version before each retraining."""
        return np.stack([self.errors(self.alone(k)) for k in range(self.students) if (k + 1) % VERSIONS])

    @cached_property
    def retrainings(self) -> Floats:
        """(retrainings, rows, dimensions): errors of a version minus the one before; zero on the whole everywhere."""
        return np.stack([self.errors(self.alone(k)) for k in range(self.students) if k % VERSIONS]) - self.older

    def alone(self, student: int) -> Floats:
        """The weights of one version by itself."""
        return np.eye(1, self.students, student)[0]


@cache
def population(lines: int = LINES, worlds: tuple[int, ...] = WORLDS) -> Population:
    """Train the versions and have them answer; about a second for each of them."""
    rows = [row for seed in worlds for split in ("gate", "holdout") for row in World(seed).splits()[split]]
    texts, truth = [row.text for row in rows], targets(rows)
    train = World(HOME).splits()["train"]
    with in_processes() as pool:
        answers = pool.map(partial(_answers_of_line, train, texts), range(lines), chunksize=1)
    predictions = np.concatenate(answers)
    errors = [_errors(predictions, truth, alone).mean(axis=0) for alone in np.eye(len(predictions))]
    return Population(
        predictions=predictions,
        truth=truth,
        constant=np.abs(np.median(targets(train), axis=0) - truth),
        reference=errors[0],
        raw=np.array([error.mean() for error in errors]),
    )


def _errors(predictions: NDArray[np.float32], truth: Floats, weights: Floats) -> Floats:
    answers = weights.astype(np.float32) @ predictions
    return np.abs(answers.reshape(truth.shape) - truth)


def _answers_of_line(train: Sequence[Request], texts: Sequence[str], line: int) -> NDArray[np.float32]:
    return np.stack([student.predict(texts).ravel() for student in _line(train, line)]).astype(np.float32)


def _line(train: Sequence[Request], line: int) -> Iterator[Student]:
    """The versions of one line, each taught more about two dimensions that are drawn for it."""
    random = np.random.default_rng([HOME, line])
    rows = list(train)
    for version in range(VERSIONS):
        focus = [DIMENSIONS[k] for k in random.choice(len(DIMENSIONS), 2, replace=False)]
        avoid = {row.text for row in rows}
        rows += World(HOME).teach(TAUGHT, focus, seed=100 * line + version, avoid=avoid)
        yield Student.fit([row.text for row in rows], targets(rows), DIMENSIONS, 0, 100)
