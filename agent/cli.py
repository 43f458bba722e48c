"""The command `etude`: its words, their options, and who does the work.

`cycle` and `tools` are the agent's own. The other words belong to the servers: they are handed over to
`python -m servers.<room>`, which takes this process's place; the options of `import`, `verify`, `sync`, `doctor` and
`client-config` are read there, too.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from agent import VERSION
from agent.endpoints import ROOMS, Endpoint, own_servers, place, read_endpoints
from agent.settings import Settings, load_settings
from agent.wandb_server import official

USAGE, INTERRUPTED = 2, 130  # exit codes for words that make no sense, and for Ctrl-C

HANDED_OVER = {  # with all their options
    **{word: ["-m", "servers.eval", word] for word in ("import", "verify")},
    **{word: ["-m", f"servers.{word}"] for word in ("sync", "doctor")},
    "client-config": ["-m", "servers.clients"],
}
REPORT = ["-m", "servers.playbook", "report"]


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; try {self.prog} --help", file=sys.stderr)
        sys.exit(USAGE)


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
    if words[:1] == ["doctor"] and (problem := _problem_with_settings(words[1:])):
        print(f"etude doctor: {problem}", file=sys.stderr)
        return USAGE
    if words and words[0] in HANDED_OVER:
        _become([*HANDED_OVER[words[0]], *words[1:]])
    parser = _parser()
    arguments, rest = parser.parse_known_args(words)
    if rest:
        parser.error(f"unknown argument {rest[0]!r} for {arguments.word}")
    if arguments.word in ("serve", "report"):
        where = place(arguments.artifacts, arguments.task, arguments.config)
        if arguments.word == "serve":
            _become(["-m", ROOMS[arguments.name], *where])
        _become([*REPORT, *([arguments.cycle] if arguments.cycle else []), *where])
    try:
        settings = _settings(arguments)
        endpoints = _endpoints(arguments, settings)
    except ValueError as error:
        print(f"etude: {error}", file=sys.stderr)
        return USAGE
    # Here, not above: it brings in the SDK, a second that help and the handed-over words need not wait for.
    from agent.commands import cycle, tools

    command = tools if arguments.word == "tools" else cycle
    return command(settings, endpoints, arguments.json)


def _become(arguments: list[str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    # -P: a client starts a server in a folder of the person's, which may hold packages of our names.
    os.execv(sys.executable, [sys.executable, "-P", *arguments])


def _problem_with_settings(words: Sequence[str]) -> str | None:
    """What is wrong with the configuration; the doctor, which is the servers', cannot tell of the agent's part."""
    parser = _Parser(prog="etude doctor", add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path)
    try:
        load_settings(parser.parse_known_args(words)[0].config, {}, {})
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
        raise ValueError(f"no server {wanted!r}; known: {', '.join(endpoints)}")
    return {wanted: endpoints[wanted]}


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="etude", description="A closed loop that improves a model and refuses to promote noise.")
    parser.add_argument("--version", action="version", version=f"etude {VERSION}")
    words = parser.add_subparsers(dest="word", metavar="WORD", required=True, parser_class=_Parser)
    _cycle_words(words)
    _tools_words(words)
    serve = words.add_parser(
        "serve",
        help="run one of the MCP servers on stdin and stdout",
        description="Run one of the MCP servers on stdin and stdout. Example: etude serve eval --artifacts artifacts",
    )
    serve.add_argument("name", metavar="NAME", choices=list(ROOMS), help=", ".join(ROOMS))
    _where(serve)
    # Listed for --help only: `run` hands it over before anything is parsed.
    words.add_parser("import", help="bring your own data in: etude import rows.csv --name mine", add_help=False)
    words.add_parser("verify", help="recompute a cycle's verdict: etude verify cycle_1", add_help=False)
    words.add_parser("sync", help="bring W&B up to date with the local tracker: etude sync", add_help=False)
    words.add_parser("doctor", help="say which services are set up, reachable and allowed", add_help=False)
    words.add_parser(
        "client-config", help="add the servers to a chat client: etude client-config cursor", add_help=False
    )
    report = words.add_parser(
        "report",
        help="write a report page anew: etude report cycle_1",
        description="Write a cycle's report page anew and print where it is. Example: etude report cycle_1",
    )
    report.add_argument("cycle", metavar="CYCLE", nargs="?", help="such as cycle_1 (default: the newest)")
    _where(report)
    return parser


def _cycle_words(words: "argparse._SubParsersAction[_Parser]") -> None:
    parser = words.add_parser(
        "cycle",
        help="turn the loop: measure, make data, retrain, judge, write down",
        description="Turn the loop. Begins with a first model where there is none; goes on where a run was cut short. "
        "Example: etude cycle --cycles 2 --dataset demo",
    )
    parser.add_argument("--cycles", type=int, metavar="N", help="turns of the loop (default: 2)")
    parser.add_argument(
        "--campaign",
        action="store_true",
        default=None,  # as if it were not there, so that the configuration decides
        help="try several ways with several seeds each; one of them reaches the gate",
    )
    parser.add_argument("--brain", metavar="BRAIN", help="who decides: auto, offline or mistral (default: auto)")
    parser.add_argument("--model", metavar="NAME", help="of the mistral brain (default: mistral-medium-latest)")
    parser.add_argument("--dataset", metavar="NAME", help="a dataset that was imported, or demo (default: demo)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    _where(parser)
    _server_list(parser)


def _tools_words(words: "argparse._SubParsersAction[_Parser]") -> None:
    parser = words.add_parser(
        "tools",
        help="list the servers' tools",
        description="List the servers' tools: server, name, reads or writes, what it does. Example: etude tools eval",
    )
    parser.add_argument("server", metavar="SERVER", nargs="?", help="only this server's")
    parser.add_argument("--json", action="store_true", help="each server's full tools/list, on stdout")
    _where(parser)
    _server_list(parser)


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--artifacts", type=Path, metavar="DIR", help="the artifacts folder (default: artifacts)")
    parser.add_argument("--task", metavar="TASK", help="a built-in task's name, or a task file (default: kotone)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: etude.toml where there is one")


def _server_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mcp", type=Path, metavar="FILE", help="an mcpServers file (default: our five servers)")


if __name__ == "__main__":
    main()
