"""Sessions over servers in this process: the agent's calls go over the protocol, without a process for each server."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.server import MCPServer

from agent.sessions import Server, Sessions


class InMemory:
    """A connection to a server in this process."""

    def __init__(self, client: Client) -> None:
        self.client: Client | None = client
        self.log = Path("no log of a server in this process")

    def last_words(self) -> str:
        return ""

    def away_s(self) -> float | None:
        return None

    def refused(self) -> str:
        return ""


@asynccontextmanager
async def sessions_with(servers: Mapping[str, MCPServer[Any]]) -> AsyncIterator[Sessions]:
    """Connect to all of them; what goes wrong inside leaves as it is, not in the client's exception groups."""
    problem: Exception | None = None
    async with AsyncExitStack() as stack:
        clients = {name: await stack.enter_async_context(Client(server)) for name, server in servers.items()}
        listed = []
        for name, client in clients.items():
            info = client.server_info
            assert info is not None
            listed.append(Server(name, info.name, info.version, tuple((await client.list_tools()).tools)))
        try:
            yield Sessions({name: InMemory(client) for name, client in clients.items()}, listed)
        except Exception as error:
            problem = error
    if problem is not None:
        raise problem
