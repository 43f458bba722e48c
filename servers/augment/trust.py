"""Is recombination of these data worth a verdict? Measured on train rows alone, before a row is written.

Two questions. Does the reader that labels new texts read left-out train rows better than the student does? A teacher
who reads worse than the pupil has nothing to say. And does a student that is also trained on recombined rows err less
on rows that neither it nor the teacher saw: five folds of whole near-copy groups, paired by row, one-sided and
clustered as the gate's test is. Rows whose help cannot be shown here deserve no verdict, of which there are few.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from servers.augment.aim import Aim
from servers.augment.clause_reader import ClauseReader, Floats
from servers.augment.recombination import FOLDS, Reader, RecombinationTeacher, sources_of
from servers.core.dataset import Example
from servers.core.near_copies import groups, near_pairs
from servers.core.statistics import compare
from servers.core.student import Student
from servers.core.task import Task
from servers.core.wire import Wire

LEVEL = 0.05  # one-sided; where rows help nothing, one plan in twenty is trusted all the same, and meets the gate
MIN_GROUPS = 50  # near-copy groups, below which nothing could be shown
MAX_ROWS = 500  # looked at; of more a sample. Some forty fits, of readers and of students, take ten seconds on one core


class Trust(Wire):
    """What was found. Errors are mean absolute errors over all dimensions, points."""

    distrust: str | None
    """Why no rows should be written, with the figures; None where recombination is trusted."""
    teacher_error: float | None = None
    """Of the clause reader on left-out train rows."""
    student_error: float | None = None
    """Of the student on the same."""
    difference: float | None = None
    """Error of a student of recombined rows too less that of one without, on held-out folds; below 0 is better."""
    p_better: float | None = None


def trust_in_recombination(
    task: Task, train: Sequence[Example], aim: Aim, new_rows: int, seed: int, threshold: float
) -> Trust:
    """Decide from the train rows whether recombined ones would teach.

    Args:
        task: Dimensions and scale.
        train: Rows; what a teacher wrote is left out.
        aim: What the rows would be aimed at.
        new_rows: How many would be written; as large a share is written for each fold.
        seed: Of folds and teacher.
        threshold: Similarity from which two texts are near-copies.
    """
    rows, random = sources_of(train), np.random.default_rng(seed)
    wanted = new_rows / max(1, len(rows))
    if len(rows) > MAX_ROWS:
        rows = [rows[i] for i in np.sort(random.choice(len(rows), MAX_ROWS, replace=False))]
    clusters = groups([row.text for row in rows], threshold, max_share=1.0).labels
    n_groups = len(set(clusters.tolist()))
    if n_groups < MIN_GROUPS:
        return Trust(
            distrust=f"{n_groups} texts that differ are too few to see whether it helps; {MIN_GROUPS} are needed"
        )
    student = _student(rows, task)
    learned = float(np.mean([dimension.served_error for dimension in student.description.dimensions]))
    taught = float(ClauseReader.fit(rows, task).left_out_errors.mean())
    if taught >= learned:
        return Trust(
            distrust=(
                f"adding up clauses reads left-out train rows no better than the student does, "
                f"error {taught:.3g} against {learned:.3g} points"
            ),
            teacher_error=taught,
            student_error=learned,
        )
    fold = random.permutation(n_groups)[clusters] % FOLDS
    without, with_rows = _held_out_errors(task, rows, fold, aim, wanted, seed, threshold)
    found = compare(with_rows, without, clusters, LEVEL)
    shown = found.p_better <= LEVEL and found.difference < 0
    return Trust(
        distrust=None
        if shown
        else (
            f"a student trained on recombined rows as well errs {found.difference:+.2g} points on held-out train rows "
            f"(below 0 is better; p {found.p_better:.2g}, {LEVEL:g} is needed)"
        ),
        teacher_error=taught,
        student_error=learned,
        difference=found.difference,
        p_better=found.p_better,
    )


def _held_out_errors(
    task: Task,
    rows: Sequence[Example],
    fold: NDArray[np.int64],
    aim: Aim,
    wanted: float,
    seed: int,
    threshold: float,
) -> tuple[Floats, Floats]:
    """Each row's mean error, (n,) points, by students that did not see its fold: without recombined rows, and with."""
    without, with_rows = np.zeros(len(rows)), np.zeros(len(rows))
    for k in range(FOLDS):
        seen = [row for row, place in zip(rows, fold, strict=True) if place != k]
        held = [i for i, place in enumerate(fold) if place == k]
        plain = _student(seen, task)
        drafts = RecombinationTeacher(task, reader_of(plain)).write(round(wanted * len(seen)), aim, seed + k, seen)
        # As the filters would: a text that is there already, or that is to be answered, teaches nothing honest.
        copies = {i for i, _, _ in near_pairs([d.text for d in drafts], [row.text for row in rows], threshold)}
        new = [
            Example(id=f"n{i}", text=draft.text, target=draft.label(task.scale), source="teacher:recombination")
            for i, draft in enumerate(drafts)
            if i not in copies and draft.agrees(task.scale)
        ]
        texts = [rows[i].text for i in held]
        truth = np.array([[rows[i].target[name] for name in task.names] for i in held])
        without[held] = np.abs(plain.predict(texts) - truth).mean(axis=1)
        with_rows[held] = np.abs(_student([*seen, *new], task).predict(texts) - truth).mean(axis=1)
    return without, with_rows


def reader_of(student: Student) -> Reader:
    """The student as a reader."""

    def read(texts: Sequence[str]) -> list[dict[str, float] | None]:
        return [dict(zip(student.names, map(float, vector), strict=True)) for vector in student.predict(texts)]

    return read


def _student(rows: Sequence[Example], task: Task) -> Student:
    targets = np.array([[row.target[name] for name in task.names] for row in rows], dtype=float)
    return Student.fit([row.text for row in rows], targets, task.names, task.scale.low, task.scale.high)
