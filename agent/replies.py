"""What the agent reads in the tools' results: only the fields it needs, checked once, named as the tools name them.

Fields that are not listed are let through unread, so a server may say more. Errors are in points of the task's scale.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

# A cycle's id becomes a folder's name here, so it must be a plain one, whoever sent it.
CycleId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
Metrics = dict[str, float | None]
UNDER_WAY = ("queued", "running")  # states of a job that has not ended
WRITING = "writing"  # of augment_dataset, while a teacher is


def in_points(error: float | None, sign: str = "") -> str:
    """An error, or with `sign="+"` a difference of errors, for a reader."""
    return "-" if error is None else f"{error:{sign}.2f}"


def error_in(metrics: Metrics, dimension: str | None = None) -> float | None:
    """Mean absolute error of one dimension, or of all."""
    return metrics.get(f"mae_raw_{dimension}" if dimension else "vector_mae")


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Named(_Read):
    name: str


class Backends(_Read):
    tracking: str
    teacher: str
    model: str
    jobs: str
    prompt: str | None = None


class TaskReply(_Read):
    """describe_task"""

    task: str
    title: str
    text_name: str
    dimensions: list[Named]

    @property
    def names(self) -> list[str]:
        return [dimension.name for dimension in self.dimensions]


class Rows(_Read):
    """Rows by split."""

    train: int
    diagnose: int
    gate: int


class Prepared(_Read):
    """prepare_dataset"""

    dataset: str
    dataset_version: str
    rows: Rows
    synthetic: bool
    backends: Backends


class NextStep(_Read):
    """A call that moves a cycle on, as the playbook server suggests it."""

    tool: str
    arguments: dict[str, Any]
    why: str


class BudgetShown(_Read):
    """What may be spent for the whole artifacts folder, on jobs, teacher and brain together, USD."""

    limit: float
    left: float


class CycleState(_Read):
    """open_cycle, get_cycle"""

    cycle: CycleId
    kind: Literal["begin", "cycle"]
    dataset: str
    champion: str
    """The champion when the cycle was opened; 'constant' at the beginning."""
    campaign: bool = False
    """Whether several ways are tried before one candidate is judged."""
    next_steps: list[NextStep]
    """What to call now, in this order."""
    closed: bool
    wandb_report: str | None = None
    """Where W&B shows the closed cycle's report."""
    budget: BudgetShown | None = None
    """Null where the server keeps none."""


class Job(_Read):
    """get_job"""

    job_id: str
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    message: str | None = None


class Check(_Read):
    name: str
    passed: bool | None
    """Null where the check does not apply."""
    detail: str


class GateShown(_Read):
    """What left the sealed folder."""

    difference: float | None
    """Candidate minus champion, points, negative is better; sealed, so null, unless the verdict is promote."""
    ci: tuple[float, float] | None
    n: int
    level: float
    checks: list[Check]


class CauseShown(_Read):
    """A way against the one that it differs from by one thing."""

    against: str
    difference: float
    standard_error: float
    p: float
    worked: str


class WayShown(_Read):
    """What a way of making a candidate did on the diagnose rows, over its seeds."""

    way: str
    focus_dimensions: list[str]
    rows_added: int
    rows_replayed: int
    changes: dict[str, float]
    seeds: int
    difference: float
    """Candidate minus champion, points, negative is better."""
    standard_error: float
    p: float
    """Corrected for the number of ways."""
    worked: str
    cause: CauseShown | None


class ChosenShown(_Read):
    way: str
    model: str


class CampaignShown(_Read):
    """How a campaign came out."""

    ways: list[WayShown]
    """The best first."""
    chosen: ChosenShown | None
    to_gate: bool
    reason: str


class Summary(_Read):
    """What a closed cycle brought: the evidence `summary:<cycle>`."""

    cycle: CycleId
    kind: Literal["begin", "cycle"]
    verdict: Literal["promote", "hold", "undecided", "stopped"]
    reason: str
    focus_dimensions: list[str]
    rows_added: int | None
    """Null where no plan for new rows was carried out."""
    champion_before: str
    champion_after: str
    diagnose: dict[str, Metrics | None]
    """By role; null where nobody filled it."""
    gate: GateShown | None
    campaign: CampaignShown | None = None
    """Null for a cycle of one candidate, and where it stopped before the choice."""
    seconds: float
    """From its opening to its end."""
    report: str
    """Path of the page, under the artifacts folder."""


class Evidence(_Read):
    """read_evidence"""

    text: str
    next_offset: int | None
