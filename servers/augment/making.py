"""Make the training rows of one dataset version: a teacher writes, the filters sift, hard rows get more weight.

Three things can end with no row added, and each says so with its figures: recombination that these data do not bear
out (nothing is written then), filters that leave nothing, and new rows that as a whole look like no row that is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from servers.augment.aim import Aim, take_aim
from servers.augment.filters import Sifted, sift
from servers.augment.mistral_teacher import MistralTeacher
from servers.augment.recombination import Reader, RecombinationTeacher
from servers.augment.replay import hardest, refuse_too_many
from servers.augment.shift import Shift, shift_of
from servers.augment.teachers import DemoWorldTeacher, Teacher
from servers.augment.trust import Trust, trust_in_recombination
from servers.core.answers import InvalidAnswer, parse_answer
from servers.core.arms import kind_of, load_arm
from servers.core.cycle_files import Opening
from servers.core.dataset import Card, DatasetStore, Example
from servers.core.evaluations import EvaluationStore
from servers.core.near_copies import SKETCH_FILE, Sketch
from servers.core.services import Services
from servers.core.student import FAMILY
from servers.core.task import Task
from servers.core.wire import Wire
from servers.core.workspace import Workspace

REPLAY_WEIGHT = 2.0
SHIFTED = "the new rows as a whole differ too much from train"


class Outcome(Wire):
    """What came of a plan."""

    written: int
    """Drafts that the teacher wrote: as many as were added and dropped."""
    added: int
    replayed: int
    dropped: dict[str, int]
    """Drafts dropped, by reason."""
    examples_of_dropped: dict[str, list[str]]
    """A few texts by reason; none for near-copies of held-out rows."""
    distrusted: str | None = None
    """Why the teacher was not asked, in words with figures; null where it was."""
    refused: str | None = None
    """Why the rows that passed the filters were not added; null where they were."""
    trust: Trust | None = None
    """What was measured of recombination before it wrote; null for another teacher."""
    shift: Shift | None = None
    """How far the rows that passed the filters are from train; null where there were none."""

    @property
    def why_nothing(self) -> str | None:
        """Why no row was added; None where some were."""
        if self.added:
            return None
        return self.distrusted or self.refused or "no new row survived the filters"


@dataclass(frozen=True)
class Made:
    """The rows of a version."""

    train: list[Example]
    """The parent's rows, replayed ones with more weight, and the new ones after them."""
    new: list[Example]
    refused: list[Example]
    """Rows that passed the filters and were not added, for whoever wants to look at them."""
    outcome: Outcome


