"""Every picture of a report, drawn from its view; what cannot be drawn is None, and the page says why in words."""

from dataclasses import dataclass

from servers.core.phrases import counted
from servers.playbook.report import wording
from servers.playbook.report.charts.amounts import Amount, amounts
from servers.playbook.report.charts.bars import bars
from servers.playbook.report.charts.gate import gate_interval
from servers.playbook.report.charts.intervals import Found, Line, intervals
from servers.playbook.report.charts.journey import Journey, journey
from servers.playbook.report.charts.learning import learning, loss_curve
from servers.playbook.report.charts.lineage import lineage
from servers.playbook.report.charts.picture import Picture
from servers.playbook.report.charts.radar import radar
from servers.playbook.report.charts.scatter import Panel, scatter
from servers.playbook.report.view import ReportView
from servers.playbook.report.view_base import Estimate
from servers.playbook.report.view_results import SliceShown

# How a model's error is marked where several are compared.
_MARKS = {
    "constant": "a square is the constant",
    "champion": "a diamond the champion",
    "candidate": "a dot the candidate",
}


@dataclass(frozen=True)
class Pictures:
    """All but those of single rows."""

    journey: Journey | None
    radar: Picture | None
    bars: Picture | None
    differences: Picture | None
    ways: Picture | None
    rows: Picture | None
    gate: Picture | None
    panels: list[Panel]
    by_length: Picture | None
    by_source: Picture | None
    biases: Picture | None
    learning: Picture | None
    loss: Picture | None
    times: Picture | None
    lineage: Picture | None


def pictures_of(view: ReportView) -> Pictures:
    """Draw them."""
    return Pictures(
        journey=journey([cycle for cycle in view.history if cycle.dataset == view.dataset.name], view.digits),
        radar=radar(view),
        bars=bars(view),
        differences=_differences(view),
        ways=_ways(view),
        rows=_rows(view),
        gate=gate_interval(view),
        panels=scatter(view),
        by_length=_slices(view, "by-length", "Error by length of the text", view.by_length),
        by_source=_slices(view, "by-source", "Error by source", view.by_source) if len(view.by_source) > 1 else None,
        biases=_biases(view),
        learning=learning(view),
        loss=loss_curve(view.loss),
        times=_times(view),
        lineage=lineage(view.lineage) if view.lineage else None,
    )


def _differences(view: ReportView) -> Picture | None:
    before = view.before.role if view.before else "champion"
    lines = [
        Line("all together" if one.name == "vector_mae" else one.name, {"": Found(one.difference, one.ci)})
        for one in view.differences
    ]
    return intervals(
        "differences",
        "What changed, dimension by dimension",
        lines,
        f"candidate minus {before}, points",
        view.digits,
        difference=True,
        caption=(
            "Left of the line the candidate errs less. The band is the 95% interval of the paired difference, each by "
            "itself."
        ),
    )


def _ways(view: ReportView) -> Picture | None:
    ways = view.campaign.ways if view.campaign else []
    lines = [
        Line(way.way.replace("_", " "), {"": _found(Estimate(value=way.difference, se=way.se))}, f"{way.seeds} seeds")
        for way in ways
    ]
    return intervals(
        "ways",
        "Each way against the champion",
        lines,
        "way minus champion, points",
        view.digits,
        difference=True,
        caption="Left of the line a way errs less than the champion. Bands are 95% intervals over rows and seeds.",
    )


def _rows(view: ReportView) -> Picture | None:
    added = view.augmentation
    if added is None or not added.dropped:
        return None
    written, at = added.added + sum(added.dropped.values()), float(added.added)
    found = [Amount("written", written, f"{written:,}"), Amount("added to train", added.added, f"{added.added:,}")]
    for reason, count in sorted(added.dropped.items(), key=lambda item: -item[1]):
        # Each begins where the one above ends, so that all together span what was written.
        found.append(Amount(f"dropped: {reason.replace('_', ' ')}", count, f"{count:,}", apart=True, start=at))
        at += count
    return amounts("rows", "What became of the rows that were written", found, ("what became of them", "rows"))


def _slices(view: ReportView, key: str, title: str, slices: list[SliceShown]) -> Picture | None:
    lines = [
        Line(
            part.name,
            {role: _found(part.errors[role]) for role in ("constant", "champion", "candidate") if role in part.errors},
            counted(part.n, "row"),
        )
        for part in slices
    ]
    marks = [mark for role, mark in _MARKS.items() if any(role in line.found for line in lines)]
    caption = f"Further left is better: {', '.join(marks)}." if len(marks) > 1 else "Further left is better."
    return intervals(key, title, lines, "mean absolute error, points", view.digits, caption=caption)


def _biases(view: ReportView) -> Picture | None:
    lines = [Line(name, {"": _found(view.biases[name])}) for name in view.names if name in view.biases]
    return intervals(
        "biases",
        "Bias by dimension",
        lines,
        "mean of answer minus target, points",
        view.digits,
        difference=True,
        caption="Right of the line the answers are too high on the whole, left of it too low.",
    )


def _times(view: ReportView) -> Picture | None:
    found = [
        Amount(time.step, time.seconds, wording.seconds(time.seconds))
        for time in sorted(view.times, key=lambda time: -time.seconds)
        if time.seconds >= 0.05  # what rounds to nothing is in the table of tools
    ]
    return amounts("times", "Seconds by step", found[:12], ("step", "time"))


def _found(estimate: Estimate) -> Found:
    return Found(estimate.value, estimate.reach)
