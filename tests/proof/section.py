"""One section of docs/proof.md: a title, the command that made it, a table; and how many simulations run at once."""

import time
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.pool import Pool

AT_ONCE = 2
_STARTED = time.monotonic()


def in_processes() -> Pool:
    """Processes that begin as copies of this one, so that what was measured before is there for all."""
    return get_context("fork").Pool(AT_ONCE)


def print_section(title: str, command: str, *blocks: str) -> None:
    """Print a section in Markdown, with the minutes that it took.

    Args:
        title: Its heading.
        command: What prints it again, after `python -m tests.proof.`.
        blocks: Paragraphs and tables.
    """
    minutes = (time.monotonic() - _STARTED) / 60
    takes = f"{max(1, round(minutes))} min"
    asked = (
        f"<!-- not run: takes {takes}; tests/test_proof.py runs it small -->\n"
        f"```bash\n.venv/bin/python -m tests.proof.{command}      # {takes}\n```"
    )
    print("\n\n".join([f"## {title}", asked, *blocks]), flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def share(count: int, of: int) -> str:
    """A share with its exact 95 % interval (Clopper & Pearson 1934)."""
    from scipy.stats import binomtest

    low, high = binomtest(count, of).proportion_ci(confidence_level=0.95, method="exact")
    return f"{count / of:.1%} ({low:.1%} to {high:.1%})"
