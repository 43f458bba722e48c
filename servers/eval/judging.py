"""Put a candidate before the sealed split: what may be asked, what it costs, what is kept and what is shown."""

from collections.abc import Sequence
from functools import partial

from servers.core.answers import Answer, ServedBy
from servers.core.arms import answers_of, kind_of, load_arm, served_by_of
from servers.core.campaign import refuse_unchosen
from servers.core.cycle_files import Opening, needs_open, needs_unjudged
from servers.core.dataset import Card, DatasetStore, Example
from servers.core.disk import now, write_json
from servers.core.fitness import Fitness, plain_checks, unfit
from servers.core.gate import Verdict, level_for_next, shown, verdict_id_for
from servers.core.progress import tell
from servers.core.registry import Registry
from servers.core.services import Services
from servers.core.task import Task
from servers.core.wear import worn_out
from servers.core.workspace import Workspace
from servers.eval.custody import Custody
from servers.eval.deciding import Question, Role, decide
from servers.eval.open_evidence import OpenEvidence
from servers.eval.sampling import Sampling
from servers.eval.sealed_sampling import sample_sealed
from servers.eval.verdicts import GateDocument, Record, carries, records

STEPS = 4  # that are told of: look, ask, compare, write down


class Judge:
    """Verdicts on the sealed split of a cycle's dataset."""

    def __init__(self, workspace: Workspace, task: Task, services: Services) -> None:
        self._workspace, self._task = workspace, task
        self._sampling = Sampling(workspace, task, services)
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
        tell(0, STEPS, "looking at the candidate and what it was trained on")
        models, served = self._served(opened, card, candidate)
        ours, theirs = served["candidate"].digest, served["champion"].digest
        if ours == theirs:
            raise ValueError(f"{candidate!r} is the champion itself; train a candidate with plan_retrain")
        trained_on = self._open.training_rows(candidate, opened, card)
        verdict_id = verdict_id_for(card.gate_fingerprint, ours, theirs)
        needs_unjudged(self._workspace, cycle, besides=verdict_id)
        spent = records(self._custody, card)
        question = self._question(verdict_id, opened, card, served, trained_on, level_for_next(carries(spent, theirs)))
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
        answers: dict[Role, list[Answer]] = {}
        for number, (role, model) in enumerate(models.items()):
            tell(1 + number / len(models), STEPS, f"the {role} answers {len(rows)} sealed rows")
            answers[role] = self._answers(card, model, served[role], rows)
        for role, given in answers.items():
            self._custody.keep_answers(card, verdict_id, role, given)
        tell(2, STEPS, f"comparing the answers on {len(rows)} sealed rows")
        record = Record(question=question, verdict=decide(question, rows, answers))
        tell(3, STEPS, "writing the verdict down")
        self._custody.append_verdict(card, record.model_dump(mode="json", by_alias=True))
        return self._publish(opened, card, candidate, question, record.verdict, [*spent, record])

    def sample(self, cycle: str, model: str, limit_s: float, approve_usd: float | None = None) -> str | None:
        """Have a model that answers in a job answer the sealed rows, and keep its answers sealed.

        Args:
            cycle: Whose verdict is to come.
            model: The candidate, the champion or 'prompt'.
            limit_s: How long to wait for the job.
            approve_usd: What a person typed back of a cost that was told.

        Returns:
            None once its answers are there; else why they are not needed.

        Raises:
            StillAnswering: the job takes longer.
            ValueError: the model has no part in this cycle's verdict, was not measured on the diagnose rows before, or
                cannot be asked.
        """
        opened = needs_unjudged(self._workspace, cycle)
        card = self._datasets.head(opened.dataset)
        self._custody.refuse_other_task(card)
        if model not in (opened.champion, self._open.prompt_model(cycle)):
            refuse_unchosen(self._workspace, opened, model)
            self._open.training_rows(model, opened, card)
            candidate, champion = self._served(opened, card, model)[1], opened.champion
            if problem := unfit(plain_checks(self._fitness(opened, card, model, candidate), self._task.gate)):
                return f"{model!r} is {problem}, so neither it nor {champion!r} is asked; gate_candidate says the same"
        served_by = self._one(opened, card, model)
        if not self._custody.sampled(card, served_by):
            rows, keep = self._custody.gate(card), partial(self._custody.keep_sampled, card)
            sample_sealed(self._sampling, card, model, served_by, rows, limit_s, approve_usd, keep)
        return None

    def _fitness(self, opened: Opening, card: Card, candidate: str, served: dict[Role, ServedBy]) -> Fitness:
        leaked = self._custody.count_near(card, [row.text for row in self._open.training_rows(candidate, opened, card)])
        return self._open.fitness(opened.cycle, served["candidate"], served["champion"], leaked)

    def _served(self, opened: Opening, card: Card, candidate: str) -> tuple[dict[Role, str], dict[Role, ServedBy]]:
        """Who has a part in the verdict, by model id and by what serves."""
        models: dict[Role, str] = {"candidate": candidate, "champion": opened.champion, "constant": "constant"}
        if (prompt := self._open.prompt_model(opened.cycle)) is not None:
            models["prompt"] = prompt
        return models, {role: self._one(opened, card, model) for role, model in models.items()}

    def _one(self, opened: Opening, card: Card, model: str) -> ServedBy:
        if kind_of(model) in ("prompt", "teacher"):
            return self._open.measured(opened.cycle, model)
        return served_by_of(model, self._workspace, self._task, self._datasets.train(card.name, card.root))

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
        served: dict[Role, ServedBy],
        trained_on: Sequence[Example],
        level: float,
    ) -> Question:
        candidate, champion = served["candidate"], served["champion"]
        leaked = self._custody.count_near(card, [row.text for row in trained_on])
        return Question(
            verdict_id=verdict_id,
            cycle=opened.cycle,
            dataset=opened.dataset,
            task=self._task,
            near_copy_threshold=card.near_copy_threshold,
            models=served,
            focus_dimensions=self._open.focus(opened.cycle),
            fitness=self._open.fitness(opened.cycle, candidate, champion, leaked),
            expected_standard_error=self._open.foreseen_error(opened.cycle, card, [candidate, champion]),
            level=level,
            asked_at=now(),
        )

    def _answers(self, card: Card, model: str, served_by: ServedBy, rows: Sequence[Example]) -> list[Answer]:
        """What a model says about the sealed rows, or said in a job."""
        if kind_of(model) is None:
            train = self._datasets.train(card.name, card.root)
            return answers_of(load_arm(model, self._workspace, self._task, train), rows)
        if not (answers := self._custody.sampled(card, served_by)):
            raise ValueError(
                f"{model!r} was not asked about the sealed rows; call sample_model with split 'gate' first"
            )
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
