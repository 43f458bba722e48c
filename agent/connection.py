"""One connection to one MCP server, opened, held and closed by one task.

The newest protocol is tried first; a server of the older kind that cannot bear the question is started once more and
greeted in the old way.
"""

import math
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.types import Implementation, Tool

from agent import VERSION
from agent.endpoints import Endpoint, Http, Stdio, is_ours

Mode = Literal["auto", "legacy"]

LAST_LINES = 3
NO_MCP = "it sent something that is no MCP"
WORDS_CHARS = 500  # of a server's own words in an error
SHOWN_CHARS = 200  # of the reasons why a message is none
REFUSAL = "etude: "  # how a room of ours begins the one line that says why it does not start
STATUS_HINTS = {
    401: "it does not take the key; see that the key is set, whole and still valid, and call again",
    429: "too many at once; wait a minute, and call again",
    403: "the key is not allowed to do this; use one of an account that is, and call again",
}
AWAY = (429, 502, 503, 504)  # statuses that pass by themselves
MAX_AWAY_S = 30.0
MAX_PAGES = 100  # of tools/list: a server whose pages never end must not hang the start


class Connection:
    """A server on its way to being connected, connected, or lost.

    `settled` is set once it is clear whether the server came up; `client` is not None while it can be called.
    """

    def __init__(self, name: str, endpoint: Endpoint, log_folder: Path) -> None:
        self.name = name
        self.client: Client | None = None
        self.says_it_is = ""
        self.version = ""
        self.tools: tuple[Tool, ...] = ()
        self.settled = anyio.Event()
        self.release = anyio.Event()
        self._endpoint = endpoint
        self.log = log_folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.log"
        self._log_start = 0
        self._problem = ""
        self._http_status: int | None = None
        self._away = ""

    async def hold(self, start_limit_s: float) -> None:
        """Connect, stay connected until `release`, and close. Never raises: `failure` says what went wrong.

        A child that takes too long is ended with all that it started, as one that is let go.
        """
        with anyio.CancelScope(deadline=anyio.current_time() + start_limit_s) as limit:
            modes: tuple[Mode, ...] = ("auto",) if is_ours(self._endpoint) else ("auto", "legacy")
            for mode in modes:
                if await self._held(mode, limit):
                    break
        if limit.cancelled_caught:
            self._problem = f"it did not list its tools within {start_limit_s:g} s"
        self.client = None
        self._hide_secrets()
        self.settled.set()

    def _hide_secrets(self) -> None:
        """Take out of a child's log the keys that it wrote into it; it is gone, and writes no more."""
        if not self._endpoint.secrets or not self.log.exists():
            return
        said = self.log.read_bytes()
        hidden = said
        for secret in self._endpoint.secrets:
            hidden = hidden.replace(secret.encode(), b"[key]")
        if hidden != said:
            self.log.write_bytes(hidden)

    async def _held(self, mode: Mode, limit: anyio.CancelScope) -> bool:
        """Whether there is nothing more to try."""
        try:
            async with self._transport() as transport:
                me = Implementation(name="etude", version=VERSION)
                async with Client(transport, mode=mode, client_info=me) as client:
                    self.tools = self._used(await _all_tools(client))
                    if client.server_info is not None:
                        self.says_it_is, self.version = client.server_info.name, client.server_info.version
                    limit.deadline = math.inf
                    self.client = client
                    self.settled.set()
                    await self.release.wait()
            return True
        except Exception as error:
            self._problem = _innermost(error) + self.refused()
            connected = self.client is not None
            self.client = None
            return connected or isinstance(error, OSError) or self._http_status in STATUS_HINTS

    @asynccontextmanager
    async def _transport(self) -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            if isinstance(self._endpoint, Stdio):
                log = stack.enter_context(self.log.open("a", encoding="utf-8"))
                self._log_start = self.log.stat().st_size
                yield stdio_client(_parameters(self._endpoint), errlog=log)
            else:
                yield await self._http(stack, self._endpoint)

    def _used(self, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
        """The tools that are wanted of this server; others neither get in the way nor reach a model."""
        only = self._endpoint.only
        return tuple(tool for tool in tools if tool.name in only) if only else tools

    async def _http(self, stack: AsyncExitStack, endpoint: Http) -> Any:
        # The SDK's own factory: a plain client would give up on any tool that takes five seconds.
        client = await stack.enter_async_context(create_mcp_http_client(headers=endpoint.headers))

        async def remember(response: Any) -> None:
            # The SDK hides the status of a refusal, and 401 is what a reader needs to know. A server need not have
            # the stream that a GET asks for.
            if response.request.method == "POST":
                self._http_status = response.status_code if response.status_code >= 400 else None
                self._away = response.headers.get("retry-after", "")

        client.event_hooks = {"response": [remember]}
        return streamable_http_client(endpoint.url, http_client=client)

    def away_s(self) -> float | None:
        """How long the server wants to be left alone, by its last refusal; None where it turned nobody away."""
        if self._http_status not in AWAY:
            return None
        return min(float(self._away), MAX_AWAY_S) if self._away.isdigit() else 2.0

    def refused(self) -> str:
        """The last refusal by HTTP status, with what to do about it, ready to be added to an error."""
        if self._http_status is None:
            return ""
        hint = STATUS_HINTS.get(self._http_status)
        return f" (HTTP {self._http_status}" + (f": {hint})" if hint else ")")

    def failure(self) -> str:
        """Why the server could not be connected, in one line."""
        if isinstance(self._endpoint, Http):
            return f"server {self.name!r} at {self._endpoint.place} cannot be reached: {self._problem}"
        return f"server {self.name!r} did not start: {self._problem}{self.last_words()}"

    @property
    def refusal(self) -> str | None:
        """What a room of ours could not be started with, in its own words: a wrong task, say; None for all else."""
        said = self._lines()[-1:] if is_ours(self._endpoint) else []
        return said[0].removeprefix(REFUSAL) if said and said[0].startswith(REFUSAL) else None

    def last_words(self) -> str:
        """The end of what a child wrote to stderr since it was started, ready to be added to an error."""
        if not self.log.exists():
            return ""
        lines = self._lines()
        if not lines:
            return f" (it wrote nothing to {self.log})"
        return f"; its last words, from {self.log}: {' / '.join(lines[-LAST_LINES:])}"

    def _lines(self) -> list[str]:
        """What a child wrote to stderr since it was started."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]


def _parameters(endpoint: Stdio) -> StdioServerParameters:
    return StdioServerParameters(
        command=endpoint.command,
        args=endpoint.args,
        env=endpoint.env,
        cwd=endpoint.cwd,
        encoding_error_handler="replace",  # one odd byte of a server must not end the run
    )


async def _all_tools(client: Client) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None:
            return tuple(tools)
    raise ValueError(f"tools/list has more than {MAX_PAGES} pages")


def in_words(said: str) -> str:
    """What the SDK says went wrong, in one line: where a message broke the protocol, the first of its reasons."""
    words = " ".join(said.split())
    if "validation error" in words or words.startswith("Unexpected content type"):
        first = words.split(" [type=", 1)[0].split(" For further information visit", 1)[0]
        return f"{NO_MCP} ({first[:SHOWN_CHARS]})"
    return words


def _innermost(error: BaseException) -> str:
    """The words of the first plain exception inside nested groups, which is how the SDK lets anything out."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror.lower()}: {error.filename!r}" if error.filename else error.strerror.lower()
    words = in_words(str(error))[:WORDS_CHARS]
    if words.startswith(NO_MCP):
        words += "; see that this is where the MCP server is"
    return words[:1].lower() + words[1:] or type(error).__name__
