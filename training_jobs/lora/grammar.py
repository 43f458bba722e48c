"""Which tokens may come next, so that an answer is the strict JSON of its task: keys in order, numbers on the scale.

The text is `{"name": number, …}` as the completions have it, so nothing but the numbers is the model's to choose. A
number has no decimals where labellers write whole ones, else up to two. An answer always comes to its end: no number
may grow without bound, and after the last bracket only the end of the text is left.
"""

import math
import re
from collections import defaultdict
from collections.abc import Sequence

from servers.core.task import Scale, Task

State = tuple[int, str]
"""Which part of the answer is being written, and what stands of it. Literal parts and numbers alternate."""
DECIMALS = 2
ENDED: State = (-1, "")
_NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*)(\.[0-9]*)?")


class AnswerGrammar:
    """The answers of one task, character by character.

    Raises:
        ValueError: no number on the scale can be written with so few decimals.
    """

    def __init__(self, task: Task) -> None:
        first, *others = task.names
        self._literals = [f'{{"{first}": ', *(f', "{name}": ' for name in others), "}"]
        self._numbers = Numbers(task.scale)
        longest_number = max(len(f"{end:.{DECIMALS}f}") for end in (task.scale.low, task.scale.high)) + 1
        self.max_chars = sum(map(len, self._literals)) + len(task.names) * longest_number
        """No answer is longer."""

    start: State = (0, "")

    def after(self, state: State, text: str) -> State | None:
        """Where writing `text` leads, or None where no answer goes on so."""
        part, written = state
        for char in text:
            if part % 2 == 1:
                if self._numbers.may_begin(written + char):
                    written += char
                    continue
                if not self._numbers.is_whole(written):
                    return None
                part, written = part + 1, ""
            if part < 0 or part > 2 * (len(self._literals) - 1) or not self._literal(part).startswith(written + char):
                return None
            written += char
            if written == self._literal(part) and part < 2 * (len(self._literals) - 1):
                part, written = part + 1, ""
        return part, written

    def is_whole(self, state: State) -> bool:
        """Whether an answer may end here."""
        part, written = state
        return part == 2 * (len(self._literals) - 1) and written == self._literal(part)

    def _literal(self, part: int) -> str:
        return self._literals[part // 2]


class Numbers:
    """The numbers of a scale, as they may be written.

    Raises:
        ValueError: there are none.
    """

    def __init__(self, scale: Scale) -> None:
        self._decimals = 0 if scale.integers else DECIMALS
        unit = _tens(self._decimals)
        # In whole units of the last decimal, so that nothing is compared after rounding.
        self._low, self._high = math.ceil(scale.low * unit), math.floor(scale.high * unit)
        if self._low > self._high:
            raise ValueError(
                f"no number from {scale.low:g} to {scale.high:g} has at most {self._decimals} decimals; "
                "choose other units for the scale"
            )
        self._digits = len(str(max(abs(self._low), abs(self._high)) // unit))

    def is_whole(self, text: str) -> bool:
        """Whether this is a number of the scale."""
        found = _NUMBER.fullmatch(text)
        if found is None or text.endswith("."):
            return False
        sign, whole, decimals = found[1], found[2], (found[3] or ".")[1:]
        if len(decimals) > self._decimals:
            return False
        value = int(whole + decimals.ljust(self._decimals, "0"))
        return self._low <= (-value if sign else value) <= self._high

    def may_begin(self, text: str) -> bool:
        """Whether a number of the scale begins so, or is this."""
        if text == "-":
            return self._low < 0
        found = _NUMBER.fullmatch(text)
        if found is None:
            return False
        sign, whole, dot = found[1], found[2], found[3]
        low, high = (max(0, -self._high), -self._low) if sign else (max(0, self._low), self._high)
        if dot is not None:
            decimals = dot[1:]
            left = self._decimals - len(decimals)
            if self._decimals == 0 or left < 0:
                return False
            begun = int(whole + decimals) * _tens(left)
            return begun <= high and begun + _tens(left) - 1 >= low
        unit = _tens(self._decimals)
        # A 0 is followed by no digit; another number may go on for as many as the ends of the scale have.
        more = range(1 if whole == "0" else self._digits - len(whole) + 1)
        return any(
            int(whole) * _tens(digits) * unit <= high and (int(whole) + 1) * _tens(digits) * unit - 1 >= low
            for digits in more
        )


def _tens(exponent: int) -> int:
    return int(10**exponent)


class TokenGrammar:
    """The same in a tokenizer's tokens.

    Args:
        grammar: The answers of the task.
        pieces: By token id the text that the token adds; empty for one that adds none, such as a special token.
        end: The token that ends an answer.
    """

    def __init__(self, grammar: AnswerGrammar, pieces: Sequence[str], end: int) -> None:
        self._grammar, self._end = grammar, end
        self._known: dict[State, dict[int, State]] = {ENDED: {end: ENDED}}
        self._by_first: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for token, piece in enumerate(pieces):
            if piece and token != end:
                self._by_first[piece[0]].append((token, piece))

    def steps(self, state: State) -> dict[int, State]:
        """The tokens that may come next, never none, and where each leads."""
        if state not in self._known:
            self._known[state] = self._find(state)
        return self._known[state]

    def _find(self, state: State) -> dict[int, State]:
        if self._grammar.is_whole(state):
            return {self._end: ENDED}
        firsts = [char for char in self._by_first if self._grammar.after(state, char) is not None]
        found = {
            token: to
            for char in firsts
            for token, piece in self._by_first[char]
            if (to := self._grammar.after(state, piece)) is not None
        }
        if not found:
            raise ValueError(f"this tokenizer has no token that goes on after {state[1]!r}; use another base")
        return found
