"""What is under way: calls, requests and streams; how many there may be, and how they end when the server does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from servers.network.refused import Refused
from servers.network.tokens import Role

MAX_REQUESTS = 32  # at once; a tool takes a thread, and two of them wait for the same lock anyway
MAX_STREAMS = 128  # of clients that only listen
NEW_WORK = frozenset({"initialize", "server/discover", "tools/call"})
STOPPING = "the server is being stopped; try again in a moment"
BUSY = "too much is asked at once; try again in a moment"


class Traffic:
    """All that the server is doing for somebody."""

    def __init__(self) -> None:
        self.is_closing = False
        self.calls = 0
        """Tools at work; one goes on where its client has left."""
        self._requests: dict[anyio.CancelScope, Role | None] = {}
        self._streams: dict[anyio.CancelScope, Role | None] = {}
        self._changed = anyio.Event()

    async def on_message(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Count the tools at work."""
        if ctx.method != "tools/call":
            return await call_next(ctx)
        self.calls += 1
        try:
            return await call_next(ctx)
        finally:
            self.calls -= 1
            self._change()

    def refuse_more(self, role: Role | None, is_stream: bool, method: str | None = None) -> None:
        """Refuse a request for which there is no room; a token that may only read has half of it.

        Args:
            role: Of the bearer.
            is_stream: Whether its client only listens.
            method: Of the protocol, where the request was read. A server that is closing still says what clients ask
                about work under way.

        Raises:
            Refused: the server is closing, or has enough to do.
        """
        if self.is_closing and (is_stream or method in NEW_WORK):
            raise Refused(503, STOPPING, {"Retry-After": "5", "Connection": "close"})
        among, most = (self._streams, MAX_STREAMS) if is_stream else (self._requests, MAX_REQUESTS)
        reading = sum(1 for one in among.values() if one == "read-only")
        if len(among) >= most or (role == "read-only" and reading >= most // 2):
            raise Refused(503, BUSY, {"Retry-After": "1"})

    @contextmanager
    def request(self, role: Role | None, is_stream: bool) -> Iterator[anyio.CancelScope]:
        """A request under way; its scope is cancelled where it is not waited for.

        Args:
            role: Of the bearer.
            is_stream: Whether its client only listens, so that it ends when the server wants it to.
        """
        among = self._streams if is_stream else self._requests
        with anyio.CancelScope() as scope:
            among[scope] = role
            try:
                yield scope
            finally:
                among.pop(scope, None)
                self._change()

    def close(self) -> None:
        """Take nothing new."""
        self.is_closing = True

    async def quiet(self) -> None:
        """Wait until no tool works and no request waits for its answer."""
        while self.calls or self._requests:
            self._changed = anyio.Event()
            await self._changed.wait()

    def end(self) -> None:
        """End the streams, and what was not waited for."""
        for scope in (*self._streams, *self._requests):
            scope.cancel()

    def _change(self) -> None:
        self._changed.set()
