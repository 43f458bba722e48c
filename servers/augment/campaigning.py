"""Plan a campaign and make its rows: the ways of making a candidate, each with several seeds of the teacher.

The ways that aim share their rows seed by seed, so that the replay and the recipe are the only things that differ. The
CPU student is not random, so of it a way without new rows has one arm whatever the number of seeds. No version becomes
the dataset's newest here; that is for the arm that is chosen.
"""

from collections.abc import Iterator, Sequence

from servers.augment.augmenting import AugmentationSpec, Augmenting
from servers.core.campaign import (
    PLAN_FILE,
    WAYS,
    Arm,
    Campaign,
    Rows,
    Way,
    campaign_with,
    needs_campaign,
)
from servers.core.cycle_files import Opening, needs_unjudged
from servers.core.dataset import DatasetStore
from servers.core.disk import digest, now, read_json, write_json
from servers.core.families import Family, worked_with
from servers.core.jobs import JobStatus
from servers.core.progress import tell
from servers.core.quotes import Quote, Quotes
from servers.core.recipes import HparamChange, champions_recipe, changed
from servers.core.services import Services
from servers.core.task import Task
from servers.core.wire import Wire
from servers.core.workspace import Workspace

# Where the task's file asks for no replay: the first project's share of the new rows, at most a tenth of train.
REPLAY_SHARE, REPLAY_MOST = 0.15, 0.1
AIMED: tuple[Way, ...] = ("focused", "focused_replay", "hyperparameters")
CHANGED: tuple[Way, ...] = ("hyperparameters", "no_new_data")


