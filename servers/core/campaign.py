"""A campaign: one cycle that tries several ways with several seeds each, so that an effect has a cause.

`campaign.json` says what is tried: rows to make, and arms to train on them. `campaign_result.json` says what came of it
on the diagnose rows, and which one arm goes on. Each way differs from another, or from the champion, by one thing.
"""

from typing import Any, Literal

from pydantic import Field

from servers.core.cycle_files import Opening, document, opening
from servers.core.disk import read_json
from servers.core.families import Family, family_of_model
from servers.core.quotes import Quote
from servers.core.recipes import HparamChange
from servers.core.wire import Wire
from servers.core.workspace import Workspace

PLAN_FILE, RESULT_FILE = "campaign.json", "campaign_result.json"
PAIRS_FILE = "generated_augmented_pairs.jsonl"
MAX_SEEDS = 5

Way = Literal["more", "focused", "focused_replay", "hyperparameters", "no_new_data", "other"]
"""`other` is a mixture that somebody planned by hand; it stands in no campaign."""
Worked = Literal["helped", "harmed", "not shown"]
WAYS: dict[Way, str] = {
    "more": "new rows without an aim, the champion's recipe",
    "focused": "new rows aimed at the weakest dimensions, the champion's recipe",
    "focused_replay": "the same aimed rows, and hard train rows at double weight",
    "hyperparameters": "the same aimed rows, another recipe",
    "no_new_data": "the rows as they are, another recipe",
}
DIFFERS_FROM: dict[Way, Way] = {"focused": "more", "focused_replay": "focused", "hyperparameters": "focused"}
"""By one thing: the aim, the replay, the recipe. The others are compared with the champion alone."""

DRAWS: dict[Way, Way] = {
    "more": "more",
    "focused": "focused",
    "focused_replay": "focused",
    "hyperparameters": "focused",
}
"""Ways whose rows the teacher draws by seed, and which of them train on the same draw."""


class Rows(Wire):
    """New rows for one dataset version, which one or two ways train on."""

    name: str
    """Way and seed, such as 'focused-1'."""
    seed: int
    """Of the teacher."""
    spec: dict[str, Any]
    """As `augmentation_spec.json` has it for a cycle of one candidate; with its outcome once they are made."""

    @property
    def made(self) -> bool:
        return self.spec["outcome"] is not None

    @property
    def version(self) -> str | None:
        """The version that holds them; None before they are made, and where no row came of it."""
        version: str | None = self.spec["versions"]["to_version"]
        return version


class Arm(Wire):
    """One candidate."""

    arm: str
    """Way and seed, such as 'focused-1'."""
    way: Way
    seed: int
    """Counted from 1; the same number means the same seed of the teacher."""
    rows: str | None
    """Name of the rows; null where it trains on the dataset as it is."""
    changes: list[HparamChange]
    job_id: str
    """Of its training."""
    model_id: str
    """What it will be called."""


class Campaign(Wire):
    """`campaign.json`."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema")
    plan_id: str
    cycle: str
    dataset: str
    dataset_version: str
    """What all ways begin with."""
    from_model: str
    """The champion, whose recipe the changes start from."""
    seeds: int
    left_out: dict[str, str]
    """Ways that are not tried, and why."""
    rows: list[Rows]
    arms: list[Arm]
    why: str
    quote: Quote | None = None
    """For all arms; null where it was planned when everything ran on one machine."""
    teacher_usd: float = 0.0
    """The most that the teacher can cost, for all rows."""
    task_digest: str
    planned_at: str

    @property
    def family(self) -> Family:
        """What its candidates are."""
        return family_of_model(self.arms[0].model_id)

    @property
    def made(self) -> bool:
        """Whether all rows were made."""
        return all(rows.made for rows in self.rows)

    @property
    def trainable(self) -> list[Arm]:
        """Arms that have what they train on: rows of which none survived are no reason to train."""
        return [arm for arm in self.arms if arm.rows is None or self.version(arm) is not None]

    def version(self, arm: Arm) -> str | None:
        """The dataset version that an arm trains on; None where its rows are not made or none survived."""
        return self.dataset_version if arm.rows is None else self.rows_of(arm).version

    def rows_of(self, arm: Arm) -> Rows:
        """The new rows of an arm that has any."""
        return next(rows for rows in self.rows if rows.name == arm.rows)


class Cause(Wire):
    """A way against the one that it differs from by one thing: what that thing did."""

    against: Way
    difference: float
    """Points, over the same seeds; below 0 is better."""
    standard_error: float
    p: float
    """Two-sided, corrected for the number of causes."""
    worked: Worked


class WayResult(Wire):
    """What a way did on the diagnose rows. They choose; they prove nothing about the sealed ones."""

    way: Way
    focus_dimensions: list[str]
    rows_added: int
    """Mean over its seeds."""
    rows_replayed: int
    changes: dict[str, float]
    """Hyperparameters that were set otherwise than the champion's."""
    seeds: int
    difference: float
    """Candidate minus champion in vector_mae, mean over seeds, points; below 0 is better."""
    standard_error: float
    p: float
    """Two-sided, corrected for the number of ways."""
    worked: Worked
    cause: Cause | None
    evaluations: list[str]
    """Of its candidates, in the order of the seeds."""


