"""The gate's difference with its interval: left of zero the candidate errs less than the champion."""

from markupsafe import Markup

from servers.playbook.report.charts.drawing import Drawing, nice_step, step_digits
from servers.playbook.report.view import ReportView
from servers.playbook.report.wording import interval, number, percent, signed

WIDTH, HEIGHT, LEFT, RIGHT = 460, 128, 20, 440
TOP, LINE, FLOOR = 24, 62, 94


def gate_interval(view: ReportView) -> Markup | None:
    """The picture of the cycle's verdict; None where none was asked, and while its difference is sealed."""
    gate, digits, min_gain = view.gate, view.digits, view.rules.min_gain
    if gate is None or gate.difference is None:
        return None
    low, high = gate.ci or (gate.difference, gate.difference)
    left, right = min(low, -min_gain), max(high, 0.0)
    margin = 0.14 * max(right - left, 1e-9)
    left, right = left - margin, right + margin

    def x(value: float) -> float:
        return LEFT + (value - left) * (RIGHT - LEFT) / (right - left)

    shown = signed(gate.difference, digits)
    band = f"{percent(1 - 2 * gate.level)} interval {interval(gate.ci, digits)}"
    words = (
        f"{shown} points of vector_mae, candidate minus champion; {band}. "
        f"The smallest gain worth a promotion is {number(min_gain, digits)}."
    )
    drawing = Drawing("gate-interval", WIDTH, HEIGHT, "Difference on the sealed rows", words)
    drawing.add("rect", "better", x=LEFT, y=TOP, width=x(0) - LEFT, height=FLOOR - TOP)
    step = nice_step(right - left)
    for k in range(int(left / step), int(right / step) + 1):
        tick = signed(k * step, step_digits(step)) if k else "0"
        drawing.line(x(k * step), FLOOR, x(k * step), FLOOR + 4, "zero")
        drawing.text(x(k * step), FLOOR + 17, tick, "tick", text_anchor="middle")
    drawing.line(LEFT, FLOOR, RIGHT, FLOOR, "zero")
    drawing.text((LEFT + RIGHT) / 2, HEIGHT - 2, "candidate minus champion, points", "tick", text_anchor="middle")
    drawing.line(x(0), TOP - 6, x(0), FLOOR, "zero")
    drawing.text(x(0) - 6, TOP - 11, "← candidate better", "tick", text_anchor="end")
    drawing.line(x(-min_gain), TOP, x(-min_gain), FLOOR, "aim")
    drawing.add("rect", "span", band, x=x(low), y=LINE - 6, width=x(high) - x(low), height=12, rx=6)
    drawing.add("circle", "mark candidate", shown, cx=x(gate.difference), cy=LINE, r=6)
    drawing.text(x(gate.difference), LINE - 13, shown, "value halo", text_anchor="middle")
    return drawing.markup()
