"""Put a candidate before the sealed split: what may be asked, what it costs, what is kept and what is shown."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field

from servers.core.answers import Answer
from servers.core.arms import Arm, ConstantArm, RuleArm, load_arm
from servers.core.campaign import refuse_unchosen
from servers.core.cycle_files import Opening, needs_open, needs_unjudged
from servers.core.dataset import Card, DatasetStore, Example
from servers.core.disk import digest, now, read_json, write_json
from servers.core.evaluations import Evaluation, EvaluationStore
from servers.core.gate import Check, Evidence, Outcome, Verdict, judge, level_for_next, plain_checks, shown
from servers.core.metrics import RowScorer, error_matrix
from servers.core.models import trained_model
from servers.core.near_copies import groups
from servers.core.registry import Registry
from servers.core.statistics import Floats, Labels, compare
from servers.core.task import Task
from servers.core.wire import Wire
from servers.core.workspace import Workspace
from servers.eval.custody import Custody


class GateDocument(Wire):
    """`gate.json`: the part of a verdict that may leave the sealed folder."""

    schema_version: int = Field(1, alias="schema", serialization_alias="schema")
    verdict_id: str
    cycle: str
    dataset: str
    candidate: str
    champion: str
    outcome: Outcome
    reason: str
    """In words, with the numbers that may be shown."""
    n: int
    """Sealed rows."""
    clusters: int
    """Near-copy groups among them."""
    level: float
    """One-sided, what this verdict could spend."""
    difference: float | None
    """Candidate minus champion in vector_mae, points, negative is better; null without promotion."""
    ci: tuple[float, float] | None
    checks: list[Check]
    """Without promotion only those that are not statistical."""
    focus_dimensions: list[str]
    verdicts_asked: int
    """That looked at this sealed split's errors so far; a candidate unfit for service spends none."""
    asked_at: str


