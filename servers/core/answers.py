"""What a model answered: the words as they came, what served them, and how strictly they are read.

A valid answer is one JSON object with exactly the task's dimensions as keys, each a finite number inside the scale, and
nothing around it. Everything else is invalid, and the reason is kept; nothing is mended and nothing is skipped.
"""

import json
from collections.abc import Mapping
from typing import Any

from servers.core.task import Task
from servers.core.wire import Wire

MAX_ANSWER_CHARS = 20_000  # a vector takes a few hundred; longer answers are not worth parsing


class ServedBy(Wire):
    """Which model gave an answer."""

    backend: str
    """Kind of program that answered: constant, rule, student, …"""
    model_id: str
    digest: str
    """SHA-256 of the weights, the adapter, or the arm's definition."""


class Answer(Wire):
    """One row of `predictions.jsonl`."""

    id: str
    """Id of the example that was asked."""
    text: str
    """The model's words, unchanged."""
    latency_ms: float | None
    """Milliseconds from question to answer of a single request; null where rows were answered together."""
    served_by: ServedBy


class InvalidAnswer(ValueError):
    """The words are no valid answer; the message is the reason, short and free of the model's own text."""


def vector_text(vector: Mapping[str, float]) -> str:
    """The strict JSON text of a vector, rounded to two decimals."""
    return json.dumps({name: round(float(value), 2) for name, value in vector.items()})


def parse_answer(text: str, task: Task) -> dict[str, float]:
    """Read a model's words as a vector, in the task's order of dimensions.

    Raises:
        InvalidAnswer: the words are not exactly one JSON object with a number in range for each dimension.
    """
    if len(text) > MAX_ANSWER_CHARS:
        raise InvalidAnswer(f"longer than {MAX_ANSWER_CHARS} characters")
    try:
        value = json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except InvalidAnswer:
        raise
    except (ValueError, RecursionError):
        raise InvalidAnswer("not a JSON document") from None
    if not isinstance(value, dict):
        raise InvalidAnswer("not a JSON object")
    if missing := [name for name in task.names if name not in value]:
        raise InvalidAnswer(f"no key {missing[0]!r}")
    if len(value) != len(task.names):
        raise InvalidAnswer("keys that are not dimensions")
    return {name: _in_range(name, value[name], task) for name in task.names}


def _in_range(name: str, value: Any, task: Task) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidAnswer(f"{name!r} is not a number")
    # The scale is finite, so NaN, infinity and whole numbers too large for a float fail the comparison.
    if not task.scale.low <= value <= task.scale.high:
        raise InvalidAnswer(f"{name!r} is outside {task.scale.low:g} to {task.scale.high:g}")
    return float(value)


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise InvalidAnswer("a key stands twice")
    return dict(pairs)


def _no_constant(_: str) -> float:
    raise InvalidAnswer("NaN or infinity")
