"""The chat that a row becomes: the same for training, for answering and for the base that is asked for comparison."""

from collections.abc import Sequence
from typing import Any

from servers.core.dataset import Example
from servers.core.lora import SYSTEM
from servers.core.prompting import completion_text, messages_for
from servers.core.task import Task


def system_message(tokenizer: Any) -> str | None:
    """Our system message, where the model's chat template would else put in its own; None where it would not.

    A template's own can be hundreds of tokens in every row, and some hold the day's date: a model would be asked
    something else on every day after its training.
    """
    question = {"role": "user", "content": "."}
    alone = tokenizer.apply_chat_template([question], tokenize=False)
    try:
        led = tokenizer.apply_chat_template([{"role": "system", "content": "."}, question], tokenize=False)
    except Exception:  # a template refuses a role by an exception of its own engine
        return None
    return SYSTEM if len(alone) > len(led) else None


def question(task: Task, text: str, system: str | None) -> list[dict[str, str]]:
    """The chat that ends with the question."""
    led = [] if system is None else [{"role": "system", "content": system}]
    return [*led, *messages_for(task, text)]


def training_rows(task: Task, examples: Sequence[Example], system: str | None) -> list[dict[str, Any]]:
    """Prompt and completion of each example, as often as it counts: a weight of 2 is a row that stands twice."""
    return [
        {
            "prompt": question(task, example.text, system),
            "completion": [{"role": "assistant", "content": completion_text(task, example.target)}],
        }
        for example in examples
        for _ in range(max(1, round(example.weight)))
    ]
