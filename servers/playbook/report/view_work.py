"""What was done: rows, ways and trainings, what came of what, what it took, and what was learned."""

from typing import Literal

from servers.playbook.report.view_base import Shown


class NewExample(Shown):
    text: str
    target: dict[str, float]
    source: str


class DroppedExample(Shown):
    text: str
    reason: str


class AugmentationShown(Shown):
    """The rows that the cycle added to train."""

    teacher: str
    focus: list[str] = []
    """Empty where the plan asked for more of the same."""
    why: str = ""
    added: int
    replayed: int = 0
    dropped: dict[str, int] = {}
    """Rows that a filter refused, by reason."""
    dropped_examples: list[DroppedExample] = []
    nothing_came: str | None = None
    """Why none of them were added; null where some were."""
    rows_before: int
    rows_after: int
    version_after: str
    examples: list[NewExample] = []


class WayShown(Shown):
    """A way of making a candidate against the champion, over its seeds."""

    way: str
    words: str
    seeds: int
    rows_added: int
    difference: float
    se: float
    p: float
    """Corrected for the number of ways."""
    worked: Literal["helped", "harmed", "not shown"]
    against: str | None
    """The way that it differs from by one thing."""
    part: float | None
    """What that one thing did."""
    part_worked: Literal["helped", "harmed", "not shown"] | None


class CampaignShown(Shown):
    """The ways that were compared on the diagnose rows."""

    n: int
    chosen: str | None
    reason: str
    ways: list[WayShown]
    """The best first."""
    left_out: dict[str, str] = {}
    """Ways that were not tried, and why."""


class SettingChange(Shown):
    name: str
    before: str | None = None
    after: str
    reason: str = ""


class TrainingShown(Shown):
    """The job that made the candidate."""

    job: str
    model: str
    family: str
    train_rows: int
    seconds: float
    changes: list[SettingChange] = []


class CostShown(Shown):
    """What one part of the work took in this cycle."""

    part: str
    what: str = ""
    usd: float
    """0 where nothing had to be paid."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    """Null where no tokens were counted."""


class TimeShown(Shown):
    """Seconds that one step of the cycle took in the servers."""

    step: str
    seconds: float
    calls: int


class NodeShown(Shown):
    """Something in the lineage."""

    id: str
    kind: Literal["data", "model", "refused"]
    """refused: a model that was not promoted."""
    column: str
    """Cycle in which it came to be."""
    label: str
    words: str = ""
    now: bool = False
    """Whether it is in service, or the newest data."""


class EdgeShown(Shown):
    start: str
    end: str
    kind: Literal["grew", "trained", "followed"]
    """Data from data, a model from data, a champion after a champion."""


class LineageShown(Shown):
    """How data and models came from one another; columns oldest first."""

    columns: list[str]
    nodes: list[NodeShown]
    edges: list[EdgeShown]


class RemedyShown(Shown):
    """What was changed for one failure, and what came of it on that row."""

    trace: str
    dimension: str
    change: str
    text: str = ""
    error_before: float | None = None
    error_after: float | None = None
    trace_url: str | None = None
    """As for a failure."""


class LessonShown(Shown):
    title: str
    text: str
    """With its figures already filled in, each with the number of its source behind it."""
    sources: list[str] = []
    """Where each figure came from, the first is number 1."""
