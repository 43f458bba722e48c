"""Turns of a conversation in the API's words: always whole, always valid, whatever the model wrote.

A server refuses a conversation whose calls have no ids, no results, names it could not have, or arguments that are no
JSON; so what the model got wrong is told in the result, and does not stand in its own message. Nor do a chat template's
marks, which it may have read in a text and says again.
"""

import json
import re
import secrets
import string
from collections.abc import Sequence
from dataclasses import replace

from agent.mistral.conversation import Message
from agent.mistral.data import as_json, unmarked
from agent.mistral.service import ToolCall
from agent.words import cleaned

WORDS_CHARS = 1_500  # of an answer's words that are kept
ARGUMENTS_CHARS = 8_000  # of a call's arguments that are kept
MAX_CALLS_KEPT = 16
NO_WORDS = "(nothing)"

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ID_CHARS = string.ascii_letters + string.digits


def with_ids(calls: Sequence[ToolCall]) -> list[ToolCall]:
    """The calls, each with an id of its own; what is over the top is left out."""
    taken: set[str] = set()
    named = []
    for call in calls[:MAX_CALLS_KEPT]:
        name = call.id if call.id and call.id not in taken else _new_id()
        taken.add(name)
        named.append(replace(call, id=name))
    return named


def acted(calls: Sequence[ToolCall], results: Sequence[str]) -> list[Message]:
    """An answer with calls, and what became of each. Its words are left out: some servers refuse words beside calls."""
    asked = {"role": "assistant", "content": "", "tool_calls": [_kept(call) for call in calls]}
    told = [
        {"role": "tool", "tool_call_id": call.id, "name": _name(call), "content": result}
        for call, result in zip(calls, results, strict=True)
    ]
    return [asked, *told]


def nudged(words: str, reply: str) -> list[Message]:
    """An answer of words alone, and what is said to it."""
    # An empty assistant message is refused by Mistral's server.
    return [
        {"role": "assistant", "content": unmarked(cleaned(words, WORDS_CHARS)) or NO_WORDS},
        {"role": "user", "content": reply},
    ]


def _kept(call: ToolCall) -> Message:
    return {"id": call.id, "type": "function", "function": {"name": _name(call), "arguments": _arguments(call)}}


def _name(call: ToolCall) -> str:
    return call.name if _NAME.fullmatch(call.name) else "unknown"


def _arguments(call: ToolCall) -> str:
    try:
        value = json.loads(call.arguments)
        kept = as_json(value) if isinstance(value, dict) else ""
    except (ValueError, RecursionError):
        kept = ""
    return kept if 0 < len(kept) <= ARGUMENTS_CHARS else "{}"


def _new_id() -> str:
    """Nine letters and digits, as Mistral's server wants them."""
    return "".join(secrets.choice(_ID_CHARS) for _ in range(9))
