"""Where calls are made: each goes to its server, into the ledger, and onto the screen; a refusal stops the run."""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import anyio
from pydantic import BaseModel, ValidationError

from agent.ledger import Ledger
from agent.progress import Progress
from agent.replies import Evidence
from agent.sessions import Reply, ServerProblem, Sessions
from agent.step_line import StepLine
from agent.wandb_words import Trouble, document_in, is_answer, trouble_in

GOES_ON = "nothing was spent on this cycle's data or training; the same command goes on from here"

ReplyType = TypeVar("ReplyType", bound=BaseModel)


@dataclass(frozen=True)
class Patience:
    """How long W&B is waited for."""

    busy_tries: int = 8
    """Of one question, while the server says that it is busy and when to come again."""
    passing_tries: int = 3
    """Of one question, after failures that pass by themselves."""
    step_s: float = 1.0
    """The first wait; the next ones grow with what was waited."""
    most_s: float = 15.0
    """The longest single wait."""
    lag_s: float = 120.0
    """For what was written and is not shown yet, in all."""
    call_s: float = 90.0
    """For one reply; the official server gives up after 30 itself."""
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep


@dataclass(frozen=True)
class Answer:
    """A W&B reply that is an answer."""

    call: dict[str, Any]
    """As record_context takes it: the reply word for word."""
    document: dict[str, Any]


class StepFailed(Exception):
    """A tool refused, or gave something unusable; one line with step, tool and the tool's words."""


class Desk:
    """Makes the calls of one run.

    Args:
        sessions: The connected servers.
        ledger: Gets every call.
        progress: Shows every step.
        patience: How long W&B is waited for.
    """

    def __init__(
        self, sessions: Sessions, ledger: Ledger, progress: Progress, patience: Patience | None = None
    ) -> None:
        self.sessions = sessions
        self.patience = patience or Patience()
        self.ledger = ledger
        self.progress = progress
        self._step = "look"
        self._line: StepLine | None = None

    @contextmanager
    def step(self, name: str) -> Iterator[StepLine]:
        """One step of a cycle: what is called inside belongs to it; its outcome is set by the caller."""
        before, self._step = self._step, name
        try:
            with self.progress.step(name) as self._line:
                yield self._line
        finally:
            self._step, self._line = before, None

    async def ask(self, tool: str, reply_type: type[ReplyType], **arguments: Any) -> ReplyType:
        """Call a tool and read its result.

        Raises:
            StepFailed: the tool refused, or its result lacks what is needed.
            ServerProblem: its server is gone.
        """
        return self.understood(tool, reply_type, await self.do(tool, arguments))

    def understood(self, tool: str, reply_type: type[ReplyType], result: Mapping[str, Any]) -> ReplyType:
        """A tool's result, as far as it is needed.

        Raises:
            StepFailed: something that is needed is missing or wrong.
        """
        try:
            return reply_type.model_validate(result)
        except ValidationError as error:
            raise self.failure(tool, f"its result is not understood: {_first_problem(error)}") from error

    async def do(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool and give its typed result.

        Raises:
            StepFailed: the tool refused.
            ServerProblem: its server is gone.
        """
        reply = await self.call(tool, arguments)
        if reply.is_error:
            raise self.failure(tool, reply.text)
        return reply.structured or {}

    async def document(self, ref: str, reply_type: type[ReplyType]) -> ReplyType:
        """Read a whole document of the evidence.

        Raises:
            StepFailed: there is none, or it cannot be read.
            ServerProblem: the server is gone.
        """
        text = ""
        offset: int | None = 0
        while offset is not None:
            page = await self.ask("read_evidence", Evidence, ref=ref, offset=offset)
            text += page.text
            offset = page.next_offset
        try:
            return reply_type.model_validate_json(text)
        except ValidationError as error:
            raise self.failure("read_evidence", f"{ref} is not understood: {_first_problem(error)}") from error

    async def read(self, tool: str, arguments: Mapping[str, Any]) -> Answer | Trouble:
        """Ask a W&B tool, which only reads: again while it is busy or stumbles, and after its connection was lost.

        Raises:
            ServerProblem: no server has the tool, or its server is gone for good.
        """
        patience, busy, stumbled = self.patience, 0, 0
        while True:
            reply = await self._made(tool, arguments, reads=True)
            document = document_in(reply.text)
            trouble = trouble_in(document, reply.text, reply.is_error)
            if trouble is None:
                assert document is not None  # or there would be trouble
                text = {"text": reply.text, "is_error": reply.is_error}
                return Answer({"tool": tool, "arguments": dict(arguments), **text}, document)
            if trouble.kind == "busy" and (busy := busy + 1) < patience.busy_tries:
                self.saying(f"{tool} is busy; asking again in {trouble.wait_s:g} s")
                await patience.sleep(trouble.wait_s)
            elif trouble.kind == "passing" and (stumbled := stumbled + 1) < patience.passing_tries:
                await patience.sleep(min(patience.step_s * 2**stumbled, patience.most_s))
            else:
                return trouble

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Reply:
        """Make one call; a refusal is a reply, for whoever can act on it.

        Raises:
            ServerProblem: no server has the tool, or its server is gone.
        """
        return await self._made(tool, arguments, reads=False)

    def saying(self, words: str) -> None:
        """Show what a step waits for."""
        if self._line:
            self._line.saying(words)

    async def _made(self, tool: str, arguments: Mapping[str, Any], reads: bool) -> Reply:
        if self._line:
            self._line.calling(tool)
        try:
            server = self.sessions.server_of(tool)
            if reads:
                reply = _readable(await self.sessions.call_again(tool, arguments, self.patience.call_s))
            else:
                reply = await self.sessions.call(tool, arguments, on_progress=self._reached)
        except ServerProblem as error:
            after = f"; {GOES_ON}" if reads else ""
            raise ServerProblem(f"step {self._step!r}: {error}{after}") from error
        self.ledger.add(self._step, server.name, tool, arguments, reply)
        if not reply.is_error and reply.structured:
            self.progress.board.heard(tool, reply.structured)
        return reply

    async def _reached(self, progress: float, total: float | None, message: str | None) -> None:
        """A server says how far a call is."""
        if self._line:
            self._line.reached(progress, total, message)

    def failure(self, tool: str, words: str) -> StepFailed:
        """What is raised where a tool did not do what this step needs."""
        said = " ".join(words.removeprefix(f"Error executing tool {tool}: ").split())
        if said == f"Error executing tool {tool}":  # all that the SDK tells of a crash
            log = self.sessions.log_of(tool)
            said = f"it crashed; the traceback is in {log}" if log else "it crashed; see its server's log"
        return StepFailed(f"step {self._step!r}, tool {tool}: {said}")


def _readable(reply: Reply) -> Reply:
    """The reply with the first of its texts that holds an answer, its structured content where none does.

    A text may come in several blocks. One that says what went wrong is the answer, too.
    """
    if reply.is_error:
        return reply
    texts = [reply.text, *reply.more, *(["".join([reply.text, *reply.more])] if reply.more else [])]
    if reply.structured is not None:
        texts.append(json.dumps(reply.structured))
    found = [(text, document) for text in texts if (document := document_in(text)) is not None]
    said = [text for text, document in found if is_answer(document) or trouble_in(document, text, is_error=False)]
    return replace(reply, text=[*said, *(text for text, _ in found), reply.text][0])


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg'].lower()}"
