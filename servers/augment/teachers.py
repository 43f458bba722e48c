"""Who writes new examples. Embedded: the demo world for the demo, recombination of the own train rows for other data.

A draft comes with more than one reading of its text, made without looking at each other, so that a filter can tell a
careless label from a careful one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol

import numpy as np

from servers.core.answers import parse_answer
from servers.core.arms import Arm
from servers.core.dataset import Example
from servers.core.demo_world.world import NOISE, Request, World
from servers.core.task import Scale, Task

CARELESS_SHARE = 0.10  # of a demo reading, first or second: the teacher answers the instruction instead of the text
CLAUSE = re.compile(r"(?<=[.!?;,])\s+")
OUTER_SHARE = 1 / 3  # a focused row begins with a text from the lowest or highest third of a focus dimension


@dataclass(frozen=True)
class Draft:
    """A new example before the filters."""

    text: str
    readings: tuple[dict[str, float], ...]
    """The teacher's own, one or more, each made without looking at the others."""
    check: dict[str, float] | None
    """What another reader makes of the text; None where there is none."""
    made_from: dict[str, str]

    def label(self, scale: Scale) -> dict[str, float]:
        """The mean of the teacher's readings, which errs less than either; whole numbers where the scale has them."""
        means = {name: fmean(reading[name] for reading in self.readings) for name in self.readings[0]}
        return {name: float(round(value)) for name, value in means.items()} if scale.integers else means


class Teacher(Protocol):
    """Writes examples."""

    name: str

    def write(self, n: int, focus: Sequence[str], seed: int, train: Sequence[Example]) -> list[Draft]:
        """Write up to n drafts about the focus dimensions (none: more of the same), the same for the same arguments."""
        ...


class DemoWorldTeacher:
    """The demo's generator itself, reading with its own noise: an upper bound for any teacher."""

    name = "demo-world"

    def __init__(self, world_seed: int) -> None:
        self._world = World(world_seed)

    def write(self, n: int, focus: Sequence[str], seed: int, train: Sequence[Example]) -> list[Draft]:
        rows = self._world.teach(n, focus, seed, {row.text for row in train}, CARELESS_SHARE)
        random = np.random.default_rng([self._world.seed, seed])
        return [
            Draft(
                text=row.text,
                readings=({k: float(v) for k, v in row.target.items()}, self._read_again(row, focus, random)),
                check=None,
                made_from={"register": row.register, "mentions": " ".join(row.mentions)},
            )
            for row in rows
        ]

    def _read_again(self, row: Request, focus: Sequence[str], random: np.random.Generator) -> dict[str, float]:
        asked = list(focus or row.mentions)
        meant = row.clean
        if random.random() < CARELESS_SHARE:
            dimension = asked[int(random.integers(len(asked)))]
            meant = {name: 90.0 if name == dimension else 50.0 for name in row.clean}
        noise = random.normal(0, NOISE, len(meant))
        return {name: float(np.clip(value + e, 0, 100)) for (name, value), e in zip(meant.items(), noise, strict=True)}


class RecombinationTeacher:
    """Clauses of the own train rows put together anew, with the mean of their labels; the champion reads them again.

    A weak teacher: it writes no word that was not there before. What it makes has to pass the filters and the gate.
    """

    name = "recombination"

    def __init__(self, task: Task, reader: Arm | None) -> None:
        self._task, self._reader = task, reader

    def write(self, n: int, focus: Sequence[str], seed: int, train: Sequence[Example]) -> list[Draft]:
        random = np.random.default_rng(seed)
        sources = [row for row in train if not row.source.startswith(("teacher:", "replay"))]
        drafts = []
        for _ in range(n):
            first = self._beginning(sources, focus, random)
            second = sources[int(random.integers(len(sources)))]
            drafts.append((self._joined(first.text, second.text), first, second))
        readings = self._read([text for text, _, _ in drafts])
        return [
            Draft(
                text=text,
                readings=(self._mean_target(first, second),),
                check=reading,
                made_from={"first": first.id, "second": second.id},
            )
            for (text, first, second), reading in zip(drafts, readings, strict=True)
        ]

    def _beginning(self, sources: list[Example], focus: Sequence[str], random: np.random.Generator) -> Example:
        if not focus:
            return sources[int(random.integers(len(sources)))]
        name = focus[int(random.integers(len(focus)))]
        ordered = sorted(sources, key=lambda row: row.target[name])
        outer = max(1, int(len(ordered) * OUTER_SHARE))
        ends = [*ordered[:outer], *ordered[-outer:]]
        return ends[int(random.integers(len(ends)))]

    def _joined(self, first: str, second: str) -> str:
        """The first half of one text's clauses and the last half of the other's."""
        head, tail = CLAUSE.split(first.strip()), CLAUSE.split(second.strip())
        return " ".join([*head[: (len(head) + 1) // 2], *tail[len(tail) // 2 :]])

    def _mean_target(self, first: Example, second: Example) -> dict[str, float]:
        return {name: (first.target[name] + second.target[name]) / 2 for name in self._task.names}

    def _read(self, texts: list[str]) -> list[dict[str, float] | None]:
        if self._reader is None or not texts:
            return [None] * len(texts)
        return [parse_answer(words, self._task) for words in self._reader.answer(texts)]
