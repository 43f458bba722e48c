"""Let a saved student answer texts."""

from servers.core.arms import StudentArm
from servers.core.job_files import PREDICTIONS, SampleResult, SampleSpec
from servers.core.models import model_digest
from servers.core.student import Student
from training_jobs.answering import answer_texts, read_texts
from training_jobs.job import VERSIONS, Job


def sample(job: Job[SampleSpec]) -> None:
    """Do a sampling job of arm `student`."""
    spec = job.spec
    if spec.model_dir is None:
        raise ValueError(f"arm {spec.arm!r} needs the folder of its weights; evaluate_model gives it as model_dir")
    job.say("loading the model", of=2)
    folder = job.file(spec.model_dir)
    digest = model_digest(folder)
    arm = StudentArm(spec.task, spec.model_id, Student.load(folder), digest)
    if model_digest(folder) != digest:  # the digest beside every row is that of the bytes that answer
        raise ValueError(f"the model in {folder} changed while it was loaded; start the job again")
    rows = read_texts(job.file(spec.texts_file))

    job.say(f"answering {len(rows)} texts", of=2)
    answer_texts(arm.answer, rows, spec.timed, arm.served_by, job.folder / PREDICTIONS)

    job.finish(
        SampleResult(
            job_id=spec.job_id,
            model_id=spec.model_id,
            digest=arm.served_by.digest,
            rows=len(rows),
            seconds=job.seconds,
            versions=VERSIONS,
        )
    )
