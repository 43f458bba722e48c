"""A reverse proxy as nginx is one: it takes a prefix off, says for whom it asks, and streams what comes back."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import httpx2
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.doubles.loopback import LoopbackServer

OWN = ("host", "connection", "content-length", "transfer-encoding", "x-forwarded-for")


class ReverseProxy:
    """Shows a server under a prefix; `with` starts and stops it.

    Args:
        behind: URL of the server.
        prefix: Of its paths, as the outside sees them.
        host: The Host header that the server gets; None for what the client sent.
        keeps_prefix: Whether the server gets the prefix, too.
    """

    def __init__(self, behind: str, prefix: str, host: str | None = None, keeps_prefix: bool = False) -> None:
        self._behind, self._prefix, self._host, self._keeps = behind, prefix, host, keeps_prefix

    def __enter__(self) -> Self:
        route = Route(self._prefix + "/{path:path}", self._pass, methods=["GET", "POST", "DELETE", "OPTIONS"])
        self._server = LoopbackServer(Starlette(routes=[route]))
        self.url = self._server.start() + self._prefix
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    async def _pass(self, request: Request) -> Response:
        assert request.client is not None
        before = [line for line in request.headers.getlist("x-forwarded-for")]
        headers = [(name, value) for name, value in request.headers.items() if name not in OWN]
        headers += [
            ("host", self._host or request.headers["host"]),
            ("x-forwarded-for", ", ".join([*before, request.client.host])),
            ("x-forwarded-proto", "https"),
        ]
        path = f"{self._prefix if self._keeps else ''}/{request.path_params['path']}"
        client = httpx2.AsyncClient(timeout=30)
        asked = client.build_request(request.method, self._behind + path, headers=headers, content=await request.body())
        answer = await client.send(asked, stream=True)

        async def leave() -> None:
            await answer.aclose()
            await client.aclose()

        given = {name: value for name, value in answer.headers.items() if name not in OWN}
        return StreamingResponse(_pieces(answer), answer.status_code, given, background=BackgroundTask(leave))


async def _pieces(answer: httpx2.Response) -> AsyncIterator[bytes]:
    async for piece in answer.aiter_raw():
        yield piece
