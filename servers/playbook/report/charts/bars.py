"""Mean absolute error by dimension: a bar for each model with its interval, a tick for each baseline."""

from typing import Any

from servers.playbook.report.charts.drawing import drawn, short
from servers.playbook.report.charts.picture import Picture, Table
from servers.playbook.report.charts.spec import (
    CANDIDATE,
    CHAMPION,
    COLOURS,
    INK,
    amount,
    layer,
    layered,
    named,
    to,
    value,
)
from servers.playbook.report.view import ReportView
from servers.playbook.report.view_base import Estimate
from servers.playbook.report.view_results import ArmShown
from servers.playbook.report.wording import estimate

WIDTH, ROW, THICK = 270, 42, 11
ALL = "all together"
TITLE = "Mean absolute error by dimension"


def bars(view: ReportView) -> Picture | None:
    """All dimensions together first, then each; None where no arm was measured."""
    if not view.arms:
        return None
    names = [ALL, *(name for name in view.names if any(name in arm.by_dimension for arm in view.arms))]
    rows = [row for arm in view.arms for name in names if (row := _row(arm, name, view.digits))]
    spec = layered(rows, _layers([short(name, 20) for name in names]), WIDTH, ROW * len(names))
    said = "; ".join(str(row["tip"]) for row in rows)
    cells = [[name, *(estimate(_estimate(arm, name), view.digits) for arm in view.arms)] for name in names]
    table = Table(["dimension", *(arm.role for arm in view.arms)], cells)
    words = f"Points, with 95% intervals, lower is better. {said}."
    caption = (
        "Shorter is better. The line through a bar's end is its 95% interval; a bar that reaches the grey tick knows "
        "no more than a constant."
    )
    return Picture("bars", TITLE, drawn(spec, "bars", TITLE, words), table, caption)


def _row(arm: ArmShown, name: str, digits: int) -> dict[str, Any] | None:
    found = _estimate(arm, name)
    if found is None:
        return None
    low, high = found.reach or (found.value, found.value)
    tip = f"{name}, {arm.role}: {estimate(found, digits)}"
    return {"row": short(name, 20), "role": arm.role, "at": found.value, "low": low, "high": high, "tip": tip}


def _layers(names: list[str]) -> list[dict[str, Any]]:
    y = named("row", names)
    places = {"champion": -THICK / 2 - 1, "candidate": THICK / 2 + 1}
    looks: dict[str, dict[str, Any]] = {
        "champion": {"color": CHAMPION, "fillOpacity": 0.3, "stroke": CHAMPION, "strokeWidth": 1.3},
        "candidate": {"color": CANDIDATE},
    }
    x = amount("at", "points", zero=True)
    found = []
    for role, place in places.items():
        where = f"datum.role === '{role}'"
        bar = {"x": x, "y": y, "yOffset": value(place + ROW / 2)}
        found.append(layer("bar", bar, tips=True, where=where, size=THICK, cornerRadiusEnd=2, **looks[role]))
        ends = {"x": amount("low", "points", zero=True), "x2": to("high"), "y": y, "yOffset": value(place + ROW / 2)}
        found.append(layer("rule", ends, where=where, color=INK, strokeWidth=1.4))
    for role, dash in (("constant", [4, 2]), ("rule", [1, 2.5])):
        tick = {"x": x, "y": y}
        where = f"datum.role === '{role}'"
        look = {"color": COLOURS[role], "strokeDash": dash, "thickness": 2.4, "size": 2 * THICK + 10}
        found.append(layer("tick", tick, tips=True, where=where, orient="vertical", **look))
    return found


def _estimate(arm: ArmShown, name: str) -> Estimate | None:
    return arm.vector_mae if name == ALL else arm.by_dimension.get(name)