class Chosen(Wire):
    """The one arm of the best way that goes on."""

    arm: str
    way: Way
    model: str
    evaluation_id: str
    dataset_version: str


class CampaignResult(Wire):
    """`campaign_result.json`."""

    schema_version: int = Field(default=1, alias="schema", serialization_alias="schema")
    plan_id: str
    cycle: str
    champion_evaluation: str
    n: int
    clusters: int
    ways: list[WayResult]
    """The best first."""
    chosen: Chosen | None
    """Null where no way errs less than the champion."""
    to_gate: bool
    """Whether the chosen one is itself shown better than the champion; if not, the verdict is saved."""
    reason: str
    decided_at: str


def campaign_of(workspace: Workspace, cycle: str) -> Campaign:
    """What a campaign tries.

    Raises:
        ValueError: there is no such cycle, it is none, or nothing was planned yet.
    """
    needs_campaign(opening(workspace, cycle))
    return Campaign.model_validate(document(workspace, cycle, PLAN_FILE, "plan_campaign"))


def campaign_with(workspace: Workspace, plan_id: str) -> Campaign:
    """The campaign of a plan id.

    Raises:
        ValueError: there is none.
    """
    found = [Campaign.model_validate(read_json(file)) for file in (workspace.root / "loop").glob(f"*/{PLAN_FILE}")]
    for campaign in found:
        if campaign.plan_id == plan_id:
            return campaign
    known = ", ".join(campaign.plan_id for campaign in found) or "none"
    raise ValueError(f"no campaign {plan_id!r}; known: {known}; call plan_campaign")


def is_campaign(plan_id: str) -> bool:
    """Whether the id is of a campaign's plan."""
    return plan_id.startswith("campaign-")


def needs_campaign(opened: Opening) -> None:
    """Refuse a step of a campaign in a cycle of one candidate.

    Raises:
        ValueError: the cycle is none.
    """
    if not opened.campaign:
        raise ValueError(
            f"{opened.cycle} trains one candidate; call plan_augmentation or plan_retrain, or open the next cycle with "
            "campaign true"
        )


def refuse_campaign(opened: Opening) -> None:
    """Refuse a step of one candidate in a campaign.

    Raises:
        ValueError: the cycle is a campaign.
    """
    if opened.campaign:
        raise ValueError(f"{opened.cycle} is a campaign; plan_campaign plans the rows and trainings of all its ways")


def refuse_unchosen(workspace: Workspace, opened: Opening, candidate: str) -> None:
    """Refuse to judge any arm of a campaign but the one that was chosen before anybody looked at sealed rows.

    Raises:
        ValueError: nothing was chosen yet, another one was, or the verdict is saved.
    """
    if not opened.campaign:
        return
    found = CampaignResult.model_validate(document(workspace, opened.cycle, RESULT_FILE, "choose_candidate"))
    if found.chosen is None or not found.to_gate:
        raise ValueError(f"{opened.cycle} saves its verdict: {found.reason}; call write_report with this stop_reason")
    if candidate != found.chosen.model:
        raise ValueError(f"{opened.cycle} chose {found.chosen.model!r} for the gate, not {candidate!r}")
