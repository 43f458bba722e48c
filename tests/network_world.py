"""Servers over HTTP on a socket of this machine, in the test's event loop; and how they are asked, well and badly."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer

from servers.core.settings import Settings
from servers.network.arguments import parse
from servers.network.entrance import Entrance
from servers.network.over_http import entrance_to, prepared
from servers.network.serving import House, serve
from servers.network.tokens import READ_TOKEN, TOKEN

SECRET, READER = "0123456789abcdef" * 4, "fedcba9876543210" * 4
BOTH = {TOKEN: SECRET, READ_TOKEN: READER}
LIMIT_S = 20.0
ACCEPT = {"accept": "application/json, text/event-stream"}
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}


@dataclass
class Served:
    """A server that listens."""

    url: str
    entrance: Entrance
    stop: anyio.Event
    """Set it to stop the server."""
    stopped: anyio.Event
    cut: int = 0
    """Calls that were cut off when it was stopped."""

    @asynccontextmanager
    async def client(self, path: str = "/mcp", token: str | None = None, **options: Any) -> AsyncIterator[Client]:
        """The real SDK's client."""
        async with (
            httpx2.AsyncClient(headers=bearer(token), timeout=LIMIT_S) as http,
            Client(streamable_http_client(self.url + path, http_client=http), **options) as client,
        ):
            yield client

    async def ask(self, message: Any = HELLO, path: str = "/mcp", **how: Any) -> httpx2.Response:
        """One request, as it is; see `ask`."""
        return await ask(self.url, message, path, **how)


async def ask(
    url: str,
    message: Any = HELLO,
    path: str = "/mcp",
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
    **more: Any,
) -> httpx2.Response:
    """One request to a server, as it is."""
    body = {} if more or method != "POST" else {"json": message}
    async with httpx2.AsyncClient(timeout=LIMIT_S) as http:
        given = ACCEPT | bearer(token) | dict(headers or {})
        return await http.request(method, url + path, headers=given, **body, **more)


def bearer(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def said(answer: httpx2.Response) -> str:
    """The words with which a request was refused."""
    return str(answer.json()["error"]["message"])


@asynccontextmanager
async def open_house(
    folder: Path, *words: str, environment: Mapping[str, str] | None = None, grace_s: float = 5.0
) -> AsyncIterator[Served]:
    """All of Étude's servers, as `etude serve all --http 127.0.0.1:0 WORDS` serves them."""
    asked = parse(["all", "--http", "127.0.0.1:0", *words])
    house = await prepared(asked, Settings(artifacts=folder), dict(environment or {}))
    async with _served(house, grace_s) as served:
        yield served


@asynccontextmanager
async def open_shed(
    folder: Path,
    server: MCPServer[Any],
    *words: str,
    environment: Mapping[str, str] | None = None,
    grace_s: float = 5.0,
    **options: Any,
) -> AsyncIterator[Served]:
    """Another server at /mcp, behind the same entrance."""
    settings = Settings(artifacts=folder)
    house = await prepared(parse(["wandb", "--http", "127.0.0.1:0", *words]), settings, dict(environment or {}))
    known = house.entrance
    entrance = await entrance_to({"/mcp": server}, settings, known.hosts, known.tokens, known.proxies, **options)
    async with _served(House(entrance, house.bound, ""), grace_s) as served:
        yield served


@asynccontextmanager
async def _served(house: House, grace_s: float) -> AsyncIterator[Served]:
    port = house.bound.getsockname()[1]
    served = Served(f"http://127.0.0.1:{port}", house.entrance, anyio.Event(), anyio.Event())

    async def serving(started: anyio.Event) -> None:
        served.cut = await serve(house, served.stop, started.set, grace_s)
        served.stopped.set()

    started = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serving, started)
        with anyio.fail_after(LIMIT_S):
            await started.wait()
        try:
            yield served
        finally:
            served.stop.set()
            with anyio.CancelScope(shield=True), anyio.move_on_after(LIMIT_S):
                await served.stopped.wait()
