"""`etude verify CYCLE`: recompute a cycle's verdict from what the sealed folder kept, and say whether it agrees.

Whoever can open the sealed folder can do this: the rows, every model's answers, the question and the verdicts before it
lie there. As long as the split judges, only the agreement is told; once it is retired, the figures are.
"""

from collections.abc import Callable, Iterator
from typing import Literal

from servers.core.answers import Answer
from servers.core.arms import ConstantArm, RuleArm, answers_of, kind_of, load_arm
from servers.core.cycle_files import Opening, document, opening
from servers.core.dataset import Card, DatasetStore, Example
from servers.core.disk import digest, read_json
from servers.core.gate import Told, Verdict, level_for_next, shown, verdict_id_for
from servers.core.models import Gone, trained_model
from servers.core.recipes import PLAN_FILE
from servers.core.registry import Registry
from servers.core.services import Services
from servers.core.wire import Wire
from servers.core.workspace import Workspace
from servers.eval.custody import Custody
from servers.eval.deciding import Question, Role, decide
from servers.eval.open_evidence import OpenEvidence
from servers.eval.sampling import Sampling
from servers.eval.sealed_sampling import sample_sealed
from servers.eval.verdicts import GateDocument, carries, records

TOLERANCE = 1e-9  # points and probabilities; another machine's linear algebra may differ in the last bits

Finding = Literal["agrees", "differs", "cannot be checked"]


class Point(Wire):
    """One thing that was found out anew."""

    what: str
    finding: Finding
    detail: str


class Verification(Wire):
    """What became of a cycle's verdict when it was computed anew."""

    schema_version: int = 1
    cycle: str
    verdict_id: str
    agrees: bool
    """Whether nothing differs; what cannot be checked any more does not count against it."""
    retired: bool
    """Whether the sealed split judges no more."""
    points: list[Point]
    verdict: Told | None
    """As recomputed: whole for a promotion and for a retired split, else what is not sealed; null where the answers
    that were kept are not those of the models that were judged."""


