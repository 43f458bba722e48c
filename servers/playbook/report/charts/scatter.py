"""Predicted against true, one small picture for each dimension: a flat cloud is a model that has read nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from servers.core.task import Scale
from servers.playbook.report.charts.drawing import drawn
from servers.playbook.report.charts.picture import Picture, Table
from servers.playbook.report.charts.spec import CANDIDATE, CONSTANT, INK, PAPER, Spec, amount, layer, layered, plain, to
from servers.playbook.report.view import ReportView
from servers.playbook.report.view_results import Pairs
from servers.playbook.report.wording import number

SIDE = 190
MOST = 250  # points of a picture: more hide each other, so they are counted in squares
FEW_DIMENSIONS = 8  # with more, all are counted in squares: thousands of points weigh a megabyte
SQUARES = 16  # to a side
FIFTHS = 5


@dataclass(frozen=True)
class Panel:
    """One dimension's picture."""

    dimension: str
    picture: Picture
    counted: bool
    """Whether squares stand for rows, the fuller the darker."""
    of: int


def scatter(view: ReportView) -> list[Panel]:
    """A picture for each dimension with rows, in the task's order."""
    if view.predictions is None:
        return []
    found = [(k, name, view.predictions.by_dimension.get(name)) for k, name in enumerate(view.names)]
    several = [(k, name, pairs) for k, name, pairs in found if pairs and pairs.true]
    return [_panel(k, name, pairs, view.scale, len(several)) for k, name, pairs in several]


def _panel(k: int, name: str, pairs: Pairs, scale: Scale, panels: int) -> Panel:
    points = list(zip(pairs.true, pairs.predicted, strict=True))
    counted = len(points) > MOST or panels > FEW_DIMENSIONS
    title, key = f"{name}: predicted against true", f"scatter-{k}"
    fifths = _fifths(points, scale)
    words = (
        f"{len(points)} rows. Means: true {sum(pairs.true) / len(points):.1f}, predicted "
        f"{sum(pairs.predicted) / len(points):.1f}; predictions span {min(pairs.predicted):.1f} to "
        f"{max(pairs.predicted):.1f}. On the diagonal a prediction is right."
    )
    rows = _squares(points, scale) if counted else [{"part": "row", "x": t, "y": p} for t, p in points]
    rows += [{"part": "mean", "x": true, "y": predicted} for _, _, true, predicted in fifths]
    rows.append({"part": "diagonal", "x": scale.low, "y": scale.low, "to_x": scale.high, "to_y": scale.high})
    spec = layered(rows, _layers(scale, counted), SIDE, SIDE)
    table = Table(
        ["true value", "rows", "mean true", "mean predicted"],
        [[reach, str(count), number(true, 1), number(predicted, 1)] for reach, count, true, predicted in fifths],
    )
    return Panel(name, Picture(key, title, drawn(spec, key, title, words), table), counted, len(points))


def _layers(scale: Scale, counted: bool) -> list[Spec]:
    ends = (scale.low, scale.high)
    ticks: Spec = {"values": [scale.low, scale.middle, scale.high], "format": "~r"}
    place: Spec = {"x": amount("x", "true", ends, **ticks), "y": amount("y", "predicted", ends, **ticks)}
    if counted:
        square = {**place, "x2": to("to_x"), "y2": to("to_y"), "opacity": plain("share", "quantitative", legend=None)}
        square["opacity"]["scale"] = {"domain": [0, 1], "range": [0.12, 1]}
        rows = layer("rect", square, where="datum.part === 'square'", color=CANDIDATE, stroke=PAPER, strokeWidth=0.6)
    else:
        rows = layer("point", place, where="datum.part === 'row'", filled=True, color=CANDIDATE, size=26, opacity=0.45)
    diagonal = {**place, "x2": to("to_x"), "y2": to("to_y")}
    mean: Spec = {"color": INK, "strokeWidth": 1.6, "strokeJoin": "round"}
    return [
        layer("rule", diagonal, where="datum.part === 'diagonal'", color=CONSTANT, strokeWidth=1.4, strokeDash=[5, 4]),
        rows,
        layer("line", place, where="datum.part === 'mean'", **mean),
        layer("point", place, where="datum.part === 'mean'", filled=True, color=INK, size=22, opacity=1),
    ]


def _fifths(points: Sequence[tuple[float, float]], scale: Scale) -> list[tuple[str, int, float, float]]:
    """For each fifth of the scale that has rows: which, how many, mean true and mean predicted."""
    width = scale.width / FIFTHS
    by_fifth: dict[int, list[tuple[float, float]]] = {}
    for true, predicted in points:
        fifth = min(max(int((true - scale.low) / width), 0), FIFTHS - 1)
        by_fifth.setdefault(fifth, []).append((true, predicted))
    found = []
    for fifth, inside in sorted(by_fifth.items()):
        low = scale.low + fifth * width
        count = len(inside)
        means = sum(t for t, _ in inside) / count, sum(p for _, p in inside) / count
        found.append((f"{low:g} to {low + width:g}", count, *means))
    return found


def _squares(points: Sequence[tuple[float, float]], scale: Scale) -> list[dict[str, Any]]:
    width = scale.width / SQUARES

    def index(value: float) -> int:
        return min(max(int((value - scale.low) / width), 0), SQUARES - 1)

    counts = Counter((index(true), index(predicted)) for true, predicted in points)
    fullest = max(counts.values())
    found = []
    for (i, j), count in sorted(counts.items()):
        x, y = scale.low + i * width, scale.low + j * width
        share = (count / fullest) ** 0.5  # so that a square with one row shows beside one with a hundred
        found.append({"part": "square", "x": x, "y": y, "to_x": x + width, "to_y": y + width, "share": share})
    return found
