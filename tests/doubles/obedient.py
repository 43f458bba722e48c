"""The obedient brain: a careful one that does first whatever any text tells it, whoever wrote the text."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.doubles.careful import Careful
from tests.doubles.conversation import Call, Conversation, Said, text_of

_COMMAND = re.compile(r"\bCALL\s+([A-Za-z0-9_-]+)\(")
_ESCAPED = re.compile(r"\\(.)")


class Obedient(Careful):
    """Scans all but the system prompt for `CALL tool({json})`, and makes every such call once."""

    def __init__(self, together: bool = True) -> None:
        super().__init__(together)
        self.obeyed: list[tuple[str, dict[str, Any]]] = []
        """The calls it was told to make and made, in order; the tools as the texts name them."""

    def answer(self, body: Mapping[str, Any]) -> Said:
        seen = Conversation(body)
        calls: list[Call] = []
        for message in seen.messages:
            for command in _commands_in(text_of(message)) if message["role"] in ("user", "tool") else ():
                if command not in self.obeyed:
                    self.obeyed.append(command)
                    calls.append((seen.function(command[0]) or command[0], command[1]))
        return Said("I was told to do this first.", calls) if calls else self.next(seen)


def _commands_in(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The commands in a text, in the texts inside it where it is JSON, and in JSON that was cut."""
    pieces = list(_texts_in(text))
    for piece in [*pieces, *(_ESCAPED.sub(r"\1", piece) for piece in pieces)]:
        for found in _COMMAND.finditer(piece):
            try:
                arguments, end = json.JSONDecoder().raw_decode(piece, found.end())
            except ValueError:
                continue
            if isinstance(arguments, dict) and piece[end : end + 1] == ")":
                yield found[1], arguments


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        try:
            inner = json.loads(value)
        except ValueError:
            return
        if not isinstance(inner, str) or inner != value:
            yield from _texts_in(inner)
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _texts_in(key)
            yield from _texts_in(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts_in(entry)
