"""From answers to sealed rows to the judge's evidence: the same way when a verdict is given and when it is verified."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from servers.core.answers import Answer, ServedBy
from servers.core.dataset import Example
from servers.core.gate import Evidence
from servers.core.metrics import RowScorer, error_matrix
from servers.core.near_copies import groups
from servers.core.statistics import Floats
from servers.core.task import Task

Role = Literal["candidate", "champion", "constant", "prompt"]
ROLES: tuple[Role, ...] = ("candidate", "champion", "constant", "prompt")


@dataclass(frozen=True)
class Answered:
    """What one model answered to the sealed rows."""

    served_by: ServedBy
    answers: Sequence[Answer]


def evidence_from(
    task: Task,
    rows: Sequence[Example],
    near_copy_threshold: float,
    answered: Mapping[Role, Answered],
    focus: Sequence[str],
    expected_standard_error: float,
) -> Evidence:
    """Score every model's answers on the sealed rows.

    Args:
        task: Dimensions and scale.
        rows: The sealed rows.
        near_copy_threshold: Similarity from which two rows are one piece of evidence, however large the group becomes.
        answered: Candidate, champion and constant; the prompt arm where there is one.
        focus: What the cycle aimed at.
        expected_standard_error: Foreseen from the diagnose rows.

    Raises:
        ValueError: some answers are missing, double, or of another model; which rows is not said.
    """
    scored = {role: _errors(task, rows, role, found) for role, found in answered.items()}
    return Evidence(
        dimensions=task.names,
        focus=focus,
        scale_width=task.scale.width,
        candidate=scored["candidate"][0],
        champion=scored["champion"][0],
        constant=scored["constant"][0],
        prompt=scored["prompt"][0] if "prompt" in scored else None,
        clusters=groups([row.text for row in rows], near_copy_threshold, max_share=1.0).labels,
        json_valid_rate=scored["candidate"][1],
        expected_standard_error=expected_standard_error,
    )


def _errors(task: Task, rows: Sequence[Example], role: Role, found: Answered) -> tuple[Floats, float]:
    """Errors of one model, shape (rows, dimensions), points, and its share of valid answers."""
    scorer = RowScorer(task, "sealed", found.served_by, "gate", lambda _: "")
    try:
        scored = scorer.score(rows, found.answers)
    except ValueError:
        # Not chained: what was wrong names a sealed row.
        raise ValueError(
            f"the {role}'s answers to the sealed rows are invalid: each row needs one answer, and of "
            f"{found.served_by.model_id!r} with the weights it was loaded with; measure the model again"
        ) from None
    return error_matrix(scored, task), float(np.mean([row.json_valid for row in scored]))
