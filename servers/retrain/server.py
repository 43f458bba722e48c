"""The retrain server: plans and starts training jobs, and puts models into service when the gate let them."""

import time
from typing import Annotated

import anyio
from pydantic import Field

from servers.core.budget import Budget
from servers.core.campaign import is_campaign
from servers.core.dataset import DatasetStore
from servers.core.hub_repos import Uploaded
from servers.core.job_files import TrainResult
from servers.core.jobs import ENDED, JobStatus, JobStore
from servers.core.models import intact_folder, trained_models
from servers.core.paging import page
from servers.core.progress import tell
from servers.core.recipes import HparamChange
from servers.core.registry import Move, Registry
from servers.core.services import Services
from servers.core.task import Task
from servers.core.tracking import tracker_for
from servers.core.words import cleaned
from servers.core.workspace import Workspace
from servers.retrain import wording
from servers.retrain.campaigning import start_campaign
from servers.retrain.paying import Paying, starting
from servers.retrain.planning import Planning
from servers.retrain.publishing import publish_model_files
from servers.retrain.releasing import Releasing
from servers.retrain.results import JobResult, Jobs, ModelEntry, Models, PlanResult, Service
from servers.retrain.shelf import documents
from servers.retrain.trail import log_job, publish_trail
from servers.room import PAGE, CycleId, DatasetName, ModelId, Offset, Room

INSTRUCTIONS = "Trains candidates in jobs, and puts one into service once the gate has passed it. Begin: plan_retrain."
POLL_S = 0.05
SHOWN_MOVES = 20

JobId = Annotated[str, Field(description="id that start_retrain returned")]


