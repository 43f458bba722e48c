"""How an answer looks on the wire: one JSON document, or the chunks of a stream, in the way of three kinds of servers.

`whole` is Mistral's: every tool call complete in the last chunk, ids of nine letters or digits, usage in that chunk.
`pieces` is vLLM's and llama.cpp's: id and name in a call's first delta, then fragments of its arguments that carry only
the index; usage in a chunk without choices. `named-pieces` is the same with an empty name in every fragment, as some
servers send it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from tests.doubles.conversation import Message, Said, text_of

Style = Literal["whole", "pieces", "named-pieces"]
CHARS_A_TOKEN = 4
MOST_CHUNKS = 100  # for the words, and for the arguments of one call; a long answer comes in larger chunks
CREATED = 1_760_000_000
DONE = "data: [DONE]\n\n"


@dataclass(frozen=True)
class ToolCall:
    """A call as it goes out."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Answer:
    """An answer as it goes out."""

    model: str
    words: str
    calls: tuple[ToolCall, ...]
    finish: str
    prompt_tokens: int

    @property
    def completion_tokens(self) -> int:
        return (len(self.words) + sum(len(call.name) + len(call.arguments) for call in self.calls)) // CHARS_A_TOKEN


def message_tokens(messages: list[Message]) -> int:
    """Tokens of the words and calls in messages: characters over four."""
    return sum(_chars(message) for message in messages) // CHARS_A_TOKEN


def answer_to(body: Mapping[str, Any], said: Said, ids: Iterator[str]) -> Answer:
    """What a brain said, in answer to a request; cut off where the request's max_tokens end it."""
    calls = tuple(
        ToolCall(next(ids), name, given if isinstance(given, str) else json.dumps(given)) for name, given in said.calls
    )
    schemas = json.dumps(body["tools"]) if body.get("tools") else ""
    prompt = sum(_chars(message) for message in body["messages"]) + len(schemas)
    finish = "tool_calls" if calls else "stop"
    answer = Answer(body["model"], said.words, calls, finish, prompt // CHARS_A_TOKEN)
    limit = body.get("max_tokens")
    return answer if limit is None or answer.completion_tokens <= limit else shortened(answer, limit * CHARS_A_TOKEN)


def shortened(answer: Answer, chars: int) -> Answer:
    """The first characters of an answer, words before calls, as a model that reached its limit leaves it."""
    left = chars - len(answer.words)
    kept: list[ToolCall] = []
    for call in answer.calls:
        left -= len(call.name)
        if left > 0:
            kept.append(replace(call, arguments=call.arguments[:left]))
        left -= len(call.arguments)
    return replace(answer, words=answer.words[:chars], calls=tuple(kept), finish="length")


def cut_short(answer: Answer) -> Answer:
    """An answer that ends in the middle of its first call's arguments, or of its words where it has no call."""
    if not answer.calls:
        return shortened(answer, len(answer.words) // 2)
    call = answer.calls[0]
    return shortened(answer, len(answer.words) + len(call.name) + max(1, len(call.arguments) // 2))


def document(answer: Answer, style: Style, usage: bool) -> dict[str, Any]:
    """The answer in one piece."""
    calls = [_call(call, index, style) for index, call in enumerate(answer.calls)]
    content = answer.words or (None if calls and style != "whole" else "")
    message = {"role": "assistant", "content": content, "tool_calls": calls or None, "prefix": False}
    choices = [{"index": 0, "message": message, "finish_reason": answer.finish}]
    return _frame(answer, "chat.completion", choices) | (_usage(answer) if usage else {})


def events(answer: Answer, style: Style, usage: bool) -> list[str]:
    """The answer as server-sent events, without the final `[DONE]`."""
    return [f"data: {json.dumps(chunk)}\n\n" for chunk in _chunks(answer, style, usage)]


def _chunks(answer: Answer, style: Style, usage: bool) -> Iterator[dict[str, Any]]:
    counted = _usage(answer) if usage else {}
    yield _chunk(answer, {"role": "assistant", "content": ""})
    for words in _parts(re.findall(r"\s*\S+\s*", answer.words) or [answer.words] * bool(answer.words)):
        yield _chunk(answer, {"content": words})
    if style == "whole":
        calls = [_call(call, index, style) for index, call in enumerate(answer.calls)]
        yield _chunk(answer, {"content": ""} | ({"tool_calls": calls} if calls else {}), answer.finish) | counted
        return
    name = {"name": ""} if style == "named-pieces" else {}
    for index, call in enumerate(answer.calls):
        yield _chunk(answer, {"tool_calls": [_call(replace(call, arguments=""), index, style)]})
        for part in _parts(re.findall(r"(?s).{1,12}", call.arguments)):
            yield _chunk(answer, {"tool_calls": [{"index": index, "function": {**name, "arguments": part}}]})
    yield _chunk(answer, {}, answer.finish)
    if usage:
        yield _frame(answer, "chat.completion.chunk", []) | counted


def _parts(pieces: list[str]) -> Iterator[str]:
    size = len(pieces) // MOST_CHUNKS + 1
    for start in range(0, len(pieces), size):
        yield "".join(pieces[start : start + size])


def _call(call: ToolCall, index: int, style: Style) -> dict[str, Any]:
    kind = {} if style == "whole" else {"type": "function"}
    return {"id": call.id, **kind, "function": {"name": call.name, "arguments": call.arguments}, "index": index}


def _chunk(answer: Answer, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return _frame(answer, "chat.completion.chunk", [{"index": 0, "delta": delta, "finish_reason": finish}])


def _frame(answer: Answer, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "cmpl-double", "object": kind, "created": CREATED, "model": answer.model, "choices": choices}


def _usage(answer: Answer) -> dict[str, Any]:
    prompt, completion = answer.prompt_tokens, answer.completion_tokens
    counted = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {"usage": counted}


def _chars(message: Message) -> int:
    functions = [call["function"] for call in message.get("tool_calls") or []]
    return len(text_of(message)) + sum(len(f["name"]) + len(_text(f["arguments"])) for f in functions)


def _text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)
