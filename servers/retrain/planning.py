"""Plan a training: on which rows, with which hyperparameters, changed for which reasons, at what price."""

import statistics
from collections.abc import Sequence
from typing import Any

from pydantic import Field, ValidationError

from servers.core.cycle_files import Opening, needs_open
from servers.core.dataset import Card, DatasetStore
from servers.core.disk import digest, now, read_json, write_json
from servers.core.jobs import JobStatus, JobStore
from servers.core.registry import Registry
from servers.core.student import FAMILY, StudentHparams
from servers.core.task import Task
from servers.core.wire import Wire
from servers.core.workspace import Workspace

MAX_CHANGES = 3  # more at once, and nobody can say what an effect came from
GUESS_S = 5.0  # for a first training, before any has been timed
PLAN_FILE = "hparam_patch.json"


class HparamChange(Wire):
    """One hyperparameter set anew."""

    name: str
    value: float
    reason: str = Field(min_length=3, max_length=500)


class RetrainPlan(Wire):
    """`hparam_patch.json`."""

    schema_version: int = Field(1, alias="schema", serialization_alias="schema")
    plan_id: str
    cycle: str
    dataset: str
    dataset_version: str
    model_family: str
    from_model: str
    """The champion, whose recipe is what the changes start from."""
    hparam_patch: dict[str, Any]
    """from and to: the values that change."""
    next_hparams: dict[str, Any]
    """The whole recipe."""
    changes: list[HparamChange]
    cost_usd: float
    seconds_estimate: float
    planned_at: str


class Planning:
    """Training plans for one task, and the jobs that carry them out."""

    def __init__(self, workspace: Workspace, task: Task, jobs: JobStore) -> None:
        self._workspace, self._task, self._jobs = workspace, task, jobs
        self._datasets, self._registry = DatasetStore(workspace), Registry(workspace)

    def plan(self, cycle: str, changes: Sequence[HparamChange]) -> RetrainPlan:
        """Write a plan to train on the newest version of the cycle's dataset.

        Raises:
            ValueError: a change is unknown, out of range, without a reason, or one too many.
        """
        opened = needs_open(self._workspace, cycle)
        card = self._datasets.head(opened.dataset)
        before = self._recipe_of(opened.champion)
        after = self._changed(before, changes)
        moved = [c.name for c in changes if getattr(before, c.name) != getattr(after, c.name)]
        plan_id = "retrain-" + digest([cycle, card.name, card.fingerprint, after, self._task])[:12]
        plan = RetrainPlan(
            plan_id=plan_id,
            cycle=cycle,
            dataset=card.name,
            dataset_version=card.fingerprint,
            model_family=FAMILY,
            from_model=opened.champion,
            hparam_patch={
                "from": {name: getattr(before, name) for name in moved},
                "to": {name: getattr(after, name) for name in moved},
            },
            next_hparams=after.model_dump(),
            changes=list(changes),
            cost_usd=0.0,
            seconds_estimate=self._estimate(),
            planned_at=now(),
        )
        found = self._found(cycle)
        if found is not None and found.plan_id == plan_id:
            return found
        write_json(self._workspace.cycle_dir(cycle) / PLAN_FILE, plan.model_dump(mode="json", by_alias=True))
        return plan

    def start(self, plan_id: str) -> JobStatus:
        """Start the job of a plan; a plan whose job runs or has ended well finds that job.

        Raises:
            ValueError: there is no such plan, or its cycle is closed.
        """
        plan = self._by_id(plan_id)
        opened = needs_open(self._workspace, plan.cycle)
        card = self._datasets.card(plan.dataset, plan.dataset_version)
        number = digest([plan_id])[:12]
        return self._jobs.start(f"train-{number}", self._spec(plan, opened, card, f"{FAMILY}-{number}"))

    def _spec(self, plan: RetrainPlan, opened: Opening, card: Card, model_id: str) -> dict[str, Any]:
        folder = self._workspace.dataset_dir(card.name, card.fingerprint)
        return {
            "kind": "train",
            "task": self._task.model_dump(mode="json", by_alias=True),
            "cycle": opened.cycle,
            "plan_id": plan.plan_id,
            "model_id": model_id,
            "dataset": card.name,
            "dataset_version": card.fingerprint,
            "train_file": str(folder / "train.jsonl"),
            "diagnose_file": str(folder / "diagnose.jsonl"),
            "hparams": plan.next_hparams,
        }

    def _recipe_of(self, model: str) -> StudentHparams:
        """The hyperparameters that a model was trained with; the defaults for one that was not trained."""
        result = self._workspace.job_dir(f"train-{model.removeprefix(FAMILY + '-')}") / "result.json"
        return StudentHparams.model_validate(read_json(result)["hparams"]) if result.exists() else StudentHparams()

    def _changed(self, before: StudentHparams, changes: Sequence[HparamChange]) -> StudentHparams:
        known = StudentHparams.model_fields
        if len(changes) > MAX_CHANGES:
            raise ValueError(
                f"{len(changes)} changes at once; make at most {MAX_CHANGES}, so that an effect has a cause"
            )
        for change in changes:
            if change.name not in known:
                raise ValueError(f"no hyperparameter {change.name!r}; known: {', '.join(known)}")
        if len({change.name for change in changes}) != len(changes):
            raise ValueError("a hyperparameter is changed twice; give each once")
        try:
            return StudentHparams.model_validate(before.model_dump() | {c.name: c.value for c in changes})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "hyperparameters"
            raise ValueError(f"{where}: {first['msg']} (given: {first['input']!r})") from error

    def _estimate(self) -> float:
        past = [job.seconds for job in self._jobs.list() if job.kind == "train" and job.seconds is not None]
        return round(statistics.median(past), 1) if past else GUESS_S

    def _found(self, cycle: str) -> RetrainPlan | None:
        path = self._workspace.cycle_dir(cycle) / PLAN_FILE
        return RetrainPlan.model_validate(read_json(path)) if path.exists() else None

    def _by_id(self, plan_id: str) -> RetrainPlan:
        for path in (self._workspace.root / "loop").glob(f"*/{PLAN_FILE}"):
            plan = RetrainPlan.model_validate(read_json(path))
            if plan.plan_id == plan_id:
                return plan
        raise ValueError(f"no training plan {plan_id!r}; call plan_retrain first")