def build_room(workspace: Workspace, task: Task, services: Services | None = None) -> Room:
    """The retrain server over one artifacts folder, for one task."""
    room, services = Room("retrain", INSTRUCTIONS, workspace), services or Services()
    jobs, registry, datasets = JobStore(workspace), Registry(workspace), DatasetStore(workspace)
    paying = Paying(workspace, services, jobs)
    planning, releasing = Planning(workspace, task, services, jobs, paying), Releasing(workspace, task)
    tracker = tracker_for(workspace, services)

    def seen(job: JobStatus) -> JobResult:
        """A job as the caller sees it; one that has ended is in the tracker and the budget by then."""
        log_job(workspace, tracker, services, job)
        paying.settle()
        return _job_result(job)

    @room.writes(told=wording.plan, reaches_out=True)
    def plan_retrain(
        cycle: CycleId,
        changes: Annotated[list[HparamChange], Field(description="hyperparameters to set anew, at most 3; [] = none")],
    ) -> PlanResult:
        """Plan a training on the newest version of the cycle's dataset, starting from the champion's recipe, with a
        quote; writes hparam_patch.json. Next: start_retrain.
        """
        plan = planning.plan(cycle, changes)
        assert plan.quote is not None  # of a single training
        return PlanResult(
            plan_id=plan.plan_id,
            model_family=plan.model_family,
            dataset=plan.dataset,
            dataset_version=plan.dataset_version,
            hparams=plan.next_hparams,
            changes=[change.model_copy(update={"reason": cleaned(change.reason)}) for change in plan.changes],
            cost_usd=plan.cost_usd,
            seconds_estimate=plan.seconds_estimate,
            quote=plan.quote,
            budget_left=Budget(workspace, services).state().left,
            next=starting(plan.quote, services.settings.budget.approve_usd),
        )

    @room.writes(told=wording.job, reaches_out=True)
    def start_retrain(
        plan_id: Annotated[str, Field(description="id that plan_retrain or plan_campaign returned")],
        approve_usd: Annotated[
            float | None, Field(description="the quote's approve_usd, typed back by the person who pays")
        ] = None,
    ) -> JobResult:
        """Start a plan's training job and return at once. A job that lives or succeeded is found, not started twice;
        one that failed or was cancelled starts afresh, a campaign with the arms that are left. What costs money is
        reserved in the budget, and a new recipe's smoke run comes first. Next: get_job.
        """
        if is_campaign(plan_id):
            return seen(start_campaign(workspace, task, services, jobs, paying, plan_id, approve_usd))
        return seen(planning.start(plan_id, approve_usd))

    @room.reads(told=wording.job)
    async def get_job(
        job_id: JobId, wait_s: Annotated[float, Field(ge=0, le=20, description="wait this long for its end")] = 0
    ) -> JobResult:
        """Say how far a job is and which model it made. Next: evaluate_model with that model."""

        def look() -> JobStatus:
            found = jobs.status(job_id)
            tell(found.step, found.of or None, found.message)
            return found

        deadline = time.monotonic() + wait_s
        job = await anyio.to_thread.run_sync(look)
        while job.state not in ENDED and (left := deadline - time.monotonic()) > 0:
            await anyio.sleep(min(POLL_S, left))
            job = await anyio.to_thread.run_sync(look)
        result = await anyio.to_thread.run_sync(seen, job)
        result = result.model_copy(update={"log": await anyio.to_thread.run_sync(jobs.last_lines, job_id)})
        if job.state not in ENDED:
            return result
        note = await anyio.to_thread.run_sync(publish_trail, workspace, tracker, services, task.name)
        return result.model_copy(update={"tracking_note": note})

    @room.reads(told=wording.jobs)
    def list_jobs(limit: Annotated[int, Field(ge=1, le=100)] = PAGE, offset: Offset = 0) -> Jobs:
        """List jobs, the newest first. Next: get_job."""
        found = page(jobs.list()[::-1], limit, offset)
        return Jobs(jobs=[seen(job) for job in found.items], total=found.total, next_offset=found.next_offset)

    @room.destroys(told=wording.job, idempotent=True, locked=False)  # its end elsewhere may take a minute
    def cancel_job(job_id: JobId) -> JobResult:
        """End a running job; what it did so far is lost. Next: start_retrain begins it afresh."""
        return seen(jobs.cancel(job_id))

    @room.reads(told=wording.models)
    def list_models(dataset: DatasetName, offset: Offset = 0) -> Models:
        """List the models trained on a dataset, which one serves, and how that came about. Next: open_cycle."""
        datasets.head(dataset)
        champion, found = registry.champion(dataset), page(trained_models(workspace, dataset), PAGE, offset)
        entries = [
            ModelEntry(
                model=made.model_id,
                job_id=made.job_id,
                cycle=made.cycle,
                dataset_version=made.dataset_version,
                digest=made.digest,
                champion=made.model_id == champion,
                problem=_problem(workspace, made),
            )
            for made in found.items
        ]
        moves = registry.history(dataset)
        return Models(
            champion=champion,
            models=entries,
            total=found.total,
            next_offset=found.next_offset,
            history=[move.model_copy(update={"reason": cleaned(move.reason)}) for move in moves[-SHOWN_MOVES:]],
            moves=len(moves),
        )

    @room.writes(told=wording.service)
    def promote_model(cycle: CycleId, candidate: ModelId) -> Service:
        """Put the candidate that passed this cycle's gate into service; needs three remedied failures in the playbook.
        At a beginning that did not pass, give 'constant'. Next: write_playbook, write_report.
        """
        return _service(releasing.promote(cycle, candidate), "write_playbook with lessons, then write_report")

    @room.writes(told=wording.uploaded, locked=False, reaches_out=True)
    def publish_model(model: Annotated[str, Field(description="id of a trained model")]) -> Uploaded:
        """Upload a trained model and its card to the Hugging Face Hub, private. Next: open_cycle."""
        return publish_model_files(workspace, task, services, model)

    @room.destroys(told=wording.service, idempotent=False)
    def rollback_model(
        dataset: DatasetName, reason: Annotated[str, Field(max_length=500, description="what went wrong")]
    ) -> Service:
        """Take the champion out of service and put the one before it back. Next: open_cycle."""
        return _service(releasing.roll_back(dataset, reason), "open_cycle")

    def job_shown(job_id: str) -> JobResult:
        return _job_result(jobs.status(job_id)).model_copy(update={"log": jobs.last_lines(job_id)})

    room.shelf.add(*documents(workspace, list_models, job_shown))
    return room


BEGUN_BY = {"teach": "augment_dataset again, which waits", "sample": "sample_model again, which waits"}
"""Jobs that are no trainings, by kind, and the tool that goes on with them."""


def _job_result(job: JobStatus) -> JobResult:
    following = {
        "succeeded": "evaluate_model with each model" if job.kind != "smoke" else "start_retrain with the same plan",
        "failed": "read the error; start_retrain again, or plan_retrain with other changes",
        "cancelled": "start_retrain again, or write_report with a stop_reason",
    }
    return JobResult(
        job_id=job.job_id,
        state=job.state,
        attempt=job.attempt,
        message=job.message,
        step=job.step,
        of=job.of,
        seconds=job.seconds,
        model=job.model,
        models=job.models,
        error=job.error,
        next=BEGUN_BY.get(job.kind) or following.get(job.state, "get_job with wait_s"),
    )


def _problem(workspace: Workspace, made: TrainResult) -> str | None:
    try:
        intact_folder(workspace, made)
    except ValueError as error:
        return cleaned(str(error))
    return None


def _service(move: Move, following: str) -> Service:
    return Service(champion=move.model, previous=move.previous, verdict_id=move.verdict_id, next=following)
