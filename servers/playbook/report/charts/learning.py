"""What more rows do to the error, and what training does to the loss."""

from collections.abc import Sequence
from typing import Any

from servers.playbook.report.charts.drawing import drawn
from servers.playbook.report.charts.picture import Picture, Table
from servers.playbook.report.charts.spec import (
    CANDIDATE,
    CARD,
    PAPER,
    SOFT,
    Spec,
    amount,
    layer,
    layered,
    to,
)
from servers.playbook.report.view import ReportView
from servers.playbook.report.view_base import Estimate
from servers.playbook.report.view_results import LossPoint
from servers.playbook.report.wording import estimate, number

WIDTH, HEIGHT = 320, 210
MOST_STEPS = 200  # points of a loss curve: a pixel and a half each
TITLE, LOSS_TITLE = "Error against train rows", "Training loss by step"


def learning(view: ReportView) -> Picture | None:
    """The newest training with ever more of its rows, and every model of the dataset; None where neither is known."""
    rows = _rows(view)
    if not rows:
        return None
    spec = layered(rows, _layers(), WIDTH, HEIGHT)
    names = {"diagnose": "part of the rows", "left_out": "part of the rows, left-out train rows", "version": "model"}
    cells = [[str(row["who"]), names[str(row["part"])], f"{row['x']:,}", str(row["shown"])] for row in rows]
    said = "; ".join(str(row["tip"]) for row in rows)
    words = f"Points of mean absolute error, lower is better. {said}."
    table = Table(["model", "what", "train rows", "error"], cells)
    return Picture("learning", TITLE, drawn(spec, "learning", TITLE, words), table, _caption(view))


def loss_curve(loss: Sequence[LossPoint], key: str = "loss") -> Picture | None:
    """The loss of one training; None where it has no steps.

    Args:
        loss: By step, in their order.
        key: Unique in the page.
    """
    if len(loss) < 2:
        return None
    every = -(-len(loss) // MOST_STEPS)
    points = [*loss[::every], *([loss[-1]] if (len(loss) - 1) % every else [])]
    rows = [{"x": point.step, "y": point.loss} for point in points]
    place: Spec = {"x": amount("x", "step"), "y": amount("y", "loss", zero=True)}
    spec = layered(rows, [layer("line", place, color=CANDIDATE, strokeWidth=2)], WIDTH, HEIGHT)
    first, last, lowest = loss[0], loss[-1], min(loss, key=lambda point: point.loss)
    words = (
        f"From {number(first.loss, 3)} at step {first.step} to {number(last.loss, 3)} at step {last.step}; the lowest "
        f"is {number(lowest.loss, 3)} at step {lowest.step}."
    )
    tenth = max(1, len(loss) // 10)
    table = Table(["step", "loss"], [[str(p.step), number(p.loss, 4)] for p in [*loss[::tenth], last]])
    return Picture(key, LOSS_TITLE, drawn(spec, key, LOSS_TITLE, words), table, words)


def _rows(view: ReportView) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []

    def add(part: str, who: str, x: int, y: float, words: str, ci: tuple[float, float] | None = None) -> None:
        low, high = ci or (y, y)
        shown = estimate(Estimate(value=y, ci=ci), view.digits)
        tip = f"{who}, {x:,} train rows, {words}: {shown}"
        rows.append({"part": part, "who": who, "x": x, "y": y, "low": low, "high": high, "shown": shown, "tip": tip})

    for point in view.curve.points if view.curve else []:
        who = view.curve.model if view.curve else ""
        add("diagnose", who, point.train_rows, point.diagnose, "diagnose rows")
        if point.left_out is not None:
            add("left_out", who, point.train_rows, point.left_out, "train rows left out")
    for version in view.versions:
        words = "diagnose rows" if version.promoted else "diagnose rows, not promoted"
        add("version", version.model, version.train_rows, version.error.value, words, version.error.reach)
        rows[-1]["promoted"] = version.promoted
    return rows


def _layers() -> list[Spec]:
    x = amount("x", "train rows")
    place: Spec = {"x": x, "y": amount("y", "error, points")}
    ends: Spec = {"x": x, "y": amount("low", "error, points"), "y2": to("high")}
    curve, left_out, version = (f"datum.part === '{part}'" for part in ("diagnose", "left_out", "version"))
    refused = f"{version} && !datum.promoted"
    hollow: Spec = {"fill": PAPER, "stroke": SOFT, "strokeWidth": 2, "opacity": 1}
    return [
        layer("line", place, where=left_out, color=SOFT, strokeWidth=1.8, strokeDash=[5, 4]),
        layer("line", place, where=curve, color=CANDIDATE, strokeWidth=2.4, strokeJoin="round"),
        layer("point", place, tips=True, where=left_out, filled=True, color=SOFT, shape="square", size=34, opacity=1),
        layer("point", place, tips=True, where=curve, filled=True, color=CANDIDATE, size=34, opacity=1),
        layer("rule", ends, where=version, color=CANDIDATE, strokeWidth=5, opacity=0.3, strokeCap="round"),
        layer(
            "point",
            place,
            tips=True,
            where=f"{version} && datum.promoted",
            filled=True,
            color=CANDIDATE,
            stroke=CARD,
            strokeWidth=1.6,
            size=120,
            opacity=1,
        ),
        layer("point", place, tips=True, where=refused, size=80, **hollow),
    ]


def _caption(view: ReportView) -> str:
    parts = []
    if view.curve:
        parts.append(
            "The thin line trains the newest model on a part of its rows, the dashed one measures that on train rows "
            "that were left out: where they still fall, more rows of the kind help."
        )
    if view.versions:
        parts.append("A large dot is a model as it was measured, with its 95% interval; hollow: not promoted.")
    return " ".join(parts)
