"""The retrain server: plans and starts training jobs, and puts models into service when the gate let them."""

import time
from typing import Annotated, Literal

import anyio
from pydantic import Field

from servers.core.backends import tracking_coordinates
from servers.core.dataset import DatasetStore
from servers.core.disk import read_json
from servers.core.jobs import JobStatus, JobStore
from servers.core.registry import Move, Registry
from servers.core.student import StudentHparams
from servers.core.task import Task
from servers.core.tracking import LocalTracker
from servers.core.wire import Wire
from servers.core.workspace import Workspace
from servers.retrain.planning import HparamChange, Planning
from servers.retrain.releasing import Releasing
from servers.retrain.tracking import log_job
from servers.room import CycleId, DatasetName, ModelId, Room

INSTRUCTIONS = "Trains candidates in jobs and puts a model into service once the gate has passed it."
POLL_S = 0.05

JobId = Annotated[str, Field(description="id that start_retrain returned")]


class PlanResult(Wire):
    plan_id: str
    model_family: str
    dataset: str
    dataset_version: str
    hparams: StudentHparams
    changes: list[HparamChange]
    cost_usd: float
    seconds_estimate: float
    next: str


class JobResult(Wire):
    job_id: str
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    message: str | None
    step: int
    of: int
    seconds: float | None
    model: str | None
    """The candidate's model id, once the job succeeded."""
    error: str | None
    next: str


class Jobs(Wire):
    jobs: list[JobResult]
    total: int


class ModelEntry(Wire):
    model: str
    job_id: str
    cycle: str | None
    dataset_version: str
    digest: str
    champion: bool


class Models(Wire):
    champion: str | None
    models: list[ModelEntry]
    history: list[Move]


class Service(Wire):
    """Who serves now."""

    champion: str
    previous: str | None
    verdict_id: str | None
    next: str


def build_room(workspace: Workspace, task: Task) -> Room:
    """The retrain server over one artifacts folder, for one task."""
    room = Room("retrain", INSTRUCTIONS, workspace)
    jobs, registry, datasets = JobStore(workspace), Registry(workspace), DatasetStore(workspace)
    planning, releasing = Planning(workspace, task, jobs), Releasing(workspace, task)
    tracker, (entity, project) = LocalTracker(workspace.tracking_file), tracking_coordinates(task.name)

    def seen(job: JobStatus) -> JobResult:
        """A job as the caller sees it; one that has ended is in the tracker by then."""
        log_job(workspace, tracker, entity, project, job)
        return _result(job)

    @room.writes()
    def plan_retrain(
        cycle: CycleId,
        changes: Annotated[list[HparamChange], Field(description="hyperparameters to change, with reasons; [] = none")],
    ) -> PlanResult:
        """Plan a training on the newest version of the cycle's dataset, with a quote; writes hparam_patch.json.
        Next: start_retrain.
        """
        plan = planning.plan(cycle, changes)
        return PlanResult(
            plan_id=plan.plan_id,
            model_family=plan.model_family,
            dataset=plan.dataset,
            dataset_version=plan.dataset_version,
            hparams=StudentHparams.model_validate(plan.next_hparams),
            changes=plan.changes,
            cost_usd=plan.cost_usd,
            seconds_estimate=plan.seconds_estimate,
            next="start_retrain",
        )

    @room.writes()
    def start_retrain(plan_id: Annotated[str, Field(description="id that plan_retrain returned")]) -> JobResult:
        """Start the training job of a plan and return at once; the same plan is never trained twice. Next: get_job."""
        return seen(planning.start(plan_id))

    @room.reads()
    async def get_job(
        job_id: JobId, wait_s: Annotated[float, Field(ge=0, le=20, description="wait this long for its end")] = 0
    ) -> JobResult:
        """Say how far a job is, and which model it made. Next: evaluate_model with that model."""
        deadline = time.monotonic() + wait_s
        job = await anyio.to_thread.run_sync(jobs.status, job_id)
        while job.state in ("queued", "running") and time.monotonic() < deadline:
            await anyio.sleep(POLL_S)
            job = await anyio.to_thread.run_sync(jobs.status, job_id)
        return seen(job)

    @room.reads()
    def list_jobs(limit: Annotated[int, Field(ge=1, le=100)] = 20) -> Jobs:
        """List the newest jobs."""
        every = jobs.list()
        return Jobs(jobs=[seen(job) for job in every[-limit:][::-1]], total=len(every))

    @room.destroys()
    def cancel_job(job_id: JobId) -> JobResult:
        """End a running job; what it did so far is lost. start_retrain with its plan begins it afresh."""
        return seen(jobs.cancel(job_id))

    @room.reads()
    def list_models(dataset: DatasetName) -> Models:
        """List the models trained on a dataset, which one serves, and how that came about."""
        datasets.head(dataset)
        champion = registry.champion(dataset)
        entries = []
        for job in jobs.list():
            if job.model is None or job.kind != "train":
                continue
            made = read_json(workspace.job_dir(job.job_id) / "result.json")
            if made["dataset"] == dataset:
                entries.append(
                    ModelEntry(
                        model=job.model,
                        job_id=job.job_id,
                        cycle=job.cycle,
                        dataset_version=made["dataset_version"],
                        digest=made["digest"],
                        champion=job.model == champion,
                    )
                )
        return Models(champion=champion, models=entries, history=registry.history(dataset))

    @room.writes()
    def promote_model(cycle: CycleId, candidate: ModelId) -> Service:
        """Put the candidate that passed this cycle's gate into service. At a beginning that did not pass, give
        'constant'. Needs three remedied failures in the playbook. Next: write_playbook, write_report.
        """
        move = releasing.promote(cycle, candidate)
        return _service(move, "write_playbook with lessons, then write_report")

    @room.destroys()
    def rollback_model(dataset: DatasetName, reason: Annotated[str, Field(min_length=3, max_length=500)]) -> Service:
        """Take the champion out of service and put the one before it back."""
        return _service(releasing.roll_back(dataset, reason), "open_cycle")

    return room


def _result(job: JobStatus) -> JobResult:
    following = {
        "succeeded": "evaluate_model with the model",
        "failed": "read the error; plan_retrain with other changes, or start_retrain again",
        "cancelled": "start_retrain again, or write_report with a stop_reason",
    }
    return JobResult(
        job_id=job.job_id,
        state=job.state,
        message=job.message,
        step=job.step,
        of=job.of,
        seconds=job.seconds,
        model=job.model,
        error=job.error,
        next=following.get(job.state, "get_job with wait_s"),
    )


def _service(move: Move, following: str) -> Service:
    return Service(champion=move.model, previous=move.previous, verdict_id=move.verdict_id, next=following)
