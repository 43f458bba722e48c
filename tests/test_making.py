"""Making rows, whoever asks: what is counted, what is refused as a whole, what is replayed."""

from pathlib import Path

import numpy as np
import pytest

from servers.augment.aim import Aim
from servers.augment.making import SHIFTED, Made, Making
from servers.augment.teachers import Draft
from servers.core.cycle_files import Opening
from servers.core.dataset import Card, DatasetStore, Example
from servers.core.demo_world.world import World
from servers.core.near_copies import SKETCH_FILE, Sketch
from servers.core.services import Services
from servers.core.task import Task, load_task
from servers.core.workspace import Workspace
from tests.doubles.clauses import clause_rows, clause_task
from tests.doubles.teacher import ScriptedTeacher

KOTONE = load_task("kotone")
HELD_OUT = "the last tram home, empty, and a radio somewhere behind a wall"


def demo(split: str) -> list[Example]:
    return [
        Example(id=f"{split}{k}", text=r.text, target={n: float(v) for n, v in r.target.items()}, source="import")
        for k, r in enumerate(World(0).splits()[split])
    ]


def imported(folder: Path, task: Task, train: list[Example], diagnose: list[Example]) -> tuple[Workspace, Card]:
    """A dataset as an import leaves it, with one held-out text."""
    workspace = Workspace(folder)
    card = DatasetStore(workspace).save_first(
        "mine", task=task.name, train=train, diagnose=diagnose, gate_size=1, gate_fingerprint="0" * 16, recipe={},
        synthetic=False, near_copy_threshold=0.8,
    )  # fmt: skip
    sealed = workspace.sealed_dir(card.name, card.gate_fingerprint)
    sealed.mkdir(parents=True)
    Sketch.build([HELD_OUT], b"k" * 32).save(sealed / SKETCH_FILE)
    return workspace, card


def opened(card: Card) -> Opening:
    return Opening(
        schema=1, cycle="cycle_1", kind="cycle", dataset=card.name, dataset_version=card.fingerprint,
        champion="constant", opened_at="2026-01-01T00:00:00.000Z", backends=Services().backends(card),
    )  # fmt: skip


def make(folder: Path, drafts: list[Draft], replay: int = 0, train: list[Example] | None = None) -> Made:
    workspace, card = imported(folder, KOTONE, train or demo("train"), demo("diagnose"))
    making = Making(workspace, KOTONE, teacher=ScriptedTeacher(drafts))
    return making.make(opened(card), card, "augment-1", ["nostalgia", "acousticness"], 100, replay, 1)


def good_drafts(**pinned: float) -> list[Draft]:
    return [
        Draft(text=r.text, readings=(r.clean | pinned, r.clean | pinned), check=None, made_from={})
        for r in World(0).teach(60, ["nostalgia", "acousticness"], 3, careless_share=0)
    ]


def test_what_was_written_is_what_was_added_and_what_was_dropped(tmp_path: Path):
    """Ours: every draft is accounted for, and of one near a held-out row only the count is told."""
    bad = [
        Draft(text=HELD_OUT.upper(), readings=({n: 40.0 for n in KOTONE.names},), check=None, made_from={}),
        Draft(
            text="Ein warmes Stück für die Nacht", readings=({n: 40.0 for n in KOTONE.names},), check=None, made_from={}
        ),
    ]

    made = make(tmp_path, [*bad, *good_drafts()])

    outcome = made.outcome
    assert outcome.written == 62 == outcome.added + sum(outcome.dropped.values())
    assert outcome.dropped["near a held-out row"] == outcome.dropped["another language than train's"] == 1
    assert outcome.examples_of_dropped["near a held-out row"] == []
    assert len(made.new) == outcome.added >= 50 and outcome.why_nothing is None and made.train[-1] == made.new[-1]


def test_a_teacher_that_pins_a_label_adds_nothing_and_its_rows_are_kept_to_look_at(tmp_path: Path):
    """Ours: each row passes the filters, all of them together do not; nothing is lost but their place in train."""
    made = make(tmp_path, good_drafts(energy=90.0), replay=10)

    outcome = made.outcome
    assert made.new == [] and outcome.added == outcome.replayed == 0 and len(made.refused) == outcome.dropped[SHIFTED]
    assert outcome.written == sum(outcome.dropped.values())
    assert outcome.refused is not None and "energy" in outcome.refused and outcome.why_nothing == outcome.refused
    assert made.train == demo("train")


