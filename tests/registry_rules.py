"""What the MCP registry asks of a `server.json`, as its documentation and schema of 2025-12-11 say it, in our words.

Sources: docs/reference/server-json (schema and changelog), official-registry-requirements.md, and
docs/modelcontextprotocol-io/package-types.mdx of github.com/modelcontextprotocol/registry; and what its validators
refuse beyond these. Rules for what we do not use (icons, other kinds of packages) are left out.
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.-]*[a-zA-Z0-9]/[a-zA-Z0-9][a-zA-Z0-9._-]*[a-zA-Z0-9]")
VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")  # semantic; ranges and "latest" are refused
REPOSITORY = re.compile(r"https?://(www\.)?(github|gitlab)\.com/[\w.-]+/[\w.-]+/?")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
FORMATS = {"string", "number", "boolean", "filepath"}
INPUT = {"description", "isRequired", "format", "value", "isSecret", "default", "placeholder", "choices", "variables"}
SERVER = {
    "$schema",
    "name",
    "title",
    "description",
    "version",
    "repository",
    "websiteUrl",
    "icons",
    "packages",
    "remotes",
}
PACKAGE = {
    "registryType", "registryBaseUrl", "identifier", "version", "fileSha256", "runtimeHint", "transport",
    "runtimeArguments", "packageArguments", "environmentVariables",
}  # fmt: skip


def breaches(server: dict[str, Any], readme: str) -> list[str]:
    """Which rules a server.json breaks, beside the README of its package; none where it may be published."""
    return [*_server(server), *_packages(server, readme), *_remotes(server)]


def _server(server: dict[str, Any]) -> Iterator[str]:
    if server.get("$schema") != SCHEMA:
        yield "schema"
    if set(server) - SERVER - {"_meta"}:
        yield "unknown field"
    name = server.get("name", "")
    if not NAME.fullmatch(name) or not 3 <= len(name) <= 200 or "." not in name.partition("/")[0]:
        yield "name"
    if not 1 <= len(server.get("description", "")) <= 100:
        yield "description"
    if "title" in server and not 1 <= len(server["title"].strip()) <= 100:
        yield "title"
    if not VERSION.fullmatch(server.get("version", "")) or len(server["version"]) > 255:
        yield "version"
    repository = server.get("repository")
    if repository is not None:
        if not REPOSITORY.fullmatch(repository.get("url", "")):
            yield "repository url"
        if repository.get("source") not in ("github", "gitlab") or repository["source"] not in repository.get(
            "url", ""
        ):
            yield "repository source"
        owner = urlsplit(repository.get("url", "")).path.split("/")[1:2]
        if name.startswith("io.github.") and [name.removeprefix("io.github.").partition("/")[0].lower()] != owner:
            yield "namespace of another owner"
    if "websiteUrl" in server and urlsplit(server["websiteUrl"]).scheme != "https":
        yield "website"
    if not server.get("packages") and not server.get("remotes"):
        yield "nothing to run or reach"


def _packages(server: dict[str, Any], readme: str) -> Iterator[str]:
    for package in server.get("packages", []):
        if set(package) - PACKAGE:
            yield "unknown field of a package"
        if package.get("registryType") != "pypi":
            yield "kind of package"
        if package.get("registryBaseUrl", "https://pypi.org") != "https://pypi.org":
            yield "package index"
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", package.get("identifier", "")):
            yield "package name"
        if not VERSION.fullmatch(package.get("version", "")):
            yield "package version"
        transport = package.get("transport", {})
        if transport.get("type") != "stdio" or "url" in transport:
            yield "transport"
        if package.get("runtimeArguments") and not package.get("runtimeHint"):
            yield "runtime"
        for argument in [*package.get("runtimeArguments", []), *package.get("packageArguments", [])]:
            yield from _argument(argument)
        for variable in package.get("environmentVariables", []):
            if not VARIABLE.fullmatch(variable.get("name", "")):
                yield "variable name"
            yield from _input(variable, {"name"})
        # Ownership: the README that the package index shows names the server, with a boundary behind the name.
        if not re.search(rf"mcp-name: {re.escape(server.get('name', ''))}(?=\s|<|-->|$)", readme):
            yield "mark in the README"


def _argument(argument: dict[str, Any]) -> Iterator[str]:
    if argument.get("type") == "positional":
        if "value" not in argument and "valueHint" not in argument:
            yield "positional argument"
        yield from _input(argument, {"type", "valueHint", "isRepeated"})
    elif argument.get("type") == "named":
        name = argument.get("name", "")
        if not name or re.search(r"[<> $]", name):
            yield "argument name"
        if any(argument.get(key, "").startswith(name) for key in ("value", "default") if name):
            yield "argument value"
        yield from _input(argument, {"type", "name", "isRepeated"})
    else:
        yield "kind of argument"


def _input(described: dict[str, Any], more: set[str]) -> Iterator[str]:
    if set(described) - INPUT - more:
        yield "unknown field of an input"
    if described.get("format", "string") not in FORMATS:
        yield "format"
    if not all(isinstance(described.get(key, False), bool) for key in ("isRequired", "isSecret", "isRepeated")):
        yield "flag"
    if described.get("isSecret") and ("value" in described or "default" in described):
        yield "secret with a value"  # ours: the registry is public


def _remotes(server: dict[str, Any]) -> Iterator[str]:
    for remote in server.get("remotes", []):
        parts = urlsplit(remote.get("url", ""))
        is_local = (parts.hostname or "") in ("localhost", "127.0.0.1") or (parts.hostname or "").endswith(".localhost")
        if remote.get("type") not in ("streamable-http", "sse") or parts.scheme != "https" or is_local:
            yield "remote"
