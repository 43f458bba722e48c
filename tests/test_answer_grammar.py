"""Which tokens may come next, so that an answer is valid whatever the model would like to say."""

import random

import pytest

from servers.core.answers import parse_answer
from servers.core.prompting import completion_text
from servers.core.task import Scale, Task, load_task
from training_jobs.lora.grammar import AnswerGrammar, Numbers, TokenGrammar

KOTONE, TRAILS = load_task("kotone"), load_task("examples/trails/task.toml")
CHARS = sorted(set("0123456789.-+eE {}:,\"'_" + "abcdefghijklmnopqrstuvwxyz"))


@pytest.mark.parametrize("task", [KOTONE, TRAILS], ids=["whole numbers", "decimals"])
def test_every_walk_ends_in_a_valid_answer(task: Task) -> None:
    """Ours: a model that writes at random answers validly, in as few tokens as were promised."""
    pieces = ["", *CHARS, '", "', '": ', "10", "00", "ener", '{"', "99.", "5, ", '{"energy', "0}"]
    grammar = AnswerGrammar(task)
    tokens = TokenGrammar(grammar, pieces, end=0)
    for seed in range(200):
        draw, state, words = random.Random(seed), grammar.start, ""
        while (token := draw.choice(sorted(steps := tokens.steps(state)))) != 0:
            state, words = steps[token], words + pieces[token]
        parse_answer(words, task)
        assert len(words) <= grammar.max_chars


@pytest.mark.parametrize("task", [KOTONE, TRAILS], ids=["whole numbers", "decimals"])
def test_every_completion_may_be_written(task: Task) -> None:
    """Ours: what is trained on is inside of what may be answered, at the ends of the scale as well."""
    grammar = AnswerGrammar(task)
    for value in (task.scale.low, task.scale.high, task.scale.middle, task.scale.low + task.scale.width / 3):
        state = grammar.after(grammar.start, completion_text(task, dict.fromkeys(task.names, value)))
        assert state is not None and grammar.is_whole(state)


@pytest.mark.parametrize(
    ("low", "high", "integers"),
    [(0, 100, True), (-1, 1, False), (-20, -5, True), (3, 17, True), (0.5, 0.55, False), (-250, 1000, True)],
)
def test_numbers_are_exactly_those_of_the_scale(low: float, high: float, integers: bool) -> None:
    """Ours: what may begin is what some number of the scale begins with; nothing leads astray."""
    numbers = Numbers(Scale(low=low, high=high, integers=integers))
    unit = 1 if integers else 100
    written = {f"{n}" if integers else f"{n / 100:.2f}" for n in range(round(low * unit), round(high * unit) + 1)}
    beginnings = {text[:end] for text in written for end in range(1, len(text) + 1)}

    assert all(numbers.is_whole(text) for text in written)
    assert all(numbers.may_begin(text) for text in beginnings)
    for beginning in beginnings:
        for char in "0123456789.-":
            longer = beginning + char
            if numbers.may_begin(longer) and longer not in beginnings:
                assert float(longer + "0") == 0  # only a minus before nothing, as in -0


def test_a_scale_without_writable_numbers_is_refused() -> None:
    """Ours: an answer that cannot be given is no question."""
    with pytest.raises(ValueError, match="other units"):
        Numbers(Scale(low=0.001, high=0.002))
