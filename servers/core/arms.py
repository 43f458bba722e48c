"""Arms that answer on this machine at once: the constant, the keyword rules, the CPU student.

Each answers in words, strict JSON like any other model, and says what served it: the digest of its weights, or of its
definition where it has none.
"""

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from servers.core.answers import Answer, ServedBy, vector_text
from servers.core.dataset import Example
from servers.core.disk import digest
from servers.core.medians import weighted_median
from servers.core.models import intact_folder, trained_model
from servers.core.student import FAMILY, Student
from servers.core.task import Task
from servers.core.workspace import Workspace


class Arm(Protocol):
    """Something that predicts."""

    arm: str
    """Kind of arm: constant, rule, student."""
    model_id: str
    served_by: ServedBy

    @property
    def base(self) -> "Arm | None":
        """What this one was trained on top of, asked the same texts to see that the training is at work; else None."""
        ...

    def answer(self, texts: Sequence[str]) -> list[str]:
        """The words for each text, in order."""
        ...


class ConstantArm:
    """Answers the median of the training targets, whatever the text."""

    arm = model_id = "constant"
    base = None

    def __init__(self, task: Task, train: Sequence[Example]) -> None:
        targets = np.array([[row.target[name] for name in task.names] for row in train], dtype=float)
        medians = weighted_median(targets, np.array([row.weight for row in train]))
        self._words = vector_text(dict(zip(task.names, medians, strict=True)))
        self.served_by = ServedBy(backend=self.arm, model_id=self.model_id, digest=digest([self.arm, self._words]))

    def answer(self, texts: Sequence[str]) -> list[str]:
        return [self._words] * len(texts)


class RuleArm:
    """Starts from the middle of the scale and moves by the keyword rules of the task file."""

    arm = model_id = "rule"
    base = None

    def __init__(self, task: Task) -> None:
        self._task = task
        self._patterns = [
            (re.compile(r"\b(?:" + "|".join(map(re.escape, rule.words)) + ")"), rule.points) for rule in task.keywords
        ]
        definition = [self.arm, task.names, task.scale, task.keywords]
        self.served_by = ServedBy(backend=self.arm, model_id=self.model_id, digest=digest(definition))

    def answer(self, texts: Sequence[str]) -> list[str]:
        return [self._one(text.casefold()) for text in texts]

    def _one(self, text: str) -> str:
        scale = self._task.scale
        vector = dict.fromkeys(self._task.names, scale.middle)
        for pattern, points in self._patterns:
            if pattern.search(text):
                for name, value in points.items():
                    vector[name] += value
        return vector_text({name: min(scale.high, max(scale.low, value)) for name, value in vector.items()})


class StudentArm:
    """Answers with a trained student; its base is the constant.

    Raises:
        ValueError: it was trained for other dimensions or another scale.
    """

    arm = FAMILY

    def __init__(
        self, task: Task, model_id: str, student: Student, weights_digest: str, base: ConstantArm | None = None
    ) -> None:
        learned = student.description
        if student.names != task.names or (learned.low, learned.high) != (task.scale.low, task.scale.high):
            raise ValueError(
                f"{model_id!r} was trained for {', '.join(student.names)} from {learned.low:g} to {learned.high:g}, "
                f"which is not what task {task.name!r} asks for; train again"
            )
        self._task, self._student, self.model_id, self.base = task, student, model_id, base
        self.served_by = ServedBy(backend=self.arm, model_id=model_id, digest=weights_digest)

    def answer(self, texts: Sequence[str]) -> list[str]:
        predictions = self._student.predict(texts)
        return [vector_text(dict(zip(self._task.names, row, strict=True))) for row in predictions]


def load_arm(model_id: str, workspace: Workspace, task: Task, train: Sequence[Example]) -> Arm:
    """The arm of this model id.

    Args:
        model_id: 'constant', 'rule' or 'student-<12 hexadecimal digits>'.
        workspace: Where the models lie.
        task: Dimensions and rules.
        train: Rows whose median the constant answers: those of the dataset's first version.

    Raises:
        ValueError: there is no such model, or its files are gone or not those that were trained.
    """
    if model_id == ConstantArm.model_id:
        return ConstantArm(task, train)
    if model_id == RuleArm.model_id:
        return RuleArm(task)
    made = trained_model(workspace, model_id)
    student = Student.load(intact_folder(workspace, made))
    intact_folder(workspace, made)  # again, so that what was loaded in between are the bytes of that digest
    return StudentArm(task, model_id, student, made.digest, base=ConstantArm(task, train))


def answers_of(arm: Arm, rows: Sequence[Example]) -> list[Answer]:
    """One answer for each row, in order, asked together; untimed."""
    words = arm.answer([row.text for row in rows])
    return [
        Answer(id=row.id, text=text, latency_ms=None, served_by=arm.served_by)
        for row, text in zip(rows, words, strict=True)
    ]
