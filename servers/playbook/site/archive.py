"""What the pages share: the cycles of every dataset with their figures, time and money, read from disk."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from servers.core.budget import Budget
from servers.core.cycle_files import Opening, document_so_far
from servers.core.dataset import Card, DatasetStore
from servers.core.disk import now, read_jsonl, seconds_between
from servers.core.evaluations import Evaluation, EvaluationStore, ScoredRow
from servers.core.job_files import SPEC, SampleSpec, TeachSpec, TrainSpec, read_spec
from servers.core.jobs import JobStatus, JobStore
from servers.core.models import trained_models
from servers.core.registry import Move, Registry
from servers.core.services import Services
from servers.core.task import Task, load_task
from servers.core.workspace import Workspace
from servers.playbook.cycles import all_cycles
from servers.playbook.report.view_base import CycleShown
from servers.playbook.viewing_path import Path as CyclePath


@dataclass(frozen=True)
class CycleLine:
    """One cycle in the lists: its figures, and what it took."""

    opening: Opening
    shown: CycleShown
    candidate: str | None
    version_after: str | None
    """The dataset version that the candidate was trained on."""
    seconds: float
    """From its opening to its end, or to now."""
    usd: float

    @property
    def cycle(self) -> str:
        return self.opening.cycle

    @property
    def is_closed(self) -> bool:
        return self.shown.verdict is not None


class Archive:
    """Everything in one artifacts folder that pages show; a new one is made whenever something on disk has changed.

    Args:
        workspace: The artifacts folder.
        task: The task of the command line; other tasks are found in what their trainings were told.
        services: Where the budget's limit stands.
    """

    def __init__(self, workspace: Workspace, task: Task, services: Services) -> None:
        self.workspace, self.services = workspace, services
        self.datasets = DatasetStore(workspace)
        self.evaluations = EvaluationStore(workspace)
        self.jobs = JobStore(workspace)
        self.registry = Registry(workspace)
        self.budget = Budget(workspace, services)
        self._task = task
        self._rows: dict[str, list[ScoredRow]] = {}

    @cached_property
    def names(self) -> list[str]:
        return self.datasets.names()

    @cached_property
    def heads(self) -> dict[str, Card]:
        """The newest version of each dataset."""
        return {name: self.datasets.head(name) for name in self.names}

    @cached_property
    def measured(self) -> list[Evaluation]:
        """Every evaluation, oldest first."""
        return self.evaluations.all()

    def rows(self, evaluation: Evaluation) -> list[ScoredRow]:
        """The scored rows of an evaluation, in the order of the split.

        Raises:
            ValueError: it is invalid.
        """
        if evaluation.evaluation_id not in self._rows:
            self._rows[evaluation.evaluation_id] = self.evaluations.rows(evaluation.evaluation_id)
        return self._rows[evaluation.evaluation_id]

    @cached_property
    def all_jobs(self) -> list[JobStatus]:
        return self.jobs.list()

    @cached_property
    def lines(self) -> list[CycleLine]:
        """Every cycle, oldest first."""
        shown = {cycle.cycle: cycle for cycle in CyclePath(self.workspace).cycles()}
        return [self._line(opened, shown[opened.cycle]) for opened in all_cycles(self.workspace)]

    def lines_of(self, dataset: str) -> list[CycleLine]:
        return [line for line in self.lines if line.opening.dataset == dataset]

    def line(self, cycle: str) -> CycleLine | None:
        return next((line for line in self.lines if line.cycle == cycle), None)

    def moves(self, dataset: str) -> list[Move]:
        """Every change of champion, oldest first."""
        return self.registry.history(dataset)

    def task_named(self, name: str) -> Task | None:
        """The task of this name: the command line's, a training's, or built in; None where nobody knows it."""
        if name == self._task.name:
            return self._task
        for file in sorted(self.workspace.jobs_root.glob(f"*/{SPEC}"), reverse=True):
            spec = read_spec(file.parent)
            if isinstance(spec, (TrainSpec, SampleSpec, TeachSpec)) and spec.task.name == name:
                return spec.task
        try:
            return load_task(name)
        except ValueError:
            return None

    def task_of(self, dataset: str) -> Task | None:
        """The task of a dataset."""
        head = self.heads.get(dataset)
        return None if head is None else self.task_named(head.task)

    def summary(self, cycle: str) -> Mapping[str, Any] | None:
        """What a closed cycle says of itself."""
        return document_so_far(self.workspace, cycle, "summary.json")

    def version_made_by(self) -> dict[str, str]:
        """Which cycle made each dataset version that a cycle made."""
        made = [(line.version_after, line) for line in reversed(self.lines)]
        return {new: line.cycle for new, line in made if new is not None and new != line.opening.dataset_version}

    def _line(self, opened: Opening, shown: CycleShown) -> CycleLine:
        summary = self.summary(opened.cycle) or {}
        gate = document_so_far(self.workspace, opened.cycle, "gate.json") or {}
        until = summary.get("closed_at") or now()
        candidate = summary.get("candidate") or gate.get("candidate") or self._newest_model(opened)
        spec = document_so_far(self.workspace, opened.cycle, "augmentation_spec.json")
        planned = spec["versions"]["to_version"] if spec and spec.get("outcome") else None
        trained = {made.model_id: made.dataset_version for made in trained_models(self.workspace, opened.dataset)}
        return CycleLine(
            opening=opened,
            shown=shown,
            candidate=candidate,
            version_after=trained.get(candidate or "") or planned,
            seconds=summary.get("seconds") or seconds_between(opened.opened_at, until),
            usd=self._usd(opened.cycle),
        )

    def _newest_model(self, opened: Opening) -> str | None:
        made = [job.models[-1] for job in self.all_jobs if job.cycle == opened.cycle and job.models]
        return made[-1] if made else None

    def _usd(self, cycle: str) -> float:
        """What jobs, teacher and brain took for a cycle, and the most that is still set aside for it."""
        ids = tuple(job.job_id for job in self.all_jobs if job.cycle == cycle)
        amounts = self._settled | self.budget.reservations()
        jobs = sum(usd for key, usd in amounts.items() if ids and key.startswith(ids))
        brain = {row["answer"]: row["usd"] for row in read_jsonl(self.workspace.cycle_dir(cycle) / "brain.jsonl")}
        return jobs + sum(usd or 0.0 for usd in brain.values())

    @cached_property
    def _settled(self) -> dict[str, float]:
        return self.budget.settled()


def digits_of(task: Task | None) -> int:
    """Decimals of a mean error: a ten-thousandth of the scale shows."""
    return 2 if task is None else max(0, 4 - round(math.log10(task.scale.width)))


def without_folders(base: str) -> str:
    """A base model without the folders that it lies in on this machine."""
    return base.rsplit("/", 1)[-1] if base.startswith(("/", "~", ".")) else base