class Judge:
    """Verdicts on the sealed split of a cycle's dataset."""

    def __init__(self, workspace: Workspace, task: Task) -> None:
        self._workspace, self._task = workspace, task
        self._custody = Custody(workspace, task)
        self._datasets = DatasetStore(workspace)
        self._evaluations = EvaluationStore(workspace)
        self._registry = Registry(workspace)

    def gate(self, cycle: str, candidate: str) -> GateDocument:
        """The verdict on `candidate` against the champion; a pair that was judged before gets its stored verdict.

        Raises:
            ValueError: a step is missing, or the candidate cannot be judged.
        """
        opened = needs_open(self._workspace, cycle)
        refuse_unchosen(self._workspace, opened, candidate)
        card = self._datasets.head(opened.dataset)
        self._custody.refuse_other_task(card)
        candidate_arm, champion_arm, constant_arm = (
            self._arm(model, card) for model in (candidate, opened.champion, "constant")
        )
        if candidate_arm.served_by.digest == champion_arm.served_by.digest:
            raise ValueError(f"{candidate!r} is the champion itself; train a candidate with plan_retrain")
        trained_on = self._training_rows(candidate, opened, card)
        verdicts = self._custody.verdicts(card)
        verdict_id = (
            "verdict-"
            + digest([card.gate_fingerprint, candidate_arm.served_by.digest, champion_arm.served_by.digest])[:12]
        )
        needs_unjudged(self._workspace, cycle, besides=verdict_id)
        stored = next((v for v in verdicts if v["verdict_id"] == verdict_id), None)
        if stored is None:
            self._refuse_stale_champion(opened)
            evidence = self._evidence(opened, card, candidate_arm, champion_arm, constant_arm, trained_on)
            level = level_for_next([v["verdict"]["outcome"] == "promote" for v in verdicts])
            verdict = judge(evidence, self._task.gate, level)
            stored = self._record(verdict_id, opened, candidate_arm, champion_arm, evidence, verdict)
            if all(check.passed for check in plain_checks(evidence, self._task.gate)):
                # Only a verdict that looked at the errors spends; a candidate unfit for service may come back mended.
                self._custody.append_verdict(card, stored)
                verdicts = [*verdicts, stored]
        return self._publish(opened, candidate, stored, len(verdicts))

    def _refuse_stale_champion(self, opened: Opening) -> None:
        current = self._registry.champion(opened.dataset) or "constant"
        if current != opened.champion:
            raise ValueError(
                f"{opened.cycle} was opened against {opened.champion!r}, but the champion is {current!r} now; "
                f"close it with write_report and open the next one"
            )

    def _arm(self, model: str, card: Card) -> Arm:
        return load_arm(model, self._workspace, self._task, self._datasets.train(card.name, card.root))

    def _evidence(
        self,
        opened: Opening,
        card: Card,
        candidate: Arm,
        champion: Arm,
        constant: Arm,
        trained_on: Sequence[Example],
    ) -> Evidence:
        rows = self._custody.gate(card)
        errors, valid = self._errors(card, candidate, rows)
        return Evidence(
            dimensions=self._task.names,
            focus=self._focus(opened.cycle),
            scale_width=self._task.scale.width,
            candidate=errors,
            champion=self._errors(card, champion, rows)[0],
            constant=self._errors(card, constant, rows)[0],
            clusters=self._clusters(card, [row.text for row in rows]),
            json_valid_rate=valid,
            p95_latency_ms=self._evaluation(opened.cycle, candidate).metrics["p95_inference_latency_ms"],
            leaked_rows=self._custody.count_near(card, [row.text for row in trained_on]),
            expected_standard_error=self._foreseen_error(opened.cycle, card, candidate, champion, len(rows)),
        )

    def _clusters(self, card: Card, texts: Sequence[str]) -> Labels:
        """Near-copy group of each text, at the card's similarity; however large, a group is one piece of evidence."""
        return groups(texts, card.near_copy_threshold, max_share=1.0).labels

    def _errors(self, card: Card, arm: Arm, rows: Sequence[Example]) -> tuple[Floats, float]:
        """Errors of one model on the sealed rows, shape (rows, dimensions), and its share of valid answers."""
        words = arm.answer([row.text for row in rows])
        answers = [
            Answer(id=row.id, text=text, latency_ms=None, served_by=arm.served_by)
            for row, text in zip(rows, words, strict=True)
        ]
        self._custody.save_predictions(card, arm.model_id, answers)
        scored = RowScorer(self._task, card.gate_fingerprint, arm.served_by, "gate", lambda _: "").score(rows, answers)
        return error_matrix(scored, self._task), float(np.mean([row.json_valid for row in scored]))

    def _training_rows(self, model: str, opened: Opening, card: Card) -> list[Example]:
        if model in (ConstantArm.model_id, RuleArm.model_id):
            raise ValueError(f"{model!r} was not trained by a job; a candidate comes from start_retrain")
        made = trained_model(self._workspace, model)
        if made.dataset != card.name:
            raise ValueError(f"{model!r} was trained on {made.dataset!r}, not on {card.name!r}; retrain it there")
        if made.cycle != opened.cycle:
            # An old candidate would cost this cycle its verdict, and the split a part of its level.
            raise ValueError(f"{model!r} was trained in {made.cycle}; {opened.cycle} judges what it trained itself")
        return self._datasets.train(card.name, made.dataset_version)

    def _evaluation(self, cycle: str, arm: Arm) -> Evaluation:
        found = self._evaluations.find(cycle, arm.model_id)
        if found is None or found.served_by != arm.served_by:
            raise ValueError(f"{arm.model_id!r} is not measured in {cycle}; call evaluate_model with it first")
        return found

    def _foreseen_error(self, cycle: str, card: Card, candidate: Arm, champion: Arm, sealed_rows: int) -> float:
        """Standard error to expect on the sealed rows, from the paired diagnose rows."""
        first, second = (
            self._evaluations.rows(self._evaluation(cycle, arm).evaluation_id) for arm in (candidate, champion)
        )
        ours, theirs = (np.array([row.mae_raw for row in rows], dtype=float) for rows in (first, second))
        comparison = compare(ours, theirs, self._clusters(card, [row.text for row in first]))
        return comparison.standard_error * float(np.sqrt(len(first) / sealed_rows))

    def _focus(self, cycle: str) -> list[str]:
        """What the cycle aimed at, as the augment server wrote it down; whoever aims knows no sealed row."""
        path = self._workspace.cycle_dir(cycle) / "augmentation_spec.json"
        return list(read_json(path)["focus_dimensions"]) if path.exists() else []

    def _record(
        self, verdict_id: str, opened: Opening, candidate: Arm, champion: Arm, evidence: Evidence, verdict: Verdict
    ) -> dict[str, Any]:
        return {
            "schema": 1,
            "verdict_id": verdict_id,
            "cycle": opened.cycle,
            "dataset": opened.dataset,
            "candidate": candidate.served_by.model_dump(),
            "champion": champion.served_by.model_dump(),
            "focus_dimensions": list(evidence.focus),
            "leaked_rows": evidence.leaked_rows,
            "p95_latency_ms": evidence.p95_latency_ms,
            "expected_standard_error": evidence.expected_standard_error,
            "rules": self._task.gate.model_dump(),
            "verdict": verdict.model_dump(mode="json"),
            "asked_at": now(),
        }

    def _publish(self, opened: Opening, candidate: str, stored: dict[str, Any], asked: int) -> GateDocument:
        verdict = shown(Verdict.model_validate(stored["verdict"]))
        gate = GateDocument(
            verdict_id=stored["verdict_id"],
            cycle=opened.cycle,
            dataset=opened.dataset,
            # The names that were asked for: the stored pair has these weights, but another job may have made them.
            candidate=candidate,
            champion=opened.champion,
            outcome=verdict.outcome,
            reason=verdict.reason,
            n=verdict.n,
            clusters=verdict.clusters,
            level=verdict.level,
            difference=verdict.difference,
            ci=verdict.ci,
            checks=verdict.checks,
            focus_dimensions=stored["focus_dimensions"],
            verdicts_asked=asked,
            asked_at=stored["asked_at"],
        )
        write_json(self._workspace.cycle_dir(opened.cycle) / "gate.json", gate.model_dump(mode="json", by_alias=True))
        return gate
