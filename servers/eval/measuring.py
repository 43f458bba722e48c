"""Measure one model on the diagnose split: ask, score, write, and leave the trail in the tracker."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from servers.core.answers import Answer, ServedBy
from servers.core.arms import Arm
from servers.core.dataset import Card, Example
from servers.core.disk import now
from servers.core.evaluations import Evaluation, EvaluationStore, ScoredRow, evaluation_id_for
from servers.core.metrics import RowScorer, aggregate, uncertainty
from servers.core.near_copies import groups
from servers.core.progress import tell
from servers.core.served import Activity, activity
from servers.core.task import Task
from servers.core.tracking import Run, Trace, Tracker

WARM_UP_REQUESTS = 5
STEPS = 3  # that are told of after the answers: score, save traces, save the evaluation
TIMED_REQUESTS = 50  # the gate's latency rule: p95 over this many single requests


def ask(arm: Arm, examples: Sequence[Example]) -> list[Answer]:
    """One answer for each example; the first are asked one by one and timed, after a warm-up, the rest together."""
    texts = [example.text for example in examples]
    for text in texts[:WARM_UP_REQUESTS]:
        arm.answer([text])
    timed: list[tuple[str, float]] = []
    for number, text in enumerate(texts[:TIMED_REQUESTS]):
        started = time.perf_counter()
        (words,) = arm.answer([text])
        timed.append((words, 1000 * (time.perf_counter() - started)))
        tell(number + 1, len(texts) + STEPS, f"{number + 1} of {len(texts)} rows answered")
    together = arm.answer(texts[TIMED_REQUESTS:]) if len(texts) > TIMED_REQUESTS else []
    everything = [*timed, *((words, None) for words in together)]
    return [
        Answer(id=example.id, text=words, latency_ms=latency, served_by=arm.served_by)
        for example, (words, latency) in zip(examples, everything, strict=True)
    ]


@dataclass(frozen=True)
class Asked:
    """A model's answers to the diagnose rows, and what it stands on."""

    arm: str
    answers: Sequence[Answer]
    """One for each row, in order."""
    base: tuple[ServedBy, list[str]] | None
    """Who it was trained on top of, and the words of that to the same rows; None for an arm that stands on no other."""
    cost_usd: float | None
    """Of all the answers; None where nobody knows."""

    @property
    def served_by(self) -> ServedBy:
        return self.answers[0].served_by


