"""`server.json`, by which the MCP registry would list Étude: held against the registry's published rules."""

import copy
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from servers.clients.wanted import KEYS
from tests.registry_rules import breaches

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SERVER: dict[str, Any] = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
[PACKAGE] = SERVER["packages"]


def test_it_may_be_published():
    """MCP: it breaks none of the registry's rules."""
    assert breaches(SERVER, README) == []


def test_it_is_about_this_package():
    """Ours: one version and one name, here and in pyproject.toml; every key of ours is a secret there."""
    assert (SERVER["version"], PACKAGE["version"], PACKAGE["identifier"]) == (PROJECT["version"],) * 2 + (
        PROJECT["name"],
    )
    assert [one["name"] for one in PACKAGE["environmentVariables"] if one["isSecret"]] == list(KEYS)


def _set(*path: Any) -> Callable[[dict[str, Any]], None]:
    """A change: all but the last of `path` lead to what is set to the last; to nothing, where that is None."""
    *way, key, value = path

    def change(server: dict[str, Any]) -> None:
        place: Any = server
        for step in way:
            place = place[step]
        if value is None:
            del place[key]
        else:
            place[key] = value

    return change


P = ("packages", 0)
A, E = (*P, "packageArguments"), (*P, "environmentVariables", 0)
BROKEN = [
    (_set("$schema", "https://static.modelcontextprotocol.io/schemas/2025-07-09/server.schema.json"), "schema"),
    (_set("status", "active"), "unknown field"),
    (_set("name", "etude"), "name"),
    (_set("name", "io.github.etude-loop/a/b"), "name"),
    (_set("name", "etude-loop/etude"), "name"),
    (_set("name", "io.github.etude-loop/etude."), "name"),
    (_set("description", None), "description"),
    (_set("description", "x" * 101), "description"),
    (_set("title", "   "), "title"),
    (_set("version", "latest"), "version"),
    (_set("version", "^0.1.0"), "version"),
    (_set("version", "0.x"), "version"),
    (_set("repository", "url", "https://example.org/etude"), "repository url"),
    (_set("repository", "source", "gitlab"), "repository source"),
    (_set("repository", "url", "https://github.com/other/etude"), "namespace of another owner"),
    (_set("websiteUrl", "http://example.org"), "website"),
    (_set("packages", None), "nothing to run or reach"),
    (_set(*P, "registry_type", "pypi"), "unknown field of a package"),
    (_set(*P, "registryType", "npm"), "kind of package"),
    (_set(*P, "registryBaseUrl", "https://mirror.example.org"), "package index"),
    (_set(*P, "identifier", "etude loop"), "package name"),
    (_set(*P, "version", ">=0.1.0"), "package version"),
    (_set(*P, "version", None), "package version"),
    (_set(*P, "transport", "url", "https://example.org"), "transport"),
    (_set(*P, "transport", "type", "pipe"), "transport"),
    (_set(*A, 0, "value", None), "positional argument"),
    (_set(*A, 0, "type", "flag"), "kind of argument"),
    (_set(*A, 2, "name", "--artifacts <folder>"), "argument name"),
    (_set(*A, 2, "value", "--artifacts=/x"), "argument value"),
    (_set(*A, 2, "format", "folder"), "format"),
    (_set(*A, 2, "is_required", True), "unknown field of an input"),
    (_set(*E, "name", "MISTRAL KEY"), "variable name"),
    (_set(*E, "isSecret", "yes"), "flag"),
    (_set(*E, "default", "a-key"), "secret with a value"),
    (_set("remotes", [{"type": "streamable-http", "url": "http://127.0.0.1/mcp"}]), "remote"),
]


@pytest.mark.parametrize(("change", "breach"), BROKEN)
def test_each_rule_refuses_what_breaks_it(change: Callable[[dict[str, Any]], None], breach: str):
    """MCP: the check is worth something only if it can say no."""
    broken = copy.deepcopy(SERVER)
    change(broken)

    assert breach in breaches(broken, README)


@pytest.mark.parametrize(
    "readme", ["", "mcp-name: io.github.etude-loop/etude2", "mcp-name: io.github.etude-loop/etude."]
)
def test_the_package_has_to_name_the_server(readme: str):
    """MCP: the registry believes a package only whose README carries the server's name, with a boundary behind it."""
    assert breaches(SERVER, readme) == ["mark in the README"]


def test_no_key_stands_in_it():
    """Ours: it is public."""
    assert not re.search(r'"(value|default)": "[A-Za-z0-9_-]{20,}"', json.dumps(SERVER))


@pytest.mark.services
@pytest.mark.anyio
async def test_the_installed_package_serves_with_these_arguments(tmp_path: Path):
    """MCP: what a client runs after `pip install` or by uvx: the wheel's command, with the arguments given here."""
    pip = [sys.executable, "-m", "pip"]
    wheel = [*pip, "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(tmp_path)]
    subprocess.run(wheel, check=True, timeout=120)
    [built] = tmp_path.glob("*.whl")
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--target", str(tmp_path / "site"), str(built)], check=True
    )
    given = {"--artifacts": str(tmp_path / "artifacts")}
    args = [
        word
        for one in PACKAGE["packageArguments"]
        for word in ([one["value"]] if one["type"] == "positional" else _named(one["name"], given))
    ]

    command = StdioServerParameters(
        command=sys.executable,
        args=["-P", str(tmp_path / "site" / "bin" / PACKAGE["identifier"]), *args],
        env={"PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
    )
    async with Client(command, read_timeout_seconds=60) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}

    assert {"get_cycle", "evaluate_model"} <= tools
    with zipfile.ZipFile(built) as content:
        names = content.namelist()
        [metadata] = [name for name in names if name.endswith("METADATA")]
        assert breaches(SERVER, content.read(metadata).decode()) == [], "the README on the index carries the mark"
    assert "servers/clients/skill/SKILL.md" in names


def _named(name: str, given: dict[str, str]) -> list[str]:
    return [f"{name}={given[name]}"] if name in given else []
