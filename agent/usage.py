"""What may be typed after `etude`: the words in groups, what each is for, and the options of those that are read here.

A word that names a program is the servers': it is handed over with all that follows, and its options are read there.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from agent import VERSION

USAGE = 2  # exit code for words that make no sense


@dataclass(frozen=True)
class Word:
    """One word of the command."""

    name: str
    purpose: str
    program: tuple[str, ...] = ()
    """What it is handed over to, as arguments of the interpreter; empty where its options are read here."""


GROUPS = {
    "Turn the loop": (
        Word("cycle", "measure, find the failures, make data, retrain, judge, write down"),
        Word("report", "write a cycle's report page anew, or show all cycles in your browser"),
    ),
    "Your own data": (
        Word("import", "bring rows in, and seal those that judge", ("-m", "servers.eval", "import")),
        Word("verify", "recompute a cycle's verdict from the sealed rows", ("-m", "servers.eval", "verify")),
    ),
    "Services": (
        Word("doctor", "say which services are set up, reachable and allowed", ("-m", "servers.doctor")),
        Word("sync", "bring W&B up to date with the local tracker", ("-m", "servers.sync")),
    ),
    "MCP": (
        Word("client-config", "add the servers to a chat client", ("-m", "servers.clients")),
        Word("serve", "run MCP servers on stdin and stdout, or over HTTP", ("-m", "servers.network")),
        Word("tools", "list the servers' tools"),
    ),
}
WORDS = {word.name: word for words in GROUPS.values() for word in words}
EXIT_CODES = """\
exit codes:
  0    done, whatever the verdicts
  1    an error; the last line says what went wrong and what to type next
  2    words that make no sense, or a folder in use by another run
  130  interrupted by Ctrl-C; 143 ended by SIGTERM, 129 by a closed terminal. The same command goes on from there.
"""


def overview() -> str:
    """What `etude --help` says."""
    widest = max(map(len, WORDS))
    lines = [
        f"Étude {VERSION}: a closed loop that improves a model and refuses to promote noise.",
        "",
        "usage: etude WORD [options]",
    ]
    for title, words in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {word.name:<{widest}}  {word.purpose}" for word in words)]
    lines += [
        "",
        "Begin with `etude cycle`: it needs no account. `etude WORD --help` shows an example.",
        "",
        EXIT_CODES,
    ]
    return "\n".join(lines)


def unknown(kind: str, given: str, known: Sequence[str]) -> str:
    """What is said of a word that there is not: the nearest that there is, or all of them."""
    near = get_close_matches(given, known, n=1)
    return f"no {kind} {given!r}; " + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}")


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, and whose help ends in an example that works.

    Args:
        word: The word whose options it reads.
        description: What the word does.
        example: A command line.
    """

    def __init__(self, word: str, description: str, example: str) -> None:
        super().__init__(
            prog=f"etude {word}",
            description=description,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; try {self.prog} --help", file=sys.stderr)
        sys.exit(USAGE)

    def parsed(self, words: Sequence[str]) -> argparse.Namespace:
        """The options; one that is unknown is told together with the nearest that there is."""
        arguments, rest = self.parse_known_args(words)
        if rest:
            near = get_close_matches(rest[0].split("=")[0], self._option_string_actions, n=1)
            self.error(f"unknown argument {rest[0]!r}" + (f"; did you mean {near[0]}?" if near else ""))
        return arguments


def parser_of(word: str) -> Parser:
    """The parser of a word that is read here."""
    return {"cycle": _cycle, "tools": _tools, "report": _report}[word]()


def _cycle() -> Parser:
    parser = Parser(
        "cycle",
        "Turn the loop. It begins with a first model where there is none, and goes on where a run was cut short.\n"
        "Progress is on stderr, the outcome on stdout.",
        "etude cycle --cycles 1",
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
    return parser


def _tools() -> Parser:
    parser = Parser(
        "tools", "List the servers' tools: server, name, reads or writes, what it does.", "etude tools eval"
    )
    parser.add_argument("server", metavar="SERVER", nargs="?", help="only this server's")
    parser.add_argument("--json", action="store_true", help="each server's full tools/list, on stdout")
    _where(parser)
    _server_list(parser)
    return parser


def _report() -> Parser:
    parser = Parser(
        "report",
        "Write a cycle's report page anew and print where it is; or show all cycles as a small site, to this machine\n"
        "only (--serve) or as files for any web server (--site).",
        "etude report cycle_1\n  etude report --serve --open",
    )
    parser.add_argument("cycle", metavar="CYCLE", nargs="?", help="such as cycle_1 (default: the newest)")
    parser.add_argument("--serve", action="store_true", help="show all cycles at http://127.0.0.1:PORT until Ctrl-C")
    parser.add_argument("--port", type=int, metavar="PORT", help="with --serve; 0 for any free one (default: 8470)")
    parser.add_argument("--open", action="store_true", help="with --serve: show it in your browser")
    parser.add_argument("--site", type=Path, metavar="DIR", help="write the same pages into a folder")
    _where(parser)
    return parser


def _where(parser: Parser) -> None:
    parser.add_argument("--artifacts", type=Path, metavar="DIR", help="the artifacts folder (default: artifacts)")
    parser.add_argument("--task", metavar="TASK", help="a built-in task's name, or a task file (default: kotone)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: etude.toml where there is one")


def _server_list(parser: Parser) -> None:
    parser.add_argument("--mcp", type=Path, metavar="FILE", help="an mcpServers file (default: our five servers)")
