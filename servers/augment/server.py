"""The augment server: plans and makes training data, and publishes versions. It never sees a sealed row."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from servers.augment import wording
from servers.augment.augmenting import AugmentationSpec, Augmenting
from servers.augment.campaigning import Campaigning
from servers.augment.making import Outcome
from servers.augment.publishing import publish, publish_on_hub
from servers.augment.results import (
    AugmentationPlan,
    AugmentationResult,
    CampaignPlan,
    DatasetEntry,
    Datasets,
    ExampleRow,
    Published,
)
from servers.augment.shelf import documents
from servers.augment.teachers import Teacher
from servers.core.campaign import MAX_SEEDS, WAYS, Campaign, Way, is_campaign
from servers.core.dataset import DatasetStore, Example
from servers.core.jobs import JobStatus
from servers.core.paging import page
from servers.core.recipes import HparamChange
from servers.core.services import Services
from servers.core.task import Task
from servers.core.words import cleaned
from servers.core.workspace import Workspace
from servers.room import PAGE, CycleId, DatasetName, Offset, Room

INSTRUCTIONS = "Makes new training rows for weak dimensions, filtered and versioned. Begin with plan_augmentation."
SHOWN_TEXT_CHARS = 200
WHY_CHARS = 500
WAIT_S = 15.0  # for a teacher that writes in a job, in one call
AGAIN = "augment_dataset again, which waits"


def build_room(
    workspace: Workspace,
    task: Task,
    services: Services | None = None,
    teacher: Teacher | None = None,
    wait_s: float = WAIT_S,
) -> Room:
    """The augment server over one artifacts folder, for one task; the configuration's teacher writes, unless given."""
    room, services = Room("augment", INSTRUCTIONS, workspace), services or Services()
    datasets, augmenting = DatasetStore(workspace), Augmenting(workspace, task, services, teacher)
    campaigning = Campaigning(workspace, task, services, augmenting)

    @room.reads(told=wording.datasets)
    def list_datasets(offset: Offset = 0) -> Datasets:
        """List the datasets that are ready, with their newest version. Next: prepare_dataset or open_cycle."""
        entries, found = [], page(datasets.names(), PAGE, offset)
        for name in found.items:
            head = datasets.head(name)
            entries.append(
                DatasetEntry(
                    name=name,
                    head=head.fingerprint,
                    versions=len(datasets.versions(name)),
                    rows=head.rows,
                    synthetic=head.synthetic,
                )
            )
        return Datasets(datasets=entries, total=found.total, next_offset=found.next_offset)

    @room.writes(told=wording.plan, reaches_out=True)
    def plan_augmentation(
        cycle: CycleId,
        focus_dimensions: Annotated[list[str], Field(description="dimensions to aim at; empty = more of the same")],
        new_rows: Annotated[int | None, Field(ge=1, le=5000, description="default: the task's")] = None,
        replay_rows: Annotated[
            int | None, Field(ge=0, le=5000, description="hard train rows to weigh double, at most a tenth")
        ] = None,
    ) -> AugmentationPlan:
        """Plan new rows for the dimensions where the model is worst and the text carries signal; writes
        augmentation_spec.json. Needs record_context and diagnose_dataset. Next: augment_dataset.
        """
        spec = augmenting.plan(cycle, focus_dimensions, new_rows, replay_rows)
        return AugmentationPlan(
            plan_id=spec.plan_id,
            focus_dimensions=spec.focus_dimensions,
            new_rows=spec.new_rows,
            replay_rows=spec.replay_rows,
            teacher=spec.teacher,
            cost_usd=spec.cost_usd,
            why=cleaned(spec.rationale, WHY_CHARS),
            next="augment_dataset",
        )

    @room.writes(told=wording.campaign, reaches_out=True)
    def plan_campaign(
        cycle: CycleId,
        focus_dimensions: Annotated[list[str], Field(description="what the aimed ways aim at")],
        changes: Annotated[list[HparamChange], Field(description="what the ways with another recipe change")],
        seeds: Annotated[int, Field(ge=1, le=MAX_SEEDS, description="candidates of each way")] = 2,
        ways: Annotated[list[Way] | None, Field(description="default: all five")] = None,
    ) -> CampaignPlan:
        """Plan a campaign's ways, with several seeds each: more, focused, focused_replay, hyperparameters, no_new_data;
        writes campaign.json. Next: augment_dataset.
        """
        campaign = campaigning.plan(cycle, focus_dimensions, changes, seeds, list(WAYS) if ways is None else ways)
        assert campaign.quote is not None  # every plan has one
        return CampaignPlan(
            plan_id=campaign.plan_id,
            ways={way: words for way, words in WAYS.items() if way not in campaign.left_out},
            left_out=campaign.left_out,
            seeds=campaign.seeds,
            candidates=len(campaign.arms),
            teacher=services.backends(datasets.head(campaign.dataset)).teacher,
            cost_usd=round(campaign.quote.usd + campaign.teacher_usd, 6),
            quote=campaign.quote,
            next="augment_dataset",
        )

    @room.writes(told=wording.rows, locked=False, reaches_out=True)  # a campaign locks for one set of rows at a time
    def augment_dataset(
        plan_id: Annotated[str, Field(description="id that plan_augmentation or plan_campaign returned")],
    ) -> AugmentationResult:
        """Have the teacher write a plan's rows, filter them, and save the new dataset version; a campaign's versions
        are saved beside it. A teacher that has to be asked writes in a job: while state is 'writing', call again, which
        waits. Next: write_playbook with remedies, then plan_retrain; for a campaign start_retrain.
        """
        until = time.monotonic() + wait_s
        if is_campaign(plan_id):
            campaign, job = campaigning.carry_out(plan_id, until)
            return _campaign_result(campaign, job, datasets)
        if (job := augmenting.writing(plan_id, until)) is not None:
            return _result(augmenting.plan_named(plan_id), job, datasets)
        with workspace.writing("augment.augment_dataset"):
            return _result(augmenting.carry_out(plan_id), None, datasets)

    @room.writes(told=wording.published, locked=False, reaches_out=True)  # an upload may take minutes
    def publish_dataset(
        dataset: DatasetName,
        dataset_version: Annotated[str, Field(description="fingerprint of the version")],
        to_hub: bool = False,
    ) -> Published:
        """Write a version's open splits and a card as a Hub-ready folder, and upload it, private, where asked to.
        The sealed split is never published. Next: open_cycle.
        """
        card = datasets.card(dataset, dataset_version)
        with workspace.writing("augment.publish_dataset"):
            folder, files = publish(workspace, datasets, task, card)
        on_hub = publish_on_hub(services, datasets, task, card, folder) if to_hub else None
        return Published(path=str(folder.relative_to(workspace.root)), files=files, on_hub=on_hub)

    room.shelf.add(*documents(workspace))
    return room


