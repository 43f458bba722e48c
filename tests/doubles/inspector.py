"""What the MCP Inspector's command line does, as far as a person by hand needs it, without node.

    python -m tests.doubles.inspector COMMAND … --method tools/call --tool-name NAME --tool-arg KEY=VALUE …

Like the Inspector it starts the server, makes one request, prints the result as JSON and ends; a value that is JSON is
passed on as such, any other as text.
"""

import argparse
import json
import sys
from typing import Any

import anyio
from mcp import Client, StdioServerParameters


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


async def _asked(command: list[str], method: str, tool: str, arguments: dict[str, Any]) -> str:
    async with Client(StdioServerParameters(command=command[0], args=command[1:])) as client:
        result = await (client.list_tools() if method == "tools/list" else client.call_tool(tool, arguments))
    return result.model_dump_json(by_alias=True, exclude_none=True, indent=2)


def main() -> int:
    words = sys.argv[1:]
    start = words.index("--method")
    parser = argparse.ArgumentParser()
    parser.add_argument("--method", choices=["tools/list", "tools/call"])
    parser.add_argument("--tool-name", default="")
    parser.add_argument("--tool-arg", action="append", default=[])
    given = parser.parse_args(words[start:])
    arguments = {key: _value(value) for key, _, value in (one.partition("=") for one in given.tool_arg)}
    print(anyio.run(_asked, words[:start], given.method, given.tool_name, arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
