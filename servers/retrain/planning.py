"""Plan a training: on which rows, with which hyperparameters, changed for which reasons, at what price."""

import os
import statistics
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, ValidationError

from servers.core.cycle_files import document, needs_unjudged
from servers.core.dataset import Card, DatasetStore
from servers.core.disk import digest, now, read_json, write_json
from servers.core.job_files import TrainSpec
from servers.core.jobs import JobStatus, JobStore
from servers.core.models import trained_model, trained_models
from servers.core.student import FAMILY, StudentHparams
from servers.core.task import Task
from servers.core.wire import Wire
from servers.core.workspace import Workspace

MAX_CHANGES = 3  # more at once, and nobody can say what an effect came from
PLAN_FILE = "hparam_patch.json"
SEED = 0
START_S, ROW_S = 3.0, 0.006  # a guess for the first training: imports, and five fits of a few hundred rows


class HparamChange(Wire):
    """One hyperparameter set anew."""

    name: str
    value: float
    reason: Annotated[str, Field(max_length=500)]


class HparamPatch(Wire):
    """The values that change, by name."""

    before: dict[str, Any] = Field(alias="from", serialization_alias="from")
    after: dict[str, Any] = Field(alias="to", serialization_alias="to")


class RetrainPlan(Wire):
    """`hparam_patch.json`: what the next training does, and why."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema")
    plan_id: str
    cycle: str
    dataset: str
    dataset_version: str
    model_family: str
    from_model: str
    """The champion, whose recipe is what the changes start from."""
    hparam_patch: HparamPatch
    next_hparams: dict[str, Any]
    """The whole recipe."""
    changes: list[HparamChange]
    cost_usd: float
    seconds_estimate: float
    task_digest: str
    """Of the task that it was planned for: with another one it cannot be carried out."""
    planned_at: str


class Planning:
    """Training plans for one task, and the jobs that carry them out."""

    def __init__(self, workspace: Workspace, task: Task, jobs: JobStore) -> None:
        self._workspace, self._task, self._jobs = workspace, task, jobs
        self._datasets = DatasetStore(workspace)

    def plan(self, cycle: str, changes: Sequence[HparamChange]) -> RetrainPlan:
        """Write a plan to train on the newest version of the cycle's dataset.

        Raises:
            ValueError: the cycle was not diagnosed, has its verdict or trains another plan; a change is unknown, out of
                range, changes nothing, has no reason or is one too many; or the champion was trained on exactly this.
        """
        opened = needs_unjudged(self._workspace, cycle)
        document(self._workspace, cycle, "diagnosis.json", "diagnose_dataset")
        card = self._datasets.head(opened.dataset)
        if card.task != self._task.name:
            raise ValueError(f"{card.name!r} is for task {card.task!r}, this server works on {self._task.name!r}")
        before, trained_on = self._champion(opened.champion)
        hparams = _changed(before, changes)
        self._refuse_another(cycle, self._plan_id(cycle, card, hparams))
        if trained_on == card.fingerprint and hparams == before:
            raise ValueError(
                f"the champion {opened.champion!r} was trained on exactly these rows and settings; "
                "change a hyperparameter, add rows with plan_augmentation, or call write_report with a stop_reason"
            )
        plan = RetrainPlan(
            plan_id=self._plan_id(cycle, card, hparams),
            cycle=cycle,
            dataset=card.name,
            dataset_version=card.fingerprint,
            model_family=FAMILY,
            from_model=opened.champion,
            hparam_patch=_patch(before, hparams),
            next_hparams=hparams.model_dump(),
            changes=list(changes),
            cost_usd=0.0,
            seconds_estimate=self._estimate(card),
            task_digest=digest(self._task),
            planned_at=now(),
        )
        write_json(self._workspace.cycle_dir(cycle) / PLAN_FILE, plan.model_dump(mode="json", by_alias=True))
        return plan

    def start(self, plan_id: str) -> JobStatus:
        """Start the job of a plan; a plan whose job lives or has ended well finds that job.

        Raises:
            ValueError: there is no such plan, its cycle is closed or has its verdict, or it was made for another task
                file or before the newest rows.
        """
        plan = self._by_id(plan_id)
        job_id = f"train-{plan_id.removeprefix('retrain-')}"
        was_started = self._jobs.exists(job_id)
        if was_started and (found := self._jobs.status(job_id)).state == "succeeded":
            return found
        needs_unjudged(self._workspace, plan.cycle)
        card = self._datasets.card(plan.dataset, plan.dataset_version)
        if plan_id != self._plan_id(plan.cycle, card, StudentHparams.model_validate(plan.next_hparams)):
            raise ValueError(f"{plan_id!r} was planned for another task file; call plan_retrain again")
        newest = self._datasets.head(plan.dataset).fingerprint
        if not was_started and newest != plan.dataset_version:
            raise ValueError(
                f"{plan_id!r} was planned on version {plan.dataset_version!r}, and {newest!r} is newer; "
                "call plan_retrain again"
            )
        return self._jobs.start(self._spec(plan, job_id))

    def _spec(self, plan: RetrainPlan, job_id: str) -> TrainSpec:
        rows = self._workspace.dataset_dir(plan.dataset, plan.dataset_version)
        # As seen from the job's folder, so that the artifacts folder can be moved.
        train, diagnose = (
            os.path.relpath(rows / name, self._workspace.job_dir(job_id)) for name in ("train.jsonl", "diagnose.jsonl")
        )
        return TrainSpec(
            job_id=job_id,
            model_id=f"{FAMILY}-{job_id.removeprefix('train-')}",
            family=plan.model_family,
            hparams=plan.next_hparams,
            seed=SEED,
            task=self._task,
            dataset=plan.dataset,
            dataset_version=plan.dataset_version,
            cycle=plan.cycle,
            plan_id=plan.plan_id,
            train_file=train,
            texts_file=diagnose,
        )

    def _refuse_another(self, cycle: str, plan_id: str) -> None:
        """One candidate a cycle is trained; one whose training failed or was cancelled may give way to another."""
        for job in self._jobs.list():
            if job.cycle == cycle and job.plan_id not in (None, plan_id) and job.state not in ("failed", "cancelled"):
                raise ValueError(
                    f"{cycle} trains with {job.plan_id!r} ({job.job_id} {job.state}), and one candidate a cycle is "
                    "judged; go on with it, or end it with cancel_job; another recipe is for the next cycle"
                )

    def _plan_id(self, cycle: str, card: Card, hparams: StudentHparams) -> str:
        """The id follows from what is trained, not from the reasons, so planning twice finds the same job."""
        return "retrain-" + digest([cycle, card.name, card.fingerprint, FAMILY, hparams, SEED, self._task])[:12]

    def _champion(self, model: str) -> tuple[StudentHparams, str | None]:
        """The champion's recipe and the version it was trained on; the defaults and None for one never trained."""
        if not model.startswith(f"{FAMILY}-"):
            return StudentHparams(), None
        made = trained_model(self._workspace, model)
        return StudentHparams.model_validate(made.hparams), made.dataset_version

    def _estimate(self, card: Card) -> float:
        """Seconds, from how long the past trainings on this dataset took a row."""
        past = [made.seconds / made.train_rows for made in trained_models(self._workspace, card.name)]
        return round(START_S + (statistics.median(past) if past else ROW_S) * card.rows.train, 1)

    def _by_id(self, plan_id: str) -> RetrainPlan:
        files = sorted((self._workspace.root / "loop").glob(f"*/{PLAN_FILE}"))
        plans = {plan.plan_id: plan for plan in (RetrainPlan.model_validate(read_json(file)) for file in files)}
        if plan_id not in plans:
            raise ValueError(f"no training plan {plan_id!r}; known: {', '.join(plans) or 'none'}; call plan_retrain")
        return plans[plan_id]


