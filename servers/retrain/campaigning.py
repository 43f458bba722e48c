"""Start a campaign's trainings: one job for all arms, each of which leaves a job folder like any other training's."""

from servers.core.campaign import Arm, Campaign, campaign_with
from servers.core.cycle_files import needs_unjudged
from servers.core.dataset import DatasetStore
from servers.core.disk import digest
from servers.core.families import worked_with
from servers.core.job_files import CampaignSpec, TrainSpec
from servers.core.jobs import JobStatus, JobStore
from servers.core.quotes import Quotes
from servers.core.recipes import champions_recipe, changed
from servers.core.services import Services
from servers.core.task import Task
from servers.core.workspace import Workspace
from servers.retrain.paying import Paying
from servers.retrain.planning import train_spec


def start_campaign(
    workspace: Workspace,
    task: Task,
    services: Services,
    jobs: JobStore,
    paying: Paying,
    plan_id: str,
    approve_usd: float | None,
) -> JobStatus:
    """Start the job of a campaign; one that lives or has ended well is found.

    One that failed or was cancelled goes on with the arms that have no model yet.

    Raises:
        ValueError: there is no such campaign, its rows are not made or none survived, its cycle is closed or has its
            verdict, it was planned for another task file or other services, or its cost is not approved or exceeds
            the budget.
    """
    campaign = campaign_with(workspace, plan_id)
    if jobs.exists(plan_id) and (found := jobs.status(plan_id)).state == "succeeded":
        return found
    worked_with(needs_unjudged(workspace, campaign.cycle), services)
    if campaign.task_digest != digest(task):
        raise ValueError(f"{plan_id!r} was planned for another task file; call plan_campaign again")
    if not campaign.made:
        raise ValueError(f"{plan_id!r} has rows that are not made yet; call augment_dataset with it first")
    if not campaign.trainable:
        raise ValueError(f"{plan_id!r} has nothing to train on: no new row survived; call write_report with the reason")
    spec = CampaignSpec(
        job_id=plan_id,
        cycle=campaign.cycle,
        plan_id=plan_id,
        arms=[_arm_spec(workspace, task, services, campaign, arm) for arm in campaign.trainable],
    )
    return paying.start(spec, campaign.quote, approve_usd)


def _arm_spec(workspace: Workspace, task: Task, services: Services, campaign: Campaign, arm: Arm) -> TrainSpec:
    version, family = campaign.version(arm), campaign.family
    assert version is not None  # it is trainable
    recipe = changed(champions_recipe(workspace, campaign.from_model, family)[0], arm.changes)
    return train_spec(
        workspace,
        task,
        DatasetStore(workspace).card(campaign.dataset, version),
        arm.job_id,
        recipe.model_dump(),
        seed=arm.seed,
        cycle=campaign.cycle,
        plan_id=campaign.plan_id,
        family=family,
        base=Quotes(workspace, services, family).base,
        quote=campaign.quote,
    )
