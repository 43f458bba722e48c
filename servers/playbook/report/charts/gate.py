"""The gate's difference with its interval: left of zero the candidate errs less than what was in service."""

from servers.playbook.report.charts.drawing import drawn
from servers.playbook.report.charts.picture import Picture, Table
from servers.playbook.report.charts.spec import (
    CANDIDATE,
    CARD,
    SIGNED,
    SOFT,
    Spec,
    amount,
    layer,
    layered,
    plain,
    to,
    value,
)
from servers.playbook.report.view import ReportView
from servers.playbook.report.wording import interval, number, percent, signed

WIDTH, HEIGHT = 380, 92
TITLE = "Difference on the sealed rows"


def gate_interval(view: ReportView) -> Picture | None:
    """The picture of the cycle's verdict; None where none was asked, and while its difference is sealed."""
    gate, digits, min_gain = view.gate, view.digits, view.rules.min_gain
    if gate is None or gate.difference is None:
        return None
    low, high = gate.ci or (gate.difference, gate.difference)
    left, right = min(low, -min_gain), max(high, 0.0)
    margin = 0.12 * max(right - left, 1e-9)
    domain = (left - margin, right + margin)
    shown = signed(gate.difference, digits)
    band = f"{percent(1 - 2 * gate.level)} interval {interval(gate.ci, digits)}"
    row = {"low": low, "high": high, "at": gate.difference, "shown": shown, "tip": f"{shown}, {band}"}
    row |= {"left": domain[0], "zero": 0.0, "gain": -min_gain, "better": "← candidate better"}
    x = amount("low", "candidate minus champion, points", domain, tickCount=6, **SIGNED)
    middle: Spec = {"y": value(HEIGHT * 0.6)}
    layers = [
        layer("rect", {"x": {**x, "field": "left"}, "x2": to("zero")}, color=CANDIDATE, opacity=0.07),
        layer("rule", {"x": {**x, "field": "gain"}}, color=SOFT, strokeDash=[2, 4], strokeWidth=1.6),
        layer("rule", {"x": {**x, "field": "zero"}}, color=SOFT, strokeWidth=1.6),
        layer("rule", {"x": x, "x2": to("high"), **middle}, color=CANDIDATE, strokeWidth=12, opacity=0.35),
        layer(
            "point",
            {"x": {**x, "field": "at"}, **middle},
            tips=True,
            filled=True,
            size=170,
            color=CANDIDATE,
            stroke=CARD,
            strokeWidth=1.6,
            opacity=1,
        ),
        layer(
            "text",
            {"x": {**x, "field": "at"}, **middle, "text": plain("shown")},
            dy=-20,
            fontSize=14,
            fontWeight="bold",
        ),
        layer(
            "text",
            {"x": {**x, "field": "zero"}, "y": value(9), "text": plain("better")},
            align="right",
            dx=-6,
            color=SOFT,
        ),
    ]
    words = (
        f"{shown} points of vector_mae, candidate minus champion; {band}. "
        f"The smallest gain worth a promotion is {number(min_gain, digits)}."
    )
    cells = [
        ["difference", shown],
        ["interval", interval(gate.ci, digits)],
        ["smallest gain", number(min_gain, digits)],
    ]
    caption = (
        f"The band is the {percent(1 - 2 * gate.level)} interval. The dotted line marks {number(min_gain, digits)} "
        "points, the smallest gain that the task calls worth a promotion."
    )
    spec = layered([row], layers, WIDTH, HEIGHT)
    return Picture(
        "gate-interval", TITLE, drawn(spec, "gate-interval", TITLE, words), Table(["", "points"], cells), caption
    )
