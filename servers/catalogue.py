"""The tables of all tools, documents and prompts in `servers/README.md`, made from what the servers themselves say.

    python -m servers.catalogue          # print the tables
    python -m servers.catalogue --write  # put them into servers/README.md

A test holds the two together, and the size that all descriptions and schemas take in a model's prompt.
"""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.server import MCPServer
from mcp.types import Tool

from servers.augment.server import build_room as build_augment
from servers.core.task import load_task
from servers.core.workspace import Workspace
from servers.eval.server import build_room as build_eval
from servers.playbook.server import build_room as build_playbook
from servers.retrain.server import build_room as build_retrain
from servers.wandb_local.server import build_room as build_wandb

README = Path(__file__).parent / "README.md"
MADE = "made by python -m servers.catalogue --write -->"
TOOLS = f"<!-- tools: {MADE}", "<!-- end of tools -->"
READING = f"<!-- reading: {MADE}", "<!-- end of reading -->"


def all_servers(folder: Path) -> dict[str, MCPServer[Any]]:
    """Every server by name, over an artifacts folder."""
    workspace, task = Workspace(folder), load_task("kotone")
    builders = {"eval": build_eval, "augment": build_augment, "retrain": build_retrain, "playbook": build_playbook}
    servers: dict[str, MCPServer[Any]] = {name: build(workspace, task).server for name, build in builders.items()}
    return {**servers, "wandb": build_wandb(workspace).server}


async def all_tools() -> dict[str, list[Tool]]:
    """What each server answers to `tools/list`."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name, server in all_servers(Path(folder)).items():
            async with Client(server) as client:
                found[name] = (await client.list_tools()).tools
        return found


def table(tools: Mapping[str, list[Tool]]) -> str:
    """The Markdown table: server, tool, what it may change, its first sentence, what comes next."""
    lines = ["| server | tool | changes | what it does |", "|---|---|---|---|"]
    for server, listed in tools.items():
        lines += [f"| {server} | `{tool.name}` | {changes(tool)} | {_words(tool)} |" for tool in listed]
    return "\n".join(lines)


async def all_reading() -> list[tuple[str, str, str]]:
    """Server, address or name, and description of every kind of document, then of every prompt."""
    documents, prompts = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, server in all_servers(Path(folder)).items():
            async with Client(server) as client:
                fixed = [(r.uri, r.description) for r in (await client.list_resources()).resources]
                kinds = (await client.list_resource_templates()).resource_templates
                filled = [(kind.uri_template, kind.description) for kind in kinds]
                documents += [(name, f"`{uri}`", said or "") for uri, said in [*fixed, *filled]]
                for prompt in (await client.list_prompts()).prompts:
                    takes = ", ".join(argument.name for argument in prompt.arguments or [])
                    prompts.append((name, f"prompt `{prompt.name}` ({takes})", prompt.description or ""))
    return [*documents, *prompts]


def reading_table(found: Sequence[tuple[str, str, str]]) -> str:
    """The Markdown table of documents and prompts."""
    lines = ["| server | to read, or to ask for | what it is |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {server} | {what} | {said} |" for server, what, said in found)])


def changes(tool: Tool) -> str:
    """What a tool's hints say about it, in a word or two."""
    hints = tool.annotations
    if hints is None:
        return "unknown"
    if hints.read_only_hint:
        return "nothing"
    kind = "takes away" if hints.destructive_hint else "writes"
    return kind if hints.idempotent_hint else f"{kind}, each time"


def with_table(readme: str, new: str, marks: tuple[str, str] = TOOLS) -> str:
    """The README with one of its tables replaced.

    Raises:
        ValueError: the README does not hold the two marks.
    """
    begin, end = marks
    before, mark, rest = readme.partition(begin)
    _, found, after = rest.partition(end)
    if not mark or not found:
        raise ValueError(f"no {begin} … {end} in the README")
    return f"{before}{begin}\n{new}\n{end}{after}"


def _words(tool: Tool) -> str:
    return " ".join((tool.description or "").split()).replace("|", "\\|")


def main() -> int:
    tools, reading = table(anyio.run(all_tools)), reading_table(anyio.run(all_reading))
    if sys.argv[1:] == ["--write"]:
        readme = with_table(README.read_text(encoding="utf-8"), tools)
        README.write_text(with_table(readme, reading, READING), encoding="utf-8")
    else:
        print(f"{tools}\n\n{reading}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