def _result(spec: AugmentationSpec, job: JobStatus | None, datasets: DatasetStore) -> AugmentationResult:
    outcome = spec.outcome or Outcome(written=0, added=0, replayed=0, dropped={}, examples_of_dropped={})
    card = datasets.card(spec.dataset, spec.versions.to_version or spec.versions.from_version)
    new = _new_rows(spec, datasets)
    return AugmentationResult(
        plan_id=spec.plan_id,
        **_at_work(job),
        dataset=card.name,
        dataset_version=card.fingerprint,
        parent=spec.versions.from_version,
        added=outcome.added,
        replayed=outcome.replayed,
        dropped=outcome.dropped,
        why_nothing=None if job else outcome.why_nothing,
        rows=card.rows,
        examples=_shown(new),
        by_arm=None,
        next=AGAIN
        if job
        else "write_playbook with remedies, then plan_retrain"
        if new
        else "get_cycle says how to go on without new rows",
    )


def _campaign_result(campaign: Campaign, job: JobStatus | None, datasets: DatasetStore) -> AugmentationResult:
    specs = [AugmentationSpec.model_validate(rows.spec) for rows in campaign.rows]
    nothing = job is None and not any(rows.version for rows in campaign.rows)
    outcomes = [spec.outcome for spec in specs if spec.outcome is not None]
    card = datasets.card(campaign.dataset, campaign.dataset_version)
    first = next((spec for spec in specs if spec.versions.to_version is not None), None)
    return AugmentationResult(
        plan_id=campaign.plan_id,
        **_at_work(job),
        dataset=card.name,
        dataset_version=card.fingerprint,
        parent=card.fingerprint,
        added=sum(outcome.added for outcome in outcomes),
        replayed=sum(outcome.replayed for outcome in outcomes),
        dropped=dict(sum((Counter(outcome.dropped) for outcome in outcomes), Counter[str]())),
        why_nothing=next((outcome.why_nothing for outcome in outcomes if outcome.why_nothing), None)
        if nothing
        else None,
        rows=card.rows,
        examples=[] if first is None else _shown(_new_rows(first, datasets)),
        by_arm={rows.name: spec.outcome.added for rows, spec in zip(campaign.rows, specs, strict=True) if spec.outcome},
        next=AGAIN if job else "start_retrain with this plan_id",
    )


def _at_work(job: JobStatus | None) -> dict[str, Any]:
    """What is said of a teacher's job."""
    if job is None:
        return {"state": "made", "job_id": None, "message": "all rows are made"}
    return {"state": "writing", "job_id": job.job_id, "message": cleaned(job.message)}


def _new_rows(spec: AugmentationSpec, datasets: DatasetStore) -> list[Example]:
    version = spec.versions.to_version or spec.versions.from_version
    return [row for row in datasets.train(spec.dataset, version) if row.provenance.get("plan_id") == spec.plan_id]


def _shown(new: Sequence[Example]) -> list[ExampleRow]:
    return [ExampleRow(text=cleaned(row.text, SHOWN_TEXT_CHARS), target=row.target) for row in new[:3]]
