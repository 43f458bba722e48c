"""What the open side of a cycle says about a candidate: the same when a verdict is given and when it is verified."""

from collections.abc import Sequence

import numpy as np

from servers.core.answers import ServedBy
from servers.core.arms import ConstantArm, RuleArm
from servers.core.cycle_files import Opening, document_so_far
from servers.core.dataset import Card, DatasetStore, Example
from servers.core.evaluations import Evaluation, EvaluationStore
from servers.core.fitness import Fitness
from servers.core.models import Gone, trained_model
from servers.core.near_copies import groups
from servers.core.statistics import compare
from servers.core.workspace import Workspace


class OpenEvidence:
    """The evaluations and rows of one artifacts folder that a verdict looks at besides the sealed ones."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._datasets, self._evaluations = DatasetStore(workspace), EvaluationStore(workspace)

    def training_rows(self, model: str, opened: Opening, card: Card) -> list[Example]:
        """What the candidate was trained on.

        Raises:
            ValueError: no job of this cycle trained it, or on another dataset.
        """
        if model in (ConstantArm.model_id, RuleArm.model_id):
            raise ValueError(f"{model!r} was not trained by a job; a candidate comes from start_retrain")
        made = trained_model(self._workspace, model)
        if made.dataset != card.name:
            raise ValueError(f"{model!r} was trained on {made.dataset!r}, not on {card.name!r}; retrain it there")
        if made.cycle != opened.cycle:
            # An old candidate would cost this cycle its verdict, and the split a part of its level.
            raise ValueError(f"{model!r} was trained in {made.cycle}; {opened.cycle} judges what it trained itself")
        return self._datasets.train(card.name, made.dataset_version)

    def fitness(self, cycle: str, candidate: ServedBy, champion: ServedBy, leaked_rows: int) -> Fitness:
        """What the plain checks look at, from the pair's evaluations in this cycle.

        Raises:
            Gone: one of them was not measured.
            ValueError: an evaluation is invalid.
        """
        measured = self.evaluation(cycle, candidate)
        ours, theirs = (
            [row.answer for row in self._evaluations.rows(self.evaluation(cycle, served).evaluation_id)]
            for served in (candidate, champion)
        )
        return Fitness(
            json_valid_rate=measured.metrics["json_valid_rate"] or 0.0,
            served_rows=measured.n,
            leaked_rows=leaked_rows,
            p95_latency_ms=measured.metrics["p95_inference_latency_ms"],
            activity=measured.differs_from_base,
            differs_from_champion=sum(a != b for a, b in zip(ours, theirs, strict=True)) / len(ours),
            has_prompt_arm=self.prompt_model(cycle) is not None,
        )

    def foreseen_error(self, cycle: str, card: Card, pair: Sequence[ServedBy]) -> float:
        """Standard error to expect of a pair's difference on the sealed rows, from their paired diagnose rows."""
        first, second = (self._evaluations.rows(self.evaluation(cycle, served).evaluation_id) for served in pair)
        ours, theirs = (np.array([row.mae_raw for row in rows], dtype=float) for rows in (first, second))
        clusters = groups([row.text for row in first], card.near_copy_threshold, max_share=1.0).labels
        return compare(ours, theirs, clusters).standard_error * float(np.sqrt(len(first) / card.rows.gate))

    def evaluation(self, cycle: str, served: ServedBy) -> Evaluation:
        """A model's evaluation in a cycle, with exactly these weights.

        Raises:
            Gone: there is none of these weights.
            ValueError: it is invalid.
        """
        found = self._evaluations.find(cycle, served.model_id)
        if found is None or found.served_by != served:
            raise Gone(f"{served.model_id!r} is not measured in {cycle}; call evaluate_model with it first")
        return self._evaluations.verified(found.evaluation_id)

    def measured(self, cycle: str, model: str) -> ServedBy:
        """What served when a model that is asked over a network was measured in a cycle.

        Raises:
            Gone: it was not measured.
        """
        if (found := self._evaluations.find(cycle, model)) is None:
            raise Gone(f"{model!r} is not measured in {cycle}; call sample_model and evaluate_model with it first")
        return found.served_by

    def prompt_model(self, cycle: str) -> str | None:
        """The untrained base model, if it was measured in this cycle."""
        measured = [found.model for found in self._evaluations.all() if (found.cycle, found.arm) == (cycle, "prompt")]
        return measured[-1] if measured else None

    def focus(self, cycle: str) -> list[str]:
        """What the cycle aimed at, as the augment server wrote it down; whoever aims knows no sealed row.

        Nothing where no new row came of the aim: a candidate of another recipe was not made for these dimensions.
        """
        spec = document_so_far(self._workspace, cycle, "augmentation_spec.json")
        if spec is None or (spec["outcome"] is not None and spec["outcome"]["added"] == 0):
            return []
        return list(spec["focus_dimensions"])
