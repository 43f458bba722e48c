"""The charts of the site: the error in service from cycle to cycle, and how a training's error fell."""

from collections.abc import Mapping, Sequence
from typing import Any

from servers.playbook.report.charts.drawing import drawn, finite
from servers.playbook.report.charts.journey import journey
from servers.playbook.report.charts.picture import Picture, Table
from servers.playbook.report.charts.spec import CANDIDATE, CARD, Spec, amount, layer, layered
from servers.playbook.report.view_base import CycleShown
from servers.playbook.report.wording import number

WIDTH, HEIGHT = 420, 220
MOST_POINTS = 200  # of a curve: two pixels each
CURVES = {
    "objective/train_loss": ("Training loss", "loss"),
    "iter_eval/mae_raw": ("Error on the diagnose rows", "points"),
}
"""What a training logs: title and unit."""


def error_in_service(dataset: str, cycles: Sequence[CycleShown], digits: int) -> Picture | None:
    """What was in service after each cycle of a dataset, with intervals and the constant; None before it was measured.

    Args:
        dataset: Its name.
        cycles: Of this dataset, oldest first.
        digits: Decimals of an error.
    """
    found = journey(cycles, digits, f"journey-{dataset}")
    return None if found is None else found.picture


def training_curves(job: str, steps: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """How loss and error went, step by step; those that have two points or more."""
    found = (_curve(job, steps, metric, *about) for metric, about in CURVES.items())
    return [picture for picture in found if picture is not None]


def _curve(job: str, steps: Sequence[Mapping[str, Any]], metric: str, title: str, unit: str) -> Picture | None:
    rows = [{"x": step["_step"], "y": step[metric]} for step in steps if "_step" in step and finite(step.get(metric))]
    if len(rows) < 2:
        return None
    every = -(-len(rows) // MOST_POINTS)
    shown = [*rows[::every], *([rows[-1]] if (len(rows) - 1) % every else [])]
    for row in shown:
        row["tip"] = f"step {row['x']}: {number(row['y'], 3)}"
    place: Spec = {"x": amount("x", "step", tickMinStep=1), "y": amount("y", unit)}
    dot: Spec = {"size": 42, "color": CANDIDATE, "stroke": CARD, "filled": True, "opacity": 1}
    layers = [layer("line", place, color=CANDIDATE, strokeWidth=2.2), layer("point", place, tips=True, **dot)]
    key = f"{job}-{metric.rpartition('/')[2].replace('_', '-')}"
    words = (
        f"From {number(rows[0]['y'], 3)} at step {rows[0]['x']} to {number(rows[-1]['y'], 3)} at step {rows[-1]['x']}."
    )
    table = Table(["step", title.lower()], [[str(row["x"]), number(row["y"], 4)] for row in shown[:50]])
    return Picture(
        key, title, drawn(layered(shown, layers, WIDTH, HEIGHT), key, title, words), table, f"{title}. {words}"
    )
