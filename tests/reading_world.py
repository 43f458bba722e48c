"""Artifacts with a cycle that is closed and one that is open, and clients that read whatever the five servers show."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
from mcp import Client, MCPError
from mcp.types import EmbeddedResource, TextContent, TextResourceContents

from servers.catalogue import all_servers
from tests.workshop import Workshop

CLOSED, OPEN = "begin_mine", "cycle_1"


def go_on(folder: Path) -> None:
    """Judge the candidate of `trained`, which is not promoted, close its cycle, and open the next one."""

    async def go() -> None:
        async with Workshop(folder) as shop:
            await shop.follow(CLOSED)
            opened = await shop.call("open_cycle", dataset="mine")
            assert opened["cycle"] == OPEN, opened

    anyio.run(go)


class Readers:
    """A client for each server; `async with` connects and lets go of them."""

    def __init__(self, folder: Path, mode: str = "auto") -> None:
        self._servers = {name: Client(server, mode=mode) for name, server in all_servers(folder).items()}
        self.of = self._servers

    async def __aenter__(self) -> Self:
        for client in self._servers.values():
            await client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in reversed(self._servers.values()):
            await client.__aexit__(kind, error, trace)

    async def everything(self, pages: bool = True) -> dict[str, str]:
        """Every document that is listed and every prompt, by URI and name; of a prompt that is refused, why.

        Args:
            pages: Whether with those that have pictures, which take a second each.
        """
        said: dict[str, str] = {}
        for client in self._servers.values():
            for uri in await listed(client):
                if uri.endswith(".html") and not pages:
                    continue
                said[uri] = (await read(client, uri))[0]
            for prompt in (await client.list_prompts()).prompts:
                try:
                    said[prompt.name] = "\n".join(texts(await client.get_prompt(prompt.name, {})))
                except MCPError as error:
                    said[prompt.name] = error.message
        return said


async def listed(client: Client) -> list[str]:
    """The URIs of all pages."""
    uris: list[str] = []
    cursor: str | None = None
    while True:
        page = await client.list_resources(cursor=cursor)
        uris += [resource.uri for resource in page.resources]
        if (cursor := page.next_cursor) is None:
            return uris


async def read(client: Client, uri: str) -> tuple[str, str]:
    """A document's text and its MIME type."""
    (contents,) = (await client.read_resource(uri)).contents
    assert isinstance(contents, TextResourceContents) and contents.uri == uri
    return contents.text, str(contents.mime_type)


async def refused(client: Client, uri: str) -> str:
    """The words with which a server says that nothing is there."""
    try:
        await client.read_resource(uri)
    except MCPError as error:
        assert error.code == -32602, error
        return error.message
    raise AssertionError(f"{uri} was read")


def texts(result: Any) -> list[str]:
    """What a prompt says: its words first, then the documents beside them."""
    found = []
    for message in result.messages:
        if isinstance(message.content, TextContent):
            found.append(message.content.text)
        else:
            assert isinstance(message.content, EmbeddedResource)
            assert isinstance(message.content.resource, TextResourceContents)
            found.append(message.content.resource.text)
    return found
