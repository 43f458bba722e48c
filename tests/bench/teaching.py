"""What the filters and the replay are worth: the figures in decisions 5 and 8.

    python -m tests.bench.teaching [SEEDS]      # worlds 0 to SEEDS - 1, 12 unless told

Each world's student is trained on its 280 rows and 100 taught ones about the blind spot, one reading in ten careless,
and compared on the 600 gate rows with the student of the 280 alone. A veto is a dimension shown worse, as the gate
counts it.
"""

import sys
from collections.abc import Callable, Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from servers.augment.aim import Aim
from servers.augment.teachers import LARGEST_DISAGREEMENT, MEAN_DISTANCE_OF_CHECK, DemoWorldTeacher, Draft
from servers.core.dataset import Example
from servers.core.demo_world.world import BLIND, DIMENSIONS, World
from servers.core.gate import VETO_LEVEL
from servers.core.statistics import compare
from servers.core.student import Student
from tests.bench.world import targets

Floats = NDArray[np.float64]
SEEDS = 12
REPLAYED = 15


def largest(draft: Draft) -> float:
    """Largest distance of the two readings, as a share of the scale."""
    first, second = draft.readings
    return max(abs(first[name] - second[name]) for name in DIMENSIONS) / 100


def mean(draft: Draft) -> float:
    """Mean distance of the two readings, as a share of the scale."""
    first, second = draft.readings
    return fmean(abs(first[name] - second[name]) for name in DIMENSIONS) / 100


def first_label(draft: Draft) -> list[float]:
    return [draft.readings[0][name] for name in DIMENSIONS]


def mean_label(draft: Draft) -> list[float]:
    return [fmean(reading[name] for reading in draft.readings) for name in DIMENSIONS]


Way = tuple[Callable[[Draft], bool], Callable[[Draft], list[float]], int]
WAYS: dict[str, Way] = {
    "all rows, first reading": (lambda d: True, first_label, 0),
    "mean distance bounded, first reading": (lambda d: mean(d) <= MEAN_DISTANCE_OF_CHECK, first_label, 0),
    "largest distance bounded, first reading": (lambda d: largest(d) <= LARGEST_DISAGREEMENT, first_label, 0),
    "largest distance bounded, mean label": (lambda d: largest(d) <= LARGEST_DISAGREEMENT, mean_label, 0),
    "the same, 15 hard rows at weight 2": (lambda d: largest(d) <= LARGEST_DISAGREEMENT, mean_label, REPLAYED),
}


def gains(seed: int) -> dict[str, tuple[float, bool]]:
    """By way of teaching: mean error after minus before, points, and whether a dimension is shown worse."""
    world = World(seed)
    splits = world.splits()
    texts, labels = [row.text for row in splits["train"]], targets(splits["train"])
    held, truth = [row.text for row in splits["gate"]], targets(splits["gate"])
    base = Student.fit(texts, labels, DIMENSIONS, 0, 100)
    before = np.abs(base.predict(held) - truth)
    hardest = np.argsort(-np.abs(base.predict(texts) - labels).mean(axis=1))
    train = [Example(id=str(k), text=text, target={}, source="demo-world") for k, text in enumerate(texts)]
    drafts = DemoWorldTeacher(seed).write(100, Aim(focus_dimensions=list(BLIND)), 5, train)
    found = {}
    for name, (keep, label, replayed) in WAYS.items():
        kept = [draft for draft in drafts if keep(draft)]
        weights = np.ones(len(texts) + len(kept))
        weights[hardest[:replayed]] = 2.0
        more = np.array([label(draft) for draft in kept])
        student = Student.fit(
            [*texts, *(draft.text for draft in kept)], np.vstack([labels, more]), DIMENSIONS, 0, 100, weights
        )
        after = np.abs(student.predict(held) - truth)
        found[name] = (float((after - before).mean()), _vetoed(after, before))
    return found


def _vetoed(after: Floats, before: Floats) -> bool:
    rows = np.arange(len(after))
    level = VETO_LEVEL / len(DIMENSIONS)
    return any(compare(after[:, k], before[:, k], rows, level).p_worse <= level for k in range(len(DIMENSIONS)))


def main() -> int:
    worlds: Sequence[dict[str, tuple[float, bool]]] = [
        gains(seed) for seed in range(int(sys.argv[1]) if sys.argv[1:] else SEEDS)
    ]
    print("| taught rows | error after minus before, points | worlds with a veto |\n|---|---|---|")
    for name in WAYS:
        differences, vetoes = zip(*(world[name] for world in worlds), strict=True)
        print(f"| {name} | {fmean(differences):+.2f} | {sum(vetoes)} of {len(worlds)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
