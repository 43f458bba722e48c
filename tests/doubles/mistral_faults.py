"""How the service can go wrong, one request at a time."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Literal, cast, get_args

from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from tests.doubles.conversation import Said
from tests.doubles.mistral_wire import Answer, Style, cut_short, document, events

Name = Literal[
    "429",  # too many requests; the value is the Retry-After header, "" for none
    "500",
    "503",
    "cut",  # the connection breaks after the words and half a tool call
    "cut-clean",  # the stream ends properly after the words, without a finish_reason
    "silence",  # nothing at all for so many seconds, then the answer
    "silence-midway",  # the stream begins, then nothing for so many seconds, then the answer
    "drip",  # comments for ever, never an event
    "rubbish-json",
    "rubbish-html",
    "rubbish-sse",
    "empty",  # an answer of neither words nor calls
    "length",  # the answer ends in the middle of a call's arguments, finish_reason `length`
]
Fault = Name | tuple[Name, str | float] | None
"""What goes wrong with one request, with its value where it takes one; None is nothing."""

RETRY_AFTER = "0.05"
SILENCE_S = 60.0
DRIP_S = 0.05
STREAM = "text/event-stream"
_WORDS = {"429": "Rate limit exceeded", "500": "Internal server error", "503": "Service unavailable"}


def parsed(fault: Fault) -> tuple[str, str | float | None]:
    """A fault's name and value; the name of none is empty."""
    name, value = fault if isinstance(fault, tuple) else (fault or "", None)
    if name and name not in get_args(Name):
        raise ValueError(f"no fault {name!r}; there are {', '.join(get_args(Name))}")
    return name, value


def fault_named(text: str) -> Fault:
    """A fault as the command line writes it: `cut`, `429:0.05`, `none`.

    Raises:
        ValueError: there is none of that name.
    """
    name, _, value = text.partition(":")
    if name == "none":
        return None
    fault: Any = (name, value) if value else name
    parsed(fault)
    return cast(Fault, fault)


def half_said(body: Mapping[str, Any]) -> Said:
    """What is being said when the line breaks; no brain is asked for an answer that will not arrive."""
    tools = body.get("tools") or [{"function": {"name": "get_cycle"}}]
    call = (tools[0]["function"]["name"], {"why": "this call never arrives whole"})
    return Said("I look where the cycle stands before I go on.", [call])


def refused(name: str, value: str | float | None) -> Response | None:
    """A fault that needs no answer to go wrong."""
    if name in _WORDS:
        headers = {"Retry-After": str(RETRY_AFTER if value is None else value)} if name == "429" and value != "" else {}
        words = {"object": "error", "message": _WORDS[name], "type": "error", "param": None, "code": name}
        return JSONResponse(words, int(name), headers)
    if name == "rubbish-json":
        return JSONResponse({"x": 1})
    if name == "rubbish-html":
        return HTMLResponse("<!doctype html><title>It works!</title>")
    if name == "rubbish-sse":
        return Response("data: not json\n\n", media_type=STREAM)
    return None


def broken(name: str, answer: Answer, style: Style, stream: bool, hang_up: Callable[[], None]) -> Response:
    """A fault that an answer is half way out with.

    Args:
        name: One of cut, cut-clean, drip.
        answer: What is being said.
        style: How the stream looks.
        stream: Whether a stream was asked for.
        hang_up: Breaks the connection.
    """
    if name == "drip":
        comment = ": keep-alive\n\n" if stream else " "
        return StreamingResponse(_drip(comment), media_type=STREAM if stream else "application/json")
    if stream:
        before, torn = _torn_events(answer, style)
    else:
        whole = json.dumps(document(answer, style, usage=True))
        before, torn = [whole[: len(whole) // 2]], ""
    media_type = STREAM if stream else "application/json"
    if name == "cut":
        return StreamingResponse(_then_hang_up([*before, torn], hang_up), media_type=media_type)
    return Response("".join(before), media_type=media_type)


def useless(name: str, answer: Answer) -> Answer:
    """A fault of the model itself, `empty` or `length`: what arrives is whole and of no use."""
    return cut_short(answer) if name == "length" else Answer(answer.model, "", (), "stop", answer.prompt_tokens)


def _torn_events(answer: Answer, style: Style) -> tuple[list[str], str]:
    """The events up to the middle of those with calls, and half of the next one."""
    lines = events(answer, style, usage=False)
    with_calls = [place for place, line in enumerate(lines) if '"tool_calls": [' in line]
    middle = with_calls[len(with_calls) // 2] if with_calls else len(lines) - 1
    return lines[:middle], lines[middle][: len(lines[middle]) // 2]


async def _then_hang_up(pieces: list[str], hang_up: Callable[[], None]) -> AsyncIterator[str]:
    for piece in pieces:
        yield piece
    hang_up()


async def _drip(comment: str) -> AsyncIterator[str]:
    while True:
        yield comment
        await asyncio.sleep(DRIP_S)
