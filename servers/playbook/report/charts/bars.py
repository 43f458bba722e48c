"""Mean absolute error by dimension: a bar for each model, a tick for each baseline, whiskers of one standard error."""

from markupsafe import Markup

from servers.playbook.report.charts.drawing import Drawing, nice_step, short, step_digits
from servers.playbook.report.view import ArmShown, Estimate, ReportView
from servers.playbook.report.wording import number

WIDTH, LEFT, RIGHT = 460, 6, 446
BAR, GAP, LABEL = 9, 3, 19
ALL = "all dimensions"


def bars(view: ReportView) -> Markup | None:
    """All dimensions together first, then each; None where no arm was measured."""
    return _Bars(view).draw() if view.arms else None


class _Bars:
    """One picture in the making; a row is a dimension or ALL."""

    def __init__(self, view: ReportView) -> None:
        self._arms = view.arms
        self._models = [arm for role in ("champion", "candidate") if (arm := view.arm(role))]
        self._baselines = [arm for role in ("constant", "rule") if (arm := view.arm(role))]
        self._digits = view.digits
        self._rows = [ALL, *(name for name in view.names if any(name in arm.by_dimension for arm in view.arms))]
        self._thick = max(len(self._models), 1) * (BAR + GAP) - GAP
        self._block = LABEL + self._thick + 12
        reaches = [e.value + (e.se or 0) for arm in self._arms for row in self._rows if (e := _estimate(arm, row))]
        self._top = max(1.02 * max(reaches), 1e-9)
        self._scale = (RIGHT - LEFT) / self._top
        height = self._block * len(self._rows) + 34
        self._drawing = Drawing("bars", WIDTH, height, "Mean absolute error by dimension", self._description())

    def draw(self) -> Markup:
        self._draw_axis(self._block * len(self._rows) + 4)
        for k, row in enumerate(self._rows):
            self._draw_row(row, k * self._block)
        return self._drawing.markup()

    def _description(self) -> str:
        parts = []
        for row in self._rows:
            figures = [f"{arm.role} {self._figure(e)}" for arm in self._arms if (e := _estimate(arm, row))]
            parts.append(f"{row}: {', '.join(figures)}")
        return "Points, ± one standard error, lower is better. " + "; ".join(parts) + "."

    def _figure(self, estimate: Estimate) -> str:
        value = number(estimate.value, self._digits)
        return value if estimate.se is None else f"{value} ± {number(estimate.se, self._digits)}"

    def _draw_axis(self, bottom: float) -> None:
        step = nice_step(self._top)
        for k in range(int(self._top / step) + 1):
            x = LEFT + k * step * self._scale
            self._drawing.line(x, 0, x, bottom, "grid zero" if k == 0 else "grid")
            anchor = "middle" if k else "start"
            self._drawing.text(x, bottom + 14, number(k * step, step_digits(step)), "tick", text_anchor=anchor)
        self._drawing.text(RIGHT, bottom + 29, "points of mean absolute error", "tick", text_anchor="end")

    def _draw_row(self, row: str, y: float) -> None:
        self._drawing.text(LEFT + 2, y + 12, short(row, 34), "name halo strong" if row == ALL else "name halo")
        values = [number(e.value, self._digits) for arm in self._models if (e := _estimate(arm, row))]
        self._drawing.text(RIGHT, y + 12, " → ".join(values), "value halo", text_anchor="end")
        for k, arm in enumerate(self._models):
            if estimate := _estimate(arm, row):
                tip = f"{row}, {arm.role}: {self._figure(estimate)}"
                self._draw_bar(arm.role, estimate, y + LABEL + k * (BAR + GAP), tip)
        for arm in self._baselines:
            if estimate := _estimate(arm, row):
                tip = f"{row}, {arm.role}: {self._figure(estimate)}"
                path = f"M{LEFT + estimate.value * self._scale:.1f} {y + LABEL - 3:.1f}v{self._thick + 6}"
                self._drawing.add("path", f"baseline {arm.role}", tip, d=path)

    def _draw_bar(self, role: str, estimate: Estimate, y: float, tip: str) -> None:
        width = estimate.value * self._scale
        self._drawing.add("rect", f"bar {role}", tip, x=LEFT, y=y, width=width, height=BAR, rx=1.5)
        if estimate.se:
            middle, reach = y + BAR / 2, estimate.se * self._scale
            low, high = LEFT + max(width - reach, 0), LEFT + width + reach
            ends = f"M{low:.1f} {middle - 3:.1f}v6M{high:.1f} {middle - 3:.1f}v6"
            self._drawing.add("path", "whisker", d=f"M{low:.1f} {middle:.1f}H{high:.1f}{ends}")


def _estimate(arm: ArmShown, row: str) -> Estimate | None:
    return arm.vector_mae if row == ALL else arm.by_dimension.get(row)
