"""Where calls are made: each goes to its server, into the ledger, and onto the screen; a refusal stops the run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio
from pydantic import BaseModel, ValidationError

from agent.ledger import Ledger
from agent.progress import Progress, StepLine
from agent.replies import Evidence
from agent.sessions import Reply, ServerProblem, Sessions
from agent.wandb_reads import Question, failed, retry_after_s

MAX_TRIES = 4  # of a question to a server that says it is busy

ReplyType = TypeVar("ReplyType", bound=BaseModel)


class StepFailed(Exception):
    """A tool refused, or gave something unusable; one line with step, tool and the tool's words."""


class Desk:
    """Makes the calls of one run.

    Args:
        sessions: The connected servers.
        ledger: Gets every call.
        progress: Shows every step.
    """

    def __init__(self, sessions: Sessions, ledger: Ledger, progress: Progress) -> None:
        self.sessions = sessions
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
            raise self._failure(tool, f"its result is not understood: {_first_problem(error)}") from error

    async def do(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool and give its typed result.

        Raises:
            StepFailed: the tool refused.
            ServerProblem: its server is gone.
        """
        reply = await self.call(tool, arguments)
        if reply.is_error:
            raise self._failure(tool, reply.text)
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
            raise self._failure("read_evidence", f"{ref} is not understood: {_first_problem(error)}") from error

    async def read_back(self, question: Question) -> tuple[dict[str, Any], Reply]:
        """Ask a W&B tool, and give the arguments that worked and the reply, word for word.

        Raises:
            StepFailed: none of the question's ways was answered.
            ServerProblem: the server is gone.
        """
        why = ""
        for arguments in question.ways:
            for _ in range(MAX_TRIES):
                reply = await self.call(question.tool, arguments)
                why = failed(reply.text, reply.is_error) or ""
                if not why:
                    return arguments, reply
                wait_s = retry_after_s(reply.text)
                if wait_s is None:
                    break
                await anyio.sleep(wait_s)
        raise self._failure(question.tool, why)

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Reply:
        """Make one call; a refusal is a reply, for whoever can act on it.

        Raises:
            ServerProblem: no server has the tool, or its server is gone.
        """
        if self._line:
            self._line.calling(tool)
        try:
            server = self.sessions.server_of(tool)
            reply = await self.sessions.call(tool, arguments)
        except ServerProblem as error:
            raise ServerProblem(f"step {self._step!r}: {error}") from error
        self.ledger.add(self._step, server.name, tool, arguments, reply)
        return reply

    def _failure(self, tool: str, words: str) -> StepFailed:
        said = " ".join(words.removeprefix(f"Error executing tool {tool}: ").split())
        if said == f"Error executing tool {tool}":  # all that the SDK tells of a crash
            log = self.sessions.log_of(tool)
            said = f"it crashed; the traceback is in {log}" if log else "it crashed; see its server's log"
        return StepFailed(f"step {self._step!r}, tool {tool}: {said}")


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg'].lower()}"
