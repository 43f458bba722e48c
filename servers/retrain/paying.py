"""Start what costs money: resolved again, approved, reserved, a smoke run first; and put right by what it took.

A reservation is about one attempt of one training job, and holds the most that the attempt can cost. The same start
again finds what is reserved and what runs. A job on this machine passes through: it costs nothing.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from servers.core.asked_costs import settle_ended
from servers.core.budget import Budget
from servers.core.campaign import PLAN_FILE as CAMPAIGN_FILE
from servers.core.cycle_files import is_closed
from servers.core.dataset import DatasetStore
from servers.core.disk import read_json
from servers.core.families import family_named
from servers.core.job_files import RESULT, CampaignSpec, TrainSpec
from servers.core.jobs import ENDED, JobStatus, JobStore
from servers.core.quotes import SMOKE_TIMEOUT_S, Quote, Quotes, Resolved, most_usd
from servers.core.recipes import PLAN_FILE
from servers.core.remote_note import REMOTE_FILE, open_note
from servers.core.services import Services
from servers.core.smoke import has_succeeded, smoke_job_id, smoke_spec
from servers.core.workspace import Workspace

HALF_A_CENT = 0.005
_KEY = re.compile(r"(?P<plan>[a-z0-9_.-]+)/(?P<job>[a-z0-9_.-]+)#(?P<attempt>[0-9]+)")


class QuoteChanged(ValueError):
    """What a plan was quoted for is no more; only another plan leads on."""


class Paying:
    """Starts jobs within the budget.

    Args:
        workspace: The artifacts folder.
        services: Where jobs run, and what may be spent.
        jobs: Its jobs.
    """

    def __init__(self, workspace: Workspace, services: Services, jobs: JobStore) -> None:
        self._workspace, self._services, self._jobs = workspace, services, jobs
        self._budget = Budget(workspace, services)

    def start(self, spec: TrainSpec | CampaignSpec, quote: Quote | None, approve_usd: float | None) -> JobStatus:
        """Start a plan's job, or the smoke run that comes before it; what lives is found.

        Args:
            spec: What the plan comes to.
            quote: What it was quoted at; None for a plan that was made when everything ran here.
            approve_usd: The quoted amount, typed back by a person.

        Raises:
            ValueError: what the quote was made for has changed, nobody approved it, or it would exceed the budget.
        """
        trainings = [spec] if isinstance(spec, TrainSpec) else spec.arms
        if quote is None or quote.resolved is None:
            return self._jobs.start(spec)
        self.settle()
        smoke_id = smoke_job_id(spec.plan_id)
        for job_id in (spec.job_id, smoke_id):
            if self._jobs.exists(job_id) and (found := self._jobs.status(job_id)).state not in ENDED:
                return found
        if not any(open_note(self._workspace.job_dir(one)) for one in (smoke_id, *(arm.job_id for arm in trainings))):
            self._refuse_changed(trainings[0], quote.resolved)  # what runs elsewhere was paid for as quoted
        self.release_abandoned(besides=spec.plan_id)
        amounts = {
            self._key(spec.plan_id, one.job_id): most_usd(one.remote)
            for one in trainings
            if one.remote is not None and not (self._workspace.job_dir(one.job_id) / RESULT).exists()
        }
        smoke = None
        if not has_succeeded(self._workspace, quote.resolved.recipe):
            smoke = self._smoke(trainings[0])
            assert smoke.remote is not None  # as its training
            amounts[self._key(spec.plan_id, smoke_id)] = most_usd(smoke.remote)
        held = self._budget.reservations()
        if any(usd > held.get(key, 0.0) for key, usd in amounts.items()):
            refuse_unapproved(spec.plan_id, quote, approve_usd, self._services.settings.budget.approve_usd)
        self._budget.reserve_together(amounts, f"{spec.plan_id} on {quote.hardware}")
        return self._jobs.start(smoke or spec)

    def settle(self) -> None:
        """Put every reservation right whose attempt has ended; of what models answer and write as well."""
        settle_ended(self._budget, self._jobs, self._workspace.jobs_root)
        for key, most in self._budget.reservations().items():
            found = self._attempt(key)
            if found is not None and found[1]:
                self._budget.settle(key, used_usd(self._workspace.job_dir(found[0]), most))

    def release_abandoned(self, besides: str | None = None) -> None:
        """Give back what is reserved for attempts that never began and will not. The caller holds the folder's lock.

        Args:
            besides: A plan that is being started now.
        """
        held = [match for key in self._budget.reservations() if (match := _KEY.fullmatch(key))]
        waiting = [match for match in held if match["plan"] != besides and self._attempt(match[0]) is None]
        if not waiting:
            return
        every = self._jobs.list()
        for match in waiting:
            if not self._goes_on([job for job in every if job.plan_id == match["plan"]]):
                self._budget.release(match[0])

    def _goes_on(self, jobs: Sequence[JobStatus]) -> bool:
        """Whether a plan that has reserved more than has begun will begin it."""
        if any(job.state not in ENDED for job in jobs):
            return True
        if not jobs or (jobs[-1].kind, jobs[-1].state) != ("smoke", "succeeded"):
            return False
        cycle = jobs[-1].cycle
        if cycle is None or is_closed(self._workspace, cycle):
            return False
        files = [self._workspace.cycle_dir(cycle) / name for name in (CAMPAIGN_FILE, PLAN_FILE)]
        return jobs[-1].plan_id in [read_json(file)["plan_id"] for file in files if file.exists()]

    def _attempt(self, key: str) -> tuple[str, bool] | None:
        """Of a reservation for a job, the job's id, and whether the attempt has ended; None before it began."""
        match = _KEY.fullmatch(key)
        if match is None or not self._jobs.exists(match["job"]):
            return None
        job, attempt = self._jobs.status(match["job"]), int(match["attempt"])
        if job.attempt < attempt:
            return None
        note = open_note(self._workspace.job_dir(job.job_id))
        goes_on = note is not None and note.attempt == attempt  # elsewhere, whatever became of who followed it here
        return job.job_id, not goes_on and (job.attempt > attempt or job.state in ENDED)

    def _key(self, plan_id: str, job_id: str) -> str:
        """What the next attempt of a job is reserved under; the same where it goes on with what runs elsewhere."""
        if (note := open_note(self._workspace.job_dir(job_id))) is not None:
            return f"{plan_id}/{job_id}#{note.attempt}"
        before = self._jobs.status(job_id).attempt if self._jobs.exists(job_id) else 0
        return f"{plan_id}/{job_id}#{before + 1}"

    def _smoke(self, training: TrainSpec) -> TrainSpec:
        datasets = DatasetStore(self._workspace)
        rows = [split(training.dataset, training.dataset_version) for split in (datasets.train, datasets.diagnose)]
        return smoke_spec(self._workspace, training, SMOKE_TIMEOUT_S, *rows)

    def _refuse_changed(self, training: TrainSpec, quoted: Resolved) -> None:
        """Refuse what is no longer what the person was quoted for."""
        quotes = Quotes(self._workspace, self._services, family_named(training.family))
        now = quotes.resolved(quoted.dataset_version)
        before, after = quoted.model_dump(), {} if now is None else now.model_dump()
        if different := [name for name, value in before.items() if after.get(name) != value]:
            words = ", ".join(f"{name} {before[name]!r} is {after.get(name)!r} now" for name in different)
            raise QuoteChanged(f"{training.plan_id!r} was quoted for something else: {words}; plan again")


