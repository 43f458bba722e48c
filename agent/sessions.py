"""Connections to the MCP servers of a run: started together, held open, closed together.

Requests are the handshake, `tools/list` and `tools/call`, nothing else. What a child writes to stderr goes to a log
file of its own, so the terminal stays the run's; when a server fails, its last words are part of the error.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import anyio
from mcp import Client, MCPError
from mcp.shared.dispatcher import ProgressFnT
from mcp.types import (
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    EmbeddedResource,
    TextContent,
    TextResourceContents,
    Tool,
)

from agent.connection import WORDS_CHARS, Connection, in_words
from agent.endpoints import Endpoint

START_LIMIT_S = 30.0
CALL_LIMIT_S = 300.0  # the slowest tool makes a hundred rows with a large teacher; jobs answer with a handle at once

MAX_RETURNS = 3  # to a server that sends everybody away for a while
HIDDEN = "[key]"

CONNECTION_CLOSED = -32000
REQUEST_TIMEOUT = -32001


class ServerProblem(Exception):
    """A server could not be started, died, or broke the protocol; one line that names it and its last words."""


@dataclass(frozen=True)
class Reply:
    """What one `tools/call` brought."""

    is_error: bool
    text: str
    """The first text block, word for word; where there is none, the structured content as JSON."""
    structured: dict[str, Any] | None
    seconds: float
    more: tuple[str, ...] = ()
    """The other text blocks, and the texts of resources."""


@dataclass(frozen=True)
class Server:
    """One connected server."""

    name: str
    """What the run calls it: its key in the list of servers."""
    says_it_is: str
    """The name in its handshake; empty where it gave none."""
    version: str
    tools: tuple[Tool, ...]
    place: str = ""
    """Where it is."""


class Line(Protocol):
    """An open connection; `client` is None once it is lost."""

    client: Client | None
    log: Path
    """What the server writes to stderr; there is none of a server that runs elsewhere."""

    def last_words(self) -> str:
        """What the server said before it fell silent, ready to be added to an error."""

    def away_s(self) -> float | None:
        """How long a server that turned a request away for now wants to be left alone; None where it did not."""

    def refused(self) -> str:
        """What an HTTP server's refusal means and what to do, ready to be added to an error; empty without one."""


