"""What a training writes down as it goes: loss and learning rate of each step, its own answers of each epoch.

The answers are measured by the metrics of record, on some of the diagnose rows; scores of record are the eval server's.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from servers.core.answers import Answer, ServedBy
from servers.core.dataset import Example
from servers.core.job_files import METRICS, TrainSpec
from servers.core.metrics import RowScorer, aggregate
from servers.core.task import Task
from training_jobs.job import Job
from training_jobs.lora.checkpoints import complete
from training_jobs.lora.generating import Answerer

WATCHED_ROWS = 64  # some 20 seconds an epoch for a 3B model on an A10G


class Watcher(TrainerCallback):
    """Writes `metrics.jsonl` and notes checkpoints.

    Args:
        job: Whose metrics they are.
        answerer: Answers with the model as it is.
        watched: Diagnose rows; the first WATCHED_ROWS are asked.
        epoch_steps: Steps of the optimizer in an epoch.
        base_revision: Of the base, noted in checkpoints.
        work: What checkpoints belong to.
        phases: Steps of the job beside the optimizer's.
    """

    def __init__(
        self,
        job: Job[TrainSpec],
        answerer: Answerer,
        watched: Sequence[Example],
        epoch_steps: int,
        base_revision: str | None,
        work: str,
        phases: int,
    ) -> None:
        self._job, self._answerer, self._watched = job, answerer, watched[:WATCHED_ROWS]
        self._epoch_steps, self._base_revision, self._work, self._phases = epoch_steps, base_revision, work, phases

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure the base, once."""
        if state.global_step == 0:
            self._job.log(0, self._measured())

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Write the row of a step, before a checkpoint of it is saved."""
        step = state.global_step
        if not logs or "loss" not in logs:
            return
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise ValueError(f"the loss is {loss:g} at step {step} of {state.max_steps}; lower learning_rate")
        row = {"objective/train_loss": loss, "train/loss": loss, "learning_rate": float(logs["learning_rate"])}
        if step % self._epoch_steps == 0:
            row |= self._measured()
        self._job.log(step, row)
        if step % max(1, state.max_steps // 50) == 0:  # the status is for whoever waits
            of = state.max_steps + self._phases
            self._job.say(f"training, step {step} of {state.max_steps}, loss {loss:.4f}", of, step + 1)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note that the checkpoint is whole."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        complete(folder, self._job.folder / METRICS, self._work, state.global_step, self._base_revision)

    def _measured(self) -> dict[str, float]:
        return measured(self._answerer, self._watched, self._job.spec.task)


def measured(answerer: Answerer, rows: Sequence[Example], task: Task) -> dict[str, float]:
    """The model's errors on some rows; empty where there are none."""
    if not rows:
        return {}
    words = answerer.answer([row.text for row in rows])
    served_by = ServedBy(backend="fine_tuned", model_id="as trained so far", digest="")
    scorer = RowScorer(task, "iter_eval", served_by, "diagnose", trace_url=lambda _: "")
    answers = [
        Answer(id=row.id, text=one.text, latency_ms=None, served_by=served_by)
        for row, one in zip(rows, words, strict=True)
    ]
    figures = aggregate(scorer.score(rows, answers), task, cost_usd=None)
    names = ["mae_raw", *(f"mae_raw_{name}" for name in task.names), "json_valid_rate"]
    found = {f"iter_eval/{name}": value for name in names if (value := figures[name]) is not None}
    # Answers are held to their form, so nearly all are valid; this one says how many needed no holding.
    return found | {"iter_eval/unforced_rate": sum(one.unforced for one in words) / len(words)}