def refuse_unapproved(plan_id: str, quote: Quote, given: float | None, standing: float) -> None:
    """Refuse a plan that costs money and that nobody has approved.

    Args:
        plan_id: The plan.
        quote: Its quote.
        given: The quoted amount as a person typed it back, USD.
        standing: What the configuration approves for every plan, USD.

    Raises:
        ValueError: the amount is missing or another one.
    """
    amount = quote.approve_usd
    if given is None and standing < amount:
        raise ValueError(
            f"{plan_id} is expected to cost {quote.usd:.2f} USD and can cost up to {amount:.2f} on {quote.hardware}; "
            f"once a person has agreed, call start_retrain with approve_usd {amount:.2f}; for runs without one set "
            "approve_usd in [budget] of etude.toml"
        )
    if given is not None and not abs(given - amount) < HALF_A_CENT:
        raise ValueError(f"approve_usd is {given:.2f}, and {plan_id} was quoted at {amount:.2f}; type that back")


def starting(quote: Quote, standing: float) -> str:
    """What comes after the quote, in words for whoever asked for it.

    Args:
        quote: What was quoted.
        standing: What the configuration approves for every plan, USD.
    """
    if quote.approve_usd <= standing:
        return "start_retrain"
    return f"ask the person who pays; start_retrain with approve_usd {quote.approve_usd:.2f} once they have typed it"


def used_usd(folder: Path, most: float) -> float:
    """What an attempt that has ended took, as its result or its own notes say; the most where neither does."""
    for name, where in ((RESULT, "remote"), (REMOTE_FILE, "use")):
        said = read_json(folder / name) if (folder / name).exists() else {}
        if (usd := _usd_in(said.get(where))) is not None:
            return usd
    return most


def _usd_in(use: Any) -> float | None:
    usd = use.get("usd") if isinstance(use, dict) else None
    if isinstance(usd, bool) or not isinstance(usd, (int, float)) or not math.isfinite(usd) or usd < 0:
        return None
    return float(usd)
