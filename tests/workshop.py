"""All five real servers in memory over one artifacts folder, for tests that work by hand; and how a tool is called."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mcp import Client

from servers.catalogue import all_servers


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """A tool's typed result; AssertionError with its words where it refused."""
    _, content = await answered(client, tool, arguments)
    return content


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    """The words with which a tool refuses."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, f"{tool} did not refuse: {result.structured_content}"
    return str(getattr(result.content[0], "text", ""))


async def answered(client: Client, tool: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A tool's words and its typed result; AssertionError with its words where it refused."""
    result = await client.call_tool(tool, arguments)
    text = str(getattr(result.content[0], "text", ""))
    assert not result.is_error, f"{tool}: {text}"
    content: dict[str, Any] = result.structured_content or {}
    return text, content


class Workshop:
    """Clients of every server; `async with` connects and lets go of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: list[dict[str, Any]] = []
        """Every W&B call with its reply, as record_context takes them."""

    async def __aenter__(self) -> Self:
        self._stack = await AsyncExitStack().__aenter__()
        self._owner: dict[str, Client] = {}
        for server in all_servers(self.folder).values():
            client = await self._stack.enter_async_context(Client(server))
            for tool in (await client.list_tools()).tools:
                self._owner[tool.name] = client
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def use(self, client: Client, tools: Iterable[str]) -> None:
        """Have one client for all tools, instead of those that `async with` connects."""
        self._owner = dict.fromkeys(tools, client)

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """A tool's typed result; AssertionError with its words where it refused."""
        _, content = await self.answered(tool, **arguments)
        return content

    async def answered(self, tool: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
        """A tool's words and its typed result; AssertionError with its words where it refused."""
        text, content = await answered(self._owner[tool], tool, arguments)
        if tool.endswith("_tool"):
            self.calls.append({"tool": tool, "arguments": arguments, "text": text, "is_error": False})
        return text, content

    async def refusal(self, tool: str, **arguments: Any) -> str:
        """The words with which a tool refuses."""
        return await refusal(self._owner[tool], tool, **arguments)

    async def follow(self, cycle: str, until: str | None = None, limit: int = 60) -> list[str]:
        """Do what get_cycle says comes next, the first of its steps each time, until a tool is due or the cycle closes.

        Returns:
            The tools that were called, in order.
        """
        done: list[str] = []
        for _ in range(limit):
            state = await self.call("get_cycle", cycle=cycle)
            if state["closed"] or state["next_steps"][0]["tool"] == until:
                return done
            done += await self.move(state["next_steps"])
        raise AssertionError(f"{cycle} is not closed after {limit} steps: {done}")

    async def move(self, steps: list[dict[str, Any]]) -> list[str]:
        """Do the first of some next steps, with those that belong to it; the tools that were called."""
        done = _together(steps)
        for step in done:
            arguments = dict(step["arguments"])
            if step["tool"] == "record_context":
                arguments |= {"server": self._wandb_server(), "calls": self.calls}
            await self.call(step["tool"], **arguments)
            if step["tool"] == "record_context":
                self.calls.clear()
        return [step["tool"] for step in done]

    def _wandb_server(self) -> dict[str, str]:
        """Who answers the W&B calls, from the handshake."""
        info = self._owner["query_wandb_tool"].server_info
        assert info is not None
        return {"name": info.name, "version": info.version}


def _together(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first step; W&B reads go with the call that hands their replies over, a search with what it is for."""
    reading = [step for step in steps if step["tool"].endswith("_tool") or step["tool"] == "record_context"]
    return reading if steps[0] in reading else steps[: 2 if steps[0]["tool"] == "search_playbook" else 1]
