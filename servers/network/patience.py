"""An HTTP connection on which a request has to arrive in time.

Uvicorn waits for headers without end, and for the rest of a body whose request was answered already, so that a client
could hold a connection by sending nothing, or a byte now and then. (A body that is read is timed where it is read.)
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

LIMIT_S = 10.0


class PatientProtocol(H11Protocol):
    """Uvicorn's connection, closed where what is owed does not come in time."""

    limit_s = LIMIT_S
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _look(self) -> None:
        if self.conn.their_state is h11.IDLE:
            owes = bool(
                self.conn.trailing_data[0]
            )  # half of the headers; without any, keep-alive has a limit of its own
        else:
            owes = self.conn.their_state is h11.SEND_BODY and self.cycle.response_complete
        if not owes:
            self._stop_waiting()
        elif self._waiting is None:
            self._wait()

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.limit_s, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
