"""One job: what it was told, how far it is, how its error fell, and the last words of its log."""

from collections.abc import Mapping
from typing import Any

from servers.core.disk import read_jsonl
from servers.core.job_files import METRICS, RESULT, CampaignSpec, SampleSpec, TeachSpec, TrainSpec, read_spec
from servers.playbook.site.archive import Archive, without_folders
from servers.playbook.site.charts import training_curves
from servers.playbook.site.pages import Page

MOST_STEPS = 2000


def job_page(archive: Archive, job_id: str) -> Page:
    """One job, as it is now.

    Raises:
        ValueError: there is no such job, or its files are damaged.
    """
    status = archive.jobs.status(job_id)
    folder = archive.workspace.job_dir(job_id)
    spec = read_spec(folder)
    steps = [step for step, _ in zip(read_jsonl(folder / METRICS), range(MOST_STEPS), strict=False)]
    values = {
        "status": status,
        "kind": status.kind,
        "told": _told(spec),
        "settings": sorted(spec.hparams.items()) if isinstance(spec, TrainSpec) else [],
        "arms": spec.arms if isinstance(spec, CampaignSpec) else [],
        "dataset": (spec.dataset, spec.dataset_version) if isinstance(spec, TrainSpec) else None,
        "steps": _evenly(steps),
        "curves": training_curves(job_id, steps),
        "words": archive.jobs.last_lines(job_id),
        "has_model": (folder / RESULT).exists() and status.model is not None,
    }
    return Page("job.html.j2", job_id, values)


def _told(spec: TrainSpec | SampleSpec | CampaignSpec | TeachSpec) -> list[tuple[str, Any]]:
    """What it is to do, in a few entries."""
    told: list[tuple[str, Any]] = []
    if isinstance(spec, TrainSpec):
        told += [("family", spec.family), ("seed", spec.seed), ("task", spec.task.name)]
        told += [("base", without_folders(spec.base))] if spec.base else []
        told += [("runs on", spec.remote.flavor)] if spec.remote else []
    elif isinstance(spec, SampleSpec):
        told += [("arm", spec.arm), ("answers", spec.model_id)]
    elif isinstance(spec, TeachSpec):
        told += [("teacher", spec.endpoint.model), ("at most, USD", f"{spec.endpoint.max_usd:g}")]
    else:
        told += [("trainings", len(spec.arms))]
    return told


def _evenly(steps: list[Mapping[str, Any]], most: int = 30) -> list[Mapping[str, Any]]:
    """At most so many of the steps, the first and the last among them."""
    if len(steps) <= most:
        return steps
    return [steps[round(k * (len(steps) - 1) / (most - 1))] for k in range(most)]
