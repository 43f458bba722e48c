"""Arms that answer on this machine at once: the constant, the keyword rules, the CPU student. And which do not.

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
from servers.core.job_files import ArmKind
from servers.core.medians import weighted_median
from servers.core.models import TRAINED_ID, intact_folder, trained_model
from servers.core.student import FAMILY, Student, StudentHparams
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


PROMPT, TEACHER = "prompt", "teacher"
FINE_TUNED = "fine_tuned"
LORA = "lora"


def kind_of(model_id: str) -> ArmKind | None:
    """The kind of an arm that answers in a job of its own, because it needs a framework or is asked over a network.

    None for one that answers here at once, and for a name that nobody knows.
    """
    if model_id in (PROMPT, TEACHER):
        return "prompt" if model_id == PROMPT else "teacher"
    return "fine_tuned" if model_id.startswith(f"{LORA}-") else None


def served_by_of(model_id: str, workspace: Workspace, task: Task, train: Sequence[Example]) -> ServedBy:
    """What serves when a model that has its weights here does; the arguments are those of `load_arm`.

    Raises:
        ValueError: there is no such model, its files are not those that were trained, or it is asked over a network.
    """
    if not TRAINED_ID.fullmatch(model_id):
        return load_arm(model_id, workspace, task, train).served_by
    made = trained_model(workspace, model_id)
    intact_folder(workspace, made)
    return ServedBy(backend=FINE_TUNED if made.family == LORA else made.family, model_id=model_id, digest=made.digest)


def load_arm(model_id: str, workspace: Workspace, task: Task, train: Sequence[Example]) -> Arm:
    """The arm of this model id.

    Args:
        model_id: 'constant', 'rule', 'student-<12 hexadecimal digits>', or 'student' for one that is fitted here with
            the default recipe: the baseline of a fine-tuned model.
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
    if model_id == FAMILY:
        return fitted_student(task, train)
    if kind_of(model_id) is not None:
        raise ValueError(f"{model_id!r} answers in a job; call sample_model with it first")
    made = trained_model(workspace, model_id)
    student = Student.load(intact_folder(workspace, made))
    intact_folder(workspace, made)  # again, so that what was loaded in between are the bytes of that digest
    return StudentArm(task, model_id, student, made.digest, base=ConstantArm(task, train))


def fitted_student(task: Task, train: Sequence[Example]) -> StudentArm:
    """A student trained on these rows with the default recipe, in memory; takes a second for a thousand rows."""
    names = task.names
    targets = np.array([[row.target[name] for name in names] for row in train], dtype=float)
    weights = np.array([row.weight for row in train], dtype=float)
    texts = [row.text for row in train]
    student = Student.fit(texts, targets, names, task.scale.low, task.scale.high, weights, StudentHparams())
    trained_on = digest(
        [FAMILY, StudentHparams(), names, task.scale, [[row.text, row.target, row.weight] for row in train]]
    )
    return StudentArm(task, FAMILY, student, trained_on, base=ConstantArm(task, train))


def answers_of(arm: Arm, rows: Sequence[Example]) -> list[Answer]:
    """One answer for each row, in order, asked together; untimed."""
    words = arm.answer([row.text for row in rows])
    return [
        Answer(id=row.id, text=text, latency_ms=None, served_by=arm.served_by)
        for row, text in zip(rows, words, strict=True)
    ]
