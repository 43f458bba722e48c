"""What every server's room is built on: how a tool is declared, refuses, is logged, and is served.

    room = Room("eval", "Measures and judges.", workspace)

    @room.writes(told=wording.evaluation)
    def evaluate_model(cycle: CycleId, model: ModelId) -> EvaluationResult:
        \"\"\"What it does, what it changes, which tool comes next.\"\"\"

A tool that writes holds the folder's lock while it runs. A `ValueError` or `Busy` from the core is a refusal: its text
reaches the caller, bounded; so is a file that is another user's, with words that say whose. Anything else is our bug:
the caller learns that the tool failed, the log gets the traceback. `told` says a typed result in words (`wording.py`),
which stand beside it where the SDK would repeat it as JSON.
"""

import argparse
import functools
import inspect
import logging
import re
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any, TypeVar

from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts import Prompt
from mcp.types import INVALID_PARAMS, CallToolResult, ImageContent, ResourceLink, TextContent, ToolAnnotations
from pydantic import Field, ValidationError
from pydantic.fields import FieldInfo

from servers import VERSION
from servers.core.progress import telling
from servers.core.services import Services
from servers.core.settings import Settings, load_settings
from servers.core.task import Task
from servers.core.words import refusal
from servers.core.workspace import Busy, Workspace
from servers.ledger import ServerLedger
from servers.progress import listener_of
from servers.room_server import Offered, RoomServer, Values
from servers.shelf import Shelf
from servers.wording import Teller

CycleId = Annotated[str, Field(description="cycle id, such as 'cycle_1'; open_cycle gives it")]
ModelId = Annotated[str, Field(description="'constant', 'rule' or a model id such as 'student-…'")]
DatasetName = Annotated[str, Field(description="name of a dataset; list_datasets knows them")]
EvaluationId = Annotated[str, Field(description="id that evaluate_model returned")]

Offset = Annotated[int, Field(ge=0)]

REFUSALS = (ValueError, Busy, PermissionError)  # of the core; anything else is our bug

PAGE = 20  # entries of a list at once
LINKS_SINCE = "2025-06-18"  # the protocol version that brought links to resources
_ELSEWHERE = re.compile(r"\s*For further information visit https://errors\.pydantic\.dev/\S+")

ToolFunction = TypeVar("ToolFunction", bound=Callable[..., Any])
PromptFunction = TypeVar("PromptFunction", bound=Callable[..., Any])


