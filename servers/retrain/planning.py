"""Plan a training: on which rows, with which hyperparameters, changed for which reasons, at what price."""

import os
from collections.abc import Sequence
from typing import Any

from servers.core.campaign import refuse_campaign
from servers.core.cycle_files import document, needs_unjudged
from servers.core.dataset import Card, DatasetStore
from servers.core.disk import digest, now, read_json, write_json
from servers.core.families import FAMILIES, Family, worked_with
from servers.core.job_files import TrainSpec
from servers.core.jobs import JobStatus, JobStore
from servers.core.quotes import Quote, Quotes, remote_of
from servers.core.recipes import PLAN_FILE, HparamChange, RetrainPlan, champions_recipe, changed, patch
from servers.core.services import Services
from servers.core.task import Task
from servers.core.wire import Wire
from servers.core.workspace import Workspace
from servers.retrain.paying import Paying, QuoteChanged

SEED = 0
EMBEDDED = FAMILIES["student"]


def train_spec(
    workspace: Workspace,
    task: Task,
    card: Card,
    job_id: str,
    hparams: dict[str, Any],
    seed: int,
    *,
    cycle: str,
    plan_id: str,
    family: Family = EMBEDDED,
    base: tuple[str | None, str | None] = (None, None),
    quote: Quote | None = None,
) -> TrainSpec:
    """What a job of this id has to do to train on a dataset version with a whole recipe.

    Args:
        workspace: The artifacts folder.
        task: What is learned.
        card: The dataset version.
        job_id: Of the job.
        hparams: The whole recipe.
        seed: Of the training.
        cycle: For which it trains.
        plan_id: Which plan it carries out.
        family: What is trained.
        base: What an adapter is trained on, and its revision.
        quote: Says where it runs; None for this machine.
    """
    rows = workspace.dataset_dir(card.name, card.fingerprint)
    # As seen from the job's folder, so that the artifacts folder can be moved.
    train, diagnose = (
        os.path.relpath(rows / name, workspace.job_dir(job_id)) for name in ("train.jsonl", "diagnose.jsonl")
    )
    resolved = None if quote is None else quote.resolved
    return TrainSpec(
        job_id=job_id,
        model_id=family.model_id(job_id.removeprefix("train-")),
        family=family.name,
        hparams=hparams,
        seed=seed,
        task=task,
        dataset=card.name,
        dataset_version=card.fingerprint,
        cycle=cycle,
        plan_id=plan_id,
        train_file=train,
        texts_file=diagnose,
        base=base[0],
        base_revision=base[1],
        remote=None if quote is None or resolved is None else remote_of(resolved, quote.timeout_s),
        recipe=None if resolved is None else resolved.recipe,
    )


