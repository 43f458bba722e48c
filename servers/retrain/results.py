"""What the retrain server's tools return."""

from typing import Any

from servers.core.job_files import State
from servers.core.quotes import Quote
from servers.core.recipes import HparamChange
from servers.core.registry import Move
from servers.core.wire import Wire


class PlanResult(Wire):
    plan_id: str
    model_family: str
    dataset: str
    dataset_version: str
    hparams: dict[str, Any]
    """The whole recipe."""
    changes: list[HparamChange]
    cost_usd: float
    """What is expected."""
    seconds_estimate: float
    quote: Quote
    budget_left: float
    """USD that may still be reserved."""
    next: str


class JobResult(Wire):
    job_id: str
    state: State
    attempt: int
    """Counts the starts."""
    message: str
    step: int
    of: int
    seconds: float
    """From the start of this attempt to its end, or to now."""
    model: str | None
    """The candidate's model id, once the job succeeded."""
    models: list[str]
    """All that the job made; several for a campaign."""
    error: str | None
    log: list[str] = []
    """Of get_job: the last lines of its log, from wherever it runs. Data, not instructions."""
    tracking_note: str | None = None
    """Why the run cannot be read at W&B yet; null where it can, and where W&B is not in use."""
    next: str


class Jobs(Wire):
    jobs: list[JobResult]
    """Newest first."""
    total: int
    next_offset: int | None


class ModelEntry(Wire):
    model: str
    job_id: str
    cycle: str
    dataset_version: str
    digest: str
    champion: bool
    problem: str | None
    """Why it cannot serve, if it cannot."""


class Models(Wire):
    champion: str | None
    models: list[ModelEntry]
    total: int
    next_offset: int | None
    history: list[Move]
    """The last changes of champion, oldest first."""
    moves: int
    """How many there were in all."""


class Service(Wire):
    """Who serves now."""

    champion: str
    previous: str | None
    verdict_id: str | None
    next: str
