"""The metrics of record: how an answer is scored and how rows become figures, as `definitions.py` defines them.

An invalid answer is never left out: it counts as the worst error that the scale allows for its target, on every
dimension, and `json_valid_rate` counts it once more. A mean over nothing is null, never 0. Points are units of the
task's scale. A metric is computed from how often each row counts: once for the figure, as often as it was drawn for its
interval.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from servers.core.answers import Answer, InvalidAnswer, ServedBy, parse_answer
from servers.core.bootstrap import COVERAGE, percentile_interval, resamples, spread
from servers.core.dataset import Example
from servers.core.evaluations import ScoredRow, trace_id_for
from servers.core.statistics import Floats, Labels
from servers.core.task import Choice, Task

RATES = {"json_valid_rate", "constraint_match_rate", "slot_exact_match"}


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
            intent_score=_intent(mae, task),
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
    """Every metric over the rows; null where there is nothing to measure.

    Args:
        rows: Scored rows of one evaluation.
        task: Their task.
        cost_usd: What all answers together cost; null where nobody knows.
    """
    figures = _figures(rows, task, np.ones((1, len(rows))))
    cost = None if cost_usd is None or not rows else 100 * cost_usd / len(rows)
    return {
        **{name: None if np.isnan(value).any() else float(value[0]) for name, value in figures.items()},
        "cost_per_100_requests_usd": cost,
    }


def uncertainty(
    rows: Sequence[ScoredRow], task: Task, clusters: Labels
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Standard errors and 95 % intervals of every metric that was measured, but for the cost, which is no sample.

    From the bootstrap of whole near-copy groups, to four digits. A rate of exactly 0 or 1, which no resample can leave,
    gets the bound of Clopper and Pearson over groups. Both are empty where there are fewer than two groups.
    """
    groups = len(np.unique(clusters))
    if groups < 2:
        return {}, {}
    blocks = [_figures(rows, task, times) for times in resamples(clusters)]
    measured = {name: value for name, value in aggregate(rows, task, None).items() if value is not None}
    drawn = {name: np.concatenate([block[name] for block in blocks]) for name in measured}
    errors = {name: _four_digits(spread(values, groups)) for name, values in drawn.items()}
    intervals = {name: percentile_interval(values) for name, values in drawn.items()}
    for name in RATES & measured.keys():
        if measured[name] in (0.0, 1.0):
            bound = ((1 - COVERAGE) / 2) ** (1 / groups)
            intervals[name] = (bound, 1.0) if measured[name] == 1.0 else (0.0, 1 - bound)
    return errors, {name: (_four_digits(low), _four_digits(high)) for name, (low, high) in intervals.items()}


def _figures(rows: Sequence[ScoredRow], task: Task, times: Floats) -> dict[str, Floats]:
    """Every metric but the cost, each row counted so many times: `times` is (b, rows), a figure (b,), NaN for none."""
    columns = _columns(rows, task)
    # One product for all: one for each column would wait for the other threads' cores as often.
    totals = dict(zip(columns, (times @ np.stack(list(columns.values()), axis=1)).T, strict=True))

    def mean(column: str) -> Floats:
        return _over(totals[column], totals["rows"])

    errors = {name: mean(f"error {name}") for name in task.names}
    mae = np.mean(list(errors.values()), axis=0)
    mse = np.mean([mean(f"square {name}") for name in task.names], axis=0)
    r2 = {name: _r2(totals, name) for name in task.names}
    have_r2 = ~np.isnan(list(r2.values()))
    latencies = _column([row.latency_ms for row in rows])
    return {
        "vector_mae": mae,
        "mae_raw": mae,
        **{f"mae_raw_{name}": error for name, error in errors.items()},
        "valid_vector_mae": _over(totals["valid error"], totals["valid"]),
        "mse_raw": mse,
        "mse_norm": mse / task.scale.width**2,
        "r2_score": _over(np.nansum(list(r2.values()), axis=0), have_r2.sum(axis=0)),
        **{f"r2_score_{name}": value for name, value in r2.items()},
        "json_valid_rate": mean("valid"),
        "intent_score_mean": mean("intent"),
        "output_sanity_score": mean("sanity"),
        "constraint_match_rate": mean("tags"),
        "slot_exact_match": mean("slots"),
        "p50_inference_latency_ms": _nearest_rank(times, latencies, 0.50),
        "p95_inference_latency_ms": _nearest_rank(times, latencies, 0.95),
    }


def _columns(rows: Sequence[ScoredRow], task: Task) -> dict[str, Floats]:
    """What is added up over the rows, each of shape (rows,)."""
    errors, targets = error_matrix(rows, task), _targets(rows, task)
    # Equal targets are asked for as such: their mean may miss them by a rounding error, and so has a spread.
    targets = np.where(np.ptp(targets, axis=0) > 0, targets - targets.mean(axis=0), 0.0) if rows else targets
    valid = _column([row.json_valid for row in rows])
    return {
        "rows": np.ones(len(rows)),
        **{f"error {name}": errors[:, k] for k, name in enumerate(task.names)},
        **{f"square {name}": np.square(errors[:, k]) for k, name in enumerate(task.names)},
        **{f"target {name}": targets[:, k] for k, name in enumerate(task.names)},
        **{f"target square {name}": np.square(targets[:, k]) for k, name in enumerate(task.names)},
        "valid": valid,
        "valid error": valid * errors.mean(axis=1),
        "intent": _column([row.intent_score for row in rows]),
        "sanity": _column([_sanity(row, task) for row in rows]),
        "tags": _column([row.constraint_match for row in rows]),
        "slots": _column([row.slot_exact_match for row in rows]),
    }


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


def _intent(mae: float, task: Task) -> float | None:
    if task.intent_points_per_error is None:
        return None
    return max(0.0, 100 - task.intent_points_per_error * 100 * mae / task.scale.width)


def _sanity(row: ScoredRow, task: Task) -> float:
    if row.predicted_vector is None:
        return 12.0
    spread_of_row = float(np.std(list(row.predicted_vector.values()))) * 100 / task.scale.width
    return min(100.0, 72 + 0.6 * spread_of_row)


def _column(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _over(totals: Floats, counts: Floats) -> Floats:
    """Quotients; NaN over nothing."""
    out = np.full(totals.shape, np.nan)
    np.divide(totals, counts, out=out, where=counts > 0)
    return out


def _r2(totals: Mapping[str, Floats], name: str) -> Floats:
    """1 - Σ error² / Σ (target - mean target)², shape (b,); NaN where the targets that count are all equal."""
    squares = totals[f"target square {name}"]
    around_mean = squares - _over(np.square(totals[f"target {name}"]), totals["rows"])
    # What is left of equal targets is a rounding error of their squares.
    return 1 - _over(totals[f"square {name}"], np.where(around_mean > 1e-9 * squares, around_mean, 0.0))


def _nearest_rank(times: Floats, latencies: Floats, share: float) -> Floats:
    """The smallest latency that so large a share of the timed requests does not exceed, shape (b,)."""
    order = np.argsort(latencies)[: int((~np.isnan(latencies)).sum())]  # NaN is sorted last
    if len(order) == 0:
        return np.full(len(times), np.nan)
    reached = times[:, order].cumsum(axis=1)
    first = (reached >= np.ceil(share * reached[:, -1:])).argmax(axis=1)
    return np.where(reached[:, -1] > 0, latencies[order][first], np.nan)


def _four_digits(value: float) -> float:
    return float(f"{value:.4g}")
