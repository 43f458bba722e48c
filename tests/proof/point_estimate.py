"""The policy that only lacks a judge: Étude's aim, teacher and filters, and whatever looks better is promoted."""

import numpy as np

from servers.augment.aim import Aim
from servers.augment.filters import sift
from servers.augment.teachers import DemoWorldTeacher, Draft
from servers.core.dataset import Example
from servers.core.demo_world.world import DIMENSIONS
from servers.core.near_copies import THRESHOLD, Sketch
from servers.core.task import load_task
from tests.proof.population import Floats
from tests.proof.world_rows import NEW_ROWS, Course, errors_on, targets_of, trained_on, world_rows

TASK = load_task("kotone")


def point_estimate(seed: int, cycles: int) -> Course:
    """The course of one world: a candidate whose mean error on the gate rows is lower is promoted."""
    rows = world_rows(seed)
    train = list(rows["train"])
    constant = np.abs(np.median(targets_of(train), axis=0) - targets_of(rows["diagnose"])).mean(axis=0)
    champion = trained_on(train)
    course = Course([float(errors_on(champion, rows["holdout"]).mean())], [], [])
    for cycle in range(1, cycles + 1):
        train += _new_rows(seed, cycle, _worst(errors_on(champion, rows["diagnose"]).mean(axis=0) / constant), train)
        candidate = trained_on(train)
        better = errors_on(candidate, rows["gate"]).mean() < errors_on(champion, rows["gate"]).mean()
        champion = candidate if better else champion
        course.promoted.append(bool(better))
        course.errors.append(float(errors_on(champion, rows["holdout"]).mean()))
    return course


def _worst(ratios: Floats) -> list[str]:
    return [DIMENSIONS[k] for k in np.argsort(-ratios)[:2]]


def _new_rows(seed: int, cycle: int, focus: list[str], train: list[Example]) -> list[Example]:
    rows = world_rows(seed)
    drafts = DemoWorldTeacher(seed).write(NEW_ROWS, Aim(focus_dimensions=focus), 7000 + cycle, train)
    sealed = Sketch.build([row.text for row in rows["gate"]], b"policies of proof")
    kept = sift(drafts, TASK, train, rows["diagnose"], sealed, THRESHOLD).kept
    return [_example(f"cycle-{cycle}-{number}", draft) for number, draft in enumerate(kept)]


def _example(name: str, draft: Draft) -> Example:
    return Example(id=name, text=draft.text, target=draft.label(TASK.scale), source="teacher:demo-world")
