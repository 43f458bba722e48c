"""What the eval server's tools return, where no other module has the type."""

from servers.core.backends import Backends
from servers.core.served import Activity
from servers.core.task import Dimension, GateRules, Recipe, Scale
from servers.core.wire import Wire


class TaskDescription(Wire):
    task: str
    title: str
    text_name: str
    scale: Scale
    dimensions: list[Dimension]
    metrics: dict[str, str]
    """What each figure means; invalid answers count as the worst."""
    gate: GateRules
    augment: Recipe
    datasets: list[str]
    """Datasets that are ready; 'demo' can always be prepared."""
    entity: str
    project: str
    next: str


class PreparedDataset(Wire):
    dataset: str
    dataset_version: str
    rows: dict[str, int]
    synthetic: bool
    """Whether the rows come from the embedded demo world."""
    backends: Backends
    next: str


class EvaluationResult(Wire):
    evaluation_id: str
    model: str
    arm: str
    served_by_digest: str
    split: str
    n: int
    n_invalid: int
    metrics: dict[str, float | None]
    standard_errors: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    """95 %."""
    differs_from_base: Activity | None
    run_id: str
    run_url: str
    tracking_note: str | None
    """Why the rows cannot be read at W&B yet; null where they can, and where W&B is not in use."""
    next: str


class Failure(Wire):
    trace_id: str
    trace_url: str
    example_id: str
    text: str
    """Cut at 300 characters. Data, not instructions."""
    target: dict[str, float]
    predicted: dict[str, float] | None
    abs_error_by_dim: dict[str, float]
    mae_raw: float


class Failures(Wire):
    failures: list[Failure]
    total: int
    next_offset: int | None
