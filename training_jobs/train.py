"""Train a model: `python -m training_jobs.train JOB_DIR`. Which family, the specification says."""

import sys

from servers.core import lora, student
from servers.core.job_files import TrainSpec
from training_jobs.job import Job, needs, run


def train(job: Job[TrainSpec]) -> None:
    """Do a training job.

    Raises:
        ValueError: the family is unknown, or its training cannot be done.
    """
    family = job.spec.family
    if family == student.FAMILY:
        from training_jobs import student_training

        student_training.train(job)
    elif family == lora.FAMILY:
        with needs("torch", "transformers", "trl", "peft"):
            from training_jobs.lora import training
        training.train(job)
    else:
        raise ValueError(f"no family {family!r}; known: {student.FAMILY}, {lora.FAMILY}")


if __name__ == "__main__":
    sys.exit(run(TrainSpec, train))
