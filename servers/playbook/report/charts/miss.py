"""One badly answered row: where the target lies, where the answer went, and where it went after the remedy."""

from collections.abc import Mapping, Sequence
from typing import Any

from servers.core.task import Scale
from servers.playbook.report.charts.drawing import drawn, short
from servers.playbook.report.charts.picture import Picture, Table
from servers.playbook.report.charts.spec import (
    CANDIDATE,
    CARD,
    CHAMPION,
    INK,
    SOFT,
    Spec,
    amount,
    layer,
    layered,
    named,
    to,
)
from servers.playbook.report.view import ReportView
from servers.playbook.report.view_results import FailureShown
from servers.playbook.report.wording import number

WIDTH, ROW = 230, 26
MOST = 8  # dimensions of a picture, the largest errors first


def miss(view: ReportView, failure: FailureShown, key: str, first: str | None = None) -> Picture:
    """Target, answer and, where the candidate answered the row too, the answer after; the largest errors first.

    Args:
        view: The report.
        failure: The row.
        key: Unique in the page.
        first: A dimension to show at the top.
    """
    digits = max(view.digits - 1, 0)
    known = [name for name in view.names if name in failure.target]
    names = sorted(known, key=lambda name: (name != first, -failure.errors.get(name, 0.0)))[:MOST]
    before, after = failure.prediction or {}, failure.after or {}
    title = "Target and answer of this row"
    cells = [
        [name, *(number(found.get(name), digits) for found in (failure.target, before, *([after] if after else [])))]
        for name in names
    ]
    heads = ["target", "answer", *(["after"] if after else [])]
    told = [f"{name}: " + ", ".join(f"{h} {c}" for h, c in zip(heads, rest, strict=True)) for name, *rest in cells]
    rows = _rows(names, failure.target, before, after, digits)
    spec = layered(rows, _layers([short(name, 16) for name in names], view.scale), WIDTH, ROW * len(names))
    return Picture(key, title, drawn(spec, key, title, "; ".join(told) + "."), Table(["dimension", *heads], cells))


def _rows(
    names: Sequence[str],
    target: Mapping[str, float],
    before: Mapping[str, float],
    after: Mapping[str, float],
    digits: int,
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name in names:
        aim, label = target[name], short(name, 16)
        for part, found in (("answer", before), ("after", after)):
            if name in found:
                tip = f"{name}, {part}: {number(found[name], digits)}"
                rows.append({"row": label, "part": part, "at": found[name], "aim": aim, "tip": tip})
        rows.append({"row": label, "part": "target", "at": aim, "tip": f"{name}, target: {number(aim, digits)}"})
    return rows


def _layers(labels: Sequence[str], scale: Scale) -> list[Spec]:
    ticks: Spec = {"values": [scale.low, scale.middle, scale.high], "format": "~r"}
    place: Spec = {"x": amount("at", None, (scale.low, scale.high), **ticks), "y": named("row", labels)}
    reach = {**place, "x2": to("aim")}
    dot: Spec = {"filled": True, "opacity": 1, "stroke": CARD, "strokeWidth": 1.2, "clip": False}
    ring: Spec = {"filled": False, "color": INK, "strokeWidth": 2, "opacity": 1}
    answer, after = "datum.part === 'answer'", "datum.part === 'after'"
    return [
        layer("rule", reach, where=answer, color=SOFT, strokeWidth=1.3),
        layer("point", place, tips=True, where=answer, shape="diamond", size=85, color=CHAMPION, **dot),
        layer("point", place, tips=True, where=after, shape="circle", size=72, color=CANDIDATE, **dot),
        layer("point", place, tips=True, where="datum.part === 'target'", shape="circle", size=95, **ring),
    ]
