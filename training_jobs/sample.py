"""Let a model answer texts: `python -m training_jobs.sample JOB_DIR`. Which arm, the specification says.

`predictions.jsonl` gets one answer a row of the texts file, and nothing is scored. The first `timed` texts are requests
of their own, timed after one to warm up.
"""

import sys

from servers.core.job_files import SampleSpec
from training_jobs.job import Job, needs, run


def sample(job: Job[SampleSpec]) -> None:
    """Do a sampling job.

    Raises:
        ValueError: it cannot be done.
    """
    if job.spec.arm == "student":
        from training_jobs import student_sampling

        student_sampling.sample(job)
    elif job.spec.arm == "fine_tuned":
        with needs("torch", "transformers", "peft"):
            from training_jobs.lora import sampling
        sampling.sample(job)
    else:
        from training_jobs.asking import ask

        ask(job)


if __name__ == "__main__":
    sys.exit(run(SampleSpec, sample))
