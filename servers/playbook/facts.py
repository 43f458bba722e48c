"""What is known of a cycle, read from its folder and the stores; nothing here is written down a second time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from servers.core.cycle_files import Opening, document_so_far, opening, sampled_in
from servers.core.dataset import Card, DatasetStore
from servers.core.evaluations import Evaluation, EvaluationStore
from servers.core.families import family_worked_with
from servers.core.jobs import JobStatus, JobStore
from servers.core.models import trained_model
from servers.core.registry import Move, Registry
from servers.core.workspace import Workspace
from servers.playbook.policies import Policy, concerning, policies_known

MAX_FOCUS = 2  # dimensions that one cycle aims at

Document = dict[str, Any] | None


@dataclass(frozen=True)
class Change:
    """A hyperparameter that the training set differently."""

    name: str
    before: float
    after: float
    reason: str


@dataclass(frozen=True)
class Facts:
    """One cycle; a document that no tool has written yet is None."""

    opening: Opening
    card: Card
    """The dataset version that the cycle opened on."""
    head: Card
    """The newest version of the dataset."""
    evaluations: dict[str, Evaluation]
    """By model, the newest of this cycle."""
    jobs: list[JobStatus]
    """Training jobs of this cycle, oldest first, with smoke runs; of a campaign the one that trains all arms."""
    recipe: dict[str, Any]
    """Hyperparameters of the champion; empty for one that was never trained, or is of another family."""
    sampled: set[tuple[str, str]]
    """Model and split ("diagnose", "gate") of models that answer in jobs and have."""
    known: list[Policy]
    """What closed cycles of this dataset, or of its task, showed about ways of making a candidate; oldest first."""
    champion_now: str | None
    release: Move | None
    """What this cycle changed in the registry, if anything."""
    diagnosis: Document
    snapshot: Document
    augmentation: Document
    plan: Document
    playbook: Document
    gate: Document
    summary: Document
    campaign: Document
    """What a campaign tries."""
    campaign_result: Document
    """What came of it on the diagnose rows."""
    wandb_report: Document
    """Where W&B shows the closed cycle's report."""

    @property
    def cycle(self) -> str:
        return self.opening.cycle

    @property
    def family(self) -> str:
        """What the cycle trains."""
        return family_worked_with(self.opening.backends).name

    @property
    def champion(self) -> Evaluation | None:
        """The evaluation of the model that was in service when the cycle was opened."""
        return self.evaluations.get(self.opening.champion)

    @property
    def candidate(self) -> Evaluation | None:
        """The candidate's evaluation: the one that was judged or chosen, else the best on the diagnose rows."""
        if self.gate is not None:
            return self.evaluations.get(self.gate["candidate"])
        if self.opening.campaign:
            chosen = self.campaign_result and self.campaign_result["chosen"]
            return self.evaluations.get(chosen["model"]) if chosen else None
        made = [self.evaluations[model] for model in self.trained if model in self.evaluations]
        return min(made, key=_error, default=None)

    @property
    def trained(self) -> list[str]:
        """Models that this cycle's jobs made."""
        return [model for job in self.jobs for model in job.models]

    @property
    def augmented(self) -> bool:
        """Whether the plan for new rows was carried out."""
        return self.augmentation is not None and self.augmentation["outcome"] is not None

    @property
    def rows_added(self) -> int:
        """New rows in the version that the candidate was or will be trained on."""
        return self.augmentation["outcome"]["added"] if self.augmentation and self.augmented else 0

    @property
    def overtaken(self) -> bool:
        """Whether something else was put into service meanwhile, so that the verdict counts no more."""
        return self.release is None and (self.champion_now or "constant") != self.opening.champion

    @property
    def changes(self) -> list[Change]:
        """What the cycle's training plan sets differently from the champion's recipe."""
        if self.plan is None:
            return []
        before = self.plan["hparam_patch"]["from"]
        return [Change(c["name"], before[c["name"]], c["value"], c["reason"]) for c in self.plan["changes"]]

    @property
    def remedies(self) -> list[dict[str, Any]]:
        return [] if self.playbook is None else list(self.playbook["remedies"])

    def worst_dimensions(self, model: str) -> list[str]:
        """The dimensions with signal where `model` is worst against the constant, worst first, at most two.

        Not those of the largest error: that would choose what nobody can learn.
        """
        constant, served = self.evaluations.get("constant"), self.evaluations.get(model)
        if constant is None or served is None or self.diagnosis is None:
            return []
        ratios = {}
        for name, found in self.diagnosis["dimensions"].items():
            ours, theirs = served.metrics.get(f"mae_raw_{name}"), constant.metrics.get(f"mae_raw_{name}")
            if found["signal"] != "none" and ours is not None and theirs:
                ratios[name] = ours / theirs
        # Equal ratios (a constant in service has 1 everywhere) go to the dimension with the stronger signal.
        r2 = {name: self.diagnosis["dimensions"][name]["r2"] or 0.0 for name in ratios}
        return sorted(ratios, key=lambda name: (-round(ratios[name], 9), -r2[name]))[:MAX_FOCUS]

    @property
    def outcome(self) -> str | None:
        """The gate's outcome; None before it, and where the cycle stopped."""
        return None if self.gate is None else str(self.gate["outcome"])


def facts_of(workspace: Workspace, cycle: str) -> Facts:
    """Gather what is known.

    Raises:
        ValueError: there is no such cycle.
    """
    opened = opening(workspace, cycle)
    datasets = DatasetStore(workspace)
    card = datasets.card(opened.dataset, opened.dataset_version)
    registry = Registry(workspace)
    history = [move for move in registry.history(opened.dataset) if move.cycle == cycle and move.action != "rollback"]
    evaluations = [e for e in EvaluationStore(workspace).all() if e.cycle == cycle]

    def document(name: str) -> Document:
        return document_so_far(workspace, cycle, name)

    return Facts(
        opening=opened,
        card=card,
        head=datasets.head(opened.dataset),
        evaluations={evaluation.model: evaluation for evaluation in evaluations},
        jobs=list(_jobs(workspace, opened)),
        recipe=_recipe(workspace, opened),
        sampled=sampled_in(workspace, cycle),
        known=concerning(policies_known(workspace), opened.dataset, card.task),
        champion_now=registry.champion(opened.dataset),
        release=history[-1] if history else None,
        diagnosis=document("diagnosis.json"),
        snapshot=document("mcp_eval_snapshot.json"),
        augmentation=document("augmentation_spec.json"),
        plan=document("hparam_patch.json"),
        playbook=document("playbook.json"),
        gate=document("gate.json"),
        summary=document("summary.json"),
        campaign=document("campaign.json"),
        campaign_result=document("campaign_result.json"),
        wandb_report=document("wandb_report.json"),
    )


def _jobs(workspace: Workspace, opened: Opening) -> Iterator[JobStatus]:
    kinds = ("campaign" if opened.campaign else "train", "smoke")
    yield from (job for job in JobStore(workspace).list() if job.cycle == opened.cycle and job.kind in kinds)


def _recipe(workspace: Workspace, opened: Opening) -> dict[str, Any]:
    if not family_worked_with(opened.backends).owns(opened.champion):
        return {}
    try:
        return trained_model(workspace, opened.champion).hparams
    except ValueError:  # never trained, or its files are gone: whoever trains or measures says so
        return {}


def _error(evaluation: Evaluation) -> float:
    value = evaluation.metrics.get("vector_mae")
    return float("inf") if value is None else value
