"""The command `etude`: who does the work of its words.

`cycle` and `tools` are the agent's own. The other words belong to the servers: they are handed over to
`python -m servers.<room>`, which takes this process's place.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from agent import VERSION
from agent.endpoints import Endpoint, own_servers, place, read_endpoints
from agent.settings import Settings, load_settings
from agent.typed import Typed
from agent.usage import USAGE, WORDS, overview, parser_of, unknown
from agent.wandb_server import official

INTERRUPTED = 130  # exit code for Ctrl-C

REPORT = ["-m", "servers.playbook", "report"]


def main() -> NoReturn:
    """The console script."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # started with the stream closed
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  lives as long as the process
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may hold what the terminal's encoding does not
    try:
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:  # before the work began; `commands` handles the rest
        sys.exit(INTERRUPTED)


def run(words: Sequence[str]) -> int:
    """Do what the command line says, and give the exit code; a word that is handed over does not come back."""
    word, options = (words[0], words[1:]) if words else ("--help", [])
    if word in ("-h", "--help", "--version"):
        print(f"etude {VERSION}" if word == "--version" else overview())
        return 0
    if word not in WORDS:
        print(f"etude: {unknown('word', word, list(WORDS))}; try etude --help", file=sys.stderr)
        return USAGE
    if word == "doctor" and (problem := _problem_with_settings(options)):
        print(f"etude doctor: {problem}", file=sys.stderr)
        return USAGE
    if program := WORDS[word].program:
        _become([*program, *options])
    arguments = parser_of(word).parsed(options)
    if word == "report":
        where = place(arguments.artifacts, arguments.task, arguments.config)
        _become([*REPORT, *_report_words(arguments), *where])
    try:
        settings = _settings(arguments)
        endpoints = _endpoints(arguments, settings)
    except ValueError as error:
        print(f"etude: {error}", file=sys.stderr)
        return USAGE
    # Here, not above: it brings in the SDK, a second that help and the handed-over words need not wait for.
    from agent.commands import cycle, tools

    command = tools if word == "tools" else cycle
    return command(settings, endpoints, arguments.json, Typed.here(words))


def _report_words(arguments: argparse.Namespace) -> list[str]:
    """What the report's own command is told."""
    words = [arguments.cycle] if arguments.cycle else []
    words += ["--serve"] if arguments.serve else []
    words += ["--port", str(arguments.port)] if arguments.port is not None else []
    words += ["--open"] if arguments.open else []
    return words + (["--site", str(arguments.site)] if arguments.site else [])


def _become(arguments: list[str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    # -P: a client starts a server in a folder of the person's, which may hold packages of our names.
    os.execv(sys.executable, [sys.executable, "-P", *arguments])


def _problem_with_settings(words: Sequence[str]) -> str | None:
    """What is wrong with the configuration; the doctor, which is the servers', cannot tell of the agent's part."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config", type=Path)
    try:
        load_settings(parser.parse_known_args(words)[0].config, {}, {})
    except argparse.ArgumentError:
        return None  # the doctor says it itself
    except ValueError as error:
        return str(error)
    return None


def _settings(arguments: argparse.Namespace) -> Settings:
    given = vars(arguments)
    flags = {key: given.get(key) for key in ("artifacts", "task", "dataset")}
    agent_flags = {key: given.get(key) for key in ("cycles", "campaign", "brain", "mcp")}
    return load_settings(arguments.config, flags, agent_flags, given.get("model"))


def _endpoints(arguments: argparse.Namespace, settings: Settings) -> dict[str, Endpoint]:
    if settings.agent.mcp is not None:
        endpoints = read_endpoints(settings.agent.mcp)
    else:
        endpoints = own_servers(settings.artifacts, settings.task, arguments.config)
        if (server := official(settings.agent.wandb, settings.tracking, os.environ)) is not None:
            endpoints["wandb"] = server
    wanted = getattr(arguments, "server", None)
    if wanted is None:
        return endpoints
    if wanted not in endpoints:
        raise ValueError(unknown("server", wanted, list(endpoints)))
    return {wanted: endpoints[wanted]}


if __name__ == "__main__":
    main()