class Making:
    """Makes rows for one task; what it makes is saved by whoever asked."""

    def __init__(
        self, workspace: Workspace, task: Task, services: Services | None = None, teacher: Teacher | None = None
    ) -> None:
        """Open it.

        Args:
            workspace: Where datasets, models and evaluations lie.
            task: What the rows are for.
            services: What may be used; embedded parts only where not given.
            teacher: Who writes; the configuration's where not given.
        """
        self._workspace, self._task, self._given = workspace, task, teacher
        self._services = services or Services()
        self._datasets = DatasetStore(workspace)
        self._evaluations = EvaluationStore(workspace)

    def aim(self, opened: Opening, parent: Card, focus: Sequence[str]) -> Aim:
        """What a teacher would be asked for: dimensions, and what `parent` covers thinly there."""
        measured = self._evaluations.find(opened.cycle, opened.champion)
        rows = self._evaluations.rows(measured.evaluation_id) if measured else []
        errors = {row.example_id: row.abs_error_by_dim for row in rows}
        train = self._datasets.train(parent.name, parent.fingerprint)
        diagnose = self._datasets.diagnose(parent.name, parent.fingerprint)
        return take_aim(focus, train, diagnose, errors, self._task.scale)

    def make(
        self,
        opened: Opening,
        parent: Card,
        plan_id: str,
        focus: Sequence[str],
        new_rows: int,
        replay_rows: int,
        seed: int,
        aim: Aim | None = None,
    ) -> Made:
        """Have the teacher write rows on top of `parent`; the same arguments give the same rows.

        Args:
            opened: The cycle, whose champion reads again what the teacher wrote.
            parent: The version that the rows are added to.
            plan_id: What asked for them: the beginning of the new rows' ids.
            focus: Dimensions to aim at; none asks for more of the same.
            new_rows: Drafts to write.
            replay_rows: Hard train rows to train on with more weight; none where no draft survives.
            seed: Of the teacher.
            aim: What was aimed at when it was planned; looked for anew where not given.

        Raises:
            ValueError: more replay rows than may be.
        """
        train = self._datasets.train(parent.name, parent.fingerprint)
        refuse_too_many(replay_rows, train)
        aim = aim or self.aim(opened, parent, focus)
        teacher, trust = self._teacher(opened, parent), None
        if isinstance(teacher, RecombinationTeacher):
            trust = trust_in_recombination(self._task, train, aim, new_rows, seed, parent.near_copy_threshold)
        drafts = [] if trust and trust.distrust else teacher.write(new_rows, aim, seed, train)
        diagnose = self._datasets.diagnose(parent.name, parent.fingerprint)
        sketch = Sketch.load(self._workspace.sealed_dir(parent.name, parent.gate_fingerprint) / SKETCH_FILE)
        sifted = sift(drafts, self._task, train, diagnose, sketch, parent.near_copy_threshold)
        passed = self._examples(sifted, plan_id, opened.cycle, teacher.name)
        shift = shift_of(passed, train, diagnose, self._task) if passed else None
        refused = shift.refusal(focus, len(passed)) if shift else None
        if refused:
            for draft in sifted.kept:
                sifted.drop(draft, SHIFTED)
        new = [] if refused else passed
        replayed = hardest(train, self._champion(opened), replay_rows, self._task) if new and replay_rows else set()
        weighted = [r.model_copy(update={"weight": REPLAY_WEIGHT}) if r.id in replayed else r for r in train]
        outcome = Outcome(
            written=len(drafts),
            added=len(new),
            replayed=len(replayed),
            dropped=sifted.dropped,
            examples_of_dropped=sifted.examples_of_dropped,
            distrusted=f"{teacher.name} is not trusted here: {trust.distrust}" if trust and trust.distrust else None,
            refused=f"{SHIFTED}: {refused}" if refused else None,
            trust=trust,
            shift=shift,
        )
        return Made([*weighted, *new], new, passed if refused else [], outcome)

    def asked_teacher(self, parent: Card) -> MistralTeacher | None:
        """The teacher that has to be asked in a job before it can hand over anything; None where another one writes."""
        endpoint = None if self._given is not None else self._services.teacher
        if endpoint is None:
            return None
        return MistralTeacher(self._workspace, self._task, self._services, endpoint, parent)

    def _teacher(self, opened: Opening, parent: Card) -> Teacher:
        if self._given is not None:
            return self._given
        if (asked := self.asked_teacher(parent)) is not None:
            return asked
        if self._services.backends(parent).teacher == DemoWorldTeacher.name:
            return DemoWorldTeacher(int(parent.name.removeprefix("demo").removeprefix("-") or 0))
        return RecombinationTeacher(self._task, None if opened.champion == "constant" else self._champion(opened))

    def _champion(self, opened: Opening) -> Reader:
        """The champion as a reader; an answer of it that is not valid reads nothing.

        One that answers in jobs takes minutes and costs money: a CPU student reads in its place.
        """
        reader = opened.champion if kind_of(opened.champion) is None else FAMILY
        root = self._datasets.card(opened.dataset, opened.dataset_version).root
        arm = load_arm(reader, self._workspace, self._task, self._datasets.train(opened.dataset, root))

        def vector(words: str) -> dict[str, float] | None:
            try:
                return parse_answer(words, self._task)
            except InvalidAnswer:
                return None

        return lambda texts: [vector(words) for words in arm.answer(texts)]

    def _examples(self, sifted: Sifted, plan_id: str, cycle: str, teacher: str) -> list[Example]:
        return [
            Example(
                id=f"{plan_id}-{number:04d}",
                text=draft.text,
                target=draft.label(self._task.scale),
                source=f"teacher:{teacher}",
                provenance={"plan_id": plan_id, "cycle": cycle, **draft.made_from},
            )
            for number, draft in enumerate(sifted.kept, start=1)
        ]
