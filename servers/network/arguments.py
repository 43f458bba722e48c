"""The words of `etude serve`."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from servers.network import tokens
from servers.network.forwarding import parse_proxy
from servers.network.hosts import parse_bind, parse_origin, parse_public_url
from servers.network.rooms import ALL, MODULES
from servers.network.tokens import Role, TokenSource
from servers.words_parser import WordsParser

WHAT = "Run MCP servers on stdin and stdout, or over HTTP. Example: etude serve all --http 127.0.0.1:8321"
EXAMPLES = """examples:
  etude serve eval --artifacts artifacts    one server, for a client that starts it
  etude serve all                           all of them as one
  etude serve all --http 127.0.0.1:8321     over HTTP, for programs on this machine
  export ETUDE_TOKEN=$(openssl rand -hex 32)
  etude serve all --http 0.0.0.0:8321       for others too, who need the token

docs/network.md shows it behind a reverse proxy and under a supervisor.
"""
ANYWHERE = frozenset({"name", "artifacts", "task", "config"})  # what means something over stdio, too

Parsed = TypeVar("Parsed")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The words, held against one another; a mistake ends the process with one line and exit code 2."""
    parser = _parser()
    asked, unknown = parser.parse_known_args(words)
    if unknown:
        parser.error(f"unknown argument {unknown[0]!r}")
    if asked.http is None:
        for option, given in vars(asked).items():
            if given and option not in ANYWHERE:
                parser.error(f"--{option.replace('_', '-')} needs --http HOST:PORT")
    return asked


def token_sources(asked: argparse.Namespace) -> tuple[TokenSource, ...]:
    """Where the tokens are looked for."""
    named: tuple[tuple[Role, str | None, str, Path | None], ...] = (
        ("read-write", asked.token_env, tokens.TOKEN, asked.token_file),
        ("read-only", asked.read_token_env, tokens.READ_TOKEN, asked.read_token_file),
    )
    return tuple(TokenSource(role, name or usual, name is not None, file) for role, name, usual, file in named)


def _parser() -> argparse.ArgumentParser:
    parser = WordsParser(
        prog="etude serve",
        description=WHAT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", choices=[ALL, *MODULES], help=f"{ALL}, or one of {', '.join(MODULES)}")
    parser.add_argument("--artifacts", type=Path, metavar="DIR", help="the artifacts folder (default: artifacts)")
    parser.add_argument("--task", metavar="TASK", help="a built-in task's name, or a task file (default: kotone)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: etude.toml where there is one")
    http = parser.add_argument_group("over HTTP")
    http.add_argument("--http", type=_checked(parse_bind), metavar="HOST:PORT", help="listen there")
    http.add_argument("--public-url", type=_checked(parse_public_url), metavar="URL", help="how a proxy shows it")
    repeated: list[tuple[str, Callable[[str], object], str, str]] = [
        ("--trust-proxy", parse_proxy, "ADDRESS", "a proxy, or a network of them, that may say for whom it asks"),
        ("--allow-origin", parse_origin, "ORIGIN", "where a web page that may ask comes from"),
    ]
    for option, reads, metavar, what in repeated:
        http.add_argument(
            option, type=_checked(reads), action="append", default=[], metavar=metavar, help=f"{what}; may be repeated"
        )
    for which, variable, what in (("", tokens.TOKEN, "the token"), ("read-", tokens.READ_TOKEN, "one that only reads")):
        source = http.add_mutually_exclusive_group()
        source.add_argument(
            f"--{which}token-env", metavar="NAME", help=f"the variable that holds {what} (default: {variable})"
        )
        source.add_argument(f"--{which}token-file", type=Path, metavar="FILE", help=f"a file of mode 0600 with {what}")
    return parser


def _checked(reads: Callable[[str], Parsed]) -> Callable[[str], Parsed]:
    """A reader whose complaints argparse passes on."""

    def read(text: str) -> Parsed:
        try:
            return reads(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read
