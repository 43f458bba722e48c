"""What the double of the Mistral API says to questions about texts: the arms `prompt` and `teacher`, and the teacher.

A request without tools is one of these. Texts of the demo's world are read as they were meant, with noise: a little for
a teacher, a lot for the base model; other texts by the task's keyword rules. Asked to write, it writes a text of the
same world. It shares a server with a brain, whose requests carry tools, or has one of its own.
"""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from servers.core.arms import RuleArm
from servers.core.demo_world.world import DIMENSIONS, World
from servers.core.disk import digest
from servers.core.services import PROMPT_MODEL
from servers.core.task import Task, load_task

Name = Literal[
    "400", "401", "403", "404", "422", "429", "500", "503",  # the value is the Retry-After header; 401 repeats the key
    "reset",  # the connection breaks before a byte came
    "half",  # it breaks in the middle of the body
    "silence",  # nothing for so many seconds
    "garbage",  # a page instead of JSON
    "garbage-json",
    "empty",  # an answer without choices
    "around",  # words around the JSON
    "prose",
    "long",  # an answer that max_tokens end
    "other-model",
    "no-usage",
]  # fmt: skip
Fault = Name | tuple[Name, str | float] | None
"""What goes wrong with one request, with its value where it takes one; None is nothing."""

WRITES = "You write realistic examples"
TEACHERS_NOISE, PROMPTS_NOISE = 4.0, 22.0  # points, standard deviation
CARELESS_SHARE = (
    0.1  # of readings of a text that was written on order: its first dimension is high, nothing else looked at
)
CHARS_A_TOKEN = 4
SILENCE_S = 60.0
TRIED = 8  # texts of the world, of which the one nearest to the order is written
WANTED = re.compile(r"^- (\w+): about (-?[\d.]+)$", re.MULTILINE)
SHOWN = re.compile(r"<example>(.*?)</example>")


