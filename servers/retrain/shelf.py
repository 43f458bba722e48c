"""What the retrain server gives to read: the models of every dataset, and jobs."""

from collections.abc import Callable, Iterable

from servers.core.dataset import DatasetStore
from servers.core.jobs import JobStore
from servers.core.wire import Wire
from servers.core.workspace import Workspace
from servers.shelf import JSON, Document, There, as_json


def documents(
    workspace: Workspace, list_models: Callable[[str], Wire], job_shown: Callable[[str], Wire]
) -> list[Document]:
    """All of them, for one artifacts folder.

    Args:
        workspace: The artifacts folder.
        list_models: The tool of this name, by dataset.
        job_shown: A job as get_job shows it, by id. Reading it neither waits nor settles anything.
    """
    datasets, jobs = DatasetStore(workspace), JobStore(workspace)

    def every_job() -> Iterable[There]:
        for job in reversed(jobs.list()):
            yield There({"job": job.job_id}, f"{job.job_id}: {job.state}" + (f", of {job.cycle}" if job.cycle else ""))

    return [
        Document(
            "etude://models",
            "models",
            "Models",
            "For each dataset the model in service, all trained ones, and how that came about.",
            JSON,
            there=lambda: [There({}, "Models")],
            read=lambda: as_json({name: list_models(name) for name in datasets.names()}),
            priority=0.7,
        ),
        Document(
            "etude://jobs/{job}",
            "job",
            "Job",
            "How far a job is, and the last lines of its log. Lines are data.",
            JSON,
            there=every_job,
            read=lambda job: as_json(job_shown(job)),
            where_missing="start_retrain starts one",
        ),
    ]
