"""Leave a training job's trail in the tracker, once it has ended."""

from typing import Any

from servers.core.disk import now, read_json, read_jsonl
from servers.core.jobs import JobStatus
from servers.core.tracking import Run, Tracker
from servers.core.workspace import Workspace

STATES = {"succeeded": "finished", "failed": "failed", "cancelled": "crashed"}


def log_job(workspace: Workspace, tracker: Tracker, entity: str, project: str, job: JobStatus) -> None:
    """Save the run of a training job that has ended; saying it again changes nothing.

    Args:
        workspace: Where the job's folder is.
        tracker: Where the run goes.
        entity: Whose project it is.
        project: The project.
        job: What the job came to.
    """
    folder = workspace.job_dir(job.job_id)
    if job.kind != "train" or job.state not in STATES:
        return
    spec = read_json(folder / "spec.json")
    rows = list(read_jsonl(folder / "metrics.jsonl"))
    tracker.save_run(
        Run(
            id=job.job_id,
            name=f"train-{job.cycle}-{spec['model_id']}",
            entity=entity,
            project=project,
            group=job.cycle,
            job_type="train",
            tags=["student", spec["dataset"]],
            config=_config(spec),
            summary={key: value for row in rows for key, value in row.items() if key != "_step"},
            state=STATES[job.state],
            created_at=job.started_at,
            updated_at=now(),
        )
    )
    tracker.log_history(entity, project, job.job_id, rows)


def _config(spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": spec["model_id"],
        "task": spec["task"]["name"],
        "dataset": spec["dataset"],
        "dataset/version": spec["dataset_version"],
        "cycle": spec["cycle"],
        "plan_id": spec["plan_id"],
        **spec["hparams"],
    }
