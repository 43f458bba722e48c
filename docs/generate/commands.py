"""The page of the command line: what each word's `--help` says."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from agent.usage import GROUPS
from docs.generate.page import page

OPENING = """\
`etude` is in `.venv/bin/` after `make setup`. Data goes to stdout (`--json` for machines), everything else to stderr.
What follows is what `--help` says."""


def commands_page() -> str:
    words = [word for group in GROUPS.values() for word in group]
    with ThreadPoolExecutor(4) as pool:
        overview, *said = pool.map(_help, ["", *(word.name for word in words)])
    parts = [OPENING, "## etude", f"```text\n{overview}\n```"]
    for word, text in zip(words, said, strict=True):
        parts += [f"## etude {word.name}", f"```text\n{text}\n```"]
    return page("Command line", *parts)


def _help(word: str) -> str:
    """As on a terminal of a hundred columns."""
    said = subprocess.run(
        [sys.executable, "-m", "agent.cli", *([word] if word else []), "--help"],
        env=os.environ | {"COLUMNS": "100", "NO_COLOR": "1"}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return said.stdout.strip()
