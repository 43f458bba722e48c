"""Plain amounts as bars with their figure behind them: rows by what became of them, seconds by step."""

from collections.abc import Sequence
from dataclasses import dataclass

from servers.playbook.report.charts.drawing import drawn, short
from servers.playbook.report.charts.picture import Picture, Table
from servers.playbook.report.charts.spec import (
    CANDIDATE,
    CONSTANT,
    LINE,
    amount,
    layer,
    layered,
    named,
    plain,
    to,
    value,
)

WIDTH, ROW, THICK = 210, 30, 14
LABEL_CHARS = 30


@dataclass(frozen=True)
class Amount:
    """One bar."""

    name: str
    value: float
    shown: str
    """The figure with its unit."""
    apart: bool = False
    """Whether it is of another kind than the others, such as what was refused."""
    start: float = 0.0
    """Where it begins."""


def amounts(key: str, title: str, found: Sequence[Amount], heads: tuple[str, str], caption: str = "") -> Picture | None:
    """The picture; None where there is nothing to show.

    Args:
        key: Unique in the page.
        title: What it is, one phrase.
        found: From the top down; names differ.
        heads: Of the table: what the bars are, and what is counted.
        caption: How to read it.
    """
    most = max((one.start + one.value for one in found), default=0.0)
    if most <= 0:
        return None
    labels = [short(one.name, LABEL_CHARS) for one in found]
    rows = [
        {
            "row": label,
            "zero": 0,
            "low": one.start,
            "high": one.start + one.value,
            "shown": one.shown,
            "apart": one.apart,
            "tip": f"{one.name}: {one.shown}",
        }
        for label, one in zip(labels, found, strict=True)
    ]
    x = amount("low", None, (0.0, most * 1.22), labels=False, grid=False)
    bar = {"x": x, "x2": to("high"), "y": named("row", labels, labelLimit=200)}
    text = {"x": amount("high", None, (0.0, most * 1.22)), "y": named("row", labels), "text": plain("shown")}
    layers = [
        layer("rule", {"x": {**x, "field": "zero"}}, color=LINE),
        layer("bar", {**bar, "color": value(CANDIDATE)}, tips=True, where="!datum.apart", size=THICK, cornerRadius=2),
        layer("bar", {**bar, "color": value(CONSTANT)}, tips=True, where="datum.apart", size=THICK, cornerRadius=2),
        layer("text", text, align="left", dx=6),
    ]
    spec = layered(rows, layers, WIDTH, ROW * len(rows))
    words = "; ".join(str(row["tip"]) for row in rows) + "."
    table = Table(list(heads), [[one.name, one.shown] for one in found])
    return Picture(key, title, drawn(spec, key, title, words), table, caption)
