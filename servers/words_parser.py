"""The parser of every command that a server's folder has: its complaints are one line, its help ends in an example."""

import argparse
import sys
from difflib import get_close_matches
from typing import Any, NoReturn

USAGE = 2  # exit code for words that make no sense
_UNKNOWN = "unrecognized arguments: "  # as argparse says it


class WordsParser(argparse.ArgumentParser):
    """A parser whose complaints are one line, with exit code 2.

    Args:
        example: A command line that works, for the end of the help.
        options: As argparse takes them.
    """

    def __init__(self, example: str | None = None, **options: Any) -> None:
        if example is not None:
            shape = argparse.RawDescriptionHelpFormatter
            options = {"epilog": f"example:\n  {example}", "formatter_class": shape, **options}
        super().__init__(**options)

    def error(self, message: str) -> NoReturn:
        if message.startswith(_UNKNOWN):
            given = message.removeprefix(_UNKNOWN).split()[0]
            near = get_close_matches(given.split("=")[0], self._option_string_actions, n=1)
            message = f"unknown argument {given!r}" + (f"; did you mean {near[0]}?" if near else "")
        print(f"{self.prog}: {message}; try {self.prog} --help", file=sys.stderr)
        sys.exit(USAGE)
