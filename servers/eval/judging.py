"""Put a candidate before the sealed split: what may be asked, what it costs, what is kept and what is shown."""

from collections.abc import Sequence

from servers.core.answers import Answer
from servers.core.arms import Arm, answers_of, load_arm
from servers.core.campaign import refuse_unchosen
from servers.core.cycle_files import Opening, needs_open, needs_unjudged
from servers.core.dataset import Card, DatasetStore, Example
from servers.core.disk import now, write_json
from servers.core.gate import Verdict, level_for_next, shown, verdict_id_for
from servers.core.registry import Registry
from servers.core.task import Task
from servers.core.wear import worn_out
from servers.core.workspace import Workspace
from servers.eval.custody import Custody
from servers.eval.deciding import Question, Role, decide
from servers.eval.open_evidence import OpenEvidence
from servers.eval.verdicts import GateDocument, Record, carries, records


class Judge:
    """Verdicts on the sealed split of a cycle's dataset."""

    def __init__(self, workspace: Workspace, task: Task) -> None:
        self._workspace, self._task = workspace, task
        self._custody = Custody(workspace, task)
        self._datasets = DatasetStore(workspace)
        self._registry = Registry(workspace)
        self._open = OpenEvidence(workspace)

    def gate(self, cycle: str, candidate: str) -> GateDocument:
        """The verdict on `candidate` against the champion; a pair that was judged before gets its stored verdict.

        Raises:
            ValueError: a step is missing, the candidate cannot be judged, or the split is worn out.
        """
        opened = needs_open(self._workspace, cycle)
        refuse_unchosen(self._workspace, opened, candidate)
        card = self._datasets.head(opened.dataset)
        self._custody.refuse_other_task(card)
        arms = self._arms(opened, card, candidate)
        ours, theirs = arms["candidate"].served_by.digest, arms["champion"].served_by.digest
        if ours == theirs:
            raise ValueError(f"{candidate!r} is the champion itself; train a candidate with plan_retrain")
        trained_on = self._open.training_rows(candidate, opened, card)
        verdict_id = verdict_id_for(card.gate_fingerprint, ours, theirs)
        needs_unjudged(self._workspace, cycle, besides=verdict_id)
        spent = records(self._custody, card)
        question = self._question(verdict_id, opened, card, arms, trained_on, level_for_next(carries(spent, theirs)))
        rows = self._custody.gate(card)
        if question.problem is not None:
            # It spends nothing, and the sealed rows are not asked: the candidate may come back mended.
            return self._publish(opened, card, candidate, question, decide(question, rows, {}), spent)
        stored = next((record for record in spent if record.question.verdict_id == verdict_id), None)
        if stored is not None:
            return self._publish(opened, card, candidate, stored.question, stored.verdict, spent)
        self._refuse_stale_champion(opened, theirs)
        if (worn := worn_out(card.name, len(spent))) is not None:
            raise ValueError(worn)
        answers = {role: self._answers(card, verdict_id, role, arm, rows) for role, arm in arms.items()}
        record = Record(question=question, verdict=decide(question, rows, answers))
        self._custody.append_verdict(card, record.model_dump(mode="json", by_alias=True))
        return self._publish(opened, card, candidate, question, record.verdict, [*spent, record])

    def _arms(self, opened: Opening, card: Card, candidate: str) -> dict[Role, Arm]:
        train = self._datasets.train(card.name, card.root)
        models: dict[Role, str] = {"candidate": candidate, "champion": opened.champion, "constant": "constant"}
        if (prompt := self._open.prompt_model(opened.cycle)) is not None:
            models["prompt"] = prompt
        return {role: load_arm(model, self._workspace, self._task, train) for role, model in models.items()}

    def _refuse_stale_champion(self, opened: Opening, digest_asked: str) -> None:
        line = self._registry.line(opened.dataset)
        current = "constant" if line is None else line.champion
        if current != opened.champion:
            raise ValueError(
                f"{opened.cycle} was opened against {opened.champion!r}, but the champion is {current!r} now; "
                f"close it with write_report and open the next one"
            )
        if line is not None and line.digest != digest_asked:
            raise ValueError(
                f"the champion {current!r} has not the weights that were put into service; restore its files, or call "
                "rollback_model"
            )

    def _question(
        self,
        verdict_id: str,
        opened: Opening,
        card: Card,
        arms: dict[Role, Arm],
        trained_on: Sequence[Example],
        level: float,
    ) -> Question:
        candidate, champion = arms["candidate"].served_by, arms["champion"].served_by
        leaked = self._custody.count_near(card, [row.text for row in trained_on])
        return Question(
            verdict_id=verdict_id,
            cycle=opened.cycle,
            dataset=opened.dataset,
            task=self._task,
            near_copy_threshold=card.near_copy_threshold,
            models={role: arm.served_by for role, arm in arms.items()},
            focus_dimensions=self._open.focus(opened.cycle),
            fitness=self._open.fitness(opened.cycle, candidate, champion, leaked),
            expected_standard_error=self._open.foreseen_error(opened.cycle, card, [candidate, champion]),
            level=level,
            asked_at=now(),
        )

    def _answers(self, card: Card, verdict_id: str, role: Role, arm: Arm, rows: Sequence[Example]) -> list[Answer]:
        """What a model says about the sealed rows; kept, so that the verdict can be recomputed."""
        answers = answers_of(arm, rows)
        self._custody.keep_answers(card, verdict_id, role, answers)
        return answers

    def _publish(
        self,
        opened: Opening,
        card: Card,
        candidate: str,
        question: Question,
        verdict: Verdict,
        spent: Sequence[Record],
    ) -> GateDocument:
        promoted = verdict.outcome == "promote"
        next_champion = question.models["candidate" if promoted else "champion"].digest
        gate = GateDocument(
            verdict_id=question.verdict_id,
            cycle=opened.cycle,
            dataset=opened.dataset,
            gate_fingerprint=card.gate_fingerprint,
            # The names that were asked for: the stored pair has these weights, but another job may have made them.
            candidate=candidate,
            champion=opened.champion,
            focus_dimensions=question.focus_dimensions,
            verdicts_asked=len(spent),
            level_left=level_for_next(carries(spent, next_champion)),
            asked_at=question.asked_at,
            **shown(verdict).model_dump(),
        )
        write_json(self._workspace.cycle_dir(opened.cycle) / "gate.json", gate.model_dump(mode="json", by_alias=True))
        return gate
