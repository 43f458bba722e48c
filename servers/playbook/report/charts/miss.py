"""One badly answered row: where the target lies, where the answer went."""

from markupsafe import Markup

from servers.playbook.report.charts.drawing import Drawing, short
from servers.playbook.report.view import FailureShown, ReportView
from servers.playbook.report.wording import number

WIDTH, ROW, LEFT, RIGHT = 420, 22, 128, 372
MOST = 8  # dimensions of a picture, the largest errors first


def miss(view: ReportView, failure: FailureShown, key: str) -> Markup:
    """Target (ring) and answer (dot) on the scale, for the dimensions with the largest errors."""
    digits = max(view.digits - 1, 0)
    known = [name for name in view.names if name in failure.target]
    names = sorted(known, key=lambda name: -failure.errors.get(name, 0.0))[:MOST]
    rows = [(name, failure.target[name], (failure.prediction or {}).get(name)) for name in names]
    words = [
        f"{name}: target {number(target, digits)}, answer {number(answer, digits)}" for name, target, answer in rows
    ]
    drawing = Drawing(key, WIDTH, ROW * len(rows) + 14, "Target and answer of this row", "; ".join(words) + ".")

    def x(value: float) -> float:
        return LEFT + min(max((value - view.scale.low) / view.scale.width, 0), 1) * (RIGHT - LEFT)

    for k, (name, target, answer) in enumerate(rows):
        y = ROW * k + 12
        drawing.text(LEFT - 12, y + 4, short(name, 16), "name", text_anchor="end")
        drawing.line(LEFT, y, RIGHT, y, "grid")
        if answer is not None:
            drawing.line(x(target), y, x(answer), y, "reach")
            drawing.add("circle", "mark candidate", f"answer {number(answer, digits)}", cx=x(answer), cy=y, r=4.6)
        drawing.add("circle", "target", f"target {number(target, digits)}", cx=x(target), cy=y, r=5.2)
        drawing.text(WIDTH - 2, y + 4, number(failure.errors.get(name), digits), "value", text_anchor="end")
    for end in (view.scale.low, view.scale.high):
        drawing.text(x(end), ROW * len(rows) + 12, f"{end:g}", "tick", text_anchor="middle")
    return drawing.markup()