class Answers:
    """Answers questions about texts; give it to a `MistralDouble`.

    Args:
        task: What the texts are read for.
        world_seed: Of the demo's world whose texts it knows.
        faults: What goes wrong, request by request from the front; an entry is used up by its request.
        on: What goes wrong with every request that holds some words.
        noise: Standard deviation of a reading by model, points; others read as teachers do.
        usage: Whether answers say what they cost.
        refuses_format: The status with which it refuses `response_format`; it takes it where not given.
        reported: What it calls the model; the name that is asked for where not given.
    """

    def __init__(
        self,
        task: Task | None = None,
        world_seed: int = 0,
        *,
        faults: Sequence[Fault] = (),
        on: Mapping[str, Fault] | None = None,
        noise: Mapping[str, float] | None = None,
        usage: bool = True,
        refuses_format: int | None = None,
        reported: str | None = None,
    ) -> None:
        self.task = task or load_task("kotone")
        self.faults, self.on = list(faults), dict(on or {})
        self.usage, self.refuses_format, self.reported = usage, refuses_format, reported
        self.requests: list[dict[str, Any]] = []
        """The body of every request, refused ones too."""
        self.most_at_once = 0
        """Requests under way together."""
        self._noise = {PROMPT_MODEL: PROMPTS_NOISE, **(noise or {})}
        self._world, self._rule = World(world_seed), RuleArm(self.task)
        self._written: dict[str, dict[str, float]] = {}
        self._ordered: dict[str, str] = {}
        self._under_way = 0

    async def respond(
        self, request: Request, body: dict[str, Any], refused: Response | None, hang_up: Callable[[], None]
    ) -> Response:
        """Answer a request.

        Args:
            request: As it came.
            body: Of it.
            refused: The service's refusal, where it breaks its rules.
            hang_up: Breaks the connection.
        """
        self.requests.append(body)
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            await asyncio.sleep(0)
            return refused or await self._answered(request, body, hang_up)
        finally:
            self._under_way -= 1

    async def _answered(self, request: Request, body: dict[str, Any], hang_up: Callable[[], None]) -> Response:
        fault = self._fault(body)
        name, value = fault if isinstance(fault, tuple) else (fault or "", None)
        if name.isdecimal():
            headers = {} if value is None else {"Retry-After": str(value)}
            shown = f" for {request.headers.get('authorization')}" if name in ("401", "403") else ""
            return JSONResponse({"object": "error", "message": f"status {name}{shown}"}, int(name), headers)
        if self.refuses_format and body.get("response_format"):
            words = {"object": "error", "message": "response_format is not supported"}
            return JSONResponse(words, self.refuses_format)
        if name == "silence":
            await asyncio.sleep(SILENCE_S if value is None else float(value))
            if await request.is_disconnected():
                return Response()
        if name == "garbage":
            return HTMLResponse("<!doctype html><title>It works!</title>")
        if name == "garbage-json":
            return JSONResponse({"x": 1})
        document = self._document(body, name)
        if name in ("reset", "half"):
            text = json.dumps(document)
            return StreamingResponse(
                _broken(text[: len(text) // 2 * (name == "half")], hang_up), media_type="application/json"
            )
        return JSONResponse(document)

    def _fault(self, body: Mapping[str, Any]) -> Fault:
        said = _question(body)
        for words, fault in self.on.items():
            if words in said:
                return fault
        return self.faults.pop(0) if self.faults else None

    def _document(self, body: Mapping[str, Any], fault: str) -> dict[str, Any]:
        words, finish = self.words(body), "stop"
        if fault == "around":
            words = f"Here it is:\n```json\n{words}\n```"
        if fault == "prose":
            words = "I would rather talk about the weather."
        limit = CHARS_A_TOKEN * int(body.get("max_tokens") or 10_000)
        if fault == "long":
            words, finish = (words + " " * limit)[:limit], "length"
        message = {"role": "assistant", "content": words, "tool_calls": None, "prefix": False}
        choices = [{"index": 0, "message": message, "finish_reason": finish}]
        document = {
            "id": "cmpl-double",
            "object": "chat.completion",
            "created": 1_760_000_000,
            "model": "another-model" if fault == "other-model" else self.reported or body["model"],
            "choices": [] if fault == "empty" else choices,
        }
        if self.usage and fault != "no-usage":
            read = sum(len(message["content"]) for message in body["messages"]) // CHARS_A_TOKEN
            written = len(words) // CHARS_A_TOKEN + 1
            document["usage"] = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        return document

    def words(self, body: Mapping[str, Any]) -> str:
        """What the model says: JSON, the same for the same request."""
        question = _question(body)
        draws = random.Random(digest([question, body.get("model"), body.get("random_seed"), body.get("temperature")]))
        if question.startswith(WRITES):
            return json.dumps({"text": self._write(question, draws)})
        before, after = self.task.prompt_for("\0").split("\0")
        text = question.removeprefix(before).removesuffix(after)
        noise = self._noise.get(str(body.get("model")), TEACHERS_NOISE)
        scale = self.task.scale
        values = {
            name: min(scale.high, max(scale.low, value + draws.gauss(0, noise * scale.width / 100)))
            for name, value in self._meant(text, draws).items()
        }
        return json.dumps({name: round(values[name]) if scale.integers else round(values[name], 2) for name in values})

    def _meant(self, text: str, draws: random.Random) -> dict[str, float]:
        if text in self._ordered and draws.random() < CARELESS_SHARE:
            middle, high = self.task.scale.middle, self.task.scale.low + 0.9 * self.task.scale.width
            return {name: high if name == self._ordered[text] else middle for name in self.task.names}
        known = self._written.get(text)
        if known is None and self.task.names == list(DIMENSIONS):
            known = _own_texts(self._world.seed).get(text)
        if known is not None:
            return known
        read: dict[str, float] = json.loads(self._rule.answer([text])[0])
        return read

    def _write(self, question: str, draws: random.Random) -> str:
        wanted = {name: float(value) for name, value in WANTED.findall(question)}
        if self.task.names != list(DIMENSIONS):
            return " ".join(text[: len(text) // 2] for text in SHOWN.findall(question)[:2])
        focus = next(iter(wanted))
        rows = self._world.teach(TRIED, [focus], draws.randrange(2**31), careless_share=0)
        row = min(rows, key=lambda row: sum(abs(row.clean[name] - value) for name, value in wanted.items()))
        self._written[row.text] = row.clean
        self._ordered[row.text] = focus
        return row.text


@cache
def _own_texts(world_seed: int) -> dict[str, dict[str, float]]:
    """What every text of the world says."""
    return {row.text: row.clean for rows in World(world_seed).splits().values() for row in rows}


def _question(body: Mapping[str, Any]) -> str:
    """The last message."""
    return str(body["messages"][-1]["content"])


async def _broken(piece: str, hang_up: Callable[[], None]) -> AsyncIterator[str]:
    if piece:
        yield piece
    hang_up()
