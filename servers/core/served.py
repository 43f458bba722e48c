"""Is what was trained at work? Its answers are held against those of what it was trained on top of.

An adapter that was saved empty, or never switched on, answers as its base model does, and every figure of it is the
base's. The base of the CPU student is the constant; a LoRA adapter's is the prompt arm of the same base model.
"""

from collections.abc import Sequence

from servers.core.answers import InvalidAnswer, ServedBy, parse_answer
from servers.core.task import Task
from servers.core.wire import Wire


class Activity(Wire):
    """How a model's answers to some texts differ from its base's."""

    base: str
    """Model id of the base."""
    base_digest: str
    share: float
    """Share of texts whose words differ, 0 to 1."""
    largest: float | None
    """The largest difference of any number on any text, points; null where none was answered validly by both."""
    distinct: int
    """How many different answers the model gave."""
    active: bool
    """Whether it differs from its base on some text, and does not answer every text alike."""


def activity(answers: Sequence[str], base_answers: Sequence[str], base: ServedBy, task: Task) -> Activity:
    """Compare a model's words with its base's, text by text.

    Raises:
        ValueError: there are not as many of one as of the other, or none.
    """
    if len(answers) != len(base_answers) or not answers:
        raise ValueError(f"{len(answers)} answers and {len(base_answers)} of the base cannot be compared")
    share = sum(ours != theirs for ours, theirs in zip(answers, base_answers, strict=True)) / len(answers)
    distances = [_distance(ours, theirs, task) for ours, theirs in zip(answers, base_answers, strict=True)]
    distinct = len(set(answers))
    return Activity(
        base=base.model_id,
        base_digest=base.digest,
        share=share,
        largest=max((distance for distance in distances if distance is not None), default=None),
        distinct=distinct,
        active=share > 0 and distinct > 1,
    )


def _distance(ours: str, theirs: str, task: Task) -> float | None:
    try:
        first, second = parse_answer(ours, task), parse_answer(theirs, task)
    except InvalidAnswer:
        return None
    return max(abs(first[name] - second[name]) for name in task.names)
