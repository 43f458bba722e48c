"""`etude tools`: which tools the servers offer, straight from their `tools/list`."""

import json
from typing import Any

from mcp.types import Tool
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from agent.sessions import Server
from agent.words import cleaned, one_line

COLOURS = {"reads": "green", "writes": "yellow", "destroys": "red", "unstated": "dim"}
TITLE_CHARS, WORDS_CHARS = 200, 500


def as_json(servers: list[Server]) -> str:
    """Every server with its full tools/list, as it came over the wire."""
    listed: list[dict[str, Any]] = [
        {
            "server": server.name,
            "says_it_is": {"name": server.says_it_is, "version": server.version},
            "tools": [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in server.tools],
        }
        for server in servers
    ]
    return json.dumps({"schema": 1, "servers": listed}, indent=2)


def as_lines(servers: list[Server]) -> str:
    """One line for each tool: server, name, reads or writes, the first line of its description."""
    rows = [(server.name, tool.name, access(tool), _first_line(tool)) for server in servers for tool in server.tools]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]]).rstrip()
        for row in rows
    )


def show(servers: list[Server], console: Console) -> None:
    """A table for a terminal: each server's tools, what they do to the world, and what for."""
    for server in servers:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(no_wrap=True, style="bold")
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for tool in server.tools:
            does = access(tool)
            table.add_row(Text(tool.name), Text(does, style=COLOURS[does]), Text(_first_sentence(tool)))
        title = cleaned(f"{server.name}: {len(server.tools)} tools, {server.says_it_is} {server.version}", TITLE_CHARS)
        console.print(Rule(Text(title, style="bold cyan"), align="left", style="dim cyan"))
        console.print(table)


def access(tool: Tool) -> str:
    """What a tool's own annotations say that it does to the world; a tool that says nothing may do anything."""
    hints = tool.annotations
    if hints is None or hints.read_only_hint is None:
        return "unstated"
    if hints.read_only_hint:
        return "reads"
    return "destroys" if hints.destructive_hint else "writes"


def _first_line(tool: Tool) -> str:
    return cleaned(next(iter((tool.description or "").strip().splitlines()), ""), WORDS_CHARS)


def _first_sentence(tool: Tool) -> str:
    words = one_line((tool.description or "").split("\n\n")[0], WORDS_CHARS)
    return words.split(". ")[0].removesuffix(".")
