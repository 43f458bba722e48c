"""What a language model is asked."""

from servers.core.answers import parse_answer
from servers.core.prompting import completion_text, messages_for
from servers.core.task import load_task

KOTONE, TRAILS = load_task("kotone"), load_task("examples/trails/task.toml")
TARGET = {name: 50.0 for name in KOTONE.names}


def test_the_question_holds_the_text_whatever_is_in_it():
    """Ours: a text with braces is no template."""
    (message,) = messages_for(KOTONE, "slow {text} and {dimensions}")

    assert message["role"] == "user"
    assert "slow {text} and {dimensions}" in message["content"]
    assert all(name in message["content"] for name in KOTONE.names)


def test_shots_are_earlier_turns_of_the_same_chat():
    """Ours: the prompt arm's shots look exactly like what an adapter is trained on."""
    chat = messages_for(KOTONE, "new", shots=[("old", TARGET)])

    assert [message["role"] for message in chat] == ["user", "assistant", "user"]
    assert chat[0] == messages_for(KOTONE, "old")[0]
    assert chat[1]["content"] == completion_text(KOTONE, TARGET)


def test_a_completion_is_a_valid_answer_in_the_tasks_order():
    """Ours: what is learned is what the judge accepts; whole numbers where labellers write them, decimals elsewhere."""
    backwards = dict(reversed(TARGET.items()))
    trail = dict.fromkeys(TRAILS.names, 3.25)

    assert completion_text(KOTONE, backwards).startswith('{"energy": 50, "warmth": 50,')
    assert parse_answer(completion_text(KOTONE, backwards), KOTONE) == TARGET
    assert parse_answer(completion_text(TRAILS, trail), TRAILS) == trail
