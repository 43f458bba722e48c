"""A demo world's rows for a policy that is not run by the command, and the course that a policy takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from servers.core.dataset import Example
from servers.core.demo_world.world import DIMENSIONS, World
from servers.core.student import Student
from tests.proof.population import Floats

NEW_ROWS = 100  # a cycle, before filters; as the task file has it


@dataclass(frozen=True)
class Course:
    """The champions of one world under one policy."""

    errors: list[float]
    """On the holdout, points: after the beginning, then after each cycle."""
    promoted: list[bool]
    """In each cycle."""
    reported: list[float]
    """What the policy itself measures of its champion, points, in the order of `errors`; empty where nobody looks."""

    @property
    def harmful(self) -> int:
        """How many promotions made the holdout worse."""
        before_after = zip(self.promoted, self.errors[:-1], self.errors[1:], strict=True)
        return sum(promoted and after > before for promoted, before, after in before_after)


@cache
def world_rows(seed: int) -> dict[str, list[Example]]:
    """train, diagnose, gate and holdout of a world."""
    return {
        split: [
            Example(
                id=f"{split}-{number}",
                text=row.text,
                target={name: float(value) for name, value in row.target.items()},
                source="demo-world",
            )
            for number, row in enumerate(rows)
        ]
        for split, rows in World(seed).splits().items()
    }


def targets_of(rows: Sequence[Example]) -> Floats:
    """(rows, dimensions), points."""
    return np.array([[row.target[name] for name in DIMENSIONS] for row in rows])


def trained_on(rows: Sequence[Example]) -> Student:
    """A student of the rows, as the loop trains it."""
    return Student.fit([row.text for row in rows], targets_of(rows), DIMENSIONS, 0, 100)


def errors_on(student: Student, rows: Sequence[Example]) -> Floats:
    """(rows, dimensions), points."""
    return np.abs(student.predict([row.text for row in rows]) - targets_of(rows))
