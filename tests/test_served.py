"""Whether what was trained is at work: its answers beside those of what it was trained on top of."""

import pytest

from servers.core.answers import ServedBy, vector_text
from servers.core.served import activity
from servers.core.task import load_task

KOTONE = load_task("kotone")
BASE = ServedBy(backend="constant", model_id="constant", digest="c" * 64)


def words(energy: float, others: float = 50) -> str:
    return vector_text(dict.fromkeys(KOTONE.names, others) | {"energy": energy})


def test_a_model_that_answers_as_its_base_does_is_inactive():
    """Ours: an adapter that was never switched on has its base's figures, and is no candidate."""
    found = activity([words(1), words(2)], [words(1), words(2)], BASE, KOTONE)

    assert (found.active, found.share, found.largest, found.distinct) == (False, 0, 0, 2)
    assert (found.base, found.base_digest) == ("constant", "c" * 64)


def test_a_model_that_answers_every_text_alike_is_inactive_even_where_its_base_says_otherwise():
    """Ours: another constant than the base's is a constant still."""
    found = activity([words(60)] * 3, [words(50)] * 3, BASE, KOTONE)

    assert (found.active, found.share, found.largest, found.distinct) == (False, 1, 10, 1)


def test_one_text_answered_differently_shows_that_it_is_at_work():
    """Ours: how much it differs is told, and is not for this check to judge."""
    found = activity([words(50), words(50), words(53.5), "?"], [words(50)] * 4, BASE, KOTONE)

    assert (found.active, found.share, found.largest, found.distinct) == (True, 0.5, 3.5, 3)


def test_where_no_answer_is_valid_there_is_no_largest_difference():
    """Ours: null, never 0; words that differ are told by their share."""
    found = activity(["a", "b"], [words(50)] * 2, BASE, KOTONE)

    assert (found.active, found.share, found.largest) == (True, 1, None)


@pytest.mark.parametrize(("ours", "theirs"), [([], []), (["a"], ["a", "b"])])
def test_answers_to_other_texts_are_refused(ours: list[str], theirs: list[str]):
    """Ours: text by text, or not at all."""
    with pytest.raises(ValueError, match="cannot be compared"):
        activity(ours, theirs, BASE, KOTONE)
