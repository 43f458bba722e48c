"""The parser of every command that a server's folder has: its complaints are one line."""

import argparse
import sys
from typing import NoReturn

USAGE = 2  # exit code for words that make no sense


class WordsParser(argparse.ArgumentParser):
    """A parser whose complaints are one line, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; try {self.prog} --help", file=sys.stderr)
        sys.exit(USAGE)
