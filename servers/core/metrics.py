"""The metrics of record: how an answer is scored and how rows become figures.

An invalid answer is never left out: it counts as the worst error that the scale allows for its target, on every
dimension, and `json_valid_rate` counts it once more. A mean over nothing is null, never 0. Points are units of the
task's scale. Names and formulas are the first project's where it had them; DEFINITIONS says where ours differ.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np

from servers.core.answers import Answer, InvalidAnswer, ServedBy, parse_answer
from servers.core.dataset import Example
from servers.core.evaluations import ScoredRow, trace_id_for
from servers.core.statistics import Floats, Labels, clustered_standard_error
from servers.core.task import Choice, Task
from servers.core.wire import Wire


class Definition(Wire):
    """What a metric means."""

    formula: str
    range: str
    better: Literal["lower", "higher", "neither"]
    invalid: str
    """How an invalid answer enters."""
    source: str


WORST = "counts with the worst error the scale allows for its target"
FIRST_PROJECT = "the studio's first project"
DEFINITIONS: dict[str, Definition] = {
    "vector_mae": Definition(
        formula="mean over rows and dimensions of |prediction - target|; mae_raw is its older name",
        range="0 to the width of the scale, points",
        better="lower",
        invalid=WORST,
        source=FIRST_PROJECT + ", which left invalid answers out",
    ),
    "mae_raw_<dimension>": Definition(
        formula="mean over rows of |prediction - target| of one dimension",
        range="0 to the width of the scale, points",
        better="lower",
        invalid=WORST,
        source=FIRST_PROJECT,
    ),
    "mse_raw": Definition(
        formula="mean over rows and dimensions of (prediction - target)²",
        range="0 to width², points²",
        better="lower",
        invalid=WORST,
        source=FIRST_PROJECT,
    ),
    "mse_norm": Definition(
        formula="mse_raw / width²",
        range="0 to 1",
        better="lower",
        invalid=WORST,
        source=FIRST_PROJECT,
    ),
    "r2_score": Definition(
        formula="mean over dimensions of r2_score_<dimension> = 1 - Σ error² / Σ (target - mean target)²; dimensions "
        "whose targets are all equal have none",
        range="-∞ to 1",
        better="higher",
        invalid=WORST,
        source="by dimension here; the first project pooled them",
    ),
    "json_valid_rate": Definition(
        formula="share of answers that are strict JSON with exactly the dimensions, numbers in range, nothing around",
        range="0 to 1",
        better="higher",
        invalid="counts as 0",
        source=FIRST_PROJECT + ", stricter here",
    ),
    "intent_score_mean": Definition(
        formula="mean over rows of max(0, 100 - c * row error in hundredths of the scale); c from the task file",
        range="0 to 100",
        better="higher",
        invalid=WORST,
        source=FIRST_PROJECT,
    ),
    "output_sanity_score": Definition(
        formula="mean over rows of min(100, 72 + 0.6 * standard deviation of the answer in hundredths of the scale)",
        range="12 to 100",
        better="neither",
        invalid="counts as 12",
        source=FIRST_PROJECT + "; a heuristic, never in the gate",
    ),
    "constraint_match_rate": Definition(
        formula="share of rows whose derived tags all equal the target's; rules from the task file",
        range="0 to 1, null without tags",
        better="higher",
        invalid="counts as 0",
        source=FIRST_PROJECT,
    ),
    "slot_exact_match": Definition(
        formula="mean over rows of the share of derived slots that equal the target's; rules from the task file",
        range="0 to 1, null without slots",
        better="higher",
        invalid="counts as 0",
        source=FIRST_PROJECT,
    ),
    "p50_inference_latency_ms": Definition(
        formula="nearest-rank median over single requests after warm-up",
        range="0 up, null where none was timed",
        better="lower",
        invalid="counts as timed",
        source=FIRST_PROJECT,
    ),
    "p95_inference_latency_ms": Definition(
        formula="nearest-rank 95th percentile over single requests after warm-up",
        range="0 up, null where none was timed",
        better="lower",
        invalid="counts as timed",
        source=FIRST_PROJECT,
    ),
    "cost_per_100_requests_usd": Definition(
        formula="dollars paid for 100 answers, from the service's usage figures; 0 for a model on this machine",
        range="0 up",
        better="lower",
        invalid="counts as paid",
        source="measured here; a constant in the first project",
    ),
}


class RowScorer:
    """Scores answers of one evaluation.

    Args:
        task: Dimensions, scale and rules.
        evaluation_id: What the rows' traces belong to.
        served_by: The model under test.
        split: Name of the split, recorded as the row's scenario.
        trace_url: Locator of a trace by its id.
    """

    def __init__(
        self, task: Task, evaluation_id: str, served_by: ServedBy, split: str, trace_url: Callable[[str], str]
    ) -> None:
        self._task = task
        self._evaluation_id = evaluation_id
        self._served_by = served_by
        self._split = split
        self._trace_url = trace_url

    def score(self, examples: Sequence[Example], answers: Iterable[Answer]) -> list[ScoredRow]:
        """Score one answer for each example, in the order of the examples.

        Raises:
            ValueError: an example has no answer or two, or something other than the model under test answered one;
                such an evaluation is invalid as a whole.
        """
        by_id: dict[str, Answer] = {}
        for answer in answers:
            if answer.id in by_id:
                raise ValueError(f"the evaluation is invalid: example {answer.id!r} was answered twice")
            if answer.served_by != self._served_by:
                found, wanted = answer.served_by, self._served_by
                raise ValueError(
                    f"the evaluation is invalid: example {answer.id!r} was answered by {found.model_id!r} "
                    f"({found.digest[:12]}), not by {wanted.model_id!r} ({wanted.digest[:12]})"
                )
            by_id[answer.id] = answer
        if missing := [example.id for example in examples if example.id not in by_id]:
            raise ValueError(f"the evaluation is invalid: {len(missing)} of {len(examples)} rows have no answer")
        return [self._row(example, by_id[example.id]) for example in examples]

    def _row(self, example: Example, answer: Answer) -> ScoredRow:
        task = self._task
        vector: dict[str, float] | None
        try:
            vector, problem = parse_answer(answer.text, task), None
        except InvalidAnswer as error:
            vector, problem = None, str(error)
        errors = {name: self._error(example.target[name], vector[name] if vector else None) for name in task.names}
        mae = sum(errors.values()) / len(errors)
        trace_id = trace_id_for(self._evaluation_id, example.id)
        return ScoredRow(
            example_id=example.id,
            trace_id=trace_id,
            trace_url=self._trace_url(trace_id),
            run_id=self._evaluation_id,
            mode=self._served_by.backend,
            scenario=self._split,
            text=example.text,
            answer=answer.text,
            json_valid=vector is not None,
            parse_error=problem,
            target_vector=example.target,
            predicted_vector=vector,
            abs_error_by_dim=errors,
            mae_raw=mae,
            intent_score=max(0.0, 100 - task.intent_points_per_error * 100 * mae / task.scale.width),
            constraint_match=_tags_agree(task, example.target, vector),
            slot_exact_match=_slots_agree(task, example.target, vector),
            latency_ms=answer.latency_ms,
            served_by=answer.served_by,
        )

    def _error(self, target: float, predicted: float | None) -> float:
        if predicted is None:
            return max(target - self._task.scale.low, self._task.scale.high - target)
        return abs(predicted - target)


def error_matrix(rows: Sequence[ScoredRow], task: Task) -> Floats:
    """Absolute errors, shape (rows, dimensions), points."""
    return np.array([[row.abs_error_by_dim[name] for name in task.names] for row in rows], dtype=float).reshape(
        len(rows), len(task.names)
    )


def aggregate(rows: Sequence[ScoredRow], task: Task, cost_usd: float | None) -> dict[str, float | None]:
    """Every metric over the rows.

    Args:
        rows: Scored rows of one evaluation.
        task: Their task.
        cost_usd: What all answers together cost; null where nobody knows.
    """
    errors, targets = error_matrix(rows, task), _targets(rows, task)
    mse = _mean(np.square(errors).ravel())
    mae = _mean(errors.ravel())
    latencies = sorted(row.latency_ms for row in rows if row.latency_ms is not None)
    r2 = {name: _r2(errors[:, k], targets[:, k]) for k, name in enumerate(task.names)}
    return {
        "vector_mae": mae,
        "mae_raw": mae,
        **{f"mae_raw_{name}": _mean(errors[:, k]) for k, name in enumerate(task.names)},
        "mse_raw": mse,
        "mse_norm": None if mse is None else mse / task.scale.width**2,
        "r2_score": _mean([value for value in r2.values() if value is not None]),
        **{f"r2_score_{name}": value for name, value in r2.items()},
        "json_valid_rate": _mean([float(row.json_valid) for row in rows]),
        "intent_score_mean": _mean([row.intent_score for row in rows]),
        "output_sanity_score": _mean([_sanity(row, task) for row in rows]),
        "constraint_match_rate": _mean([float(r.constraint_match) for r in rows if r.constraint_match is not None]),
        "slot_exact_match": _mean([row.slot_exact_match for row in rows if row.slot_exact_match is not None]),
        "p50_inference_latency_ms": _nearest_rank(latencies, 0.50),
        "p95_inference_latency_ms": _nearest_rank(latencies, 0.95),
        "cost_per_100_requests_usd": None if cost_usd is None or not rows else 100 * cost_usd / len(rows),
    }


def standard_errors(rows: Sequence[ScoredRow], task: Task, clusters: Labels) -> dict[str, float]:
    """Standard errors of the mean errors, clustered by near-copy group; empty where there is but one group."""
    if len(np.unique(clusters)) < 2:
        return {}
    errors = error_matrix(rows, task)
    by_dimension = {f"mae_raw_{name}": errors[:, k] for k, name in enumerate(task.names)}
    columns = {"vector_mae": errors.mean(axis=1)} | by_dimension
    return {name: clustered_standard_error(values, clusters) for name, values in columns.items()}


def choose(choices: Sequence[Choice], vector: dict[str, float]) -> str | None:
    """The first choice that applies to a vector."""
    return next(choice.choose for choice in choices if choice.applies(vector))


def _tags_agree(task: Task, target: dict[str, float], vector: dict[str, float] | None) -> bool | None:
    if not task.derived.tags:
        return None
    lists = task.derived.tags.values()
    return vector is not None and all(choose(choices, target) == choose(choices, vector) for choices in lists)


def _slots_agree(task: Task, target: dict[str, float], vector: dict[str, float] | None) -> float | None:
    if not task.derived.slots:
        return None
    if vector is None:
        return 0.0
    hits = [choose(choices, target) == choose(choices, vector) for choices in task.derived.slots.values()]
    return sum(hits) / len(hits)


def _targets(rows: Sequence[ScoredRow], task: Task) -> Floats:
    return np.array([[row.target_vector[name] for name in task.names] for row in rows], dtype=float).reshape(
        len(rows), len(task.names)
    )


def _mean(values: Sequence[float] | Floats) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _r2(errors: Floats, targets: Floats) -> float | None:
    # Equal targets are asked for as such: their mean may miss them by a rounding error, and so has a spread.
    if len(targets) == 0 or np.ptp(targets) == 0:
        return None
    return 1 - float(np.square(errors).sum() / np.square(targets - targets.mean()).sum())


def _sanity(row: ScoredRow, task: Task) -> float:
    if row.predicted_vector is None:
        return 12.0
    spread = float(np.std(list(row.predicted_vector.values()))) * 100 / task.scale.width
    return min(100.0, 72 + 0.6 * spread)


def _nearest_rank(ordered: Sequence[float], share: float) -> float | None:
    return ordered[max(0, int(np.ceil(share * len(ordered))) - 1)] if ordered else None
