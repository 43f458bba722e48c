"""Evaluations on the diagnose split: what one holds, and where they lie.

`eval/runs/<id>/` has `predictions.jsonl` (the model's words), `rows.jsonl` (each row scored) and `eval.json`, which is
written last of all: an evaluation without it never happened, and is made again. Sealed rows never come here.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field

from servers.core.answers import Answer, ServedBy
from servers.core.disk import digest, now, read_json, read_jsonl, write_json, write_jsonl
from servers.core.task import Task
from servers.core.wire import Wire
from servers.core.workspace import Workspace

DELTA_METRICS = ("intent_score_mean", "vector_mae", "json_valid_rate")


class ScoredRow(Wire):
    """One example, what the model answered, and how far off it was."""

    example_id: str
    trace_id: str
    """32 hexadecimal digits; the row's root trace in the tracker."""
    trace_url: str
    run_id: str
    mode: str
    """Which arm answered."""
    scenario: str
    """The split the row belongs to."""
    text: str
    answer: str
    json_valid: bool
    parse_error: str | None
    target_vector: dict[str, float]
    predicted_vector: dict[str, float] | None
    """Null where the answer is invalid."""
    abs_error_by_dim: dict[str, float]
    """Points; for an invalid answer the worst that the scale allows for this target."""
    mae_raw: float
    """Mean of the errors by dimension, points."""
    intent_score: float
    constraint_match: bool | None
    """Whether all derived tags agree; null for a task without tags."""
    slot_exact_match: float | None
    """Share of derived slots that agree, 0 to 1; null for a task without slots."""
    latency_ms: float | None
    served_by: ServedBy


class Evaluation(Wire):
    """One model measured on the diagnose split in one cycle."""

    schema_version: int = Field(1, alias="schema", serialization_alias="schema")
    evaluation_id: str
    cycle: str
    model: str
    arm: str
    served_by: ServedBy
    dataset: str
    dataset_version: str
    diagnose_fingerprint: str
    split: str = "diagnose"
    n: int
    n_invalid: int
    created_at: str
    entity: str
    project: str
    run_id: str
    run_url: str
    metrics: dict[str, float | None]
    """By metric name; null where nothing could be measured. Definitions: servers/core/metrics.py."""
    standard_errors: dict[str, float]
    """Points, for vector_mae and mae_raw_<dimension>, clustered by near-copy group."""


def evaluation_id_for(cycle: str, served_by: ServedBy, diagnose_fingerprint: str, task: Task) -> str:
    """The id of an evaluation follows from what is measured on what, so asking twice finds the first."""
    return "eval-" + digest([cycle, served_by, diagnose_fingerprint, task])[:12]


def trace_id_for(evaluation_id: str, example_id: str) -> str:
    return digest([evaluation_id, example_id])[:32]


class EvaluationStore:
    """The evaluations of one artifacts folder."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def get(self, evaluation_id: str) -> Evaluation:
        """One evaluation.

        Raises:
            ValueError: there is none of this id.
        """
        path = self._workspace.evaluation_dir(evaluation_id) / "eval.json"
        if not path.exists():
            known = ", ".join(evaluation.evaluation_id for evaluation in self.all()[-5:]) or "none"
            raise ValueError(f"no evaluation {evaluation_id!r}; the newest are: {known}; call evaluate_model first")
        return Evaluation.model_validate(read_json(path))

    def rows(self, evaluation_id: str) -> list[ScoredRow]:
        """The scored rows of one evaluation, in the order of the split.

        Raises:
            ValueError: there is no such evaluation, or its rows are not all there.
        """
        wanted = self.get(evaluation_id).n
        path = self._workspace.evaluation_dir(evaluation_id) / "rows.jsonl"
        rows = [ScoredRow.model_validate(row) for row in read_jsonl(path)]
        if len(rows) != wanted:
            raise ValueError(f"{path} holds {len(rows)} of {wanted} rows; restore it, or delete its folder")
        return rows

    def all(self) -> list[Evaluation]:
        """Every evaluation, oldest first."""
        files = (self._workspace.root / "eval" / "runs").glob("*/eval.json")
        return sorted((Evaluation.model_validate(read_json(file)) for file in files), key=lambda e: e.created_at)

    def find(self, cycle: str, model: str) -> Evaluation | None:
        """The newest evaluation of this model in this cycle."""
        found = [e for e in self.all() if e.cycle == cycle and e.model == model]
        return found[-1] if found else None

    def save(self, evaluation: Evaluation, rows: Iterable[ScoredRow], answers: Iterable[Answer]) -> None:
        """Write an evaluation and bring `eval/summary/latest_summary.json` up to date."""
        folder = self._workspace.evaluation_dir(evaluation.evaluation_id)
        write_jsonl(folder / "predictions.jsonl", answers)
        write_jsonl(folder / "rows.jsonl", rows)
        others = [found for found in self.all() if found.evaluation_id != evaluation.evaluation_id]
        write_json(self._workspace.summary_file, self._summary([*others, evaluation]))
        write_json(folder / "eval.json", evaluation.model_dump(mode="json", by_alias=True))

    def _summary(self, evaluations: Sequence[Evaluation]) -> dict[str, Any]:
        latest = {e.arm: e for e in evaluations}
        cycles = [folder for folder in (self._workspace.root / "loop").glob("*") if folder.is_dir()]
        closed = [folder for folder in cycles if (folder / "summary.json").exists()]
        return {
            "schema": 1,
            "generated_at": now(),
            "runs_count": len(evaluations),
            "latest_by_mode": {arm: _latest(evaluation) for arm, evaluation in latest.items()},
            "auto_improvement_delta": _delta(latest.get("fine_tuned"), latest.get("prompt")),
            "loop_completion_rate": len(closed) / len(cycles) if cycles else None,
        }


def _latest(evaluation: Evaluation) -> Mapping[str, Any]:
    return {
        "dataset_version": f"{evaluation.dataset}@{evaluation.dataset_version}",
        "model_id": evaluation.model,
        "evaluated_count": evaluation.n,
        "timestamp": evaluation.created_at,
        "metrics": evaluation.metrics,
        "tracking_run_id": evaluation.run_id,
        "tracking_run_url": evaluation.run_url,
        "weave_project": f"{evaluation.entity}/{evaluation.project}",
    }


def _delta(after: Evaluation | None, before: Evaluation | None) -> dict[str, float | None]:
    """Fine-tuned minus prompt, as the first project reported it; null where one of the two was never measured."""

    def difference(metric: str) -> float | None:
        if after is None or before is None:
            return None
        new, old = after.metrics.get(metric), before.metrics.get(metric)
        return None if new is None or old is None else new - old

    return {metric: difference(metric) for metric in DELTA_METRICS}
