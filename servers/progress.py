"""Progress notifications: what a tool tells of its work, on its way to a client that asked for it.

The protocol wants every value to be larger than the one before, and a client wants few of them. So a value that does
not grow is moved on by a hair, and what comes too soon after another is left out: the result says how it ended.
"""

import logging
import time
from asyncio import CancelledError
from collections.abc import Callable
from typing import Any

import anyio
import anyio.from_thread
from mcp.server.context import ServerRequestContext

from servers.core.words import cleaned

APART_S = 0.2  # at most five a second
ANEW_S = 1.0  # the same again, so that a client sees life, and puts off its timeout
HAIR = 0.001
PATIENCE_S = 1.0  # for a client that reads nothing; then the work goes on without telling
WORDS_CHARS = 200

_log = logging.getLogger(__name__)


class Listener:
    """The client behind one call.

    Call it from the thread that works. It never raises, and once the client is gone it does nothing.

    Args:
        ctx: The call.
        clock: Seconds, only ever growing.
    """

    def __init__(self, ctx: ServerRequestContext[Any, Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._session, self._clock = ctx.session, clock
        self._last, self._words, self._at = -1.0, "", float("-inf")
        self._gone = False

    def __call__(self, done: float, total: float | None, words: str) -> None:
        since = self._clock() - self._at
        if self._gone or since < APART_S:
            return
        is_news = done > self._last or words != self._words
        value = done if done > self._last else round(self._last + HAIR, 3)
        if (not is_news and since < ANEW_S) or (total is not None and value > total):
            return
        self._last, self._words, self._at = value, words, self._clock()
        try:
            anyio.from_thread.run(self._send, value, total, cleaned(words, WORDS_CHARS))
        # Of any kind: a client that gave up, or whose connection broke, is no reason to stop in the middle of the work.
        except (Exception, CancelledError) as error:
            self._gone = True
            _log.info("nobody hears of the progress any more: %s", error)

    async def _send(self, value: float, total: float | None, words: str) -> None:
        with anyio.move_on_after(PATIENCE_S) as scope:
            await self._session.report_progress(value, total, words)
        self._gone = self._gone or scope.cancelled_caught


def listener_of(ctx: ServerRequestContext[Any, Any]) -> Listener | None:
    """Who listens to the progress of a call; None where nobody asked."""
    asked = ctx.meta is not None and ctx.meta.get("progress_token") is not None
    return Listener(ctx) if asked else None
