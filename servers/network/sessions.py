"""The sessions that clients of the older protocols open: a bearer's own share of them, and which one gives way.

Many clients leave without ending theirs. So where a bearer has as many as there may be, the one that was not used for
longest is ended, and its client, if it still lives, is told 404 and connects anew, as the protocol has it. Nobody's
sessions take the room of another bearer's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import Message, Scope

from servers.network.permission import bearer
from servers.network.refused import Refused
from servers.network.tokens import Role
from servers.network.traffic import BUSY

MAX_SESSIONS = 100  # of one bearer at one server; the newest protocol has none


@dataclass
class _Session:
    role: Role | None
    in_use: int = 0
    """Its requests and streams under way."""


class Sessions:
    """The sessions of one server.

    Args:
        manager: Of the SDK, which keeps them.
    """

    def __init__(self, manager: StreamableHTTPSessionManager) -> None:
        self._manager = manager
        self._open: dict[str, _Session] = {}  # longest unused first

    def note(self, session_id: str, role: Role | None) -> None:
        """Keep in mind that a bearer opened a session."""
        self._open[session_id] = _Session(role)

    @contextmanager
    def used(self, session_id: str | None, role: Role | None) -> Iterator[None]:
        """A request in a session; in one that is not the bearer's own, nothing is noted."""
        session = self._open.get(session_id or "")
        if session_id is None or session is None or session.role != role:
            yield
            return
        self._to_the_end(session_id)
        session.in_use += 1
        try:
            yield
        finally:
            session.in_use -= 1
            self._to_the_end(session_id)

    async def make_room(self, role: Role | None) -> None:
        """End the session that a bearer has not used for longest, where there is no room for another.

        Raises:
            Refused: all of them are in use.
        """
        own = [(name, session) for name, session in self._open.items() if session.role == role]
        if len(own) < MAX_SESSIONS:
            return
        idle = next((name for name, session in own if not session.in_use), None)
        if idle is None:
            raise Refused(503, BUSY, {"Retry-After": "1"})
        del self._open[idle]
        await self._end(idle, role)

    def _to_the_end(self, session_id: str) -> None:
        if (session := self._open.pop(session_id, None)) is not None:
            self._open[session_id] = session

    async def _end(self, session_id: str, role: Role | None) -> None:
        """As its client would end it; one that has ended already is not found, which is as well."""
        scope: Scope = {
            "type": "http",
            "method": "DELETE",
            "path": "/",
            "query_string": b"",
            "headers": [(b"mcp-session-id", session_id.encode("latin-1"))],
        }
        if role is not None:
            scope["user"] = bearer(role)
        await self._manager.handle_request(scope, _nothing, _to_nobody)


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _to_nobody(message: Message) -> None:
    return
