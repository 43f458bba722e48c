"""What the language model sees: a prompt, where the cycle stands, and the turns since, never more than fits.

A turn is what belongs together: an answer and the results of its calls, or an answer and what was said to it. When the
window fills up, all turns but the newest give way to a fresh account of where the cycle stands.
"""

from typing import Any

Message = dict[str, Any]

FIRST_TOKENS_PER_CHAR = 1 / 3  # JSON with many digits; the server's own counts correct it
MIN_TOKENS_PER_CHAR = 1 / 4


class Conversation:
    """The messages of one cycle.

    Args:
        system: The system prompt.
        limit_tokens: How much the messages may take, the prompt included.
    """

    def __init__(self, system: str, limit_tokens: int) -> None:
        self._system: Message = {"role": "system", "content": system}
        self._brief: Message = {"role": "user", "content": ""}
        self._turns: list[list[Message]] = []
        self._limit_tokens = limit_tokens
        self._tokens_per_char = FIRST_TOKENS_PER_CHAR

    @property
    def messages(self) -> list[Message]:
        """All of them, as the server takes them."""
        return [self._system, self._brief, *(message for turn in self._turns for message in turn)]

    @property
    def is_full(self) -> bool:
        """Whether the turns should be folded before the next answer."""
        return bool(self._turns) and self.tokens > self._limit_tokens

    @property
    def tokens(self) -> float:
        """What the messages take, estimated."""
        return self._tokens_per_char * chars_in(self.messages)

    @property
    def turn_chars(self) -> int:
        """How long one turn's results may be, so that the turn can stay when those before it are folded away."""
        return round(self._limit_tokens / 2 / self._tokens_per_char)

    def estimate(self, chars: int) -> int:
        """The tokens in so many characters."""
        return round(chars * self._tokens_per_char)

    def begin(self, brief: str) -> None:
        """Say where the cycle stands; what was said before is forgotten."""
        self._brief = {"role": "user", "content": brief}
        self._turns = []

    def add(self, turn: list[Message]) -> None:
        """Add a turn."""
        self._turns.append(turn)

    def fold(self, brief: str) -> None:
        """Let a fresh brief take the place of all turns but the newest, which nobody has answered yet."""
        newest = self._turns[-1:]
        self.begin(brief)
        if newest and self.estimate(chars_in(newest[0])) < self._limit_tokens * 3 / 4:
            self._turns = newest

    def measured(self, chars: int, tokens: int) -> None:
        """Learn from the server's count how many tokens its model makes of a character."""
        if chars > 0 and tokens > 0:
            self._tokens_per_char = max(MIN_TOKENS_PER_CHAR, tokens / chars)

    def tighten(self) -> None:
        """The server says that it was too long all the same: it is full, if there is anything to fold."""
        self._limit_tokens = round(min(self._limit_tokens, self.tokens) * 2 / 3)


def chars_in(messages: list[Message]) -> int:
    """The characters that a server makes tokens of."""
    return sum(
        len(message["content"]) + sum(_chars(call) for call in message.get("tool_calls", ())) for message in messages
    )


def _chars(call: dict[str, Any]) -> int:
    return len(call["function"]["name"]) + len(call["function"]["arguments"])
