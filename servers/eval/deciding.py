"""From a question and the answers to the sealed rows to a verdict.

The same way when a verdict is given (judging.py) and when it is recomputed (verifying.py).
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from servers.core.answers import Answer, ServedBy
from servers.core.dataset import Example
from servers.core.fitness import Fitness, plain_checks, unfit
from servers.core.gate import Evidence, Verdict, judge, unfit_verdict
from servers.core.metrics import RowScorer, error_matrix
from servers.core.near_copies import groups
from servers.core.statistics import Floats
from servers.core.task import Task
from servers.core.wire import Wire

Role = Literal["candidate", "champion", "constant", "prompt"]


class Question(Wire):
    """What was asked of the judge: with the sealed rows and the answers to them, all that a verdict follows from."""

    verdict_id: str
    cycle: str
    dataset: str
    task: Task
    """As it stood; its thresholds are the verdict's."""
    near_copy_threshold: float
    """Similarity from which sealed rows are one piece of evidence, however large the group becomes."""
    models: dict[Role, ServedBy]
    focus_dimensions: list[str]
    """What the cycle aimed at, written down before there was a candidate."""
    fitness: Fitness
    expected_standard_error: float
    """Of the pair's difference on the sealed rows, points, foreseen from the diagnose rows."""
    level: float
    """One-sided, what the verdict may spend."""
    asked_at: str

    @property
    def problem(self) -> str | None:
        """Why the candidate is not fit for service, so that the sealed rows need not be asked."""
        return unfit(plain_checks(self.fitness, self.task.gate))


def decide(question: Question, rows: Sequence[Example], answers: Mapping[Role, Sequence[Answer]]) -> Verdict:
    """The verdict.

    Args:
        question: What was asked.
        rows: The sealed rows.
        answers: Each model's, one for each row; none are looked at for a candidate that is not fit for service.

    Raises:
        ValueError: some answers are missing, double, or of another model; which rows is not said.
    """
    plain = plain_checks(question.fitness, question.task.gate)
    if question.problem is not None:
        return unfit_verdict(plain, question.problem, len(rows), question.level)
    task = question.task
    scored = {role: _errors(task, rows, role, served, answers[role]) for role, served in question.models.items()}
    evidence = Evidence(
        dimensions=task.names,
        focus=question.focus_dimensions,
        scale_width=task.scale.width,
        candidate=scored["candidate"][0],
        champion=scored["champion"][0],
        constant=scored["constant"][0],
        prompt=scored["prompt"][0] if "prompt" in scored else None,
        clusters=groups([row.text for row in rows], question.near_copy_threshold, max_share=1.0).labels,
        json_valid_rate=scored["candidate"][1],
        expected_standard_error=question.expected_standard_error,
    )
    return judge(plain, evidence, task.gate, question.level)


def _errors(
    task: Task, rows: Sequence[Example], role: Role, served_by: ServedBy, answers: Sequence[Answer]
) -> tuple[Floats, float]:
    """Errors of one model, shape (rows, dimensions), points, and its share of valid answers."""
    scorer = RowScorer(task, "sealed", served_by, "gate", lambda _: "")
    try:
        scored = scorer.score(rows, answers)
    except ValueError:
        # Not chained: what was wrong names a sealed row.
        raise ValueError(
            f"the {role}'s answers to the sealed rows are invalid: each row needs one answer, and of "
            f"{served_by.model_id!r} with the weights it was loaded with; measure the model again"
        ) from None
    return error_matrix(scored, task), float(np.mean([row.json_valid for row in scored]))
