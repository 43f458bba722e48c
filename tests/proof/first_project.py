"""The first project's policy, as its record tells it: made from evaluation rows, judged on the same rows.

Aim: the two dimensions of the largest raw error. New rows: evaluation rows with phrases about the aim appended, their
labels there moved outward by 12 to 28 points. Replay: the hardest evaluation rows, as plain copies. Promotion: a lower
mean error on the evaluation rows.
"""

from collections.abc import Sequence

import numpy as np

from servers.core.dataset import Example
from servers.core.demo_world.bank import DIMENSIONS, load_bank
from servers.core.student import Student
from tests.proof.world_rows import NEW_ROWS, Course, errors_on, trained_on, world_rows

PUSHED = (12.0, 28.0)  # points
REPLAYED = 15


def first_project(seed: int, cycles: int, made_from: str) -> Course:
    """The course of one world; its evaluation rows are the diagnose rows.

    Args:
        seed: Of the world.
        cycles: How many.
        made_from: Split whose rows are copied and altered: `diagnose`, as it was done, or `train`.
    """
    rows = world_rows(seed)
    evaluation, train = rows["diagnose"], list(rows["train"])
    source = rows[made_from]
    random = np.random.default_rng([seed, 1])
    champion = trained_on(train)
    course = Course([_error(champion, rows["holdout"])], [], [_error(champion, evaluation)])
    for _ in range(cycles):
        errors = errors_on(champion, evaluation)
        focus = [DIMENSIONS[k] for k in np.argsort(-errors.mean(axis=0))[:2]]
        hardest = np.argsort(-errors_on(champion, source).mean(axis=1))[:REPLAYED]
        train += [_pushed(source[int(random.integers(len(source)))], focus, random) for _ in range(NEW_ROWS)]
        train += [source[k] for k in hardest]
        candidate = trained_on(train)
        better = _error(candidate, evaluation) < course.reported[-1]
        champion = candidate if better else champion
        course.promoted.append(better)
        course.errors.append(_error(champion, rows["holdout"]))
        course.reported.append(_error(champion, evaluation))
    return course


def _error(student: Student, rows: Sequence[Example]) -> float:
    return float(errors_on(student, rows).mean())


def _pushed(row: Example, focus: list[str], random: np.random.Generator) -> Example:
    """A row with words about the focus dimensions and a label that lies further out there."""
    text, target = row.text, dict(row.target)
    for name in focus:
        high = target[name] >= 50
        phrases = load_bank().everyday[name, "high" if high else "low"]
        text += f", {phrases[int(random.integers(len(phrases)))].words}"
        moved = target[name] + (1 if high else -1) * random.uniform(*PUSHED)
        target[name] = float(round(min(100.0, max(0.0, moved))))
    return row.model_copy(update={"text": text, "target": target})
