"""Leave a training job's trail in the tracker, once it has ended."""

from contextlib import suppress
from typing import Any, Literal

from servers.core.disk import now, read_json, read_jsonl, write_json
from servers.core.job_files import METRICS, RESULT, TRACKED, CampaignSpec, TrainResult, TrainSpec, ending, read_spec
from servers.core.jobs import JobStatus, JobStore
from servers.core.services import Services
from servers.core.tracking import Run, Tracker, UnknownPlace, coordinates
from servers.core.workspace import Workspace

RUN_STATES: dict[str, Literal["finished", "failed", "crashed"]] = {
    "succeeded": "finished",
    "failed": "failed",
    "cancelled": "crashed",  # the tracker's word for a run that somebody ended
}


def log_job(workspace: Workspace, tracker: Tracker, services: Services, job: JobStatus) -> None:
    """Save the run of a training job that has ended, unless this attempt's was saved before; of a campaign, every run.

    Where W&B has not said yet whose project it is, the job is logged by a later look at it.

    Args:
        workspace: Where the job's folder is.
        tracker: Where the run goes.
        services: Under whose name and in which project.
        job: What the job came to.
    """
    if job.state in RUN_STATES and not job.tracked:
        with suppress(UnknownPlace):
            _log(workspace, tracker, services, job)


def publish_trail(workspace: Workspace, tracker: Tracker, services: Services, task_name: str) -> str | None:
    """Bring what was logged to where others look for it; None once it is there, else why it is not yet."""
    try:
        return tracker.publish(*coordinates(workspace, services, task_name))
    except UnknownPlace as error:
        return str(error)


def _log(workspace: Workspace, tracker: Tracker, services: Services, job: JobStatus) -> None:
    folder = workspace.job_dir(job.job_id)
    spec = read_spec(folder)
    if isinstance(spec, CampaignSpec):
        jobs = JobStore(workspace)
        for arm in spec.arms:
            if jobs.exists(arm.job_id) and (one := jobs.status(arm.job_id)).state in RUN_STATES and not one.tracked:
                _log(workspace, tracker, services, one)
        write_json(folder / TRACKED, ending(job.attempt, job.state))
    if isinstance(spec, TrainSpec) and spec.smoke:  # it tries a recipe out, so its figures say nothing
        write_json(folder / TRACKED, ending(job.attempt, job.state))
        return
    if not isinstance(spec, TrainSpec):
        return
    rows = list(read_jsonl(folder / METRICS))
    result = TrainResult.model_validate(read_json(folder / RESULT)) if job.state == "succeeded" else None
    entity, project = coordinates(workspace, services, spec.task.name)
    run = Run(
        id=job.job_id,
        name=f"train-{spec.cycle}-{spec.model_id}",
        entity=entity,
        project=project,
        group=spec.cycle,
        job_type="train",
        tags=[spec.family, spec.dataset, job.state],
        config=_config(spec),
        summary=_summary(rows, result),
        state=RUN_STATES[job.state],
        created_at=job.started_at,
        updated_at=now(),
    )
    tracker.save_run(run)
    tracker.log_history(entity, project, job.job_id, rows)
    # After the tracker: a process that stops in between saves the same run again, which changes nothing.
    write_json(folder / TRACKED, ending(job.attempt, job.state))


def _config(spec: TrainSpec) -> dict[str, Any]:
    return {
        "model": spec.model_id,
        "family": spec.family,
        "task": spec.task.name,
        "dataset": spec.dataset,
        "dataset/version": spec.dataset_version,
        "cycle": spec.cycle,
        "plan_id": spec.plan_id,
        "seed": spec.seed,
        **spec.hparams,  # flat, as the first project had them: learning_rate, epochs, lora_r, …
    }


def _summary(rows: list[dict[str, Any]], result: TrainResult | None) -> dict[str, Any]:
    """The figures of the last step, and what the training took."""
    last = {name: value for name, value in rows[-1].items() if name != "_step"} if rows else {}
    if result is None:
        return last
    return last | {"model_digest": result.digest, "train_rows": result.train_rows, "seconds": result.seconds}
