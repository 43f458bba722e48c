"""Let a base with a saved adapter answer texts, and where it is asked for the base alone as well."""

from pathlib import Path
from typing import Any

from servers.core.answers import ServedBy
from servers.core.disk import digest
from servers.core.job_files import BASE_PREDICTIONS, PREDICTIONS, SampleResult, SampleSpec
from servers.core.lora import LoraDescription, read_description
from servers.core.models import model_digest
from servers.core.task import Task
from training_jobs.answering import answer_texts, read_texts
from training_jobs.job import Job
from training_jobs.lora.adapter import put_on
from training_jobs.lora.base import Base, device_memory, load_base
from training_jobs.lora.generating import Answerer
from training_jobs.lora.training import ARM, LORA_VERSIONS


def sample(job: Job[SampleSpec]) -> None:
    """Do a sampling job of arm `fine_tuned`."""
    with device_memory():
        _sample(job)


def _sample(job: Job[SampleSpec]) -> None:
    spec, task = job.spec, job.spec.task
    if spec.model_dir is None:
        raise ValueError(f"arm {spec.arm!r} needs the adapter's folder; evaluate_model gives it as model_dir")
    folder = job.file(spec.model_dir)
    found = model_digest(folder)
    description = read_description(folder, spec.model_id, task)
    rows = read_texts(job.file(spec.texts_file))
    of = 3 if spec.with_base else 2

    job.say("loading the model", of)
    base = load_base(*_base_of(spec, description))
    model, tokenizer = put_on(base, folder)
    if model_digest(folder) != found:  # the digest beside every row is that of the bytes that answer
        raise ValueError(f"the adapter in {folder} changed while it was loaded; start the job again")
    answerer = Answerer(model, tokenizer, task, description.system)

    def answer(texts: list[str]) -> list[str]:
        return [words.text for words in answerer.answer(texts)]

    job.say(f"answering {len(rows)} texts", of)
    served_by = ServedBy(backend=ARM, model_id=spec.model_id, digest=found)
    answer_texts(answer, rows, spec.timed, served_by, job.folder / PREDICTIONS)
    if spec.with_base:
        job.say(f"answering {len(rows)} texts without the adapter", of)
        with model.disable_adapter():
            answer_texts(answer, rows, 0, _served_by_base(base, description, task), job.folder / BASE_PREDICTIONS)

    job.finish(
        SampleResult(
            job_id=spec.job_id,
            model_id=spec.model_id,
            digest=found,
            rows=len(rows),
            seconds=job.seconds,
            versions=LORA_VERSIONS,
        )
    )


def _base_of(spec: SampleSpec, description: LoraDescription) -> tuple[str, str | None]:
    """Where the base is; at the commit that the adapter was trained on, unless another is asked for."""
    base = spec.base or description.base
    if description.base_revision is None and not Path(base).is_dir():
        raise ValueError(f"the adapter was trained on a folder {description.base!r}, which is not here; give base")
    return base, spec.base_revision or description.base_revision


def _served_by_base(base: Base, description: LoraDescription, task: Task) -> ServedBy:
    definition: list[Any] = [
        "prompt",
        base.name,
        base.revision,
        description.system,
        task.prompt,
        task.names,
        task.scale,
    ]
    return ServedBy(backend="prompt", model_id=base.name, digest=digest(definition))
