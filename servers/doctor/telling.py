"""The findings for a reader: a table on a terminal, plain lines in a pipe."""

import sys
from collections.abc import Sequence

from servers.doctor.finding import Finding, State

COLOURS: dict[State, str] = {
    "ok": "green",
    "not set up": "dim",
    "not reachable": "red",
    "not allowed": "red",
    "wrong": "red",
}


def told(findings: Sequence[Finding]) -> None:
    """Print them on stdout."""
    if sys.stdout.isatty():
        _table(findings)
        return
    widest = max(len(one.service) for one in findings)
    for one in findings:
        print(f"{one.service:<{widest}}  {one.state:<13}  {one.detail}")
        if one.mend is not None:
            print(f"{'':<{widest}}  {_to_do(one)}: {one.mend}")
    sys.stdout.flush()


def _table(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("service", "state", "what was found"):
        table.add_column(heading, overflow="fold")
    for one in findings:
        words = Text(one.detail)
        if one.mend is not None:
            words.append(f"\n{_to_do(one)}: ", style="bold" if one.is_broken else "dim")
            words.append(one.mend, style="" if one.is_broken else "dim")
        table.add_row(one.service, Text(one.state, style=COLOURS[one.state]), words)
    Console().print(table)


def _to_do(one: Finding) -> str:
    return "to mend" if one.is_broken else "to set it up"
