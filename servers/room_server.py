"""The protocol's side of a room: an MCP server whose resources are looked up when they are asked for.

The SDK's own lists hold what was declared before the server began; ours appear while it runs. So what lists and reads
them is overridden here, and nothing else is.

    server = RoomServer("etude", Shelf.of(room.shelf for room in rooms), words=str, ...)
    for room in rooms:
        for prompt in room.prompts:
            server.offer(prompt)
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio.to_thread
from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.server.mcpserver.prompts import Prompt
from mcp.types import (
    INVALID_PARAMS,
    Completion,
    CompletionArgument,
    CompletionContext,
    GetPromptResult,
    InputRequiredResult,
    PromptReference,
    Resource,
    ResourceTemplate,
    ResourceTemplateReference,
)

from servers.core.words import cleaned, refusal
from servers.shelf import NotThere, Shelf

PAGE = 50  # resources in one answer
MOST_COMPLETIONS = 100  # the protocol's bound
_CURSOR = re.compile("[1-9][0-9]{0,8}")

Values = Callable[[Mapping[str, str]], Iterable[str]]
"""What an argument may be, best first, given the other arguments."""


@dataclass(frozen=True)
class Offered:
    """A prompt, and what its arguments may be."""

    prompt: Prompt
    values: Mapping[str, Values] = field(default_factory=dict)


class RoomServer(MCPServer[Any]):
    """An MCP server over a shelf.

    Args:
        name: In the handshake.
        shelf: What can be read.
        refusals: The exceptions whose words reach a reader.
        words: The words of one.
        instructions: What a client is told about the server.
        version: Of the server.
        middleware: Sees every message.
    """

    def __init__(
        self,
        name: str,
        shelf: Shelf,
        *,
        refusals: tuple[type[Exception], ...],
        words: Callable[[Exception], str],
        instructions: str,
        version: str,
        middleware: Sequence[ServerMiddleware[Any]] = (),
    ) -> None:
        super().__init__(
            name,
            version=version,
            instructions=instructions,
            log_level="WARNING",
            subscriptions=False,  # other processes write here too, and nobody could tell a listener what they changed
            middleware=[_by_the_page, *middleware],
        )
        self._shelf, self._refusals, self._words = shelf, refusals, words
        self._offered: dict[str, Offered] = {}
        self.completion()(self._complete)  # type: ignore[no-untyped-call]  # the SDK left it without types

    def offer(self, offered: Offered) -> None:
        """Add a prompt."""
        self._offered[offered.prompt.name] = offered
        self.add_prompt(offered.prompt)

    async def list_resources(self) -> list[Resource]:
        return await anyio.to_thread.run_sync(self._shelf.resources)

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        return self._shelf.templates()

    async def read_resource(
        self, uri: Any, context: Context[Any, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        try:
            text, mime = await anyio.to_thread.run_sync(self._shelf.read, str(uri))
        except NotThere as error:
            raise ResourceNotFoundError(refusal(str(error))) from error
        except self._refusals as error:
            raise ResourceError(refusal(self._words(error))) from error
        return [ReadResourceContents(content=text, mime_type=mime)]

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[Any, Any] | None = None
    ) -> GetPromptResult | InputRequiredResult:
        # Clients send an empty text for what their person left out.
        given = {key: value for key, value in (arguments or {}).items() if str(value).strip()}
        if name not in self._offered:
            known = ", ".join(self._offered) or "none"
            raise MCPError(INVALID_PARAMS, refusal(f"no prompt {cleaned(name, 100)!r}; there are: {known}"))
        takes = [argument.name for argument in self._offered[name].prompt.arguments or []]
        if unknown := sorted(set(given) - set(takes)):
            text = f"{name} takes no argument {cleaned(unknown[0], 100)!r}; it takes {', '.join(takes) or 'none'}"
            raise MCPError(INVALID_PARAMS, refusal(text))
        return await super().get_prompt(name, given, context)

    async def _complete(
        self,
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion:
        others = {} if context is None or context.arguments is None else dict(context.arguments)
        others.pop(argument.name, None)
        look_up: Callable[[], Iterable[str]]
        if isinstance(ref, ResourceTemplateReference):
            look_up = partial(self._shelf.values, ref.uri, argument.name, others)
        else:
            offered = self._offered.get(ref.name)
            values = None if offered is None else offered.values.get(argument.name)
            look_up = list if values is None else partial(values, others)
        try:
            every = await anyio.to_thread.run_sync(lambda: list(look_up()))
        except self._refusals:  # whatever is damaged or out of reach, there is nothing to propose
            every = []
        begun = argument.value.casefold()
        fitting = [value for value in every if value.casefold().startswith(begun)]
        return Completion(
            values=fitting[:MOST_COMPLETIONS], total=len(fitting), has_more=len(fitting) > MOST_COMPLETIONS
        )


async def _by_the_page(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Answer `resources/list` a page at a time; a cursor is how many came before."""
    if ctx.method != "resources/list":
        return await call_next(ctx)
    cursor = (ctx.params or {}).get("cursor")
    result = await call_next(ctx)
    if not isinstance(result, dict):
        return result
    every = result["resources"]
    start = int(cursor) if isinstance(cursor, str) and _CURSOR.fullmatch(cursor) else 0
    if cursor is not None and not 0 < start < len(every):
        raise MCPError(INVALID_PARAMS, refusal(f"cursor {cleaned(str(cursor), 40)!r} leads nowhere; begin without one"))
    end = start + PAGE
    return {**result, "resources": every[start:end], **({"nextCursor": str(end)} if end < len(every) else {})}
