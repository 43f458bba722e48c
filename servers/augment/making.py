"""Make the training rows of one dataset version: a teacher writes, the filters sift, hard rows get more weight."""

from collections.abc import Sequence
from dataclasses import dataclass

from servers.augment.filters import Sifted, sift
from servers.augment.teachers import DemoWorldTeacher, RecombinationTeacher, Teacher
from servers.core.answers import InvalidAnswer, parse_answer
from servers.core.arms import Arm, load_arm
from servers.core.backends import backends_for
from servers.core.cycle_files import Opening
from servers.core.dataset import Card, DatasetStore, Example
from servers.core.near_copies import SKETCH_FILE, Sketch
from servers.core.task import Task
from servers.core.wire import Wire
from servers.core.workspace import Workspace

REPLAY_WEIGHT = 2.0


class Outcome(Wire):
    """What came of a plan."""

    written: int
    """Drafts that the teacher wrote."""
    added: int
    replayed: int
    dropped: dict[str, int]
    """Drafts dropped, by reason."""
    examples_of_dropped: dict[str, list[str]]
    """A few texts by reason; none for near-copies of held-out rows."""


@dataclass(frozen=True)
class Made:
    """The rows of a version."""

    train: list[Example]
    """The parent's rows, replayed ones with more weight, and the new ones after them."""
    new: list[Example]
    outcome: Outcome


class Making:
    """Makes rows for one task; what it makes is saved by whoever asked."""

    def __init__(self, workspace: Workspace, task: Task) -> None:
        self._workspace, self._task = workspace, task
        self._datasets = DatasetStore(workspace)

    def make(
        self,
        opened: Opening,
        parent: Card,
        plan_id: str,
        focus: Sequence[str],
        new_rows: int,
        replay_rows: int,
        seed: int,
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
        """
        train = self._datasets.train(parent.name, parent.fingerprint)
        teacher = self._teacher(opened, parent)
        drafts = teacher.write(new_rows, focus, seed, train)
        sketch = Sketch.load(self._workspace.sealed_dir(parent.name, parent.gate_fingerprint) / SKETCH_FILE)
        diagnose = self._datasets.diagnose(parent.name, parent.fingerprint)
        sifted = sift(drafts, self._task, train, diagnose, sketch, parent.near_copy_threshold)
        new = self._examples(sifted, plan_id, opened.cycle, teacher.name)
        replayed = self._hardest(opened, train, replay_rows) if new else set()
        weighted = [r.model_copy(update={"weight": REPLAY_WEIGHT}) if r.id in replayed else r for r in train]
        outcome = Outcome(
            written=len(drafts),
            added=len(new),
            replayed=len(replayed),
            dropped=sifted.dropped,
            examples_of_dropped=sifted.examples_of_dropped,
        )
        return Made([*weighted, *new], new, outcome)

    def _teacher(self, opened: Opening, parent: Card) -> Teacher:
        if backends_for(parent).teacher == DemoWorldTeacher.name:
            return DemoWorldTeacher(int(parent.name.removeprefix("demo").removeprefix("-") or 0))
        reader = None if opened.champion == "constant" else self._champion(opened)
        return RecombinationTeacher(self._task, reader)

    def _champion(self, opened: Opening) -> Arm:
        root = self._datasets.card(opened.dataset, opened.dataset_version).root
        return load_arm(opened.champion, self._workspace, self._task, self._datasets.train(opened.dataset, root))

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

    def _hardest(self, opened: Opening, train: Sequence[Example], count: int) -> set[str]:
        """Ids of the train rows on which the champion errs most; never rows of another split."""
        if count == 0:
            return set()
        words = self._champion(opened).answer([row.text for row in train])
        errors = {row.id: self._error(row, text) for row, text in zip(train, words, strict=True)}
        return set(sorted(errors, key=lambda key: -errors[key])[:count])

    def _error(self, row: Example, words: str) -> float:
        try:
            vector = parse_answer(words, self._task)
        except InvalidAnswer:
            return self._task.scale.width
        return sum(abs(row.target[name] - vector[name]) for name in self._task.names) / len(vector)