class Planning:
    """Training plans for one task, and the jobs that carry them out."""

    def __init__(self, workspace: Workspace, task: Task, services: Services, jobs: JobStore, paying: Paying) -> None:
        self._workspace, self._task, self._services, self._jobs = workspace, task, services, jobs
        self._paying = paying
        self._datasets = DatasetStore(workspace)

    def plan(self, cycle: str, changes: Sequence[HparamChange]) -> RetrainPlan:
        """Write a plan to train on the newest version of the cycle's dataset.

        Raises:
            ValueError: the cycle was not diagnosed, has its verdict or trains another plan; a change is unknown, out of
                range, changes nothing, has no reason or is one too many; the champion was trained on exactly this; or
                nobody knows what it costs.
        """
        opened = needs_unjudged(self._workspace, cycle)
        refuse_campaign(opened)
        document(self._workspace, cycle, "diagnosis.json", "diagnose_dataset")
        card = self._datasets.head(opened.dataset)
        if card.task != self._task.name:
            raise ValueError(f"{card.name!r} is for task {card.task!r}, this server works on {self._task.name!r}")
        family = worked_with(opened, self._services)
        before, trained_on = champions_recipe(self._workspace, opened.champion, family)
        hparams = changed(before, changes)
        if trained_on == card.fingerprint and hparams == before:
            raise ValueError(
                f"the champion {opened.champion!r} was trained on exactly these rows and settings; "
                "change a hyperparameter, add rows with plan_augmentation, or call write_report with a stop_reason"
            )
        quotes = Quotes(self._workspace, self._services, family)
        quote = quotes.quote(card.name, card.fingerprint, [(card.rows.train, hparams.model_dump())])
        plan_id = self._plan_id(cycle, card, family, hparams, quote)
        self._refuse_another(cycle, plan_id)
        plan = RetrainPlan(
            plan_id=plan_id,
            cycle=cycle,
            dataset=card.name,
            dataset_version=card.fingerprint,
            model_family=family.name,
            from_model=opened.champion,
            hparam_patch=patch(before, hparams),
            next_hparams=hparams.model_dump(),
            changes=list(changes),
            cost_usd=quote.usd,
            seconds_estimate=quote.seconds,
            quote=quote,
            task_digest=digest(self._task),
            planned_at=now(),
        )
        self._write(plan)
        self._paying.settle()
        self._paying.release_abandoned()
        return plan

    def start(self, plan_id: str, approve_usd: float | None) -> JobStatus:
        """Start the job of a plan; a plan whose job lives or has ended well finds that job.

        Raises:
            ValueError: there is no such plan, its cycle is closed or has its verdict, it was made for another task
                file, before the newest rows or for other services, or its cost is not approved or exceeds the budget.
        """
        plan = self._by_id(plan_id)
        job_id = f"train-{plan_id.removeprefix('retrain-')}"
        was_started = self._jobs.exists(job_id)
        if was_started and (found := self._jobs.status(job_id)).state == "succeeded":
            return found
        opened = needs_unjudged(self._workspace, plan.cycle)
        family = worked_with(opened, self._services)
        card = self._datasets.card(plan.dataset, plan.dataset_version)
        if plan_id != self._plan_id(plan.cycle, card, family, family.recipe(plan.next_hparams), plan.quote):
            raise ValueError(f"{plan_id!r} was planned for another task file; call plan_retrain again")
        newest = self._datasets.head(plan.dataset).fingerprint
        if not was_started and newest != plan.dataset_version:
            raise ValueError(
                f"{plan_id!r} was planned on version {plan.dataset_version!r}, and {newest!r} is newer; "
                "call plan_retrain again"
            )
        spec = train_spec(
            self._workspace,
            self._task,
            card,
            job_id,
            plan.next_hparams,
            SEED,
            cycle=plan.cycle,
            plan_id=plan_id,
            family=family,
            base=Quotes(self._workspace, self._services, family).base,
            quote=plan.quote,
        )
        try:
            return self._paying.start(spec, plan.quote, approve_usd)
        except QuoteChanged as error:
            # Noted, so that the next steps name another plan: the same call would be refused for ever.
            self._write(plan.model_copy(update={"outdated": str(error)}))
            raise

    def _write(self, plan: RetrainPlan) -> None:
        write_json(self._workspace.cycle_dir(plan.cycle) / PLAN_FILE, plan.model_dump(mode="json", by_alias=True))

    def _refuse_another(self, cycle: str, plan_id: str) -> None:
        """One candidate a cycle is trained; one whose training failed or was cancelled may give way to another."""
        for job in self._jobs.list():
            if job.kind not in ("train", "smoke", "campaign"):
                continue
            over = ("failed", "cancelled", *(["succeeded"] if job.kind == "smoke" else []))
            if job.cycle == cycle and job.plan_id not in (None, plan_id) and job.state not in over:
                raise ValueError(
                    f"{cycle} trains with {job.plan_id!r} ({job.job_id} {job.state}), and one candidate a cycle is "
                    "judged; go on with it, or end it with cancel_job; another recipe is for the next cycle"
                )

    def _plan_id(self, cycle: str, card: Card, family: Family, hparams: Wire, quote: Quote | None) -> str:
        """The id follows from what is trained, not from the reasons, so planning twice finds the same job.

        What runs elsewhere is another job where it was quoted for other hardware, code or another price.
        """
        made_of: list[object] = [cycle, card.name, card.fingerprint, family.name, hparams, SEED, self._task]
        if quote is not None and quote.resolved is not None:
            made_of += [quote.resolved, quote.timeout_s]
        elif family.name != EMBEDDED.name:
            made_of += Quotes(self._workspace, self._services, family).base
        return "retrain-" + digest(made_of)[:12]

    def _by_id(self, plan_id: str) -> RetrainPlan:
        files = sorted((self._workspace.root / "loop").glob(f"*/{PLAN_FILE}"))
        plans = {plan.plan_id: plan for plan in (RetrainPlan.model_validate(read_json(file)) for file in files)}
        if plan_id not in plans:
            raise ValueError(f"no training plan {plan_id!r}; known: {', '.join(plans) or 'none'}; call plan_retrain")
        return plans[plan_id]
