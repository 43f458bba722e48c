"""Plan a training: on which rows, with which hyperparameters, changed for which reasons, at what price."""

import os
import statistics
from collections.abc import Sequence
from typing import Any

from servers.core.campaign import refuse_campaign
from servers.core.cycle_files import document, needs_unjudged
from servers.core.dataset import Card, DatasetStore
from servers.core.disk import digest, now, read_json, write_json
from servers.core.job_files import TrainSpec
from servers.core.jobs import JobStatus, JobStore
from servers.core.models import trained_models
from servers.core.recipes import PLAN_FILE, HparamChange, RetrainPlan, champions_recipe, changed, patch
from servers.core.student import FAMILY, StudentHparams
from servers.core.task import Task
from servers.core.workspace import Workspace

SEED = 0
START_S, ROW_S = 3.0, 0.006  # a guess for the first training: imports, and five fits of a few hundred rows


def train_spec(
    workspace: Workspace,
    task: Task,
    card: Card,
    job_id: str,
    hparams: dict[str, Any],
    seed: int,
    *,
    cycle: str,
    plan_id: str,
) -> TrainSpec:
    """What a job of this id has to do to train on a dataset version with a whole recipe."""
    rows = workspace.dataset_dir(card.name, card.fingerprint)
    # As seen from the job's folder, so that the artifacts folder can be moved.
    train, diagnose = (
        os.path.relpath(rows / name, workspace.job_dir(job_id)) for name in ("train.jsonl", "diagnose.jsonl")
    )
    return TrainSpec(
        job_id=job_id,
        model_id=f"{FAMILY}-{job_id.removeprefix('train-')}",
        family=FAMILY,
        hparams=hparams,
        seed=seed,
        task=task,
        dataset=card.name,
        dataset_version=card.fingerprint,
        cycle=cycle,
        plan_id=plan_id,
        train_file=train,
        texts_file=diagnose,
    )


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
        refuse_campaign(opened)
        document(self._workspace, cycle, "diagnosis.json", "diagnose_dataset")
        card = self._datasets.head(opened.dataset)
        if card.task != self._task.name:
            raise ValueError(f"{card.name!r} is for task {card.task!r}, this server works on {self._task.name!r}")
        before, trained_on = champions_recipe(self._workspace, opened.champion)
        hparams = changed(before, changes)
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
            hparam_patch=patch(before, hparams),
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
        return self._jobs.start(
            train_spec(
                self._workspace, self._task, card, job_id, plan.next_hparams, SEED, cycle=plan.cycle, plan_id=plan_id
            )
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