class Campaigning:
    """Campaigns of one task.

    Args:
        workspace: The artifacts folder.
        task: What is learned.
        services: Where candidates are trained.
        augmenting: Plans and makes rows.
    """

    def __init__(self, workspace: Workspace, task: Task, services: Services, augmenting: Augmenting) -> None:
        self._workspace, self._task, self._services, self._augmenting = workspace, task, services, augmenting
        self._datasets = DatasetStore(workspace)

    def plan(
        self, cycle: str, focus: Sequence[str], changes: Sequence[HparamChange], seeds: int, ways: Sequence[Way]
    ) -> Campaign:
        """Write down what is tried: `campaign.json`.

        Args:
            cycle: A cycle that was opened as a campaign.
            focus: Dimensions that the aimed ways aim at; none leaves these ways out.
            changes: What the ways with another recipe set otherwise; none leaves these ways out.
            seeds: Candidates of each way that makes rows.
            ways: Ways to try.

        Raises:
            ValueError: the cycle is no campaign, has its verdict, or has begun to carry out another plan; a step is
                missing, an aim or a change cannot be, or fewer than two ways are left to compare.
        """
        opened = needs_unjudged(self._workspace, cycle)
        needs_campaign(opened)
        family = worked_with(opened, self._services)
        before = champions_recipe(self._workspace, opened.champion, family)[0]
        recipe = changed(before, changes)
        left_out = dict(_left_out(focus, changes, ways))
        tried = [way for way in WAYS if way not in left_out]
        if len(tried) < 2:
            why = "; ".join(f"{way}: {reason}" for way, reason in left_out.items())
            raise ValueError(f"{len(tried)} ways are left to compare, a campaign needs 2 ({why})")
        made_of = [cycle, opened.dataset_version, list(focus), list(changes), seeds, tried, self._task]
        plan_id = "campaign-" + digest(made_of)[:12]
        found = self._found(cycle)
        if found is not None and found.plan_id == plan_id:
            return self._quoted_anew(found, family, recipe, before)
        if found is not None and any(rows.made for rows in found.rows):
            raise ValueError(f"{cycle} has begun to carry out {found.plan_id}; go on with augment_dataset")
        rows = [self._rows(opened, plan_id, way, seed, focus) for way, seed in _row_sets(tried, seeds)]
        arms = [
            _arm(plan_id, family, way, seed, changes)
            for way in tried
            for seed in range(1, _arms_of(family, way, seeds) + 1)
        ]
        quote = self._quote(opened.dataset, opened.dataset_version, family, rows, arms, recipe, before)
        campaign = Campaign(
            plan_id=plan_id,
            cycle=cycle,
            dataset=opened.dataset,
            dataset_version=opened.dataset_version,
            from_model=opened.champion,
            seeds=seeds,
            left_out=left_out,
            rows=rows,
            arms=arms,
            why="; ".join(f"{way}: {words}" for way, words in WAYS.items() if way in tried),
            quote=quote,
            teacher_usd=self._teacher_usd(rows),
            task_digest=digest(self._task),
            planned_at=now(),
        )
        self._write(campaign)
        return campaign

    def carry_out(self, plan_id: str, until: float) -> tuple[Campaign, JobStatus | None]:
        """Make all rows of a campaign, each with its dataset version; what was made before is kept.

        Takes the folder's lock for one set of rows at a time, and not while a teacher writes in a job.

        Args:
            plan_id: The campaign's.
            until: How long to wait for a teacher, as a moment of the monotonic clock.

        Returns:
            The campaign, and the job in which a teacher still writes; None when all rows are made.

        Raises:
            ValueError: there is no such campaign, its cycle is closed or has its verdict, or a teacher failed or cannot
                be paid.
            Busy: somebody else writes.
        """
        every = campaign_with(self._workspace, plan_id).rows
        for number, wanted in enumerate(every):
            tell(number, len(every), f"{number} of {len(every)} sets of rows are made; next: {wanted.name}")
            if (job := self._asked(plan_id, number, until)) is not None:
                return campaign_with(self._workspace, plan_id), job
            with self._workspace.writing("augment.augment_dataset"):
                # Read anew: another call may have made some meanwhile.
                campaign = campaign_with(self._workspace, plan_id)
                rows = campaign.rows[number]
                if rows.made:
                    continue
                opened = needs_unjudged(self._workspace, campaign.cycle)
                spec = AugmentationSpec.model_validate(rows.spec)
                done, _ = self._augmenting.fulfil(opened, spec, rows.seed, moves_head=False)
                made = rows.model_copy(update={"spec": done.model_dump(mode="json", by_alias=True)})
                whole = [made if other.name == rows.name else other for other in campaign.rows]
                self._write(campaign.model_copy(update={"rows": whole}))
        return campaign_with(self._workspace, plan_id), None

    def _asked(self, plan_id: str, number: int, until: float) -> JobStatus | None:
        """The job in which a teacher writes one set of rows; None where it has, or none has to."""
        campaign = campaign_with(self._workspace, plan_id)
        rows = campaign.rows[number]
        if rows.made:
            return None
        opened = needs_unjudged(self._workspace, campaign.cycle)
        return self._augmenting.teacher_at_work(opened, AugmentationSpec.model_validate(rows.spec), rows.seed, until)

    def _quoted_anew(self, found: Campaign, family: Family, recipe: Wire, before: Wire) -> Campaign:
        """A campaign as it is, at what is resolved now: a price may have changed since, or the code that runs."""
        quote = self._quote(found.dataset, found.dataset_version, family, found.rows, found.arms, recipe, before)
        if found.quote is not None and found.quote.resolved == quote.resolved:
            return found
        campaign = found.model_copy(update={"quote": quote})
        self._write(campaign)
        return campaign

    def _quote(
        self,
        dataset: str,
        version: str,
        family: Family,
        rows: Sequence[Rows],
        arms: Sequence[Arm],
        recipe: Wire,
        before: Wire,
    ) -> Quote:
        trained = self._datasets.card(dataset, version).rows.train
        new = {one.name: one.spec["new_rows"] for one in rows}
        trainings = [
            (trained + new.get(arm.rows or "", 0), (recipe if arm.changes else before).model_dump()) for arm in arms
        ]
        return Quotes(self._workspace, self._services, family).quote(dataset, version, trainings)

    def _teacher_usd(self, rows: Sequence[Rows]) -> float:
        specs = [(AugmentationSpec.model_validate(one.spec), one.seed) for one in rows]
        each = {self._augmenting.teacher_job(spec, seed): spec.cost_usd for spec, seed in specs}
        return round(sum(usd for job, usd in each.items() if job is not None), 6)

    def _rows(self, opened: Opening, plan_id: str, way: Way, seed: int, focus: Sequence[str]) -> Rows:
        name = f"{way}-{seed}"
        spec = self._augmenting.draft(
            opened,
            [] if way == "more" else focus,
            None,
            self._replayed(opened) if way == "focused_replay" else 0,
            plan_id="augment-" + digest([plan_id, name])[:12],
        )
        # The aimed ways share the teacher's seed, so that their rows are the same but for the replay.
        return Rows(
            name=name,
            seed=int(digest([plan_id, seed])[:8], 16),
            spec=spec.model_dump(mode="json", by_alias=True),
        )

    def _replayed(self, opened: Opening) -> int:
        recipe, train = self._task.augment, self._datasets.card(opened.dataset, opened.dataset_version).rows.train
        return max(1, min(recipe.replay_rows or round(REPLAY_SHARE * recipe.new_rows), int(REPLAY_MOST * train)))

    def _found(self, cycle: str) -> Campaign | None:
        path = self._workspace.cycle_dir(cycle) / PLAN_FILE
        return Campaign.model_validate(read_json(path)) if path.exists() else None

    def _write(self, campaign: Campaign) -> None:
        path = self._workspace.cycle_dir(campaign.cycle) / PLAN_FILE
        write_json(path, campaign.model_dump(mode="json", by_alias=True))


def _left_out(focus: Sequence[str], changes: Sequence[HparamChange], ways: Sequence[Way]) -> Iterator[tuple[str, str]]:
    for way in WAYS:
        if way not in ways:
            yield way, "not asked for"
        elif way in AIMED and not focus:
            yield way, "there is no dimension to aim at"
        elif way in CHANGED and not changes:
            yield way, "no hyperparameter change was given"


def _row_sets(tried: Sequence[Way], seeds: int) -> Iterator[tuple[Way, int]]:
    """Which rows have to be made: another recipe trains on the aimed rows that are there anyway."""
    sets: list[Way] = [way for way in tried if way not in CHANGED]
    if "hyperparameters" in tried and "focused" not in sets:
        sets.append("focused")
    for way in sets:
        for seed in range(1, seeds + 1):
            yield way, seed


def _arms_of(family: Family, way: Way, seeds: int) -> int:
    return 1 if way == "no_new_data" and not family.is_random else seeds


def _arm(plan_id: str, family: Family, way: Way, seed: int, changes: Sequence[HparamChange]) -> Arm:
    name = f"{way}-{seed}"
    number = digest([plan_id, name])[:12]
    return Arm(
        arm=name,
        way=way,
        seed=seed,
        rows={"hyperparameters": f"focused-{seed}", "no_new_data": None}.get(way, name),
        changes=list(changes) if way in CHANGED else [],
        job_id=f"train-{number}",
        model_id=family.model_id(number),
    )
