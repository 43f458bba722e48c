"""What a language model is asked, and how the right answer reads: the same words wherever one is trained or asked."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from servers.core.answers import vector_text
from servers.core.task import Task

ANSWER_TOKENS = 300  # six numbers as JSON take sixty


def messages_for(task: Task, text: str, shots: Sequence[tuple[str, Mapping[str, float]]] = ()) -> list[dict[str, str]]:
    """The chat that ends with the question.

    Args:
        task: Its prompt is every question.
        text: What is asked about.
        shots: Texts with their targets, shown before as questions and answers of the same chat.

    Returns:
        Messages with `role` and `content`, users and assistants in turn.
    """
    chat = [(task.prompt_for(shown), completion_text(task, target)) for shown, target in shots]
    earlier = [
        message
        for question, answer in chat
        for message in ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    ]
    return [*earlier, {"role": "user", "content": task.prompt_for(text)}]


def completion_text(task: Task, target: Mapping[str, float]) -> str:
    """The strict JSON of a target, keys in the task's order; whole numbers where labellers write them."""
    if task.scale.integers:
        return json.dumps({name: round(target[name]) for name in task.names})
    return vector_text({name: target[name] for name in task.names})


def answer_schema(task: Task) -> dict[str, Any]:
    """JSON schema of a valid answer, for a server that can hold a model to it."""
    number = {"type": "number", "minimum": task.scale.low, "maximum": task.scale.high}
    return {
        "type": "object",
        "properties": dict.fromkeys(task.names, number),
        "required": task.names,
        "additionalProperties": False,
    }
