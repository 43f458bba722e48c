"""The careful brain: it does what the newest state says comes next, and looks again."""

from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any, Protocol

from tests.doubles.conversation import Call, Conversation, Said


class Brain(Protocol):
    """What stands in for a model."""

    def answer(self, body: Mapping[str, Any]) -> Said:
        """The answer to one request, from what stands in it and what this brain remembers."""


class Careful:
    """Follows `next_steps` of the newest state until the cycle is closed.

    A refusal, a step whose tool is not on offer, and the end of the steps all lead back to get_cycle.

    Args:
        together: Whether all steps of a state come in one answer; else one an answer.
    """

    def __init__(self, together: bool = True) -> None:
        self.together = together

    def answer(self, body: Mapping[str, Any]) -> Said:
        return self.next(Conversation(body))

    def next(self, seen: Conversation) -> Said:
        """What a careful model does with what it sees."""
        if seen.state is None:
            return look(seen, "I do not see yet where the cycle stands.")
        if seen.state["closed"]:
            return Said(f"{seen.cycle} is closed with the verdict {seen.state['verdict']}; nothing is left to do.")
        if seen.refusal is not None:
            return look(seen, f"That was refused: {seen.refusal[:200]} So I look where the cycle stands.")
        due = seen.steps[len(seen.since) :] if not (self.together and seen.since) else []
        calls = list(_calls(seen, due if self.together else due[:1]))
        if not calls:
            return look(seen, "I look where the cycle stands now.")
        return Said(f"Next is {due[0]['tool']}: {due[0]['why']}.", calls)


def look(seen: Conversation, words: str) -> Said:
    """Ask where the cycle stands."""
    function = seen.function("get_cycle") or "get_cycle"
    known = {"cycle": seen.state["cycle"]} if seen.state and seen.state["cycle"] else {}
    return Said(words, [(function, seen.fitting(function, known))])


def _calls(seen: Conversation, steps: list[dict[str, Any]]) -> Iterator[Call]:
    """The calls of the steps before the first whose tool is not on offer."""
    named = ((seen.function(step["tool"]), step["arguments"]) for step in steps)
    for function, arguments in takewhile(lambda pair: pair[0] is not None, named):
        assert function is not None  # by the condition above
        yield function, seen.fitting(function, arguments)
