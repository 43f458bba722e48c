"""Put a candidate before the sealed split: what may be asked, what it costs, what is kept and what is shown."""

from collections.abc import Mapping, Sequence

import numpy as np

from servers.core.answers import Answer
from servers.core.arms import Arm, ConstantArm, RuleArm, load_arm
from servers.core.cycle_files import Opening, needs_open, needs_unjudged
from servers.core.dataset import Card, DatasetStore, Example
from servers.core.disk import digest, now, read_json, write_json
from servers.core.evaluations import Evaluation, EvaluationStore
from servers.core.fitness import Fitness, plain_checks, unfit
from servers.core.gate import MAX_VERDICTS, Evidence, Verdict, judge, level_for_next, shown, unfit_verdict
from servers.core.models import trained_model
from servers.core.near_copies import groups
from servers.core.registry import Registry
from servers.core.statistics import compare
from servers.core.task import Task
from servers.core.workspace import Workspace
from servers.eval.custody import Custody
from servers.eval.sealed_evidence import Answered, Role, evidence_from
from servers.eval.verdicts import GateDocument, Record, promotions, records, worn_out


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
            ValueError: a step is missing, the candidate cannot be judged, or the split is worn out.
        """
        opened = needs_open(self._workspace, cycle)
        card = self._datasets.head(opened.dataset)
        self._custody.refuse_other_task(card)
        arms = self._arms(opened, card, candidate)
        ours, theirs = arms["candidate"].served_by.digest, arms["champion"].served_by.digest
        if ours == theirs:
            raise ValueError(f"{candidate!r} is the champion itself; train a candidate with plan_retrain")
        trained_on = self._training_rows(candidate, opened, card)
        verdict_id = "verdict-" + digest([card.gate_fingerprint, ours, theirs])[:12]
        needs_unjudged(self._workspace, cycle, besides=verdict_id)
        spent = records(self._custody, card)
        stored = next((record for record in spent if record.verdict_id == verdict_id), None)
        if stored is not None:
            return self._publish(opened, card, candidate, stored, spent)
        self._refuse_stale_champion(opened)
        fitness = self._fitness(opened, card, arms, trained_on)
        plain = plain_checks(fitness, self._task.gate)
        level = level_for_next(promotions(spent))
        if (problem := unfit(plain)) is not None:
            # It spends nothing, and the sealed rows are not asked: the candidate may come back mended.
            verdict = unfit_verdict(plain, problem, card.rows.gate, level)
            return self._publish(
                opened, card, candidate, self._record(verdict_id, opened, card, arms, fitness, 0.0, verdict), spent
            )
        if len(spent) >= MAX_VERDICTS:
            raise ValueError(worn_out(card.name, len(spent)))
        evidence = self._evidence(verdict_id, opened, card, arms)
        verdict = judge(plain, evidence, self._task.gate, level)
        foreseen = evidence.expected_standard_error
        record = self._record(verdict_id, opened, card, arms, fitness, foreseen, verdict)
        self._custody.append_verdict(card, record.model_dump(mode="json", by_alias=True))
        return self._publish(opened, card, candidate, record, [*spent, record])

    def _arms(self, opened: Opening, card: Card, candidate: str) -> dict[Role, Arm]:
        train = self._datasets.train(card.name, card.root)
        models: dict[Role, str] = {"candidate": candidate, "champion": opened.champion, "constant": "constant"}
        measured = [found for found in self._evaluations.all() if found.cycle == opened.cycle]
        if prompts := [found.model for found in measured if found.arm == "prompt"]:
            models["prompt"] = prompts[-1]
        return {role: load_arm(model, self._workspace, self._task, train) for role, model in models.items()}

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

    def _refuse_stale_champion(self, opened: Opening) -> None:
        current = self._registry.champion(opened.dataset) or "constant"
        if current != opened.champion:
            raise ValueError(
                f"{opened.cycle} was opened against {opened.champion!r}, but the champion is {current!r} now; "
                f"close it with write_report and open the next one"
            )

    def _fitness(self, opened: Opening, card: Card, arms: Mapping[Role, Arm], trained_on: Sequence[Example]) -> Fitness:
        measured = self._evaluation(opened.cycle, arms["candidate"])
        return Fitness(
            json_valid_rate=measured.metrics["json_valid_rate"] or 0.0,
            served_rows=measured.n,
            leaked_rows=self._custody.count_near(card, [row.text for row in trained_on]),
            p95_latency_ms=measured.metrics["p95_inference_latency_ms"],
            base=None,
            differs_from_base=None,
            has_prompt_arm="prompt" in arms,
        )

    def _evidence(self, verdict_id: str, opened: Opening, card: Card, arms: Mapping[Role, Arm]) -> Evidence:
        """Ask every model about the sealed rows, keep what they said, and score it."""
        rows = self._custody.gate(card)
        answered: dict[Role, Answered] = {}
        for role, arm in arms.items():
            words = arm.answer([row.text for row in rows])
            answers = [
                Answer(id=row.id, text=text, latency_ms=None, served_by=arm.served_by)
                for row, text in zip(rows, words, strict=True)
            ]
            self._custody.keep_answers(card, verdict_id, role, answers)
            answered[role] = Answered(arm.served_by, answers)
        foreseen = self._foreseen_error(opened.cycle, card, arms["candidate"], arms["champion"], len(rows))
        return evidence_from(self._task, rows, card.near_copy_threshold, answered, self._focus(opened.cycle), foreseen)

    def _record(
        self,
        verdict_id: str,
        opened: Opening,
        card: Card,
        arms: Mapping[Role, Arm],
        fitness: Fitness,
        foreseen: float,
        verdict: Verdict,
    ) -> Record:
        return Record(
            verdict_id=verdict_id,
            cycle=opened.cycle,
            dataset=opened.dataset,
            task=self._task,
            near_copy_threshold=card.near_copy_threshold,
            models={role: arm.served_by for role, arm in arms.items()},
            focus_dimensions=self._focus(opened.cycle),
            fitness=fitness,
            expected_standard_error=foreseen,
            verdict=verdict,
            asked_at=now(),
        )

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
        clusters = groups([row.text for row in first], card.near_copy_threshold, max_share=1.0).labels
        return compare(ours, theirs, clusters).standard_error * float(np.sqrt(len(first) / sealed_rows))

    def _focus(self, cycle: str) -> list[str]:
        """What the cycle aimed at, as the augment server wrote it down; whoever aims knows no sealed row."""
        path = self._workspace.cycle_dir(cycle) / "augmentation_spec.json"
        return list(read_json(path)["focus_dimensions"]) if path.exists() else []

    def _publish(
        self, opened: Opening, card: Card, candidate: str, record: Record, spent: Sequence[Record]
    ) -> GateDocument:
        gate = GateDocument(
            verdict_id=record.verdict_id,
            cycle=opened.cycle,
            dataset=opened.dataset,
            gate_fingerprint=card.gate_fingerprint,
            # The names that were asked for: the stored pair has these weights, but another job may have made them.
            candidate=candidate,
            champion=opened.champion,
            focus_dimensions=record.focus_dimensions,
            verdicts_asked=len(spent),
            level_left=level_for_next(promotions(spent)),
            asked_at=record.asked_at,
            **shown(record.verdict).model_dump(exclude={"statistical"}),
        )
        write_json(self._workspace.cycle_dir(opened.cycle) / "gate.json", gate.model_dump(mode="json", by_alias=True))
        return gate