class Sessions:
    """The connected servers, and which of them has which tool.

    Raises:
        ServerProblem: two servers offer a tool of the same name.
    """

    def __init__(
        self,
        connections: Mapping[str, Line],
        servers: list[Server],
        secrets: Iterable[str] = (),
        revive: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self.servers = servers
        self._connections = connections
        self._secrets = tuple(secrets)
        self._revive = revive
        self._home: dict[str, Server] = {}
        for server in servers:
            for tool in server.tools:
                other = self._home.get(tool.name)
                if other is not None and other is not server:  # one may list a tool twice
                    both = f"{other.name!r} and {server.name!r}"
                    raise ServerProblem(f"tool {tool.name!r} is offered by both {both}; leave one of them out")
                self._home[tool.name] = server

    def server_of(self, tool: str) -> Server:
        """The server that offers `tool`.

        Raises:
            ServerProblem: none does.
        """
        if tool not in self._home:
            connected = ", ".join(server.name for server in self.servers)
            raise ServerProblem(f"no connected server offers the tool {tool!r}; connected: {connected}")
        return self._home[tool]

    def input_schema(self, tool: str) -> dict[str, Any]:
        """What `tool` takes, in its own words."""
        return next(dict(t.input_schema) for t in self.server_of(tool).tools if t.name == tool)

    def log_of(self, tool: str) -> Path | None:
        """The log of the server that offers `tool`, where there is one."""
        log = self._connections[self.server_of(tool).name].log
        return log if log.exists() else None

    async def call(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        limit_s: float = CALL_LIMIT_S,
        as_it_comes: bool = False,
        on_progress: ProgressFnT | None = None,
    ) -> Reply:
        """Call a tool; a refusal by the tool is a reply, not an exception.

        Args:
            tool: Its name.
            arguments: As it takes them.
            limit_s: How long it may take.
            as_it_comes: Whether a reply is one even where it breaks the tool's own output schema.
            on_progress: Told how far the call is, where its server says so: how much, of how much, and in words.

        Raises:
            ServerProblem: no server has the tool, or its server died, was silent for too long or broke the protocol.
        """
        name = self.server_of(tool).name
        connection = self._connections[name]
        if connection.client is None:
            raise self._problem(f"server {name!r} died before {tool}{connection.refused()}{connection.last_words()}")
        started = perf_counter()
        try:
            if as_it_comes:
                request = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=dict(arguments)))
                result = await connection.client.session.send_request(request, CallToolResult, limit_s)
            else:
                result = await connection.client.call_tool(
                    tool, dict(arguments), read_timeout_seconds=limit_s, progress_callback=on_progress
                )
        except MCPError as error:
            if error.code == CONNECTION_CLOSED:
                why = f"server {name!r} died during {tool}{connection.refused()}{connection.last_words()}"
            elif error.code == REQUEST_TIMEOUT:
                why = f"server {name!r} did not answer {tool} within {limit_s:g} s"
            else:
                said = in_words(error.message)[:WORDS_CHARS]
                why = f"server {name!r} refused the call of {tool}: {said}{connection.refused()}"
            raise self._problem(why) from error
        except (RuntimeError, ValueError, anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            # A result that fits neither the protocol nor the tool's own schema, or a connection that is no more.
            said = in_words(str(error))[:WORDS_CHARS]
            raise self._problem(f"server {name!r} gave an unusable reply to {tool}: {said}") from error
        return self._reply(result, perf_counter() - started)

    async def call_again(self, tool: str, arguments: Mapping[str, Any], limit_s: float) -> Reply:
        """Call a tool that only reads; where the connection was lost, it is made once more and the call repeated.

        A server that sends everybody away for a while is come back to when it says, three times at most. Whoever asks
        reads the reply with care, so it is given as it comes.

        Raises:
            ServerProblem: it was lost again.
        """
        name, problems = self.server_of(tool).name, list[ServerProblem]()
        while True:
            away_s = None
            try:
                if problems and self._revive is not None:
                    await self._revive(name)
                return await self.call(tool, arguments, limit_s, as_it_comes=True)
            except ServerProblem as problem:
                away_s = self._connections[name].away_s()
                problems.append(problem)
                if self._revive is None or len(problems) > (1 if away_s is None else MAX_RETURNS):
                    first, last = str(problems[0]), str(problem)
                    again = "the same" if first == last else last
                    both = f"{first}; connected once more: {again}" if len(problems) > 1 else first
                    raise self._problem(both) from problem
            if away_s:
                await anyio.sleep(away_s)

    def without_secrets(self, text: str) -> str:
        """A text in which no key stands that a server was given: one may say it back."""
        return _hidden(text, self._secrets)

    def _problem(self, words: str) -> ServerProblem:
        return ServerProblem(self.without_secrets(words))

    def _reply(self, result: CallToolResult, seconds: float) -> Reply:
        texts = [self.without_secrets(text) for text in _texts(result)]
        structured = result.structured_content if isinstance(result.structured_content, dict) else None
        if structured is not None and self._secrets:
            structured = json.loads(self.without_secrets(json.dumps(structured)))
        if not texts and structured is not None:
            texts = [json.dumps(structured)]
        text, more = (texts[0], tuple(texts[1:])) if texts else ("", ())
        return Reply(bool(result.is_error), text, structured, seconds, more)


def _texts(result: CallToolResult) -> list[str]:
    """The text blocks, and after them what came as a resource."""
    resources = [block.resource for block in result.content if isinstance(block, EmbeddedResource)]
    texts = [block.text for block in result.content if isinstance(block, TextContent)]
    return texts + [resource.text for resource in resources if isinstance(resource, TextResourceContents)]


@asynccontextmanager
async def connect(
    endpoints: Mapping[str, Endpoint], log_folder: Path, start_limit_s: float = START_LIMIT_S
) -> AsyncIterator[Sessions]:
    """Start or reach every server at once, and close them all at the end.

    Args:
        endpoints: By name, where each server is.
        log_folder: Gets `<name>.log` for each child, appended to.
        start_limit_s: How long a server may take until it has listed its tools, where its endpoint says nothing else.

    Raises:
        ServerProblem: a server could not be reached, or two share a tool's name; the others are closed again.
    """
    log_folder.mkdir(parents=True, exist_ok=True)
    connections = {name: Connection(name, endpoint, log_folder) for name, endpoint in endpoints.items()}
    secrets = {secret for endpoint in endpoints.values() for secret in endpoint.secrets}
    problem: Exception | None = None
    async with anyio.create_task_group() as group:

        async def revive(name: str) -> None:
            old, new = connections[name], Connection(name, endpoints[name], log_folder)
            old.release.set()
            group.start_soon(new.hold, endpoints[name].start_limit_s or start_limit_s)
            await new.settled.wait()
            connections[name] = new
            if new.client is None:
                raise ServerProblem(new.failure())

        try:
            for name, connection in connections.items():
                group.start_soon(connection.hold, endpoints[name].start_limit_s or start_limit_s)
            for connection in connections.values():
                await connection.settled.wait()
            if failed := [c for c in connections.values() if c.client is None]:
                if (refusal := failed[0].refusal) and {c.refusal for c in failed} == {refusal}:
                    raise ServerProblem(refusal)  # they were told the same, and none can work with it
                others = ", ".join(repr(c.name) for c in failed[1:])
                raise ServerProblem(failed[0].failure() + (f"; nor did {others}" if others else ""))
            servers = [
                Server(c.name, c.says_it_is, c.version, c.tools, endpoints[c.name].place) for c in connections.values()
            ]
            yield Sessions(connections, servers, secrets, revive)
        except ServerProblem as error:
            problem = ServerProblem(_hidden(str(error), secrets))
        except Exception as error:
            # Kept and raised below: leaving the task group with it would wrap it in an exception group.
            problem = error
        finally:
            for connection in connections.values():
                connection.release.set()
    if problem is not None:
        raise problem


def _hidden(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text
