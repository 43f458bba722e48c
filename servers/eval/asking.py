"""What `sample_model` does: begin or find the job in which a model answers, wait a while, note when it has ended."""

import time
from typing import Literal

from servers.core.arms import kind_of
from servers.core.cycle_files import needs_open, note_sampled
from servers.core.dataset import DatasetStore
from servers.core.jobs import JobStatus, JobStore
from servers.core.progress import tell
from servers.core.telling import tell_failure_once
from servers.core.wire import Wire
from servers.core.words import cleaned
from servers.core.workspace import Workspace
from servers.eval.custody import Custody
from servers.eval.judging import Judge
from servers.eval.sampling import Sampling
from servers.eval.sealed_sampling import StillAnswering

WAIT_S, POLL_S = 15.0, 0.1
AGAIN = "sample_model again, which waits"


class Sampled(Wire):
    """How far a model is that answers in a job."""

    model: str
    split: Literal["diagnose", "gate"]
    state: Literal["queued", "running", "succeeded", "needless"]
    """needless: it is not asked, and the message says why."""
    job_id: str | None
    """Null for the sealed rows, whose job is sealed as well."""
    message: str
    next: str


class Asking:
    """Has models answer for the cycles of one artifacts folder."""

    def __init__(self, workspace: Workspace, custody: Custody, sampling: Sampling, judge: Judge) -> None:
        self._workspace, self._custody, self._sampling, self._judge = workspace, custody, sampling, judge
        self._datasets, self._jobs = DatasetStore(workspace), JobStore(workspace)

    def on_diagnose(self, cycle: str, model: str, approve_usd: float | None) -> Sampled:
        """Have a model answer the diagnose rows.

        Raises:
            ValueError: the cycle is closed, the model answers at once or cannot be asked, or its job failed.
        """
        opened = needs_open(self._workspace, cycle)
        if kind_of(model) is None:
            raise ValueError(f"{model!r} answers at once; call evaluate_model with it")
        card = self._datasets.card(opened.dataset, opened.dataset_version)
        self._custody.refuse_other_task(card)
        job = self._waited_for(self._sampling.begin_on_diagnose(card, model, approve_usd))
        self._sampling.settle(self._jobs, self._workspace.jobs_root)
        tell_failure_once(self._workspace.job_dir(job.job_id), job)
        if job.state == "cancelled":
            raise ValueError(f"{job.job_id} was cancelled; calling again goes on from what it has")
        if job.state == "succeeded":
            note_sampled(self._workspace, cycle, model, "diagnose")
        done = job.state == "succeeded"
        return Sampled(
            model=model,
            split="diagnose",
            state="succeeded" if done else "queued" if job.state == "queued" else "running",
            job_id=job.job_id,
            message=cleaned(job.message),
            next="evaluate_model" if done else AGAIN,
        )

    def on_gate(self, cycle: str, model: str, approve_usd: float | None) -> Sampled:
        """Have a model answer the sealed rows; its answers stay in the sealed folder.

        Raises:
            ValueError: the model has no part in the cycle's verdict, cannot be asked, or its job failed.
        """
        if kind_of(model) is None:
            raise ValueError(f"{model!r} answers at once; call gate_candidate")
        try:
            needless = self._judge.sample(cycle, model, WAIT_S, approve_usd)
        except StillAnswering as going:
            message = cleaned(going.job.message)
            return Sampled(model=model, split="gate", state="running", job_id=None, message=message, next=AGAIN)
        note_sampled(self._workspace, cycle, model, "gate")
        return Sampled(
            model=model,
            split="gate",
            state="needless" if needless else "succeeded",
            job_id=None,
            message=needless or "it has answered every row",
            next="gate_candidate",
        )

    def _waited_for(self, job: JobStatus) -> JobStatus:
        deadline = time.monotonic() + WAIT_S
        while job.state in ("queued", "running") and time.monotonic() < deadline:
            tell(job.step, job.of or None, job.message)
            time.sleep(POLL_S)
            job = self._jobs.status(job.job_id)
        return job
