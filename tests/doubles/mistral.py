"""A double of the Mistral API on the loopback: chat completions with tools, whole or streamed, and the list of models.

A brain stands in for the model. The double keeps the service's rules, streams as one of three kinds of servers, and
goes wrong request by request where it is told to. By hand:

    python -m tests.doubles.mistral careful --log requests.jsonl
    MISTRAL_SERVER_URL=<the URL it prints> MISTRAL_API_KEY=any etude cycle --brain mistral
"""

import argparse
import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, get_args

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.doubles.brains import Brain, Said, Scripted, brain_named
from tests.doubles.loopback import LoopbackServer
from tests.doubles.mistral_answers import Answers
from tests.doubles.mistral_faults import (
    SILENCE_S,
    STREAM,
    Fault,
    broken,
    fault_named,
    half_said,
    parsed,
    refused,
    useless,
)
from tests.doubles.mistral_rules import Rules, refusal
from tests.doubles.mistral_wire import CREATED, DONE, Answer, Style, answer_to, document, events

MODEL = "mistral-small-latest"
WINDOW_TOKENS = 131_072  # said of a model whose window has no limit here


class MistralDouble:
    """The service; `with` starts it on a port of its own and stops it.

    Args:
        brain: Answers for the model.
        api_key: What requests must carry; None takes any.
        faults: What goes wrong, request by request from the front; an entry is used up by its request.
        style: How answers are streamed; also decides whether ids are Mistral's nine letters or digits.
        usage: Whether answers say what they cost.
        window_tokens: Most tokens of messages, at four characters each; None is no limit.
        words_with_calls: Whether an assistant message in a conversation may have both; some models refuse it.
        port: Where to listen; 0 lets the system choose.
        log: Gets a line of JSON for each request.
        answers: Answers the requests without tools, in its own way; they count for nothing else here.
    """

    def __init__(
        self,
        brain: Brain,
        *,
        api_key: str | None = None,
        faults: Sequence[Fault] = (),
        style: Style = "whole",
        usage: bool = True,
        window_tokens: int | None = None,
        words_with_calls: bool = True,
        port: int = 0,
        log: Path | None = None,
        answers: Answers | None = None,
    ) -> None:
        self.brain = brain
        self.faults = list(faults)
        self.requests: list[dict[str, Any]] = []
        """The body of every request for a completion, refused ones too."""
        self.headers: list[dict[str, str]] = []
        """The headers of the same requests; names in lower case."""
        self.refusals: list[str] = []
        """The words of every 400, in order."""
        self._api_key, self._style, self._usage, self._log = api_key, style, usage, log
        self._answers = answers
        self._rules = Rules(window_tokens, style == "whole", words_with_calls)
        self._ids = _ids(style)
        self._bug: Exception | None = None
        routes = [
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
            Route("/v1/models", self._models, methods=["GET"]),
        ]
        self._server = LoopbackServer(Starlette(routes=routes), port)
        self.url = ""
        """Where it listens, once it does; without /v1, as the SDK takes it."""

    def __enter__(self) -> Self:
        self.url = self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        if self._bug is not None and error is None:
            raise self._bug

    async def _models(self, request: Request) -> Response:
        if denied := self._denied(request):
            return denied
        able = {"completion_chat": True, "function_calling": True}
        limit = self._rules.window_tokens or 131_072
        card = {
            "id": MODEL,
            "object": "model",
            "type": "base",
            "created": CREATED,
            "owned_by": "mistralai",
            "capabilities": able,
        }
        return JSONResponse({"object": "list", "data": [card | {"max_context_length": limit}]})

    async def _complete(self, request: Request) -> Response:
        with self._watched():
            return await self._served(request, json.loads(await request.body()))

    async def _served(self, request: Request, body: dict[str, Any]) -> Response:
        if self._answers is not None and not body.get("tools"):
            problem = refusal(body, self._rules)
            refused_by_rules = self._denied(request) or (JSONResponse(problem, 400) if problem else None)
            return await self._answers.respond(request, body, refused_by_rules, lambda: self._server.hang_up(request))
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        fault = self.faults.pop(0) if self.faults else None
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as log:
                log.write(json.dumps({"fault": fault, "body": body}) + "\n")
        if denied := self._denied(request):
            return denied
        name, value = parsed(fault)
        if (response := refused(name, value)) is not None:
            return response
        if (problem := refusal(body, self._rules)) is not None:
            self.refusals.append(problem["message"])
            return JSONResponse(problem, 400)
        if name in ("silence", "silence-midway"):
            return await self._late(request, body, name, SILENCE_S if value is None else float(value))
        if not name:
            return self._response(body, self._answer(body, self.brain.answer(body)))
        answer = self._answer(body, half_said(body))
        if name in ("empty", "length"):
            return self._response(body, useless(name, answer))
        return broken(name, answer, self._style, bool(body.get("stream")), lambda: self._server.hang_up(request))

    async def _late(self, request: Request, body: Mapping[str, Any], name: str, seconds: float) -> Response:
        if name == "silence-midway" and body.get("stream"):
            return StreamingResponse(self._paused(body, seconds), media_type=STREAM)
        await asyncio.sleep(seconds)
        if await request.is_disconnected():
            return Response()
        return self._response(body, self._answer(body, self.brain.answer(body)))

    async def _paused(self, body: Mapping[str, Any], seconds: float) -> AsyncIterator[str]:
        yield self._lines(self._answer(body, half_said(body)))[0]
        await asyncio.sleep(seconds)
        with self._watched():
            lines = self._lines(self._answer(body, self.brain.answer(body)))
        for line in lines[1:]:
            yield line

    def _answer(self, body: Mapping[str, Any], said: Said) -> Answer:
        return answer_to(body, said, self._ids)

    def _response(self, body: Mapping[str, Any], answer: Answer) -> Response:
        if body.get("stream"):
            return StreamingResponse(_each(self._lines(answer)), media_type=STREAM)
        return JSONResponse(document(answer, self._style, self._usage))

    def _lines(self, answer: Answer) -> list[str]:
        return [*events(answer, self._style, self._usage), DONE]

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Keep a bug, of a brain or of this double, so that a test sees it and not the 500 that it makes."""
        try:
            yield
        except Exception as bug:
            self._bug = bug
            raise

    def _denied(self, request: Request) -> Response | None:
        if self._api_key is None or request.headers.get("authorization") == f"Bearer {self._api_key}":
            return None
        return JSONResponse({"detail": "Unauthorized"}, 401)


def serve_answers(answers: Answers, **options: Any) -> MistralDouble:
    """A server for questions about texts alone."""
    return MistralDouble(Scripted([]), answers=answers, **options)


async def _each(lines: list[str]) -> AsyncIterator[str]:
    for line in lines:
        yield line


def _ids(style: Style) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"call{number:05d}" if style == "whole" else f"chatcmpl-tool-{number:016x}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; the URL is the only thing on stdout."""
    parser = argparse.ArgumentParser(prog="python -m tests.doubles.mistral", description=__doc__)
    parser.add_argument("brain", help="careful, careless:<seed>, lazy, … (see brains.py)")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, help="gets a line of JSON for each request")
    parser.add_argument("--fault", action="append", default=[], help="for a request: 429:0.05, cut, none")
    parser.add_argument("--style", choices=get_args(Style), default="whole")
    parser.add_argument("--window", type=int, help="most tokens of messages")
    parser.add_argument("--answers", type=int, help="also read and write texts of the demo's world of this seed")
    given = parser.parse_args(arguments)
    try:
        brain, faults = brain_named(given.brain), [fault_named(fault) for fault in given.fault]
    except ValueError as error:
        parser.error(str(error))
    with (
        MistralDouble(
            brain,
            faults=faults,
            style=given.style,
            window_tokens=given.window,
            port=given.port,
            log=given.log,
            answers=None if given.answers is None else Answers(world_seed=given.answers),
        ) as double,
        suppress(KeyboardInterrupt),
    ):
        print(double.url, flush=True)
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
