"""What every server's room is built on: how a tool is declared, refuses, is logged, and is served.

    room = Room("eval", "Measures and judges.", workspace)

    @room.writes()
    def evaluate_model(cycle: CycleId, model: ModelId) -> EvaluationResult:
        \"\"\"What it does, what it changes, which tool comes next.\"\"\"

A tool that writes holds the folder's lock while it runs. A `ValueError` or `Busy` from the core is a refusal: its text
reaches the caller. Anything else is our bug: the caller learns that the tool failed, the log gets the traceback.
"""

import argparse
import functools
import inspect
import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any, TypeVar

from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, TextContent, ToolAnnotations
from pydantic import Field, ValidationError

from servers import VERSION
from servers.core.disk import append_jsonl, canonical, digest, now, plain
from servers.core.settings import Settings, load_settings
from servers.core.task import Task
from servers.core.workspace import Busy, Workspace

CycleId = Annotated[str, Field(description="cycle id, such as 'cycle_1'; open_cycle gives it")]
ModelId = Annotated[str, Field(description="'constant', 'rule' or a model id such as 'student-…'")]
DatasetName = Annotated[str, Field(description="name of a dataset; list_datasets knows them")]
EvaluationId = Annotated[str, Field(description="id that evaluate_model returned")]

ToolFunction = TypeVar("ToolFunction", bound=Callable[..., Any])


class Room:
    """One MCP server over one artifacts folder; `room.server` is what speaks the protocol.

    Args:
        name: Name in the handshake and of the server's ledger.
        instructions: What a client is told about the whole server.
        workspace: The artifacts folder.
    """

    def __init__(self, name: str, instructions: str, workspace: Workspace) -> None:
        self.name = name
        self.workspace = workspace
        self.server: MCPServer[Any] = MCPServer(
            name,
            version=VERSION,
            instructions=instructions,
            log_level="WARNING",
            middleware=[self._on_message],
        )
        self._arguments: dict[str, frozenset[str]] = {}

    def reads(self) -> Callable[[ToolFunction], ToolFunction]:
        """Declare a tool that changes nothing."""
        return self._tool(ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False))

    def writes(self, *, locked: bool = True) -> Callable[[ToolFunction], ToolFunction]:
        """Declare a tool that adds to the artifacts; repeating it finds what is there.

        A tool that is not `locked` takes the folder's lock itself, for the part that needs it.
        """
        return self._tool(
            ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False),
            locked=locked,
        )

    def destroys(self) -> Callable[[ToolFunction], ToolFunction]:
        """Declare a tool that takes something out of service; a client should ask its person first."""
        return self._tool(
            ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False),
            locked=True,
        )

    def _tool(self, annotations: ToolAnnotations, locked: bool = False) -> Callable[[ToolFunction], ToolFunction]:
        def declare(function: ToolFunction) -> ToolFunction:
            name = function.__name__

            def lock() -> AbstractContextManager[None]:
                return self.workspace.writing(f"{self.name}.{name}") if locked else nullcontext()

            if inspect.iscoroutinefunction(function):

                @functools.wraps(function)
                async def tool(*args: Any, **kwargs: Any) -> Any:
                    try:
                        with lock():
                            return await function(*args, **kwargs)
                    except (ValueError, Busy) as error:
                        raise ToolError(_one_line(error)) from error

            else:

                @functools.wraps(function)
                def tool(*args: Any, **kwargs: Any) -> Any:
                    try:
                        with lock():
                            return function(*args, **kwargs)
                    except (ValueError, Busy) as error:
                        raise ToolError(_one_line(error)) from error

            self._arguments[name] = frozenset(inspect.signature(function).parameters)
            self.server.tool(
                title=name.replace("_", " ").capitalize(),
                description=inspect.getdoc(function),  # the SDK would keep the docstring's indentation
                annotations=annotations,
            )(tool)
            return function

        return declare

    async def _on_message(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Refuse arguments that no tool knows (the SDK would drop them silently), and log every call."""
        if ctx.method != "tools/call" or ctx.params is None:
            return await call_next(ctx)
        tool = str(ctx.params.get("name"))
        arguments = ctx.params.get("arguments") or {}
        started = time.perf_counter()
        result = self._unknown_argument(tool, arguments) or await call_next(ctx)
        self._log(tool, arguments, result, time.perf_counter() - started)
        return result

    def _unknown_argument(self, tool: str, arguments: Any) -> CallToolResult | None:
        known = self._arguments.get(tool)
        if known is None or not isinstance(arguments, dict) or not (unknown := sorted(set(arguments) - known)):
            return None
        text = f"{tool} takes no argument {unknown[0]!r}; it takes {', '.join(sorted(known)) or 'none'}"
        return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)

    def _log(self, tool: str, arguments: Any, result: Any, seconds: float) -> None:
        reply = plain(result) if not hasattr(result, "model_dump") else result.model_dump(mode="json", by_alias=True)
        content = {key: reply.get(key) for key in ("content", "structuredContent", "isError")}
        entry = {
            "at": now(),
            "tool": tool,
            "arguments": arguments,
            "is_error": bool(content["isError"]),
            "result_digest": digest(content),
            "result_chars": len(canonical(content)),
            "seconds": round(seconds, 4),
        }
        append_jsonl(self.workspace.server_ledger(self.name), entry)


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


def _one_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        # A damaged file. Its words would quote what the file holds, and that may be sealed.
        first = error.errors(include_input=False, include_context=False)[0]
        return f"no valid {error.title}: {'.'.join(map(str, first['loc']))}: {first['msg']}; restore its file"
    return " ".join(str(error).split("\n"))


def serve(room: str, what: str, build: Callable[[Workspace, Task], Room], arguments: Sequence[str]) -> int:
    """Serve a room over stdio until the client leaves; the exit code. Words go to stderr, stdout is the protocol's."""
    parsed = server_arguments(room, what).parse_args(arguments)
    try:
        workspace, task = settings_from(parsed).open()
    except ValueError as error:
        print(f"etude: {error}", file=sys.stderr)
        return 2
    run_stdio(lambda: build(workspace, task))
    return 0


def run_stdio(build: Callable[[], Room]) -> None:
    """Serve what `build` makes over stdio until the client leaves."""
    # Before the server is built: the SDK would set up a handler that draws boxes 80 columns wide.
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    build().server.run("stdio")
