"""Who stands on which side: train, diagnose or gate, such that no two near copies are ever parted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from servers.core.dataset import Example
from servers.core.disk import digest
from servers.core.near_copies import Groups, near_any

Side = Literal["train", "diagnose", "gate"]
SIDES: tuple[Side, ...] = ("train", "diagnose", "gate")

SHARES = {"diagnose": 0.2, "gate": 0.3}  # train gets the rest
MIN_SIDE_ROWS = 20  # fewer rows show nothing but their own noise
DRAWS = 64  # tries to give each side its minimum; with groups of a tenth at most, the first one nearly always does


@dataclass(frozen=True)
class Splits:
    """Examples by side."""

    train: list[Example]
    diagnose: list[Example]
    gate: list[Example]

    @classmethod
    def of(cls, examples: Sequence[Example], sides: Sequence[Side]) -> "Splits":
        """Sort examples by the side that is given for each."""
        rows = list(zip(examples, sides, strict=True))
        return cls(*([example for example, of in rows if of == side] for side in SIDES))


def draw_sides(examples: Sequence[Example], groups: Groups) -> list[Side]:
    """A side for each example: half train, a fifth diagnose, the rest gate, at least 20 rows each, groups kept whole.

    The draw follows from the examples alone, whatever their order. Large groups are drawn first, each with
    probabilities proportional to the room left, so that no side has a claim on them; small ones fill up.

    Raises:
        ValueError: the groups are too few or too large to give each side 20 rows.
    """
    members = _by_group(examples, groups)
    seed = int(digest(sorted(row for rows in members for row, _ in rows)), 16)
    for attempt in range(DRAWS):
        sides = _drawn(members, len(examples), np.random.default_rng([seed, attempt]))
        if min(sides.count(side) for side in SIDES) >= MIN_SIDE_ROWS:
            return sides
    largest = max(map(len, members), default=0)
    raise ValueError(
        f"{len(examples)} rows in {len(members)} groups of near copies, the largest of {largest}, cannot give "
        f"train, diagnose and gate {MIN_SIDE_ROWS} rows each without parting near copies; add more different texts"
    )


def without_straddlers(splits: Splits, threshold: float) -> tuple[Splits, dict[str, int]]:
    """Leave out what is a near copy of a row on a side that matters more: gate before diagnose before train.

    Returns:
        The splits, and how many rows train and diagnose lost.
    """
    gate = [row.text for row in splits.gate]
    diagnose = _not_near(splits.diagnose, gate, threshold)
    train = _not_near(splits.train, gate + [row.text for row in diagnose], threshold)
    lost = {"train": len(splits.train) - len(train), "diagnose": len(splits.diagnose) - len(diagnose)}
    return Splits(train, diagnose, splits.gate), lost


def _by_group(examples: Sequence[Example], groups: Groups) -> list[list[tuple[str, int]]]:
    """The (digest, index) of each group's rows; large groups first, equal ones in an order that the digests give."""
    members: dict[int, list[tuple[str, int]]] = {}
    for index, (example, label) in enumerate(zip(examples, groups.labels.tolist(), strict=True)):
        members.setdefault(label, []).append((digest(example), index))
    return sorted((sorted(rows) for rows in members.values()), key=lambda rows: (-len(rows), rows))


def _drawn(members: list[list[tuple[str, int]]], n: int, random: np.random.Generator) -> list[Side]:
    least = {side: max(MIN_SIDE_ROWS, round(share * n)) for side, share in SHARES.items()}
    room = np.array([n - sum(least.values()), *least.values()], dtype=float)
    sides: list[Side] = ["train"] * n
    for rows in members:
        weights = room.clip(min=0)
        chosen = int(random.choice(len(SIDES), p=weights / weights.sum()))
        room[chosen] -= len(rows)
        for _, index in rows:
            sides[index] = SIDES[chosen]
    return sides


def _not_near(rows: list[Example], others: list[str], threshold: float) -> list[Example]:
    near = near_any([row.text for row in rows], others, threshold)
    return [row for row, is_near in zip(rows, near.tolist(), strict=True) if not is_near]
