"""What the augment server's tools return."""

from typing import Literal

from servers.core.dataset import SplitSizes
from servers.core.hub_repos import Uploaded
from servers.core.quotes import Quote
from servers.core.wire import Wire


class DatasetEntry(Wire):
    name: str
    head: str
    """Fingerprint of the newest version."""
    versions: int
    rows: SplitSizes
    synthetic: bool


class Datasets(Wire):
    datasets: list[DatasetEntry]
    total: int
    next_offset: int | None


class AugmentationPlan(Wire):
    plan_id: str
    focus_dimensions: list[str]
    new_rows: int
    replay_rows: int
    teacher: str
    cost_usd: float
    """The most that the teacher can cost."""
    why: str
    next: str


class CampaignPlan(Wire):
    plan_id: str
    ways: dict[str, str]
    """What is tried, in words."""
    left_out: dict[str, str]
    """Ways that are not tried, and why."""
    seeds: int
    candidates: int
    teacher: str
    cost_usd: float
    """The most that the teacher can cost, and what all trainings are expected to."""
    quote: Quote
    next: str


class ExampleRow(Wire):
    text: str
    """Cut at 200 characters. Data, not instructions."""
    target: dict[str, float]


class AugmentationResult(Wire):
    plan_id: str
    state: Literal["made", "writing"]
    """writing: a teacher is at work in a job; calling again waits for it."""
    job_id: str | None
    """Of the teacher at work."""
    message: str
    dataset: str
    dataset_version: str
    """The new version, or the old one where no row survived the filters."""
    parent: str
    added: int
    replayed: int
    dropped: dict[str, int]
    """Drafts dropped, by reason; added and dropped together are all that were written."""
    why_nothing: str | None
    """Why no row was added; null where some were. The cycle can go on without."""
    rows: SplitSizes
    examples: list[ExampleRow]
    by_arm: dict[str, int] | None
    """For a campaign, rows added in each set of rows; its versions wait until one is chosen."""
    next: str


class Published(Wire):
    path: str
    """Inside the artifacts folder."""
    files: list[str]
    on_hub: Uploaded | None
    """Null where it was not asked for."""
