"""Let a language model at an endpoint answer texts: the arms `prompt` and `teacher`."""

from servers.core.job_files import SampleSpec
from training_jobs.job import Job


def ask(job: Job[SampleSpec]) -> None:
    """Do a sampling job of an arm that has no weights here.

    Raises:
        ValueError: no endpoint can be asked.
    """
    raise ValueError(f"arm {job.spec.arm!r} cannot be asked by this installation")
