"""New training rows: who writes them, and which of them are let through."""

import pytest

from servers.augment.aim import Aim
from servers.augment.filters import SEALED, Sifted, sift
from servers.augment.teachers import DemoWorldTeacher, Draft
from servers.core.dataset import Example
from servers.core.language import is_foreign
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


def test_a_row_in_another_language_is_dropped_and_a_borrowed_word_is_not():
    """Ours: what nobody asks in that language teaches nothing; a word of it is no language."""
    german = draft("Ein warmes Stück für eine lange Nachtfahrt, mit Besen auf der Snare")
    russian = draft("тёплая и медленная песня для долгой ночной дороги")
    borrowed = draft("a très chic soundtrack with a Schubert feel, please, warm and slow")

    found = sifted(german, russian, borrowed)

    assert found.dropped == {"another language than train's": 2} and found.kept == [borrowed]


def test_rows_in_the_language_of_train_are_kept_whatever_it_is():
    """Ours: the filter knows train's languages, not English."""
    train = [
        row("Ein ruhiger Abend am Hafen mit langsamen Gitarren", 1),
        row("Regen auf dem Dach und ein altes Radio", 2),
    ]
    german, english = draft("Jemand tanzt allein in der Küche, während der Kessel singt"), draft()

    found = sift([german, english], KOTONE, train, [row(DIAGNOSE)], Sketch.build([HELD_OUT], b"k" * 32), 0.8)

    assert found.kept == [german] and found.dropped == {"another language than train's": 1}


def test_of_a_word_or_a_row_of_signs_no_language_is_claimed():
    """Ours: what the detector cannot know is no reason to drop a row."""
    for text in ("nostalgic", "12345 678", "xqzv wrtk plmn", ""):
        assert not is_foreign(text, {"en"}), text


def test_the_demo_world_reads_each_text_twice_and_repeats_no_train_row():
    """Ours: two readings, made without looking at each other, the same for the same arguments."""
    teacher, aim = DemoWorldTeacher(0), Aim(focus_dimensions=["nostalgia"])
    first = teacher.write(30, aim, 5, [])

    again = teacher.write(30, aim, 5, [])
    others = teacher.write(30, aim, 5, [row(made.text) for made in first[:3]])

    assert first == again and all(len(made.readings) == 2 for made in first)
    assert {made.text for made in first[:3]}.isdisjoint(made.text for made in others)
