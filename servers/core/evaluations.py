"""Evaluations on the diagnose split: what one holds, where they lie, and whether they are what they say.

`eval/runs/<id>/` has `predictions.jsonl` (the model's words), `rows.jsonl` (each row scored) and `eval.json`, which is
written last of all: an evaluation without it never happened, and is made again. Whoever reads the rows learns whether
the model under test, and nothing else, answered every row once; else the evaluation is invalid. Sealed rows never come
here.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field

from servers.core.answers import Answer, ServedBy
from servers.core.dataset import DatasetStore
from servers.core.disk import digest, now, read_json, read_jsonl, write_json, write_jsonl
from servers.core.models import trained_model
from servers.core.served import Activity
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
    intent_score: float | None
    """0 to 100; null for a task without one."""
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
    """Of every metric that was measured but the cost, clustered by near-copy group; empty where there is but one."""
    intervals: dict[str, tuple[float, float]] = {}
    """95 %, for the same metrics; for pictures, not for verdicts."""
    differs_from_base: Activity | None = None
    """Whether what was trained is at work; null for an arm that stands on no other."""


def evaluation_id_for(cycle: str, served_by: ServedBy, diagnose_fingerprint: str, task: Task) -> str:
    """The id of an evaluation follows from what is measured on what, so asking twice finds the first."""
    return "eval-" + digest([cycle, served_by, diagnose_fingerprint, task])[:12]


def trace_id_for(evaluation_id: str, example_id: str) -> str:
    return digest([evaluation_id, example_id])[:32]


class EvaluationStore:
    """The evaluations of one artifacts folder."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._datasets = DatasetStore(workspace)

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

    def verified(self, evaluation_id: str) -> Evaluation:
        """One evaluation, after a look at every row of it.

        Raises:
            ValueError: there is none of this id, or it is invalid; one line that says why.
        """
        evaluation = self.get(evaluation_id)
        self.rows(evaluation_id)
        return evaluation

    def rows(self, evaluation_id: str) -> list[ScoredRow]:
        """The scored rows of one evaluation, in the order of the split.

        Raises:
            ValueError: there is no such evaluation, or it is invalid: rows are missing or doubled, something other than
                the model under test answered one, or files do not belong together.
        """
        evaluation = self.get(evaluation_id)
        folder = self._workspace.evaluation_dir(evaluation_id)
        rows = [ScoredRow.model_validate(row) for row in read_jsonl(folder / "rows.jsonl")]
        answers = [Answer.model_validate(row) for row in read_jsonl(folder / "predictions.jsonl")]
        asked = [example.id for example in self._datasets.diagnose(evaluation.dataset, evaluation.dataset_version)]
        if problem := _problem(evaluation, rows, answers, asked) or self._other_weights(evaluation.served_by):
            raise ValueError(f"evaluation {evaluation_id!r} is invalid: {problem}; call evaluate_model to measure anew")
        return rows

    def _other_weights(self, served_by: ServedBy) -> str | None:
        """What is wrong with who is said to have served: a job that made this model made other weights."""
        try:
            made = trained_model(self._workspace, served_by.model_id)
        except ValueError:  # an arm without weights; or the job is gone, and its model cannot be judged anyway
            return None
        return None if made.digest == served_by.digest else f"{served_by.model_id!r} was trained to other weights"

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


def _problem(
    evaluation: Evaluation, rows: Sequence[ScoredRow], answers: Sequence[Answer], asked: Sequence[str]
) -> str | None:
    """What makes an evaluation invalid; `asked` are the ids of the split's rows."""
    if [row.example_id for row in rows] != list(asked):
        ids = {row.example_id for row in rows}
        return f"it holds {len(rows)} rows of {len(ids & set(asked))} of the {len(asked)} examples, or in another order"
    served_by = evaluation.served_by
    everybody = [row.served_by for row in rows] + [answer.served_by for answer in answers]
    if found := next((other for other in everybody if other != served_by), None):
        return (
            f"a row was answered by {found.model_id!r} ({found.digest[:12]}), not by {served_by.model_id!r} "
            f"({served_by.digest[:12]})"
        )
    if any(row.run_id != evaluation.evaluation_id for row in rows) or served_by.model_id != evaluation.model:
        return "its rows are those of another evaluation"
    if [(row.example_id, row.answer) for row in rows] != [(answer.id, answer.text) for answer in answers]:
        return "what was scored is not what was answered"
    mean, stated = sum(row.mae_raw for row in rows) / len(rows), evaluation.metrics.get("vector_mae")
    if stated is None or not math.isclose(mean, stated, rel_tol=1e-9, abs_tol=1e-9):
        return "its figures are not those of its rows"
    return None


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
