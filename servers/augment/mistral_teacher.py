"""A language model as the teacher: its drafts are written in a job of their own, found again by what they are made of.

Two sets of rows with the same aim, number and seed share one job, so the ways of a campaign that share their rows pay
for them once. What the job can cost is set aside in the budget before it starts, and settled by what it used.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from servers.augment.aim import Aim
from servers.augment.intents import SHOWN, SHOWN_CHARS, draw_intents
from servers.augment.teachers import Draft
from servers.core.asked_costs import reserve_next, settle_ended
from servers.core.budget import Budget
from servers.core.dataset import Card, DatasetStore, Example
from servers.core.disk import digest, read_jsonl, write_jsonl
from servers.core.job_files import DRAFTS, DraftRow, EndpointSpec, TeachSpec, read_spec
from servers.core.jobs import JobStatus, JobStore
from servers.core.progress import tell
from servers.core.prompting import ANSWER_TOKENS
from servers.core.services import Endpoint, Services
from servers.core.task import Task
from servers.core.telling import tell_failure_once
from servers.core.workspace import Workspace

INTENTS = "intents.jsonl"
READINGS = 2
POLL_S = 0.1
CHARS_PER_TOKEN = 3  # fewer than of plain English: an estimate should err on the safe side
PROMPT_CHARS, DIMENSION_CHARS = 1200, 120
TEXT_TOKENS = (150, 1500)  # a text takes at least and at most
LONGER = 2  # times the longest train text: filters drop what is odd, a text cut off in the middle is not even that


@dataclass(frozen=True)
class Order:
    """What a teacher is to write; the same order is the same job."""

    n: int
    """Drafts."""
    aim: Aim
    seed: int


class MistralTeacher:
    """Writes examples by asking a language model.

    Args:
        workspace: Where jobs lie.
        task: What the examples are for.
        services: Where the budget stands.
        endpoint: Who writes.
        parent: The version that the rows are added to, whose train rows show the style.
    """

    def __init__(self, workspace: Workspace, task: Task, services: Services, endpoint: Endpoint, parent: Card) -> None:
        self._workspace, self._task, self._services = workspace, task, services
        self._endpoint, self._parent, self._jobs = endpoint, parent, JobStore(workspace)
        self.name = endpoint.model

    def job_id(self, order: Order) -> str:
        """The id follows from what is written by whom, not from prices or plans."""
        who = [self._endpoint.model, self._endpoint.server_url]
        made_of = [who, self._task, self._parent.fingerprint, order.n, order.aim, order.seed]
        return "teach-" + digest(made_of)[:12]

    def cost_usd(self, order: Order) -> float:
        """The most that an order can cost."""
        return self._spec(order, "", "").endpoint.max_usd

    def begin(self, order: Order, cycle: str, plan_id: str) -> JobStatus:
        """Start the job of an order, or find it; its cost is set aside in the budget first.

        Args:
            order: What to write.
            cycle: For which cycle.
            plan_id: For which plan.

        Raises:
            ValueError: the budget does not allow it, or the attempt before failed, which is told once; the next call
                goes on from what it has.
        """
        job_id = self.job_id(order)
        folder = self._workspace.job_dir(job_id)
        if self._jobs.exists(job_id):
            job = self._jobs.status(job_id)
            self._settle()
            tell_failure_once(folder, job)
            if job.state not in ("failed", "cancelled"):
                return job
            begun = read_spec(folder)  # prices in the configuration may have changed since
            assert isinstance(begun, TeachSpec)
            spec = begun.model_copy(update={"endpoint": self._endpoint.paced(begun.endpoint)})
        else:
            spec = self._spec(order, cycle, plan_id)
        write_jsonl(folder / INTENTS, draw_intents(order.n, order.aim, self._task, self._train(), order.seed))
        what = f"{self.name} writes {order.n} examples"
        reserve_next(self._budget, self._jobs, folder, spec.endpoint.max_usd, what)
        return self._jobs.start(spec)

    def waited_for(self, job: JobStatus, until: float) -> JobStatus:
        """The job when it has ended, or at a moment of the monotonic clock; one that ended is settled.

        Raises:
            ValueError: it failed, which is told once, or was cancelled.
        """
        while job.state in ("queued", "running") and time.monotonic() < until:
            tell(job.step, job.of or None, job.message)
            time.sleep(POLL_S)
            job = self._jobs.status(job.job_id)
        self._settle()
        tell_failure_once(self._workspace.job_dir(job.job_id), job)
        if job.state == "cancelled":
            raise ValueError(f"{job.job_id} was cancelled; calling again goes on from what it has")
        return job

    def write(self, n: int, aim: Aim, seed: int, train: Sequence[Example]) -> list[Draft]:
        """What was written in the job of this order.

        Raises:
            ValueError: it is not written yet.
        """
        job_id = self.job_id(Order(n, aim, seed))
        state = self._jobs.status(job_id).state if self._jobs.exists(job_id) else "not started"
        if state != "succeeded":
            raise ValueError(
                f"{self.name} writes in job {job_id}, which is {state}; call augment_dataset until it is done"
            )
        rows = [DraftRow.model_validate(row) for row in read_jsonl(self._workspace.job_dir(job_id) / DRAFTS)]
        return [Draft(row.text, tuple(row.readings), None, row.made_from) for row in rows]

    @property
    def _budget(self) -> Budget:
        return Budget(self._workspace, self._services)

    def _settle(self) -> None:
        settle_ended(self._budget, self._jobs, self._workspace.jobs_root)

    def _train(self) -> list[Example]:
        return DatasetStore(self._workspace).train(self._parent.name, self._parent.fingerprint)

    def _spec(self, order: Order, cycle: str, plan_id: str) -> TeachSpec:
        train = self._train()
        least, most = TEXT_TOKENS
        longest = max(len(row.text) for row in train)
        text_tokens = min(most, max(least, LONGER * longest // CHARS_PER_TOKEN))
        return TeachSpec(
            job_id=self.job_id(order),
            cycle=cycle,
            plan_id=plan_id,
            task=self._task,
            endpoint=self._priced(order.n, train, text_tokens),
            intents_file=INTENTS,
            text_tokens=text_tokens,
            seed=order.seed,
        )

    def _priced(self, n: int, train: Sequence[Example], text_tokens: int) -> EndpointSpec:
        about = DIMENSION_CHARS * len(self._task.dimensions)
        shown = SHOWN * min(SHOWN_CHARS, max(len(row.text) for row in train))
        writing = self._endpoint.spec(n, (PROMPT_CHARS + about + shown) // CHARS_PER_TOKEN, text_tokens)
        asked = (len(self._task.prompt) + about) // CHARS_PER_TOKEN + text_tokens
        reading = self._endpoint.spec(READINGS * n, asked, ANSWER_TOKENS)
        return writing.model_copy(update={"max_usd": round(writing.max_usd + reading.max_usd, 6)})
