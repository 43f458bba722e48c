"""What the agent reads in the tools' results: only the fields it needs, checked once, named as the tools name them.

Fields that are not listed are let through unread, so a server may say more. Errors are in points of the task's scale.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

# A cycle's id becomes a folder's name here, so it must be a plain one, whoever sent it.
CycleId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}(\.[a-z0-9_-]+)*$")]
Metrics = dict[str, float | None]


def in_points(error: float | None, sign: str = "") -> str:
    """An error, or with `sign="+"` a difference of errors, for a reader."""
    return "-" if error is None else f"{error:{sign}.2f}"


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Named(_Read):
    name: str


class Backends(_Read):
    tracking: str
    teacher: str
    model: str
    jobs: str


class TaskReply(_Read):
    """describe_task"""

    task: str
    title: str
    text_name: str
    dimensions: list[Named]
    entity: str
    project: str


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


class CycleState(_Read):
    """open_cycle, get_cycle"""

    cycle: CycleId
    kind: Literal["begin", "cycle"]
    dataset: str
    champion: str
    """The champion when the cycle was opened; 'constant' at the beginning."""
    done: list[str] = []
    """The steps that the cycle has behind it."""


class Signal(_Read):
    """What a dimension's text carries."""

    signal: Literal["learnable", "weak", "none"]
    r2: float | None = None


class Diagnosis(_Read):
    """diagnose_dataset"""

    verdict: str
    reason: str
    dimensions: dict[str, Signal]
    warnings: list[str] = []


class Evaluated(_Read):
    """evaluate_model"""

    evaluation_id: str
    model: str
    n: int
    metrics: Metrics

    def error(self, dimension: str | None = None) -> float | None:
        """Mean absolute error of one dimension, or of all."""
        return self.metrics.get(f"mae_raw_{dimension}" if dimension else "vector_mae")


class Failure(_Read):
    """A diagnose row that the champion got wrong, as it came back through W&B."""

    trace_id: str
    mae_raw: float
    abs_error_by_dim: dict[str, float]


class Context(_Read):
    """record_context"""

    failures: list[Failure]
    eval_summary: dict[str, Metrics]
    """Metrics by model id, as they came back through W&B."""


class AugmentationPlan(_Read):
    """plan_augmentation"""

    plan_id: str


class Augmentation(_Read):
    """augment_dataset"""

    dataset_version: str
    added: int
    replayed: int = 0
    dropped: dict[str, int] = {}


class RetrainPlan(_Read):
    """plan_retrain"""

    plan_id: str


class Job(_Read):
    """start_retrain, get_job"""

    job_id: str
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    message: str | None = None
    model: str | None = None
    error: str | None = None


class Difference(_Read):
    """Candidate minus champion, points; negative is better."""

    difference: float
    ci: tuple[float, float]


class Comparison(_Read):
    """compare_models"""

    overall: Difference


class Check(_Read):
    name: str
    passed: bool | None
    """Null where the check does not apply."""
    detail: str


class Verdict(_Read):
    """gate_candidate"""

    outcome: Literal["promote", "hold", "undecided"]
    reason: str
    n: int
    level: float
    difference: float | None
    """Sealed, so null, unless the verdict is promote."""
    ci: tuple[float, float] | None
    checks: list[Check]


class Promotion(_Read):
    """promote_model"""

    champion: str


class Report(_Read):
    """write_report"""

    report: str


class Evidence(_Read):
    """read_evidence"""

    text: str
    next_offset: int | None


class Done(_Read):
    """Any result of which only the success matters."""