class Verifier:
    """Recomputes the verdicts of one artifacts folder."""

    def __init__(self, workspace: Workspace, custody: Custody, services: Services | None = None) -> None:
        self._workspace, self._custody, self._services = workspace, custody, services or Services()
        self._datasets, self._open = DatasetStore(workspace), OpenEvidence(workspace)

    def verify(self, cycle: str, ask_again: bool) -> Verification:
        """Recompute the verdict of a cycle.

        Args:
            cycle: Its id.
            ask_again: Whether to ask the models about the sealed rows once more, and compare word for word.

        Raises:
            ValueError: the cycle has no verdict, or the sealed folder is not what it was.
        """
        opened = opening(self._workspace, cycle)
        gate = GateDocument.model_validate(document(self._workspace, cycle, "gate.json", "gate_candidate"))
        card = self._datasets.card(opened.dataset, opened.dataset_version)
        spent = records(self._custody, card)
        places = [k for k, record in enumerate(spent) if record.question.verdict_id == gate.verdict_id]
        if not places:
            raise ValueError(f"{cycle} spent no verdict ({gate.reason}), so there is none to recompute")
        record, before = spent[places[0]], spent[: places[0]]
        question = record.question
        rows = self._custody.gate(card)
        kept: dict[Role, list[Answer]] = {
            role: self._custody.kept_answers(card, gate.verdict_id, role) for role in question.models
        }
        again, problem = _decided(question, rows, kept)
        how = problem or "decided anew from the rows and the answers that were kept"
        at_its_time = carries(before, question.models["champion"].digest)
        points = [
            Point(what="sealed rows", finding="agrees", detail=f"{len(rows)}, with the fingerprint that they had"),
            _compared("level", level_for_next(at_its_time), question.level, f"verdict {len(before) + 1}"),
            _compared("verdict", _figures(again), _figures(record.verdict), how),
            _compared(
                "gate.json",
                gate.model_dump(include=set(Told.model_fields)),
                shown(record.verdict).model_dump(),
                "what was told is what may be told",
            ),
            *self._names(opened, card, gate, question),
            *self._open_side(opened, card, question),
        ]
        if ask_again:
            points += self._asked_again(card, question, rows, kept)
        retired = self._custody.is_retired(card)
        return Verification(
            cycle=cycle,
            verdict_id=gate.verdict_id,
            agrees=all(point.finding != "differs" for point in points),
            retired=retired,
            points=points,
            verdict=again if again is None or retired else shown(again),
        )

    def _names(self, opened: Opening, card: Card, gate: GateDocument, question: Question) -> Iterator[Point]:
        """Whether the document is about this cycle and these weights, and the registry about this verdict."""
        ours, theirs = question.models["candidate"].digest, question.models["champion"].digest
        told = [gate.cycle, gate.dataset, gate.gate_fingerprint, gate.verdict_id, gate.champion]
        fitting = verdict_id_for(card.gate_fingerprint, ours, theirs)
        noted = [opened.cycle, opened.dataset, card.gate_fingerprint, fitting, opened.champion]
        yield _compared("names", told, noted, "gate.json names this cycle, split, pair and champion")
        yield _checked(
            "candidate", lambda: trained_model(self._workspace, gate.candidate).digest, ours, "its weights were judged"
        )
        moves = [m for m in Registry(self._workspace).history(opened.dataset) if m.verdict_id == gate.verdict_id]
        put = [move.digest for move in moves if move.model != ConstantArm.model_id]
        may = [ours] * len(put) if gate.outcome == "promote" else []
        yield _compared("registry", put, may, "what this verdict put into service")

    def _open_side(self, opened: Opening, card: Card, question: Question) -> Iterator[Point]:
        """What the question says of the open rows; the artifacts may have been cleared away since."""
        candidate, champion = question.models["candidate"], question.models["champion"]
        cycle = question.cycle

        def leaked() -> int:
            rows = self._open.training_rows(candidate.model_id, opened, card)
            return self._custody.count_near(card, [row.text for row in rows])

        yield _compared(
            "threshold", card.near_copy_threshold, question.near_copy_threshold, "of near-copies, the card's"
        )
        yield _checked(
            "task", lambda: self._task_digest(cycle), digest(question.task), "as the training was planned for"
        )
        fitness = question.fitness
        yield _checked("leakage", leaked, fitness.leaked_rows, "training rows near sealed ones")
        yield _checked(
            "fitness",
            lambda: self._open.fitness(cycle, candidate, champion, fitness.leaked_rows),
            fitness,
            "the pair's evaluations on the diagnose rows",
        )
        yield _checked(
            "foreseen error",
            lambda: self._open.foreseen_error(cycle, card, [candidate, champion]),
            question.expected_standard_error,
            "from the paired diagnose rows",
        )
        yield _checked("focus", lambda: self._open.focus(cycle), question.focus_dimensions, "what the cycle aimed at")

    def _task_digest(self, cycle: str) -> str:
        file = self._workspace.cycle_dir(cycle) / PLAN_FILE
        if not file.exists():
            raise Gone(f"{file.name} of {cycle} is not there")
        return str(read_json(file)["task_digest"])

    def _asked_again(
        self, card: Card, question: Question, rows: list[Example], kept: dict[Role, list[Answer]]
    ) -> Iterator[Point]:
        for role, served in question.models.items():

            def words(role: Role = role) -> list[str]:
                return [f"{answer.served_by.digest} {answer.text}" for answer in self._ask(card, question, role, rows)]

            before = [f"{served.digest} {answer.text}" for answer in kept[role]]
            point = _checked(f"{role} asked again", words, before, f"{served.model_id}, word for word")
            if point.finding == "differs" and kind_of(served.model_id) is not None:
                # A graphics card, or a service that batches, rounds otherwise from one time to the next.
                detail = f"{served.model_id} answers in other words this time, as a model that is served may"
                point = point.model_copy(update={"finding": "cannot be checked", "detail": detail})
            yield point

    def _ask(self, card: Card, question: Question, role: Role, rows: list[Example]) -> list[Answer]:
        """A model's answers: a trained one's in a process of its own, that sees no label."""
        model = question.models[role].model_id
        if model not in (ConstantArm.model_id, RuleArm.model_id):
            sampling = Sampling(self._workspace, question.task, self._services)
            return sample_sealed(sampling, card, model, question.models[role], rows)
        arm = load_arm(model, self._workspace, question.task, self._datasets.train(card.name, card.root))
        return answers_of(arm, rows)


def _decided(
    question: Question, rows: list[Example], kept: dict[Role, list[Answer]]
) -> tuple[Verdict | None, str | None]:
    """The verdict, or why there is none."""
    try:
        return decide(question, rows, kept), None
    except ValueError as error:
        return None, str(error)


def _figures(verdict: Verdict | None) -> object:
    """A verdict without its sentences, which another version of the program may word otherwise."""
    if verdict is None:
        return None
    checks = [check.model_dump(exclude={"detail", "evidence"}) for check in verdict.checks]
    return verdict.model_dump(exclude={"reason", "checks"}) | {"checks": checks}


def _checked(what: str, find: Callable[[], object], noted: object, detail: str) -> Point:
    try:
        found = find()
    except Gone as error:
        return Point(what=what, finding="cannot be checked", detail=str(error))
    except ValueError as error:  # it is there, and not what it was
        return Point(what=what, finding="differs", detail=str(error))
    return _compared(what, found, noted, detail)


def _compared(what: str, found: object, noted: object, detail: str) -> Point:
    return Point(what=what, finding="agrees" if _same(found, noted) else "differs", detail=detail)


def _same(found: object, noted: object) -> bool:
    """Whether two values are the same, numbers within TOLERANCE."""
    if isinstance(found, Wire) and isinstance(noted, Wire):
        return _same(found.model_dump(mode="json"), noted.model_dump(mode="json"))
    if isinstance(found, dict) and isinstance(noted, dict):
        return found.keys() == noted.keys() and all(_same(found[key], noted[key]) for key in found)
    if isinstance(found, (list, tuple)) and isinstance(noted, (list, tuple)):
        return len(found) == len(noted) and all(map(_same, found, noted))
    if isinstance(found, float) and isinstance(noted, (int, float)):
        return abs(found - noted) <= TOLERANCE
    return found == noted
