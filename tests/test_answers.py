"""How strictly a model's words are read."""

import json

import pytest

from servers.core.answers import InvalidAnswer, parse_answer, vector_text
from servers.core.task import load_task

KOTONE = load_task("kotone")
GOOD = dict.fromkeys(KOTONE.names, 50)


def test_an_arms_own_text_reads_back_as_its_vector():
    """Ours: every arm answers in the words that the judge reads."""
    vector = {name: 12.345 + k for k, name in enumerate(KOTONE.names)}

    assert parse_answer(vector_text(vector), KOTONE) == {name: round(value, 2) for name, value in vector.items()}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a JSON document"),
        ("```json\n" + vector_text(GOOD) + "\n```", "not a JSON document"),
        (vector_text(GOOD) + " I hope this helps", "not a JSON document"),
        ("[1, 2, 3, 4, 5, 6]", "not a JSON object"),
        ("50", "not a JSON object"),
        (vector_text({k: v for k, v in GOOD.items() if k != "warmth"}), "no key 'warmth'"),
        (vector_text({**GOOD, "mood": 1}), "keys that are not dimensions"),
        (vector_text(GOOD).replace("50.0", '"50"', 1), "'energy' is not a number"),
        (vector_text(GOOD).replace("50.0", "true", 1), "'energy' is not a number"),
        (vector_text({**GOOD, "energy": 100.5}), "'energy' is outside 0 to 100"),
        (vector_text({**GOOD, "energy": -1}), "'energy' is outside 0 to 100"),
        (vector_text(GOOD).replace("50.0", "NaN", 1), "NaN or infinity"),
        (vector_text(GOOD).replace("50.0", "1e999", 1), "'energy' is outside 0 to 100"),
        ('{"energy": 1, ' + vector_text(GOOD)[1:], "a key stands twice"),
        ("[" * 5000, "not a JSON document"),
        ("9" * 30_000, "longer than 20000 characters"),
    ],
)
def test_anything_but_the_strict_object_is_invalid_with_a_reason(text: str, reason: str):
    """Ours: nothing is mended, and the reason never repeats the model's own words."""
    with pytest.raises(InvalidAnswer, match=reason):
        parse_answer(text, KOTONE)


def test_a_whole_number_too_large_for_a_float_is_out_of_range():
    """Bug: one such answer ended the whole evaluation with an overflow."""
    text = json.dumps(GOOD | {"energy": 10**400})

    with pytest.raises(InvalidAnswer, match="'energy' is outside 0 to 100"):
        parse_answer(text, KOTONE)
