"""`etude client-config`: print the entries that a client needs, or put them into its file.

The entries are on stdout, exactly as the file is to hold them; what to know and do is on stderr. Exit code 0 is done,
or nothing to do; 1 an entry of somebody else's is in the way, 2 words or a file that cannot be used.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from servers.clients import json_file, jsonc, skill, telling, text_file, toml_file, wanted
from servers.clients.entries import entry, inputs
from servers.clients.known import CLIENTS, Client
from servers.clients.merging import Merged, merged
from servers.clients.wanted import Local, Server
from servers.core.services import WANDB_KEY
from servers.core.settings import load_settings
from servers.words_parser import WordsParser

DONE, IN_THE_WAY, UNUSABLE = 0, 1, 2
_STATES = {"new": "added", "same": "is there", "renewed": "brought up to date", "replaced": "replaced"}


def run(words: Sequence[str]) -> int:
    """Do what the words say; the exit code."""
    asked = _parser().parse_args(words)
    client = CLIENTS[asked.client]
    try:
        servers = _servers(client, asked)
        _refuse_what_it_cannot(client, asked, servers)
        code = _lechat(servers) if client.format is None else _with_file(client, asked, servers)
        if asked.skill and code == DONE:
            _skill(client, asked)
    except ValueError as error:
        _say(f"etude client-config: {error}")
        return UNUSABLE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python complains once more when it closes stdout
        return DONE
    return code


def _servers(client: Client, asked: argparse.Namespace) -> list[Server]:
    settings = load_settings(asked.config, asked.artifacts, asked.task)
    where = wanted.place(settings, asked.config, asked.task)
    keys = tuple(asked.key) if asked.key else wanted.keys_set(os.environ)
    own = (
        wanted.own_elsewhere(asked.url, asked.each, os.environ)
        if asked.url
        else wanted.own(asked.each, where, keys, os.environ)
    )
    if client.format is None and not asked.url:
        own = []
    return [*own, *wanted.wandb(_wandb(client, asked), settings, where, os.environ)]


def _wandb(client: Client, asked: argparse.Namespace) -> wanted.Wandb:
    if asked.wandb is not None:
        chosen: wanted.Wandb = asked.wandb
        return chosen
    if os.environ.get(WANDB_KEY):
        return "hosted" if client.takes_url else "local"
    # The server that has all tools has the stand-in's, too.
    return "stand-in" if asked.each and not asked.url else "none"


def _refuse_what_it_cannot(client: Client, asked: argparse.Namespace, servers: list[Server]) -> None:
    if client.format is None:
        if asked.write or asked.file or asked.scope or asked.skill:
            raise ValueError(f"{client.title} has no file to write; take --write, --file, --scope and --skill out")
        if any(isinstance(server, Local) for server in servers) or not (asked.url or servers):
            raise ValueError(
                f"{client.title} runs in the web and reaches a public https address only; serve with `etude serve all "
                "--http` behind one (docs/chat-clients.md), and give it with --url"
            )
        if asked.url and not asked.url.startswith("https://"):
            raise ValueError(f"{client.title} reaches https addresses only, not {asked.url!r}")
    elif asked.scope and asked.scope not in client.places:
        raise ValueError(f"{client.title} knows no scope {asked.scope!r}; it has {', '.join(client.places)}")
    if asked.skill and not client.skills:
        raise ValueError(f"{client.title} takes no agent skills; claude-code, cursor, vscode and vibe do")
    if asked.url and asked.each and asked.url.rstrip("/").endswith("/mcp"):
        raise ValueError("--each takes the address of the host, such as https://etude.example.org, not one server's")


def _lechat(servers: list[Server]) -> int:
    print("\n".join(telling.lechat_steps(servers)).rstrip(), flush=True)
    _next(CLIENTS["lechat"])
    return DONE


def _with_file(client: Client, asked: argparse.Namespace, servers: list[Server]) -> int:
    keys_file = asked.env_file.expanduser().resolve()
    entries = {server.name: entry(client, server, keys_file) for server in servers}
    asks = inputs(client, servers)
    scope = asked.scope or next(iter(client.places))
    path = asked.file or client.place(scope, os.environ)
    if asked.write:
        code = _write(client, path, entries, asks, asked.replace)
    else:
        print(_fresh(client, entries, asks), end="", flush=True)
        _say(f"{client.title}: put this into {_full(path)}, or call again with --write; what stands there stays")
        code = DONE
    if code != DONE:
        return code
    for line in telling.about(servers):
        _say(line)
    for line in telling.keys(client, servers, keys_file, dict(os.environ)):
        _say(line)
    if client.name == "claude-code":
        if not asked.write:
            _say("the same as commands:")
            for line in telling.claude_commands({name: json.dumps(one) for name, one in entries.items()}, scope):
                _say(f"  {line}")
        if asked.write and scope == "user":
            _say("Claude Code writes this file itself: quit it before, and look with `claude mcp list` after")
    _next(client)
    return DONE


def _fresh(client: Client, entries: dict[str, dict[str, Any]], asks: list[Any]) -> str:
    """The entries as a file that holds nothing else."""
    if client.format == "toml":
        return toml_file.with_servers("", client.key, entries)
    return json_file.with_servers("", client.key, entries, asks)


def _write(client: Client, path: Path, entries: dict[str, Any], asks: list[Any], may_replace: bool) -> int:
    was = text_file.read(path)
    try:
        parts = merged(_there(client, was.text), entries, may_replace)
        if blocked := [part for part in parts if part.state == "in the way"]:
            return _in_the_way(path, blocked)
        new = _changed(client, was.text, {part.name: part.entry for part in parts}, asks)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; nothing was written") from error
    for part in parts:
        if part.diff:
            _say(part.diff)
    if new == was.text:
        _say(f"{_full(path)} is up to date; nothing was written")
        return DONE
    kept = text_file.replace(was, new)
    print(_full(path), flush=True)
    _say(f"wrote {_full(path)}: " + ", ".join(f"{part.name} {_STATES[part.state]}" for part in parts))
    if kept is not None:
        _say(f"what was there is in {kept}")
    return DONE


def _there(client: Client, text: str) -> dict[str, Any]:
    if client.format == "toml":
        return toml_file.servers_in(text, client.key)
    if not text.strip():
        return {}
    document = jsonc.read(text)
    if document.has_extras and client.format == "json":
        raise ValueError(f"it holds comments, or a comma before a bracket, which {client.title} does not read")
    return json_file.servers_in(document, client.key)


def _changed(client: Client, text: str, entries: dict[str, Any], asks: list[Any]) -> str:
    if client.format == "toml":
        return toml_file.with_servers(text, client.key, entries)
    return json_file.with_servers(text, client.key, entries, asks)


def _in_the_way(path: Path, blocked: list[Merged]) -> int:
    for part in blocked:
        _say(part.diff)
    names = ", ".join(repr(part.name) for part in blocked)
    _say(
        f"etude client-config: {path} has servers of the name {names} that are not ours; nothing was written; "
        "rename them, or call again with --replace"
    )
    return IN_THE_WAY


def _skill(client: Client, asked: argparse.Namespace) -> None:
    scope = asked.scope or next(iter(client.places))
    into = client.skill_place(scope, os.environ)
    if not asked.write:
        _say(f"the skill goes into {_full(into)}: {', '.join(skill.files())}; call again with --write")
        return
    for line in skill.install(into, asked.replace):
        _say(line)


def _next(client: Client) -> None:
    _say("then: " + "\n      ".join(client.then))


def _full(path: Path) -> str:
    return str(Path.cwd() / path)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = WordsParser(
        prog="etude client-config",
        description="Print what a chat client needs to reach Étude's servers and the W&B MCP server, or put it into\n"
        "the client's file. Keys stand there by name, never by value.",
        example="etude client-config cursor --write",
    )
    parser.add_argument("client", metavar="CLIENT", choices=list(CLIENTS), help=", ".join(CLIENTS))
    parser.add_argument("--write", action="store_true", help="put it into the client's file; what is there stays")
    parser.add_argument("--scope", choices=["user", "project"], help="for you, or for the folder you stand in")
    parser.add_argument("--file", type=Path, metavar="PATH", help="the client's file, where it lies elsewhere")
    parser.add_argument("--replace", action="store_true", help="also replace servers of these names that are not ours")
    parser.add_argument("--each", action="store_true", help="one entry for each of Étude's servers, not one for all")
    parser.add_argument("--url", metavar="URL", help="Étude's servers behind `etude serve all --http`")
    parser.add_argument(
        "--wandb",
        choices=["hosted", "local", "stand-in", "none"],
        help="the W&B MCP server (default: the official one where WANDB_API_KEY is set; else our stand-in, which the "
        "server that has all tools has as well)",
    )
    parser.add_argument(
        "--key",
        action="append",
        choices=wanted.KEYS,
        metavar="NAME",
        help=f"hand this key on, by name (default: those of {', '.join(wanted.KEYS)} that are set)",
    )
    parser.add_argument(
        "--env-file",
        type=Path,
        metavar="FILE",
        default=Path("~/.config/etude/keys.env"),
        help="where keys are for a client without references (default: ~/.config/etude/keys.env)",
    )
    parser.add_argument("--skill", action="store_true", help="also the agent skill, for a client that takes skills")
    parser.add_argument("--artifacts", type=Path, metavar="DIR", help="the artifacts folder (default: artifacts)")
    parser.add_argument("--task", metavar="TASK", help="a built-in task's name, or a task file (default: kotone)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: etude.toml where there is one")
    return parser
