"""The pages of what the servers offer: tools with arguments, results and hints; prompts and resources."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from mcp import Client
from mcp.types import Tool

from docs.generate.page import page, table
from servers.catalogue import all_servers, all_tools, changes

OPENING = """\
Every tool of every server, as `tools/list` gives it. `etude tools` prints the same list in a terminal, and `etude
tools --json` the full schemas. An argument in **bold** has to be given. *Changes* says what a tool may do to files:
*nothing*, *writes* (the same call again changes nothing more), or *takes away*; *reaches out* means that it may use a
service, where one is set up. A refusal is an answer with `isError`, in one line that names the call to make
instead."""


def tools_page() -> str:
    parts = [OPENING]
    for server, tools in anyio.run(all_tools).items():
        parts += [f"## {server}", *(_tool(tool) for tool in tools)]
    return page("Tools", *parts)


def offers_page() -> str:
    return page("Prompts and resources", *anyio.run(_offers))


def _tool(tool: Tool) -> str:
    words = " ".join((tool.description or "").split()).replace("*", "\\*").replace("<", "\\<")
    hints = changes(tool) + (", reaches out" if tool.annotations and tool.annotations.open_world_hint else "")
    schema, results = tool.input_schema, tool.output_schema or {}
    required = set(schema.get("required", []))
    given = [
        (f"**`{name}`**" if name in required else f"`{name}`", kind_of(one, schema), _default(one), _meaning(one))
        for name, one in schema.get("properties", {}).items()
    ]
    got = [(f"`{name}`", kind_of(one, results), _meaning(one)) for name, one in results.get("properties", {}).items()]
    parts = [f"### {tool.name}", words, f"Changes: {hints}."]
    if given:
        parts.append(table(("argument", "type", "default", "meaning"), given))
    if got:
        parts.append(table(("result", "type", "meaning"), got))
    return "\n\n".join(parts)


def kind_of(one: dict[str, Any], schema: dict[str, Any]) -> str:
    """A JSON schema's type in words."""
    if "$ref" in one:
        name = one["$ref"].rsplit("/", 1)[1]
        found = schema.get("$defs", {}).get(name, {})
        return kind_of(found, schema) if found.get("type") != "object" else "object"
    if "anyOf" in one:
        return " or ".join(dict.fromkeys(kind_of(inner, schema) for inner in one["anyOf"]))
    if "enum" in one or "const" in one:
        return ", ".join(f"`{value}`" for value in one.get("enum", [one.get("const")]))
    kind = one.get("type", "any")
    return f"list of {kind_of(one.get('items', {}), schema)}" if kind == "array" else str(kind)


def _default(one: dict[str, Any]) -> str:
    value = one.get("default")
    return "" if value is None else f"`{value}`"


def _meaning(one: dict[str, Any]) -> str:
    said = str(one.get("description") or "")
    bounds = [f"{words} {one[key]}" for key, words in (("minimum", "from"), ("maximum", "to")) if key in one]
    return " ".join(filter(None, [said, f"({', '.join(bounds)})" if bounds else ""]))


async def _offers() -> list[str]:
    prompts: list[tuple[str, str, str, str]] = []
    resources: list[tuple[str, str, str, str]] = []
    with TemporaryDirectory() as folder:
        for name, server in all_servers(Path(folder)).items():
            async with Client(server) as client:
                for prompt in (await client.list_prompts()).prompts:
                    arguments = ", ".join(f"`{one.name}`" for one in prompt.arguments or [])
                    prompts.append((name, f"`{prompt.name}`", arguments, prompt.description or ""))
                for fixed in (await client.list_resources()).resources:
                    resources.append((name, f"`{fixed.uri}`", fixed.mime_type or "", fixed.description or ""))
                for one in (await client.list_resource_templates()).resource_templates:
                    resources.append((name, f"`{one.uri_template}`", one.mime_type or "", one.description or ""))
    return [
        "What a chat client can offer besides tools: prompts, which a person picks, and resources, which are read and "
        "change nothing. Both are as the servers list them over an empty artifacts folder; after a run there are more "
        "resources, made from the templates. Arguments and ids are completed by the server.",
        "## Prompts",
        table(("server", "prompt", "arguments", "what it asks for"), dict.fromkeys(prompts)),
        "## Resources",
        table(("server", "address", "type", "what it is"), dict.fromkeys(resources)),
    ]