def _changed(before: StudentHparams, changes: Sequence[HparamChange]) -> StudentHparams:
    """The recipe after the changes."""
    if len(changes) > MAX_CHANGES:
        raise ValueError(f"{len(changes)} changes at once; make at most {MAX_CHANGES}, so that an effect has a cause")
    if len({change.name for change in changes}) != len(changes):
        raise ValueError("a hyperparameter is changed twice; give each once")
    for change in changes:
        if change.name not in StudentHparams.model_fields:
            raise ValueError(f"no hyperparameter {change.name!r}; known: {_ranges()}")
        if not change.reason.strip():
            raise ValueError(f"the change of {change.name!r} has no reason; say what it is for")
        if getattr(before, change.name) == change.value:
            raise ValueError(f"{change.name!r} is {change.value:g} already; leave it out, or change it: {_ranges()}")
    try:
        return StudentHparams.model_validate(before.model_dump() | {c.name: c.value for c in changes})
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{name}: " for name in first["loc"])
        raise ValueError(f"{where}{first['msg'].removeprefix('Value error, ')}; known: {_ranges()}") from error


def _patch(before: StudentHparams, after: StudentHparams) -> HparamPatch:
    old, new = before.model_dump(), after.model_dump()
    changed = [name for name in new if new[name] != old[name]]
    # By alias: `from` is no name in Python.
    return HparamPatch.model_validate({"from": {n: old[n] for n in changed}, "to": {n: new[n] for n in changed}})


def _ranges() -> str:
    """Every hyperparameter with the values it takes."""
    limits = StudentHparams.model_json_schema()["properties"]
    return ", ".join(f"{name} {one['minimum']:g} to {one['maximum']:g}" for name, one in limits.items())
