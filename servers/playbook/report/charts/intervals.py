"""Figures with their intervals, one below the other: errors by part of the data, differences, biases, ways, the gate.

A dot is the estimate, the line through it its interval. Several series (before and after) stand side by side in a row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from servers.playbook.report.charts.drawing import drawn, finite, short
from servers.playbook.report.charts.picture import Picture, Table
from servers.playbook.report.charts.spec import (
    CANDIDATE,
    CARD,
    COLOURS,
    SIGNED,
    SOFT,
    Spec,
    amount,
    layer,
    layered,
    named,
    plain,
    to,
    value,
)
from servers.playbook.report.wording import UNKNOWN, interval, number, signed

WIDTH, ROW, EXTRA = 270, 30, 13  # of the plot; of a row; of each further series in it
LABEL_CHARS = 22
SHAPES = {"candidate": "circle", "champion": "diamond", "constant": "square", "rule": "triangle-up"}


@dataclass(frozen=True)
class Found:
    """A figure and where it may lie."""

    value: float
    ci: tuple[float, float] | None = None
    """95 % where the picture does not say otherwise."""


@dataclass(frozen=True)
class Line:
    """One row of the picture."""

    name: str
    found: Mapping[str, Found]
    """By series."""
    note: str = ""
    """Such as how many rows it rests on."""


def intervals(
    key: str,
    title: str,
    lines: Sequence[Line],
    axis: str,
    digits: int,
    *,
    difference: bool = False,
    mark_at: float | None = None,
    caption: str = "",
) -> Picture | None:
    """The picture; None where nothing is known.

    Args:
        key: Unique in the page.
        title: What it is, one phrase.
        lines: From the top down; names differ.
        axis: What is shown, with its unit.
        digits: Decimals of the figures.
        difference: Whether figures carry a sign, and zero is a line.
        mark_at: Another value to mark.
        caption: How to read it.
    """
    write = signed if difference else number
    labels = _labels(lines)
    rows: list[dict[str, Any]] = []
    for line, label in zip(lines, labels, strict=True):
        for series, found in line.found.items():
            low, high = found.ci or (found.value, found.value)
            tip = f"{line.name}{f', {series}' if series else ''}: {_told(found, digits, difference)}"
            tip += f", {line.note}" if line.note else ""
            rows.append({"row": label, "series": series, "at": found.value, "low": low, "high": high, "tip": tip})
    if not rows:
        return None
    several = list(dict.fromkeys(str(row["series"]) for row in rows))
    step = ROW + EXTRA * (len(several) - 1)
    spec = layered(rows, _layers(labels, several, axis, difference, mark_at), WIDTH, step * len(lines))
    said = "; ".join(str(row["tip"]) for row in rows)
    heads = [name or "figure" for name in several]
    body = [
        [line.name, *(write(f.value, digits) if (f := line.found.get(name)) else UNKNOWN for name in several)]
        for line in lines
    ]
    for cells, line in zip(body, lines, strict=True):
        for k, name in enumerate(several, start=1):
            if (found_ci := line.found.get(name)) and found_ci.ci:
                cells[k] += f" ({_range(found_ci.ci, digits, difference)})"
        if any(line.note for line in lines):
            cells.append(line.note)
    notes = ["rests on"] if any(line.note for line in lines) else []
    table = Table(["", *heads, *notes], body)
    return Picture(key, title, drawn(spec, key, title, f"{axis}. {said}."), table, caption)


def _layers(
    labels: Sequence[str], several: Sequence[str], axis: str, difference: bool, mark_at: float | None
) -> list[Spec]:
    across: Spec = {"y": named("row", labels)}
    if len(several) > 1:
        across["yOffset"] = {"field": "series", "type": "nominal", "sort": list(several)}
    colour: Spec = (
        {"color": value(CANDIDATE)}
        if several == [""]
        else {
            "color": plain(
                "series",
                scale={"domain": list(several), "range": [COLOURS.get(name, SOFT) for name in several]},
                legend=None,
            ),
            "shape": plain(
                "series",
                scale={"domain": list(several), "range": [SHAPES.get(name, "circle") for name in several]},
                legend=None,
            ),
        }
    )
    line_colour = {"color": colour["color"]}
    x = amount("low", axis, **(SIGNED if difference else {}))
    found = [
        layer(
            "rule", {"x": x, "x2": to("high"), **across, **line_colour}, strokeWidth=5, opacity=0.38, strokeCap="round"
        ),
        layer(
            "point",
            {"x": amount("at", axis), **across, **colour},
            tips=True,
            filled=True,
            size=95,
            opacity=1,
            stroke=CARD,
            strokeWidth=1.5,
        ),
    ]
    lines: list[tuple[float, str, list[int]]] = [(0.0, SOFT, [])] if difference else []
    if mark_at is not None:
        lines.append((mark_at, SOFT, [2, 4]))
    for at, stroke, dash in lines:
        found.insert(0, layer("rule", {"x": {"datum": at, "type": "quantitative"}}, color=stroke, strokeDash=dash))
    return found


def _labels(lines: Sequence[Line]) -> list[str]:
    """Names short enough for the axis, and different."""
    found: list[str] = []
    for line in lines:
        label = short(line.name, LABEL_CHARS)
        found.append(label if label not in found else short(f"{label} {len(found) + 1}", LABEL_CHARS + 4))
    return found


def _told(found: Found, digits: int, difference: bool) -> str:
    figure = signed(found.value, digits) if difference else number(found.value, digits)
    return figure if found.ci is None else f"{figure} ({_range(found.ci, digits, difference)})"


def _range(ci: tuple[float, float], digits: int, difference: bool) -> str:
    return interval(ci, digits) if difference else f"{number(ci[0], digits)} to {number(ci[1], digits)}"


def widest(lines: Sequence[Line]) -> float:
    """The largest figure or end of an interval."""
    ends = [end for line in lines for f in line.found.values() for end in (f.value, *(f.ci or ()))]
    return max(finite(*ends), default=0.0)