class Measuring:
    """Evaluations of one task, written to the store and the tracker.

    Args:
        task: What is measured.
        store: Where evaluations lie.
        tracker: Where runs and traces go.
        place: Says whose project it is there, and which; asked when something is measured.
    """

    def __init__(
        self, task: Task, store: EvaluationStore, tracker: Tracker, place: Callable[[], tuple[str, str]]
    ) -> None:
        self._task, self._store, self._tracker, self._place = task, store, tracker, place

    def evaluate(self, cycle: str, card: Card, examples: Sequence[Example], arm: Arm) -> Evaluation:
        """Measure an arm that answers at once; asking again for the same thing finds what is there, if it is valid."""
        if (found := self._found(cycle, card, arm.served_by)) is not None:
            return found
        started = now()
        base = None
        if arm.base is not None:
            base = arm.base.served_by, arm.base.answer([example.text for example in examples])
        return self._record(cycle, card, examples, started, Asked(arm.arm, ask(arm, examples), base, 0.0))

    def evaluate_asked(self, cycle: str, card: Card, examples: Sequence[Example], asked: Asked) -> Evaluation:
        """Measure a model by answers that a job brought.

        Raises:
            ValueError: they are not one answer of one model for each example.
        """
        found = self._found(cycle, card, asked.served_by)
        return found or self._record(cycle, card, examples, now(), asked)

    def _found(self, cycle: str, card: Card, served_by: ServedBy) -> Evaluation | None:
        evaluation_id = evaluation_id_for(cycle, served_by, card.diagnose_fingerprint, self._task)
        found = self._store.find(cycle, served_by.model_id)
        if found is not None and found.evaluation_id == evaluation_id:
            with suppress(ValueError):  # invalid: measured anew
                return self._store.verified(evaluation_id)
        return None

    def _record(self, cycle: str, card: Card, examples: Sequence[Example], started: str, asked: Asked) -> Evaluation:
        served_by = asked.served_by
        entity, project = self._place()
        evaluation_id = evaluation_id_for(cycle, served_by, card.diagnose_fingerprint, self._task)
        scorer = RowScorer(
            self._task,
            evaluation_id,
            served_by,
            "diagnose",
            lambda trace_id: self._tracker.trace_url(entity, project, trace_id),
        )
        every = len(examples) + STEPS
        tell(every - 3, every, f"scoring {len(examples)} rows")
        rows = scorer.score(examples, asked.answers)
        clusters = groups([e.text for e in examples], card.near_copy_threshold, max_share=1.0).labels
        errors, intervals = uncertainty(rows, self._task, clusters)
        evaluation = Evaluation(
            evaluation_id=evaluation_id,
            cycle=cycle,
            model=served_by.model_id,
            arm=asked.arm,
            served_by=served_by,
            dataset=card.name,
            dataset_version=card.fingerprint,
            diagnose_fingerprint=card.diagnose_fingerprint,
            n=len(rows),
            n_invalid=sum(not row.json_valid for row in rows),
            created_at=now(),
            entity=entity,
            project=project,
            run_id=evaluation_id,
            run_url=self._tracker.run_url(entity, project, evaluation_id),
            metrics=aggregate(rows, self._task, asked.cost_usd),
            standard_errors=errors,
            intervals=intervals,
            differs_from_base=self._activity(asked),
        )
        tell(every - 2, every, f"saving {len(rows)} traces")
        # The tracker first: an evaluation that is on disk has its trail, whenever the process was stopped.
        self._tracker.save_run(self._run(evaluation, started))
        self._tracker.save_traces(entity, project, [self._trace(evaluation, r, started) for r in rows])
        tell(every - 1, every, "saving the evaluation")
        self._store.save(evaluation, rows, asked.answers)
        return evaluation

    def _activity(self, asked: Asked) -> Activity | None:
        if asked.base is None:
            return None
        served_by, words = asked.base
        return activity([answer.text for answer in asked.answers], words, served_by, self._task)

    def _run(self, evaluation: Evaluation, started: str) -> Run:
        return Run(
            id=evaluation.run_id,
            name=f"eval-{evaluation.cycle}-{evaluation.model}",
            entity=evaluation.entity,
            project=evaluation.project,
            group=evaluation.cycle,
            job_type="eval",
            tags=[evaluation.arm, evaluation.dataset],
            config={
                "model": evaluation.model,
                "arm": evaluation.arm,
                "model_digest": evaluation.served_by.digest,
                "task": self._task.name,
                "dataset": evaluation.dataset,
                "dataset/version": evaluation.dataset_version,
                "cycle": evaluation.cycle,
                "evaluation_id": evaluation.evaluation_id,
                "split": evaluation.split,
            },
            summary={
                **{f"eval/{name}": value for name, value in evaluation.metrics.items() if value is not None},
                "eval/n": evaluation.n,
                "eval/n_invalid": evaluation.n_invalid,
            },
            state="finished",
            created_at=started,
            updated_at=evaluation.created_at,
        )

    def _trace(self, evaluation: Evaluation, row: ScoredRow, started: str) -> Trace:
        return Trace(
            id=row.trace_id,
            trace_id=row.trace_id,
            parent_id=None,
            op_name="evaluate_row",
            display_name=f"{evaluation.model} {row.example_id}",
            started_at=started,
            ended_at=now(),
            inputs={self._task.text_name: row.text, "example_id": row.example_id},
            output={
                "prediction": row.predicted_vector,
                "target": row.target_vector,
                "abs_error_by_dim": row.abs_error_by_dim,
                "mae_raw": row.mae_raw,
                "json_valid": row.json_valid,
                "parse_error": row.parse_error,
                "intent_score": row.intent_score,
                "constraint_match": row.constraint_match,
                "slot_exact_match": row.slot_exact_match,
                "latency_ms": row.latency_ms,
                "served_by": row.served_by.model_dump(),
            },
            attributes={
                "cycle": evaluation.cycle,
                "split": evaluation.split,
                "model": evaluation.model,
                "mode": row.mode,
                "evaluation_id": evaluation.evaluation_id,
                "task": self._task.name,
            },
            exception=None,
            run_id=evaluation.run_id,
        )
