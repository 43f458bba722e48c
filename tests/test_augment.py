"""New training rows: who writes them, and which of them are let through."""

from collections.abc import Sequence

import pytest

from servers.augment.filters import SEALED, Sifted, sift
from servers.augment.teachers import DemoWorldTeacher, Draft, RecombinationTeacher
from servers.core.answers import ServedBy, vector_text
from servers.core.dataset import Example
from servers.core.near_copies import Sketch
from servers.core.task import Scale, load_task

KOTONE = load_task("kotone")
MIDDLE = dict.fromkeys(KOTONE.names, 50.0)
TRAIN = "an evening by the harbour with slow guitars and rain on the roof"
DIAGNOSE = "a bright morning full of brass bands and children in the street"
HELD_OUT = "the last tram home, empty, and a radio somewhere behind a wall"
NEW = "somebody dances alone in a kitchen while the kettle sings along"


def row(text: str, number: int = 0, **target: float) -> Example:
    return Example(id=f"r{number}", text=text, target=MIDDLE | target, source="import")


def draft(text: str = NEW, check: dict[str, float] | None = None, **second: float) -> Draft:
    """A draft whose second reading differs from the first by what is given."""
    return Draft(text=text, readings=(MIDDLE, MIDDLE | second), check=check, made_from={})


def sifted(*drafts: Draft) -> Sifted:
    sketch = Sketch.build([HELD_OUT], b"k" * 32)
    return sift(drafts, KOTONE, [row(TRAIN)], [row(DIAGNOSE)], sketch, 0.8)


def test_a_careful_new_row_is_kept():
    """Ours: the filters take what is wrong, not what is new."""
    found = sifted(draft(energy=60.0))

    assert [kept.text for kept in found.kept] == [NEW] and found.dropped == {}
    assert found.kept[0].label(KOTONE.scale)["energy"] == 55


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (draft("short"), "length"),
        (draft(NEW * 9), "length"),
        (Draft(NEW, (MIDDLE | {"energy": 101.0},), None, {}), "label out of range"),
        (draft(f"{NEW}, 50 times"), "a number in the text gives a label away"),
        (draft(energy=90.0), "two readings disagree"),
        (draft(check=dict.fromkeys(KOTONE.names, 70.0)), "two readings disagree"),
        (draft(DIAGNOSE.upper()), "near a diagnose row"),
        (draft(f"{TRAIN}!"), "near a train row"),
    ],
)
def test_a_bad_row_is_dropped_for_its_reason_and_can_be_looked_at(bad: Draft, reason: str):
    """Ours: every draft that is dropped has one reason."""
    found = sifted(bad)

    assert found.kept == [] and found.dropped == {reason: 1}
    assert found.examples_of_dropped == {reason: [bad.text[:200]]}


def test_of_a_row_near_a_held_out_one_only_the_count_is_told():
    """Ours: its text would tell the sealed row's."""
    found = sifted(draft(f"{HELD_OUT}."))

    assert found.dropped == {SEALED: 1} and found.examples_of_dropped == {SEALED: []}


def test_of_new_rows_that_are_near_copies_the_first_is_kept():
    """Ours: a teacher that repeats itself adds one row."""
    found = sifted(draft(), draft(f"{NEW}!"), draft(f"{NEW}?"))

    assert len(found.kept) == 1 and found.dropped == {"near another new row": 2}


def test_a_label_at_the_end_of_a_sentence_gives_it_away():
    """Bug: the full stop behind the number hid it, and so did a minus before it."""
    assert sifted(draft(f"{NEW}, about 50.")).dropped == {"a number in the text gives a label away": 1}
    assert sifted(draft(f"{NEW}, about 50.5 or 1.50 or x50.")).dropped == {}
    trails = KOTONE.model_copy(update={"scale": Scale(low=-100, high=100)})
    below = Draft(f"{NEW}, about -50.", (dict.fromkeys(KOTONE.names, -50.0),), None, {})

    found = sift([below], trails, [row(TRAIN)], [row(DIAGNOSE)], Sketch.build([HELD_OUT], b"k" * 32), 0.8)

    assert found.dropped == {"a number in the text gives a label away": 1}


def test_recombination_writes_only_clauses_that_were_there_and_the_same_ones_again():
    """Ours: a weak teacher that invents nothing, the same for the same arguments."""
    train = [row(f"{a} one, {a} two. {a} three", n, energy=10.0 * n) for n, a in enumerate(("ash", "birch", "cedar"))]
    teacher = RecombinationTeacher(KOTONE, None)

    drafts = teacher.write(20, ["energy"], 7, train)

    assert drafts == teacher.write(20, ["energy"], 7, train)
    clauses = {clause for r in train for clause in (*r.text.replace(". ", ", ").split(", "),)}
    for made in drafts:
        assert set(made.text.replace(". ", ", ").replace(",", "").split()) <= set(" ".join(clauses).split())
        assert made.made_from["first"] in {"r0", "r2"}, "a row about energy begins where energy is low or high"
        targets = [next(r for r in train if r.id == made.made_from[part]).target for part in ("first", "second")]
        assert made.readings[0] == {name: (targets[0][name] + targets[1][name]) / 2 for name in KOTONE.names}


def test_recombination_of_a_single_row_gives_nothing_new_to_train_on():
    """Ours: degenerate data make no rows, and no error."""
    drafts = RecombinationTeacher(KOTONE, None).write(5, [], 1, [row(TRAIN)])

    assert sifted(*drafts).kept == []


def test_the_champion_reads_what_recombination_wrote():
    """Ours: a second reader, so that a label which it cannot believe is dropped."""

    class Believer:
        arm = model_id = "student"
        served_by = ServedBy(backend="student", model_id="student", digest="0" * 64)

        def answer(self, texts: Sequence[str]) -> list[str]:
            return [vector_text(dict.fromkeys(KOTONE.names, 90.0)) for _ in texts]

    (made,) = RecombinationTeacher(KOTONE, Believer()).write(1, [], 1, [row(NEW)])

    assert made.check == dict.fromkeys(KOTONE.names, 90.0)
    assert sifted(made).dropped == {"two readings disagree": 1}


def test_the_demo_world_reads_each_text_twice_and_repeats_no_train_row():
    """Ours: two readings, made without looking at each other, the same for the same arguments."""
    teacher = DemoWorldTeacher(0)
    first = teacher.write(30, ["nostalgia"], 5, [])

    again = teacher.write(30, ["nostalgia"], 5, [])
    others = teacher.write(30, ["nostalgia"], 5, [row(made.text) for made in first[:3]])

    assert first == again and all(len(made.readings) == 2 for made in first)
    assert {made.text for made in first[:3]}.isdisjoint(made.text for made in others)
