"""What the service refuses: the rules that a conversation must keep, as Mistral's API keeps them.

The words, types and codes are the service's where we know them. A user message may not follow a tool message.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.doubles.conversation import Message, text_of
from tests.doubles.mistral_wire import message_tokens

FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
CALL_ID = re.compile(r"[a-zA-Z0-9]{9}")
FOLLOWERS = {
    "system": {"system", "user", "assistant"},
    "user": {"system", "user", "assistant"},
    "assistant": {"user", "assistant", "tool"},
    "tool": {"assistant", "tool"},
}
"""Which roles may follow which."""

INVALID = ("invalid_request_error", None)
ORDER = ("invalid_request_message_order", "3230")
CALL = ("invalid_function_call", "3280")
TOO_LONG = ("invalid_request_invalid_args", "3051")
Problem = tuple[str, tuple[str, str | None]]
"""The words, and the type and code that go with them."""


@dataclass(frozen=True)
class Rules:
    """What differs from server to server and from model to model."""

    window_tokens: int | None
    """Most tokens of messages; schemas of tools do not count."""
    short_ids: bool
    """Whether ids of tool calls must be nine letters or digits."""
    words_with_calls: bool
    """Whether an assistant message may have both."""


def refusal(body: Any, rules: Rules) -> dict[str, Any] | None:
    """The body of a 400, or None where the request keeps all rules."""
    message, (kind, code) = next(_problems(body, rules), ("", INVALID))
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code} if message else None


def _problems(body: Any, rules: Rules) -> Iterator[Problem]:
    if not isinstance(body, Mapping) or not body.get("model"):
        yield "Model name parameter is required", INVALID
        return
    messages: Sequence[Message] = body.get("messages") or []
    if not messages:
        yield "Conversation must have at least one message", INVALID
        return
    yield from _in_order(messages)
    yield from _answered(messages)
    for message in messages:
        if message["role"] == "assistant":
            yield from _assistant(message, rules)
    yield from _tools(body)
    tokens = message_tokens(list(messages))
    if rules.window_tokens is not None and tokens > rules.window_tokens:
        limit = f"too large for model with {rules.window_tokens} maximum context length"
        yield f"Prompt contains {tokens} tokens and 0 draft tokens, {limit}", TOO_LONG


def _in_order(messages: Sequence[Message]) -> Iterator[Problem]:
    roles = [str(message.get("role")) for message in messages]
    for role in roles:
        if role not in FOLLOWERS:
            yield f"Unknown role {role!r}", INVALID
    if roles[0] not in ("system", "user"):
        yield "Conversation must start with a user message or system message", ORDER
    for before, role in pairwise(roles):
        if role not in FOLLOWERS[before]:
            yield f"Unexpected role '{role}' after role '{before}'", ORDER
    if roles[-1] not in ("user", "tool"):
        wanted = "User or Tool (or Assistant with prefix True)"
        yield f"Expected last role {wanted} for serving but got {roles[-1]}", ORDER


def _answered(messages: Sequence[Message]) -> Iterator[Problem]:
    """Every call has one answer, before the conversation goes on; nothing is answered that was not called."""
    waiting: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            call_id = message.get("tool_call_id")
            if call_id not in waiting:
                yield f"Unexpected tool call id {call_id} in tool results", ORDER
            waiting.discard(str(call_id))
            continue
        if waiting:
            yield "Not the same number of function calls and responses", ORDER
        if message["role"] == "assistant":
            ids = [str(call.get("id")) for call in message.get("tool_calls") or []]
            waiting = set(ids)
            if len(waiting) < len(ids):
                yield "Duplicate tool call id in assistant message", CALL
    if waiting:
        yield "Not the same number of function calls and responses", ORDER


def _assistant(message: Message, rules: Rules) -> Iterator[Problem]:
    calls = message.get("tool_calls") or []
    if not calls and not text_of(message):
        yield "Assistant message must have either content or tool_calls, but not none.", INVALID
    if calls and text_of(message) and not rules.words_with_calls:
        yield "Assistant message must have either content or tool_calls, but not both.", INVALID
    for call in calls:
        function = call["function"]
        yield from _name(function["name"])
        if rules.short_ids and not CALL_ID.fullmatch(call["id"]):
            yield f"Tool call id was {call['id']} but must be a-z, A-Z, 0-9, with a length of 9.", CALL
        if isinstance(function["arguments"], str) and not _is_json(function["arguments"]):
            yield f"Arguments of function {function['name']} are no valid JSON", CALL


def _tools(body: Mapping[str, Any]) -> Iterator[Problem]:
    names = [tool["function"]["name"] for tool in body.get("tools") or []]
    for name in names:
        yield from _name(name)
    if len(set(names)) < len(names):
        yield "Duplicate function name in tools", INVALID
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping) and choice["function"]["name"] not in names:
        yield f"Function {choice['function']['name']} of tool_choice is not in tools", INVALID


def _name(name: str) -> Iterator[Problem]:
    if not FUNCTION_NAME.fullmatch(name):
        rule = "must be a-z, A-Z, 0-9, or contain underscores and dashes, with a maximum length of 64"
        yield f"Function name was {name} but {rule}.", INVALID


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