def test_nothing_left_by_the_filters_is_said_to_be_that(tmp_path: Path):
    """Ours: three ways to add nothing, three reasons."""
    made = make(tmp_path, [Draft(text="x", readings=({n: 1.0 for n in KOTONE.names},), check=None, made_from={})])

    assert made.outcome.why_nothing == "no new row survived the filters" and made.outcome.shift is None


def test_replayed_rows_are_train_rows_of_double_weight_and_no_copies(tmp_path: Path):
    """Ours: the hardest for the champion; the same ids, none twice, no row of another split."""
    train = demo("train")
    made = make(tmp_path, good_drafts(), replay=28)

    heavy = {row.id for row in made.train if row.weight == 2.0}
    old = [row for row in made.train if row not in made.new]
    medians = {n: np.median([row.target[n] for row in train]) for n in KOTONE.names}
    error = {row.id: sum(abs(row.target[n] - medians[n]) for n in KOTONE.names) for row in train}
    assert made.outcome.replayed == len(heavy) == 28 and [row.id for row in old] == [row.id for row in train]
    assert min(error[i] for i in heavy) >= max(error[row.id] for row in train if row.id not in heavy)


@pytest.mark.parametrize(("heavy", "asked"), [(0, 29), (20, 9)])
def test_replay_is_capped_at_a_tenth_of_train_over_all_cycles(tmp_path: Path, heavy: int, asked: int):
    """Ours: in noisy data the hardest rows are the noisiest; the refusal says how many may be asked for."""
    train = [row.model_copy(update={"weight": 2.0 if k < heavy else 1.0}) for k, row in enumerate(demo("train"))]

    with pytest.raises(ValueError, match=rf"replay_rows {asked} is too many.*28.*ask for {28 - heavy} or fewer"):
        make(tmp_path / "more", good_drafts(), replay=asked, train=train)

    assert make(tmp_path / "fewer", good_drafts(), replay=asked - 1, train=train).outcome.replayed == asked - 1


def test_recombination_that_is_trusted_adds_rows_and_the_same_ones_again(tmp_path: Path):
    """Ours: where clauses add up, the user's own rows teach more than they say; the same plan gives the same rows."""
    task = clause_task()
    workspace, card = imported(
        tmp_path, task, clause_rows(160, 2), [r.model_copy(update={"id": f"d{r.id}"}) for r in clause_rows(60, 3)]
    )
    made, again = (Making(workspace, task).make(opened(card), card, "augment-1", [], 200, 0, 3) for _ in range(2))

    assert made == again and made.outcome.added > 120 and made.outcome.distrusted is None
    assert made.outcome.trust is not None and made.outcome.trust.distrust is None
    assert {row.source for row in made.new} == {"teacher:recombination"}


def test_recombination_that_is_not_trusted_writes_nothing_and_says_why(tmp_path: Path):
    """Ours: no rows is the honest outcome where they would teach nothing; the cycle goes on without."""
    workspace, card = imported(tmp_path, KOTONE, demo("train")[:40], demo("diagnose"))

    made = Making(workspace, KOTONE).make(opened(card), card, "augment-1", ["energy"], 60, 4, 3)

    assert made.new == [] and made.train == demo("train")[:40]
    assert made.outcome.written == 0 and made.outcome.dropped == {}
    said = made.outcome.distrusted
    assert said is not None and said.startswith("recombination is not trusted here: ") and "too few" in said
    assert made.outcome.why_nothing == said


def test_the_aim_of_a_plan_is_what_its_teacher_is_asked_for(tmp_path: Path):
    """Ours: what was written down when it was planned, not what would be found later; without one it is looked for."""
    workspace, card = imported(tmp_path, KOTONE, demo("train"), demo("diagnose"))
    teacher, planned = ScriptedTeacher(good_drafts()), Aim(focus_dimensions=["nostalgia"])
    making = Making(workspace, KOTONE, teacher=teacher)

    making.make(opened(card), card, "augment-1", ["nostalgia"], 60, 0, 1, aim=planned)
    making.make(opened(card), card, "augment-1", ["nostalgia"], 60, 0, 1)

    assert teacher.asked_for[0] is planned
    assert {thin.dimension for thin in teacher.asked_for[1].thin_ranges} == {"nostalgia"}
