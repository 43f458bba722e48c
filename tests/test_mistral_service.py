"""One answer of the language model, however the server goes wrong: the real SDK against the double."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from agent.mistral.access import Access
from agent.mistral.service import TRIES, Answer, PromptTooLong, Service, ServiceProblem, Tokens
from agent.settings import MistralSettings
from tests.doubles.brains import Said
from tests.doubles.loopback import LoopbackServer
from tests.doubles.mistral import MistralDouble
from tests.doubles.mistral_faults import Fault
from tests.doubles.mistral_wire import Style
from tests.mistral_world import KEY

pytestmark = pytest.mark.anyio

MESSAGES = [{"role": "system", "content": "Look around."}, {"role": "user", "content": "Begin."}]
LOOK = "playbook__get_cycle"
TOOLS = [{"type": "function", "function": {"name": LOOK, "description": "Look.", "parameters": {"type": "object"}}}]
STOPPED: list[Fault] = [("silence", 30), ("silence-midway", 30), "drip"]
BROKEN: list[Fault] = [
    "429", "500", "503", "cut", "cut-clean", "rubbish-json", "rubbish-html", "rubbish-sse", *STOPPED,
]  # fmt: skip
READ_WHOLE = ("rubbish-json", "rubbish-html", "rubbish-sse")  # after them the stream is given up


class Looking:
    """A model that looks, for ever."""

    def answer(self, body: Mapping[str, Any]) -> Said:
        return Said("I look.", [(LOOK, {"cycle": "cycle_1"})])


@dataclass
class Asking:
    """Asks for one answer and notes what a person would notice."""

    waits: list[float] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    async def ask(self, url: str, key: str | None = KEY, must_call: bool = False, **settings: Any) -> Answer:
        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)

        access, limits = Access(url, key), MistralSettings(**{"timeout_s": 20.0, **settings})
        async with Service(access, limits, self.told.append, sleep) as service:
            return await service.answer(MESSAGES, TOOLS, must_call, self.heard.append)

    async def fail(self, url: str, key: str | None = KEY, **settings: Any) -> str:
        """The words with which it fails; one line, which says of what and where, and keeps the key."""
        with pytest.raises(ServiceProblem) as failed:
            await self.ask(url, key, **settings)
        said = str(failed.value)
        assert "mistral-medium-latest at " + url in said and "\n" not in said and len(said) < 700
        assert not key or not any(key in words for words in (said, *self.told))
        return said


def patience(fault: Fault) -> dict[str, float]:
    """Little, where the fault is that nothing comes."""
    return {"timeout_s": 0.5 if fault == "drip" else 1.0} if fault in STOPPED else {}


@pytest.mark.parametrize("fault", BROKEN, ids=str)
async def test_after_one_failure_the_answer_comes(fault: Fault):
    """Ours: whatever can pass is asked for again, once, after a wait that the screen tells of."""
    asking = Asking()
    with MistralDouble(Looking(), faults=[fault]) as double:
        answer = await asking.ask(double.url, **patience(fault))

    assert (answer.words, answer.finish) == ("I look.", "tool_calls") and "".join(asking.heard).endswith("I look.")
    assert [(call.name, json.loads(call.arguments)) for call in answer.calls] == [(LOOK, {"cycle": "cycle_1"})]
    assert answer.tries == 2 and answer.counted
    assert asking.waits == [0.05 if fault == "429" else 0.5]
    assert len(asking.told) == 1 and asking.told[0].endswith(f"; asking again in {asking.waits[0]:g} s")
    assert [body["stream"] for body in double.requests] == [True, fault not in READ_WHOLE]


@pytest.mark.parametrize("fault", [fault for fault in BROKEN if fault != "drip"], ids=str)
async def test_a_failure_that_lasts_ends_in_one_line(fault: Fault):
    """Ours: five tries, each waiting twice as long as the last."""
    asking = Asking()
    with MistralDouble(Looking(), faults=[fault] * 9) as double:
        said = await asking.fail(double.url, **patience(fault) and {"timeout_s": 0.2})

    assert said.endswith(f"(try {TRIES} of {TRIES})") and len(double.requests) == TRIES
    assert asking.waits == ([0.05] * 4 if fault == "429" else [0.5, 1.0, 2.0, 4.0])


@pytest.mark.parametrize(("header", "wait_s"), [("7", 7.0), ("", 0.5), ("Wed, 21 Oct 2037 07:28:00 GMT", 0.5)])
async def test_the_wait_that_a_server_asks_for_is_kept(header: str, wait_s: float):
    """Ours: and where it names none, or none in seconds, we choose."""
    asking = Asking()
    with MistralDouble(Looking(), faults=[("429", header)]) as double:
        await asking.ask(double.url)

    assert asking.waits == [wait_s] and "429" in asking.told[0] and f"in {wait_s:g} s" in asking.told[0]


async def test_a_wait_of_an_hour_is_not_kept():
    """Ours: a person should know, and do something else meanwhile."""
    asking = Asking()
    with MistralDouble(Looking(), faults=[("429", "3600")]) as double:
        said = await asking.fail(double.url)

    assert "asks to be left alone for 3600 s (try 1 of 5)" in said and asking.waits == [] and len(double.requests) == 1


@pytest.mark.parametrize("style", ["pieces", "named-pieces"])
async def test_calls_that_stream_in_pieces_are_put_together(style: Style):
    """Ours: where the SDK cannot read the pieces, the answer is asked for in one."""
    asking = Asking()
    with MistralDouble(Looking(), style=style) as double:
        answer = await asking.ask(double.url)

    assert [(call.name, json.loads(call.arguments)) for call in answer.calls] == [(LOOK, {"cycle": "cycle_1"})]
    assert [body["stream"] for body in double.requests] == ([True, False] if style == "pieces" else [True])


async def test_what_an_answer_took_that_broke_off_counts():
    """Ours: it is billed as well."""
    with MistralDouble(Looking(), faults=["cut", "cut-clean"]) as double:
        answer = await Asking().ask(double.url)
    with MistralDouble(Looking(), faults=["cut"] * 9) as double, pytest.raises(ServiceProblem) as failed:
        await Asking().ask(double.url)

    once = len(json.dumps([MESSAGES, TOOLS])) // 3
    assert answer.lost.read == 2 * once and answer.lost.written > 0
    assert failed.value.lost == Tokens(5 * once, 5 * answer.lost.written // 2)


async def test_an_answer_of_nothing_or_half_a_call_is_an_answer():
    """Ours: it came whole; what to do with it is for the brain to say."""
    with MistralDouble(Looking(), faults=["empty", "length"]) as double:
        empty, cut = await Asking().ask(double.url), await Asking().ask(double.url)

    assert (empty.words, empty.calls, empty.finish) == ("", [], "stop")
    assert cut.finish == "length" and not cut.calls[0].arguments.endswith("}")


async def test_a_model_that_must_call_is_told_so():
    """MCP: words alone move no cycle."""
    with MistralDouble(Looking()) as double:
        await Asking().ask(double.url, must_call=True)

    assert double.requests[0]["tool_choice"] == "required"


async def test_what_cannot_pass_is_not_asked_for_again():
    """Ours: a wrong key, a wrong address and a prompt that is too long are told at once, with what to do."""
    with MistralDouble(Looking(), api_key="another") as double:
        assert "(HTTP 401" in (said := await Asking().fail(double.url)) and "set MISTRAL_API_KEY" in said
        assert len(double.requests) == 1
        assert "give --model, or MISTRAL_SERVER_URL" in await Asking().fail(double.url + "/nowhere")
    with MistralDouble(Looking(), window_tokens=1) as double:
        with pytest.raises(PromptTooLong, match=r"do not fit .*; lower context_tokens in \[agent.mistral\], or serve"):
            await Asking().ask(double.url)
        assert len(double.requests) == 1
    asking = Asking()
    assert "the connection failed" in await asking.fail(double.url), "nobody listens there any more"
    assert len(asking.waits) == 4, "a server may be starting"


@pytest.mark.parametrize("key", ["two\nlines", "clé", "trailing\n"])
async def test_a_key_that_cannot_be_sent_is_told_without_showing_it(key: str):
    """Bug: a key with an accent was asked with five times, and called an answer that cannot be read."""
    asking = Asking()
    with MistralDouble(Looking()) as double:
        said = await asking.fail(double.url, key)

    assert "is MISTRAL_API_KEY one line of plain letters" in said and asking.waits == [] and not double.requests


@contextmanager
def server(*answers: Response) -> Iterator[str]:
    """A server that gives these answers in turn, the last for ever; `{key}` in a body becomes what the request said."""
    left = list(answers)

    async def answer(request: Request) -> Response:
        given = left.pop(0) if len(left) > 1 else left[0]
        body = bytes(given.body).replace(b"{key}", request.headers.get("authorization", "").encode())
        return Response(body, given.status_code, media_type=given.media_type)

    listening = LoopbackServer(Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])]))
    try:
        yield listening.start()
    finally:
        listening.stop()


@pytest.mark.parametrize("status", [401, 403, 400, 500])
async def test_a_server_that_repeats_the_key_is_not_quoted_with_it(status: int):
    """Bug: the words of the server went to the screen as they were."""
    with server(PlainTextResponse("wrong: {key}", status)) as url:
        said = await Asking().fail(url)

    assert "wrong: Bearer [key]" in said


async def test_an_error_without_a_body_is_an_error():
    """Bug: the SDK raised something else than its own errors there, which ended the run in a traceback."""
    asking = Asking()
    with server(PlainTextResponse("", 503), PlainTextResponse("", 401)) as url:
        said = await asking.fail(url)
    with server(PlainTextResponse("", 204)) as url:
        nothing = await Asking().fail(url)

    assert len(asking.waits) == 1 and "refuses the key (HTTP 401" in said and "nothing (try 5 of 5)" in nothing


async def test_thoughts_are_no_words_and_calls_without_numbers_are_told_apart():
    """Ours: some servers stream thoughts as parts, give every call the index 0, or end an answer with an error."""
    words = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "I look."}]
    calls = [{"id": id, "index": 0, "function": {"name": LOOK, "arguments": "{}"}} for id in ("a", "b")]
    with server(stream({"content": words}, "error"), stream({"content": words, "tool_calls": calls})) as url:
        answer = await Asking().ask(url)

    assert (answer.words, [call.id for call in answer.calls], answer.tries) == ("I look.", ["a", "b"], 2)
    assert not answer.counted and answer.tokens.read == len(json.dumps([MESSAGES, TOOLS])) // 3


def stream(delta: dict[str, Any], finish: str = "tool_calls") -> Response:
    """An answer in one chunk."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return Response(f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n", media_type="text/event-stream")


async def test_an_answer_without_end_is_given_up():
    """Ours: a server that ignores max_tokens must not fill the memory."""

    class Endless:
        def answer(self, body: Mapping[str, Any]) -> Said:
            return Said("x" * 250_000)

    with MistralDouble(Endless()) as double:
        said = await Asking().fail(double.url, answer_tokens=100_000, context_tokens=200_000)

    assert "the answer does not end; 200000 characters came" in said
