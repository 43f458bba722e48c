"""An app served on 127.0.0.1 by uvicorn in a thread: it listens when `start` returns, is gone when `stop` returns."""

import asyncio
import contextlib
import socket
import threading

import uvicorn
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

LIMIT_S = 10.0
TURNS = 10


class LoopbackServer:
    """Serves one app.

    Args:
        app: What answers.
        port: Where to listen; 0 lets the system choose.
    """

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        self._port = port
        self._server = _Server(app)

    def start(self) -> str:
        """Listen, and return the URL."""
        self._socket = socket.create_server(("127.0.0.1", self._port))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        assert self._server.ready.wait(LIMIT_S), "the server did not start"
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def stop(self) -> None:
        """Break every connection and end; requests under way are not waited for."""
        self._server.stop()
        self._thread.join(LIMIT_S)

    def hang_up(self, request: Request) -> None:
        """Break the connection of a request; what was sent before still arrives. Called from inside the app."""
        assert request.client is not None
        for connection in list(self._server.server_state.connections):
            if isinstance(connection, H11Protocol) and connection.client == tuple(request.client):
                connection.transport.abort()


class _Server(uvicorn.Server):
    """Uvicorn that says when it listens and stops at once, where uvicorn looks ten times a second and waits."""

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(_quietly(app), lifespan="off", ws="none", http="h11", loop="asyncio", log_config=None)
        super().__init__(config)
        self.ready = threading.Event()

    async def main_loop(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        self.ready.set()
        await self._stopped.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in sockets or []:
            self._loop.remove_reader(listener)
        for _ in range(TURNS):  # of the loop: what was accepted just now comes up in the next ones
            # Every transport, not uvicorn's own list: a connection that it has let go of may not be closed yet.
            for transport in list(getattr(self._loop, "_transports", {}).values()):
                transport.abort()
            await asyncio.sleep(0)  # for the requests to see it, before they are cancelled
        # Not before: asyncio loses a connection that was accepted and not set up when its server is closed.
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)


def _quietly(app: ASGIApp) -> ASGIApp:
    """The app, where a request that is cancelled is no error worth a traceback."""

    async def quiet(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await app(scope, receive, send)

    return quiet
