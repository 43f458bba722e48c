"""Train all arms of a campaign: `python -m training_jobs.campaign JOB_DIR`.

One process, one arm after the other, each in a job folder of its own beside this one, as `training_jobs.train` would
leave it. An arm that has its result is passed by, so an attempt goes on where the one before it was killed. An arm that
cannot be trained is noted, and the others go on.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from servers.core.job_files import RESULT, CampaignSpec, CampaignTrained, TrainSpec
from training_jobs.job import VERSIONS, Job, part, run
from training_jobs.train import train


def campaign(job: Job[CampaignSpec]) -> None:
    in_turn(job, train)


def in_turn(
    job: Job[CampaignSpec], work: Callable[[Job[TrainSpec]], None], before: Callable[[Path], object] | None = None
) -> None:
    """Do the work of all arms.

    Args:
        job: The campaign.
        work: Does one arm's.
        before: Called with the folder of each arm before its attempt begins.

    Raises:
        ValueError: no arm could be trained.
    """
    arms = job.spec.arms
    failed: dict[str, str] = {}
    for arm in arms:
        job.say(f"training {arm.model_id}", of=len(arms))
        folder = job.folder.parent / arm.job_id
        if (folder / RESULT).exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        if before is not None:
            before(folder)
        try:
            with part(folder, arm) as one:
                work(one)
        except ValueError as error:
            failed[arm.job_id] = str(error)
    if len(failed) == len(arms):
        raise ValueError(f"no arm could be trained: {failed[arms[0].job_id]}")
    job.finish(
        CampaignTrained(
            job_id=job.spec.job_id,
            models=[arm.model_id for arm in arms if arm.job_id not in failed],
            failed=failed,
            seconds=job.seconds,
            versions=VERSIONS,
        )
    )


if __name__ == "__main__":
    sys.exit(run(CampaignSpec, campaign))
