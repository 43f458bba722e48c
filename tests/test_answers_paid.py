"""What answers cost that a model gives in a job: approved, set aside, and put right however the job ended."""

import math

import pytest

from servers.core.job_files import RemoteSpec, SampleSpec
from servers.core.task import load_task
from servers.eval.sampling import refuse_unapproved

TASK = load_task("kotone")
REMOTE = RemoteSpec(namespace="ada", flavor="t4-small", image="uv", timeout_s=60, usd_per_minute=0.6)


def elsewhere(job_id: str = "sample-1") -> SampleSpec:
    """What an adapter is told that answers on Hugging Face, for up to 0.60 USD."""
    return SampleSpec(
        job_id=job_id, model_id="lora-1", task=TASK, arm="fine_tuned", texts_file="texts.jsonl", remote=REMOTE
    )


@pytest.mark.parametrize("given", [None, math.nan, math.inf, -0.6, 0.0, 0.59, 0.61, 6.0])
def test_only_the_amount_that_was_told_approves(given: float | None):
    """Bug: NaN is no further from an amount than any number is, and stood for a person's word."""
    with pytest.raises(ValueError, match=r"up to 0\.60 USD; a person approves it"):
        refuse_unapproved(elsewhere(), given, stands_for_it=0.0)

    refuse_unapproved(elsewhere(), 0.6, stands_for_it=0.0)
    refuse_unapproved(elsewhere(), None, stands_for_it=0.6)
