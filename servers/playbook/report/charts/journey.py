"""The error in service from cycle to cycle, against the constant: whether all the turning came to something."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from servers.playbook.report.charts.drawing import drawn, short
from servers.playbook.report.charts.picture import Picture, Table
from servers.playbook.report.charts.spec import (
    CANDIDATE,
    CARD,
    CONSTANT,
    PAPER,
    SOFT,
    Spec,
    amount,
    layer,
    layered,
    plain,
    to,
    value,
)
from servers.playbook.report.view_base import CycleShown
from servers.playbook.report.wording import HEADINGS, estimate, number

WIDTH, HEIGHT = 350, 200
FEW = 7  # cycles whose figures have room beside their dots; of more, the first and the last are written
MOST = 30  # cycles that the picture has room for: the newest
TITLE = "Error in service, cycle by cycle"


@dataclass(frozen=True)
class Journey:
    """A picture and the cycles that it could not hold."""

    picture: Picture
    left_out: int


def journey(cycles: Sequence[CycleShown], digits: int, key: str = "journey") -> Journey | None:
    """What was in service after each cycle of one dataset; None where nothing was measured.

    Args:
        cycles: Of one dataset, oldest first.
        digits: Decimals of an error.
        key: Unique in the page.
    """
    known = [cycle for cycle in cycles if cycle.served is not None]
    shown = known[-MOST:]
    if not shown:
        return None
    labels = [_label(cycle) for cycle in shown]
    rows = _rows(shown, labels, digits)
    constants = [cycle.constant.value for cycle in shown if cycle.constant]
    spec = layered(rows, _layers(labels, len(known) == 1), WIDTH, HEIGHT)
    cells = [
        [
            cycle.cycle,
            HEADINGS[cycle.verdict].lower(),
            estimate(cycle.served, digits),
            estimate(cycle.tried, digits),
            estimate(cycle.constant, digits),
        ]
        for cycle in shown
    ]
    words = "Mean absolute error on the diagnose rows, points, with 95% intervals. " + "; ".join(
        f"{name}, {verdict}: in service {served}, candidate {tried}" for name, verdict, served, tried, _ in cells
    )
    if constants:
        words += f". A constant errs by {number(constants[-1], digits)}"
    table = Table(["cycle", "verdict", "in service after", "candidate", "constant"], cells)
    caption = (
        "Mean absolute error of what was in service after each cycle, with its 95% interval; a hollow dot is a "
        "candidate that was not promoted, the dashed line the constant. On diagnose rows, which prove nothing."
    )
    return Journey(
        Picture(key, TITLE, drawn(spec, key, TITLE, words + "."), table, caption),
        len(known) - len(shown),
    )


def _label(cycle: CycleShown) -> str:
    return "begin" if cycle.cycle.startswith("begin_") else short(cycle.cycle.removeprefix("cycle_"), 9)


def _rows(shown: Sequence[CycleShown], labels: Sequence[str], digits: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for cycle, label in zip(shown, labels, strict=True):
        parts = {"served": cycle.served, "constant": cycle.constant}
        if cycle.verdict != "promote":
            parts["tried"] = cycle.tried
        for part, found in parts.items():
            if found is not None:
                low, high = found.reach or (found.value, found.value)
                said = {"served": "in service", "tried": "candidate, not promoted"}.get(part, part)
                tip = f"{cycle.cycle}, {said}: {estimate(found, digits)}"
                rows.append({"x": label, "part": part, "at": found.value, "low": low, "high": high, "tip": tip})
                newest = label == labels[-1]
                written = newest or label == labels[0] or len(labels) <= FEW
                rows[-1] |= {"word": number(found.value, min(digits, 1)) if written else "", "newest": newest}
    return rows


def _layers(labels: Sequence[str], alone: bool) -> list[Spec]:
    x: Spec = {
        "field": "x",
        "type": "nominal",
        "sort": list(labels),
        "title": "cycle",
        "scale": {"type": "point", "padding": 0.6},
        "axis": {"labelAngle": 0, "labelOverlap": "greedy", "grid": False},
    }
    y = amount("at", "error, points")
    place: Spec = {"x": x, "y": y}
    ends: Spec = {"x": x, "y": amount("low", "error, points"), "y2": to("high")}
    above: Spec = {"x": x, "y": amount("high", "error, points")}
    served, tried, constant = (f"datum.part === '{part}'" for part in ("served", "tried", "constant"))
    dot: Spec = {"filled": True, "opacity": 1}
    found = [
        layer("line", place, where=constant, color=CONSTANT, strokeWidth=2, strokeDash=[6, 4]),
        layer("area", ends, where=served, color=CANDIDATE, opacity=0.13),
        layer("rule", ends, where=served, color=CANDIDATE, strokeWidth=5, opacity=0.35, strokeCap="round"),
        layer("line", place, where=served, color=CANDIDATE, strokeWidth=2.6, strokeJoin="round"),
        layer("rule", ends, where=tried, color=SOFT, strokeWidth=1.4),
        layer("point", place, tips=True, where=tried, size=75, fill=PAPER, stroke=SOFT, strokeWidth=2, opacity=1),
        layer("point", place, tips=True, where=served, size=120, color=CANDIDATE, stroke=CARD, strokeWidth=1.6, **dot),
        layer("text", {**above, "text": plain("word")}, where=served, dy=-11, fontSize=13, fontWeight="bold"),
        layer(
            "text",
            {**place, "text": value("constant")},
            where=f"{constant} && datum.newest",
            dy=13,
            color=SOFT,
            align="center" if alone else "right",
        ),
    ]
    if alone:
        found.insert(
            0, layer("point", place, tips=True, where=constant, shape="square", color=CONSTANT, size=90, **dot)
        )
    return found