class Room:
    """One MCP server over one artifacts folder; `room.server` is what speaks the protocol.

    Args:
        name: Name of the server's ledger, and in the handshake.
        instructions: What a client is told about the whole server.
        workspace: The artifacts folder.
        handshake: Name in the handshake, where it is another.
    """

    def __init__(self, name: str, instructions: str, workspace: Workspace, handshake: str | None = None) -> None:
        self.name = name
        self.workspace = workspace
        self._ledger = ServerLedger(workspace.server_ledger(name))
        self.shelf = Shelf()
        """What can be read here; whoever builds the room adds to it."""
        self.prompts: list[Offered] = []
        self.server = RoomServer(
            handshake or name,
            self.shelf,
            refusals=REFUSALS,
            words=self.words,
            instructions=instructions,
            version=VERSION,
            middleware=[self.on_message],
        )
        self._arguments: dict[str, list[inspect.Parameter]] = {}

    def reads(self, *, told: Teller | None = None) -> Callable[[ToolFunction], ToolFunction]:
        """Declare a tool that changes nothing."""
        return self._tool(_hints(reads=True, destroys=False, idempotent=True), told)

    def writes(
        self, *, told: Teller | None = None, locked: bool = True, reaches_out: bool = False
    ) -> Callable[[ToolFunction], ToolFunction]:
        """Declare a tool that adds to the artifacts; repeating it finds what is there.

        A tool that is not `locked` takes the folder's lock itself, for the part that needs it. One that `reaches_out`
        may ask, or send something to, a service that the configuration names.
        """
        return self._tool(_hints(reads=False, destroys=False, idempotent=True, reaches_out=reaches_out), told, locked)

    def destroys(
        self, *, idempotent: bool, told: Teller | None = None, locked: bool = True
    ) -> Callable[[ToolFunction], ToolFunction]:
        """Declare a tool that ends something or takes it out of service; a client should ask its person first."""
        return self._tool(_hints(reads=False, destroys=True, idempotent=idempotent), told, locked)

    def prompt(self, title: str, **values: Values) -> Callable[[PromptFunction], PromptFunction]:
        """Declare a prompt; its function returns texts and content blocks, each of which the person is to say.

        Args:
            title: What a person chooses it by.
            values: By argument, what it may be, best first, given the other arguments.
        """

        def declare(function: PromptFunction) -> PromptFunction:
            @functools.wraps(function)
            def prompt(*args: Any, **kwargs: Any) -> Any:
                try:
                    return function(*args, **kwargs)
                except REFUSALS as error:
                    raise MCPError(INVALID_PARAMS, refusal(self.words(error))) from error

            made = Prompt.from_function(prompt, title=title, description=inspect.getdoc(function))
            self.prompts.append(Offered(made, values))
            self.server.offer(self.prompts[-1])
            return function

        return declare

    def words(self, error: Exception) -> str:
        """What a caller is told of a refusal."""
        if isinstance(error, PermissionError):
            return self.workspace.denied(error)
        if isinstance(error, ValidationError):
            # A damaged file. Its words would quote what the file holds, and that may be sealed.
            first = error.errors(include_input=False, include_context=False)[0]
            return f"no valid {error.title}: {'.'.join(map(str, first['loc']))}: {first['msg']}; restore its file"
        return str(error)

    def _tool(
        self, annotations: ToolAnnotations, told: Teller | None, locked: bool = False
    ) -> Callable[[ToolFunction], ToolFunction]:
        def declare(function: ToolFunction) -> ToolFunction:
            name = function.__name__

            def lock() -> AbstractContextManager[None]:
                return self.workspace.writing(f"{self.name}.{name}") if locked else nullcontext()

            if inspect.iscoroutinefunction(function):

                @functools.wraps(function)
                async def tool(*args: Any, **kwargs: Any) -> Any:
                    try:
                        with lock():
                            result = await function(*args, **kwargs)
                    except REFUSALS as error:
                        raise ToolError(self.words(error)) from error
                    return _with_words(result, told)

            else:

                @functools.wraps(function)
                def tool(*args: Any, **kwargs: Any) -> Any:
                    try:
                        with lock():
                            result = function(*args, **kwargs)
                    except REFUSALS as error:
                        raise ToolError(self.words(error)) from error
                    return _with_words(result, told)

            self._arguments[name] = list(inspect.signature(function).parameters.values())
            self.server.tool(
                title=name.removesuffix("_tool").replace("_", " ").capitalize(),
                description=inspect.getdoc(function),  # the SDK would keep the docstring's indentation
                annotations=annotations,
            )(tool)
            return function

        return declare

    async def on_message(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Refuse arguments that a tool does not know (the SDK would drop them silently) or lacks, bound refusals, log
        every call.
        """
        if ctx.method != "tools/call" or ctx.params is None:
            return await call_next(ctx)
        tool = str(ctx.params.get("name"))
        arguments = ctx.params.get("arguments") or {}
        result: HandlerResult = None
        started = time.perf_counter()
        try:
            with nullcontext() if (listener := listener_of(ctx)) is None else telling(listener):
                found = self._wrong_arguments(tool, arguments) or _in_bounds(await call_next(ctx))
            result = found if ctx.protocol_version >= LINKS_SINCE else _without_links(found)
        finally:  # a call that was cancelled, or is none that the protocol knows, is logged without a result
            self._ledger.add(tool, arguments, result, time.perf_counter() - started)
        return result

    def _wrong_arguments(self, tool: str, arguments: Any) -> CallToolResult | None:
        parameters = self._arguments.get(tool)
        if parameters is None or not isinstance(arguments, dict):
            return None
        known = [one.name for one in parameters]
        if unknown := sorted(set(arguments) - set(known)):
            text = f"{tool} takes no argument {unknown[0]!r}; it takes {', '.join(known) or 'none'}"
        elif missing := [one for one in parameters if one.default is one.empty and one.name not in arguments]:
            text = f"{tool} needs {', and '.join(map(_asked, missing))}"
        else:
            return None
        return CallToolResult(content=[TextContent(type="text", text=refusal(text))], is_error=True)


def _asked(parameter: inspect.Parameter) -> str:
    """An argument by name, and what it is where its type says so."""
    told = (
        field.description for field in getattr(parameter.annotation, "__metadata__", ()) if isinstance(field, FieldInfo)
    )
    about = next((text for text in told if text), None)
    return f"{parameter.name} ({about})" if about else parameter.name


def _hints(*, reads: bool, destroys: bool, idempotent: bool, reaches_out: bool = False) -> ToolAnnotations:
    return ToolAnnotations(
        read_only_hint=reads, destructive_hint=destroys, idempotent_hint=idempotent, open_world_hint=reaches_out
    )


def _with_words(result: Any, told: Teller | None) -> Any:
    """A typed result with its words; the SDK holds the typed form against the tool's output schema all the same."""
    if told is None:
        return result
    words = told(result)
    links = [ResourceLink(uri=link.uri, name=link.name, mime_type=link.mime_type) for link in words.links]
    pictures = [] if words.picture is None else [_png(words.picture)]
    return CallToolResult(
        content=[TextContent(type="text", text=words.text), *pictures, *links],
        structured_content=result.model_dump(mode="json", by_alias=True),
    )


def _png(picture: bytes) -> ImageContent:
    return ImageContent(type="image", data=b64encode(picture).decode(), mime_type="image/png")


def _without_links(result: HandlerResult) -> HandlerResult:
    """A result for a client that knows no links to resources, and might refuse all of it for one."""
    if isinstance(result, dict) and "content" in result:
        return {**result, "content": [block for block in result["content"] if block.get("type") != "resource_link"]}
    return result


def _in_bounds(result: HandlerResult) -> HandlerResult:
    """A result with its words bounded where it is a refusal; the SDK's own may echo whole arguments, and send the
    reader to a page about its library.
    """
    if isinstance(result, dict) and result.get("isError"):
        blocks = [
            {**block, "text": refusal(_ELSEWHERE.sub("", block["text"]))} if "text" in block else block
            for block in result["content"]
        ]
        return {**result, "content": blocks}
    return result


def server_arguments(room: str, what: str) -> argparse.ArgumentParser:
    """The parser that every `python -m servers.<room>` shares."""
    parser = argparse.ArgumentParser(prog=f"python -m servers.{room}", description=what)
    parser.add_argument("--artifacts", type=Path, help="the artifacts folder (default: artifacts)")
    parser.add_argument("--task", help="name of a built-in task, or path of a task file (default: kotone)")
    parser.add_argument("--config", type=Path, help="configuration file (default: etude.toml where there is one)")
    return parser


def settings_from(arguments: argparse.Namespace) -> Settings:
    """The settings of a parsed command line.

    Raises:
        ValueError: the configuration or the task cannot be used.
    """
    return load_settings(arguments.config, arguments.artifacts, arguments.task)


def serve(room: str, what: str, build: Callable[[Workspace, Task, Services], Room], arguments: Sequence[str]) -> int:
    """Serve a room over stdio until the client leaves; the exit code. Words go to stderr, stdout is the protocol's."""
    parsed = server_arguments(room, what).parse_args(arguments)
    try:
        settings = settings_from(parsed)
        workspace, task = settings.open()
        services = Services.here(settings)
        services.refuse_missing()
    except ValueError as error:
        print(f"etude: {error}", file=sys.stderr)
        return 2
    run_stdio(lambda: build(workspace, task, services).server)
    return 0


def run_stdio(build: Callable[[], MCPServer[Any]]) -> None:
    """Serve what `build` makes over stdio until the client leaves."""
    log_plainly()
    build().run("stdio")


def log_plainly() -> None:
    """Log one line a message, to stderr. Before a server is built: the SDK would draw boxes 80 columns wide."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
