"""The page of what each metric means, from the definitions that go with every evaluation."""

from docs.generate.page import page, table
from servers.core.definitions import DEFINITIONS

OPENING = """\
Every figure of an evaluation, as [`definitions.py`](../../servers/core/definitions.py) defines it; the same words go
with each evaluation (`describe_task`, `eval.json`). *Points* are units of the task's scale, and *width* is the
scale's. Each figure comes with its standard error and a 95 % interval over near-copy groups where it is a mean over
rows. How the gate uses them is told in [how improvement is judged](../judging.md)."""


def metrics_page() -> str:
    rows = [
        (f"`{name}`".replace("<dimension>", "DIMENSION"), one.formula, one.range, one.better, one.invalid, one.source)
        for name, one in DEFINITIONS.items()
    ]
    head = ("metric", "formula", "range", "better", "an invalid answer", "from")
    return page("Metrics", OPENING, table(head, ((n, *map(_plain, rest)) for n, *rest in rows)))


def _plain(text: str) -> str:
    """Formulas hold signs that Markdown would take for its own."""
    return text.replace("*", "\\*").replace("_", "\\_")
