"""Brains that stand in for a model: what they see is a request, what they say is an answer.

Each decides from the request alone and what it remembers itself, so it goes on when the agent is killed and run again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.doubles.careful import Brain, Careful, look
from tests.doubles.careless import Careless
from tests.doubles.conversation import Conversation, Said
from tests.doubles.liar import Liar
from tests.doubles.obedient import Obedient

PROPER_BATCHES = 2  # of work, before the lazy brain has enough
ENOUGH = "I have done enough for today."
RAMBLE = "Before I act I should like to turn this over in my mind once more, slowly and from every side. "

__all__ = [
    "Brain",
    "Careful",
    "Careless",
    "Circling",
    "Lazy",
    "LazyStop",
    "Liar",
    "Obedient",
    "Rambling",
    "Said",
    "Scripted",
    "brain_named",
]


class Scripted:
    """Says what stands in its list, one entry an answer, and then that this is all."""

    def __init__(self, answers: Sequence[Said]) -> None:
        self.left = list(answers)

    def answer(self, body: Mapping[str, Any]) -> Said:
        return self.left.pop(0) if self.left else Said("That is all.")


class Lazy(Careful):
    """Does two batches of work properly, and refuses in prose for ever."""

    def __init__(self, together: bool = True) -> None:
        super().__init__(together)
        self._batches = 0

    def answer(self, body: Mapping[str, Any]) -> Said:
        if self._batches >= PROPER_BATCHES:
            return Said(ENOUGH)
        seen = Conversation(body)
        said = self.next(seen)
        self._batches += said.calls != look(seen, "").calls
        return said


class LazyStop:
    """Tries to end the cycle at once, and refuses in prose for ever."""

    def __init__(self) -> None:
        self._tried = False

    def answer(self, body: Mapping[str, Any]) -> Said:
        seen = Conversation(body)
        if self._tried:
            return Said(ENOUGH)
        self._tried = True
        function = seen.function("write_report") or "playbook__write_report"
        arguments = {"cycle": seen.cycle, "stop_reason": "nothing can be improved"}
        return Said("There is nothing to improve.", [(function, seen.fitting(function, arguments))])


class Circling:
    """Asks for ever where the cycle stands."""

    def answer(self, body: Mapping[str, Any]) -> Said:
        return look(Conversation(body), "I look where the cycle stands.")


class Rambling(Careful):
    """Careful, but says far too much before each call."""

    def __init__(self, words: int = 20_000, together: bool = True) -> None:
        super().__init__(together)
        self._words = words

    def answer(self, body: Mapping[str, Any]) -> Said:
        said = super().answer(body)
        spoken = RAMBLE.split()
        many = spoken * (self._words // len(spoken) + 1)
        return Said(" ".join(many[: self._words]), said.calls)


_NAMED: dict[str, Callable[[], Brain]] = {
    "careful": Careful,
    "one-by-one": lambda: Careful(together=False),
    "lazy": Lazy,
    "lazy-stop": LazyStop,
    "circling": Circling,
    "obedient": Obedient,
    "liar": Liar,
    "rambling": Rambling,
}


def brain_named(name: str) -> Brain:
    """A brain by its name on the command line; `careless:7` is the careless one with seed 7.

    Raises:
        ValueError: there is none of that name.
    """
    kind, _, seed = name.partition(":")
    if kind == "careless":
        return Careless(int(seed or "0"))
    if name not in _NAMED:
        raise ValueError(f"no brain {name!r}; there are {', '.join(_NAMED)}, careless, careless:<seed>")
    return _NAMED[name]()
