"""Who writes new examples: what every teacher hands over, and the demo's. For other data: `recombination.py`.

A draft comes with more than one reading of its text, so that a filter can tell a careless label from a careful one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol

import numpy as np

from servers.augment.aim import Aim
from servers.core.dataset import Example
from servers.core.demo_world.world import NOISE, Request, World
from servers.core.task import Scale

CARELESS_SHARE = 0.10  # of a demo reading, first or second: the teacher answers the instruction instead of the text
# Shares of the scale. Two careful demo readings differ by 0.07 on the mean dimension, and by over 0.30 on the worst in
# one row of a hundred; another reader errs everywhere a little, so there the mean is looked at.
LARGEST_DISAGREEMENT = 0.30
MEAN_DISTANCE_OF_CHECK = 0.13


@dataclass(frozen=True)
class Draft:
    """A new example before the filters."""

    text: str
    readings: tuple[dict[str, float], ...]
    """The teacher's own, two or more, each made without looking at the others; none where they cannot be read."""
    check: dict[str, float] | None
    """What another reader makes of the text; None where there is none."""
    made_from: dict[str, str]

    def label(self, scale: Scale) -> dict[str, float]:
        """The mean of the teacher's readings, which errs less than either; whole numbers where the scale has them."""
        means = {name: fmean(reading[name] for reading in self.readings) for name in self.readings[0]}
        return {name: float(round(value)) for name, value in means.items()} if scale.integers else means

    def agrees(self, scale: Scale) -> bool:
        """Whether the teacher agrees with itself on every dimension, and another reader with the label on the whole."""
        by_name = {name: [reading[name] for reading in self.readings] for name in self.readings[0]}
        if max(max(values) - min(values) for values in by_name.values()) > LARGEST_DISAGREEMENT * scale.width:
            return False
        if self.check is None:
            return True
        label, check = self.label(scale), self.check
        return fmean(abs(label[name] - check[name]) for name in label) <= MEAN_DISTANCE_OF_CHECK * scale.width


class Teacher(Protocol):
    """Writes examples."""

    name: str

    def write(self, n: int, aim: Aim, seed: int, train: Sequence[Example]) -> list[Draft]:
        """Write up to n drafts about the aim's dimensions (none: more of the same), the same for the same arguments."""
        ...


class DemoWorldTeacher:
    """The demo's generator itself, reading with its own noise: an upper bound for any teacher.

    It speaks of the aim's dimensions in the words of the whole world, thin ones among them. Taking the half of twice as
    many drafts that holds most thin words was tried: 12.13 points on the holdout against 12.17, mean of five worlds.
    """

    name = "demo-world"

    def __init__(self, world_seed: int) -> None:
        self._world = World(world_seed)

    def write(self, n: int, aim: Aim, seed: int, train: Sequence[Example]) -> list[Draft]:
        focus = aim.focus_dimensions
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
