"""Predicted against true, one small picture for each dimension: a flat cloud is a model that has read nothing."""

from dataclasses import dataclass

from markupsafe import Markup

from servers.core.task import Scale
from servers.playbook.report.charts.drawing import Drawing
from servers.playbook.report.view import Pairs, ReportView

SIDE, LEFT, BOTTOM, TOP = 220, 30, 20, 6
MOST = 300  # points of a picture: more hide each other and weigh a megabyte at 32 dimensions


@dataclass(frozen=True)
class Panel:
    """One dimension's picture."""

    dimension: str
    svg: Markup
    drawn: int
    of: int


def scatter(view: ReportView) -> list[Panel]:
    """A picture for each dimension with rows, in the task's order."""
    if view.predictions is None:
        return []
    found = [(k, name, view.predictions.by_dimension.get(name)) for k, name in enumerate(view.names)]
    return [_panel(k, name, pairs, view.scale) for k, name, pairs in found if pairs and pairs.true]


def _panel(k: int, name: str, pairs: Pairs, scale: Scale) -> Panel:
    points = list(zip(pairs.true, pairs.predicted, strict=True))
    drawn = points if len(points) <= MOST else [points[i * len(points) // MOST] for i in range(MOST)]
    words = (
        f"{len(drawn)} rows. Means: true {sum(pairs.true) / len(points):.1f}, predicted "
        f"{sum(pairs.predicted) / len(points):.1f}; predictions span {min(pairs.predicted):.1f} to "
        f"{max(pairs.predicted):.1f}. On the diagonal a prediction is right."
    )
    drawing = Drawing(f"scatter-{k}", SIDE, SIDE, f"{name}: predicted against true", words)
    _frame(drawing, scale)
    group = drawing.group("points")
    for true, predicted in drawn:
        x, y = _place(true, predicted, scale)
        drawing.add("circle", "", into=group, cx=x, cy=y, r=2.4)
    return Panel(name, drawing.markup(), len(drawn), len(points))


def _place(true: float, predicted: float, scale: Scale) -> tuple[float, float]:
    plot = SIDE - LEFT - TOP
    across = min(max((true - scale.low) / scale.width, 0), 1)
    up = min(max((predicted - scale.low) / scale.width, 0), 1)
    return LEFT + across * plot, SIDE - BOTTOM - up * (SIDE - BOTTOM - TOP)


def _frame(drawing: Drawing, scale: Scale) -> None:
    right, floor = SIDE - TOP, SIDE - BOTTOM
    drawing.add("rect", "frame", x=LEFT, y=TOP, width=right - LEFT, height=floor - TOP)
    for share in (0.25, 0.5, 0.75):
        x, y = LEFT + share * (right - LEFT), floor - share * (floor - TOP)
        drawing.line(x, TOP, x, floor, "grid")
        drawing.line(LEFT, y, right, y, "grid")
    drawing.line(LEFT, floor, right, TOP, "diagonal")
    for value in (scale.low, scale.middle, scale.high):
        x, y = _place(value, value, scale)
        anchor = "start" if value == scale.low else "end" if value == scale.high else "middle"
        drawing.text(x, floor + 12, f"{value:g}", "tick", text_anchor=anchor)
        lift = 0 if value == scale.low else 8 if value == scale.high else 4
        drawing.text(LEFT - 4, y + lift, f"{value:g}", "tick", text_anchor="end")
    across, up = LEFT + 0.75 * (right - LEFT), floor - 0.75 * (floor - TOP)
    drawing.text(across, floor + 12, "true →", "tick", text_anchor="middle")
    place = f"rotate(-90 {LEFT - 8} {up:.1f})"
    drawing.text(LEFT - 8, up, "predicted →", "tick", text_anchor="middle", transform=place)
