"""Where new rows are aimed: words and values that train covers thinly, and nothing of a diagnose text but its words."""

from servers.augment.aim import Aim, ThinRange, take_aim
from servers.core.dataset import Example
from servers.core.task import Scale


def rows(prefix: str, *texts: str, value: float = 50.0) -> list[Example]:
    return [
        Example(id=f"{prefix}{k}", text=text, target={"mud": value, "crowds": value}, source="import")
        for k, text in enumerate(texts)
    ]


PLAIN = "a long walk on a dry path"
TRAIN = rows("t", *[PLAIN] * 10)
BAD = rows("bad", "Peaty ground on a long walk", "peaty, and a path", "a walk in Wellingtons")
GOOD = rows("good", *["a long walk with a view"] * 6)
ERRORS = {row.id: {"mud": 30.0, "crowds": 1.0} for row in BAD} | {row.id: {"mud": 2.0, "crowds": 90.0} for row in GOOD}


def aim(focus: list[str], train: list[Example] = TRAIN, errors: dict[str, dict[str, float]] = ERRORS) -> Aim:
    return take_aim(focus, train, [*BAD, *GOOD], errors, Scale())


def test_a_word_of_badly_answered_rows_that_train_lacks_is_thin():
    """Ours: new vocabulary is what helps; a word that stands once, or that train says, is none."""
    found = aim(["mud"]).thin_words

    assert [(thin.word, thin.worst_rows, thin.train_rows) for thin in found] == [("peaty", 2, 0)]
    assert aim(["mud"], [*TRAIN, *rows("more", *["peaty all the way"] * 3)]).thin_words == []


def test_badly_answered_means_on_the_dimensions_aimed_at():
    """Ours: an error elsewhere is no reason to write about this."""
    assert [thin.word for thin in aim(["crowds"]).thin_words] == ["view", "with"]


def test_a_range_of_values_that_diagnose_has_and_train_lacks_is_thin():
    """Ours: what is asked and was not taught, by fifths of the scale."""
    diagnose = [*rows("low", *["x"] * 2, value=10.0), *rows("mid", *["y"] * 8)]
    train = [*TRAIN * 3, *rows("high", *["z"] * 6, value=90.0)]

    found = take_aim(["mud"], train, diagnose, {}, Scale())

    assert found.thin_ranges == [ThinRange(dimension="mud", low=0, high=20, train_share=0, diagnose_share=0.2)]
    assert found.thin_words == [], "the champion was not measured, so no row is known to be answered badly"
    assert found.why() == "few train rows at mud 0 to 20 (0% of train, 20% of diagnose)"


def test_why_tells_words_and_no_text():
    """Ours: the reason is for people; a diagnose row's text is in no part of it."""
    found = aim(["mud"])

    assert "train seldom says 'peaty'" in found.why() and "no text" in found.why()
    assert not any(row.text.casefold() in found.model_dump_json().casefold() for row in (*BAD, *GOOD))


def test_without_a_focus_nothing_is_looked_for():
    """Ours: more of the same is that."""
    assert aim([]) == Aim(focus_dimensions=[]) and aim([]).why() == ""
