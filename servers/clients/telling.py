"""What a person is told beside the entries: where they go, what they are, where the keys come from, what to do next."""

import shlex
from collections.abc import Iterable
from pathlib import Path

from servers.clients.entries import input_id, needs_keys_file, secrets
from servers.clients.known import Client
from servers.clients.wanted import TOKEN, Remote, Server


def about(servers: Iterable[Server]) -> list[str]:
    """One line for each server."""
    return [f"  {server.name:16} {server.about}" for server in servers]


def keys(client: Client, servers: list[Server], keys_file: Path, environment: dict[str, str]) -> list[str]:
    """Where the keys come from, by name; no value is ever looked at."""
    names = list(dict.fromkeys(name for server in servers for name in secrets(server)))
    in_file = list(dict.fromkeys(name for server in servers for name in needs_keys_file(client, server)))
    unset = [name for name in names if not environment.get(name)]
    if not names and any(isinstance(server, Remote) for server in servers):
        return [
            f"no token: the server asks for none on this machine; where yours does, set {TOKEN} and call this again"
        ]
    if not names and not in_file:
        return ["no key is set here, so everything runs embedded; set one and call this again to add it by reference"]
    if in_file:
        return [*_file_of_keys(client, in_file, keys_file), *_unset(unset)]
    if client.asks:
        ids = ", ".join(input_id(name) for name in names)
        return [f"{client.title} asks for {ids} at the first start, and keeps them; no key stands in the file"]
    if client.reference is None:
        return [f"{client.title} takes {', '.join(names)} from its environment, by name", *_unset(unset)]
    told = f"keys stand there by name only ({', '.join(names)}): start {client.title} from where they are set"
    return [told, *_unset(unset)]


def lechat_steps(servers: list[Server]) -> list[str]:
    """What is typed into Le Chat's window, which has no file."""
    lines = ["Le Chat has no file: as an administrator, open Connectors, + Add Connector, Custom MCP Connector.", ""]
    for server in servers:
        assert isinstance(server, Remote)
        lines += [
            f"Connector name    {server.name.replace('-', '_')}",
            f"Connection server {server.url}",
            f"Description       {server.about}",
            f"Authentication    HTTP Bearer Token: the value of {server.token} (printenv {server.token})",
            "",
        ]
    return lines


def claude_commands(entries: dict[str, str], scope: str) -> list[str]:
    """The same as commands of Claude Code's own, with the references in quotes so that no shell fills them in."""
    return [f"claude mcp add-json --scope {scope} {name} {shlex.quote(text)}" for name, text in entries.items()]


def _file_of_keys(client: Client, names: list[str], keys_file: Path) -> list[str]:
    pattern = f"^({'|'.join(names)})="
    place = shlex.quote(str(keys_file))
    command = f"(umask 077; mkdir -p {shlex.quote(str(keys_file.parent))}; env | grep -E '{pattern}' > {place})"
    told = f"{client.title} knows no references: {', '.join(names)} come from {keys_file}"
    return [f"{told}; make it where they are set, by:", f"  {command}"] if not keys_file.exists() else [told]


def _unset(names: list[str]) -> list[str]:
    return [f"not set here: {', '.join(names)}"] if names else []
