"""A task in which clauses add up and nothing else counts: the case in which recombination has something to teach."""

import re

import numpy as np

from servers.core.dataset import Example
from servers.core.task import Dimension, Task, load_task

NAMES = ("height", "depth", "width")
SYLLABLES = ("ba", "ke", "lo", "mi", "nu", "ra", "so", "ti", "vu", "za")
NOISE = 2.0  # points
EFFECT = 9.0  # points, standard deviation of what a clause does
_world = np.random.default_rng(999)
CLAUSES = [f"with {' '.join(''.join(_world.choice(SYLLABLES, 3)) for _ in range(2))}" for _ in range(60)]
EFFECTS = _world.normal(0, EFFECT, (len(CLAUSES), len(NAMES)))


def clause_task() -> Task:
    """Three dimensions, 0 to 100."""
    dimensions = [Dimension(name=name, low="little", high="much") for name in NAMES]
    nothing = {"keywords": [], "derived": {"tags": {}, "slots": {}}, "name": "clauses"}
    return Task.model_validate(load_task("kotone").model_dump(by_alias=True) | nothing | {"dimensions": dimensions})


def meaning(text: str) -> list[float]:
    """What a text says, without noise: 50 and its clauses' effects, inside the scale."""
    said = [CLAUSES.index(clause) for clause in re.split(", ", text.strip(", "))]
    return [float(value) for value in np.clip(50 + EFFECTS[said].sum(axis=0), 0, 100)]


def clause_rows(n: int, seed: int) -> list[Example]:
    """Rows of one to eight clauses out of sixty, in invented words."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        said = random.choice(len(CLAUSES), int(random.integers(1, 9)), replace=False)
        text = ", ".join(CLAUSES[k] for k in said)
        values = np.clip(np.array(meaning(text)) + random.normal(0, NOISE, len(NAMES)), 0, 100)
        target = dict(zip(NAMES, map(float, values), strict=True))
        rows.append(Example(id=f"c{number}", text=text, target=target, source="import"))
    return rows
