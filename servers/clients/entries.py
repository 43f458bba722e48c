"""A server in the words of one client: the entry that its file holds, secrets by reference."""

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from servers.clients.known import Client
from servers.clients.wanted import Local, Remote, Server, found

BRIDGE = ["npx", "-y", "mcp-remote"]  # for a client whose file names no URL; it fills ${…} in headers by itself
START_S, CALL_S = 60.0, 300.0  # how long Vibe waits: a first start imports a lot, a tool may make a hundred rows


def entry(client: Client, server: Server, keys_file: Path) -> dict[str, Any]:
    """What stands under the server's name in the client's file.

    Args:
        client: Whose words.
        server: Which server.
        keys_file: Where a client without references finds its keys.
    """
    if isinstance(server, Remote) and not client.takes_url:
        return entry(client, bridged(server), keys_file)
    if client.format == "toml":
        return _for_vibe(server, keys_file)
    if isinstance(server, Remote):
        reached = ({"type": "http"} if client.typed else {}) | {"url": server.url}
        if server.token is None:
            return reached
        return reached | {"headers": {"Authorization": f"Bearer {_reference(client, server.token)}"}}
    kind = {"type": "stdio"} if client.typed else {}
    if client.reference is None:
        command, variables = with_keys(server, keys_file), dict(server.plain)
    else:
        command = server.command
        variables = dict(server.plain) | {name: _reference(client, name) for name in server.keys}
    described: dict[str, Any] = kind | {"command": command[0], "args": command[1:]}
    return described | ({"env": variables} if variables else {})


def inputs(client: Client, servers: Iterable[Server]) -> list[dict[str, Any]]:
    """What a client that asks for secrets is to ask for."""
    if not client.asks:
        return []
    names = dict.fromkeys(name for server in servers for name in secrets(server))
    return [
        {"type": "promptString", "id": input_id(name), "description": f"{name}, for Étude", "password": True}
        for name in names
    ]


def secrets(server: Server) -> tuple[str, ...]:
    """The variables with a secret that a server needs."""
    return server.keys if isinstance(server, Local) else () if server.token is None else (server.token,)


def needs_keys_file(client: Client, server: Server) -> tuple[str, ...]:
    """The variables that the keys file has to hold for this server; none where the client has references."""
    if client.reference is not None or client.format is None:
        return ()
    if isinstance(server, Remote):
        return secrets(server) if not client.takes_url else ()
    return (*server.keys, *server.settings)


def with_keys(server: Local, keys_file: Path) -> list[str]:
    """The command, started with variables from a file that only its owner can read."""
    names = (*server.keys, *server.settings)
    if not names:
        return server.command
    start = [sys.executable, "-P", "-m", "servers.clients.with_keys", str(keys_file), ",".join(names), "--"]
    return [*start, *server.command]


def bridged(server: Remote) -> Local:
    """A server elsewhere as a child process that talks to it."""
    header = ["--header", f"Authorization:Bearer ${{{server.token}}}"] if server.token is not None else []
    plain_http = ["--allow-http"] if urlsplit(server.url).scheme == "http" else []
    command = [*found(BRIDGE), server.url, "--transport", "http-only", *plain_http, *header]
    return Local(server.name, server.about, command, secrets(server))


def input_id(name: str) -> str:
    """The name under which a client that asks keeps a secret."""
    return name.lower().replace("_", "-")


def _reference(client: Client, name: str) -> str:
    assert client.reference is not None
    return client.reference.format(name=name, id=input_id(name))


def _for_vibe(server: Server, keys_file: Path) -> dict[str, Any]:
    if isinstance(server, Remote):
        # The header and its form are Vibe's defaults: Authorization, and Bearer with the token.
        token = {} if server.token is None else {"api_key_env": server.token}
        return {"transport": "streamable-http", "url": server.url} | token
    command = with_keys(server, keys_file)
    # Vibe splits a command as a shell does; one with blanks in it has to be a list.
    first = command[0] if shlex.quote(command[0]) == command[0] else [command[0]]
    described: dict[str, Any] = {"transport": "stdio", "command": first, "args": command[1:]}
    if server.plain:
        described["env"] = dict(server.plain)
    return described | {"startup_timeout_sec": START_S, "tool_timeout_sec": CALL_S}
