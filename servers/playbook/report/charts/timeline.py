"""The cycles of one dataset in order: the error in service on the diagnose rows, and each verdict of the gate."""

from markupsafe import Markup

from servers.playbook.report.charts.drawing import Drawing, nice_step, short, step_digits
from servers.playbook.report.view import CycleShown, ReportView
from servers.playbook.report.wording import HEADINGS, interval, number, signed

MOST, FEWEST = 40, 5  # cycles that the picture has room for: the newest
STEP, LEFT, EDGE = 84, 48, 8
APART = 9  # of champion and candidate from the middle of their cycle
ERROR_TOP, ERROR_FLOOR = 26, 172
GATE_TOP, GATE_FLOOR = 216, 318
HEIGHT = 374


def timeline(view: ReportView) -> Markup | None:
    """The newest cycles of the report's dataset; None where none has a figure."""
    cycles = [cycle for cycle in view.history if cycle.dataset == view.dataset.name][-MOST:]
    if not any(value is not None for c in cycles for value in (c.mae_before, c.mae_after, c.difference)):
        return None
    return _Timeline(view, cycles).draw()


class _Axis:
    """Where a value stands between a floor and a top; both ends are round."""

    def __init__(self, values: list[float], top: float, floor: float) -> None:
        self.step = nice_step(max(values) - min(values), about=4)
        self.first = int(min(values) // self.step)
        self.last = max(int(-(-max(values) // self.step)), self.first + 1)
        self._floor = floor
        self._scale = (floor - top) / ((self.last - self.first) * self.step)

    def y(self, value: float) -> float:
        return self._floor - (value - self.first * self.step) * self._scale


class _Timeline:
    """One picture in the making."""

    def __init__(self, view: ReportView, cycles: list[CycleShown]) -> None:
        self._cycles = [(LEFT + EDGE + STEP * (k + 0.5), cycle) for k, cycle in enumerate(cycles)]
        self._now = view.this.cycle
        self._digits = view.digits
        self._right = LEFT + EDGE + STEP * max(len(cycles), FEWEST)
        words = " ".join(self._sentence(cycle) for cycle in cycles)
        self._drawing = Drawing("timeline", self._right + 6, HEIGHT, f"Cycles of {view.dataset.name}", words)

    def draw(self) -> Markup:
        for x, cycle in self._cycles:
            if cycle.cycle == self._now:
                self._drawing.add("rect", "now", x=x - STEP / 2, y=8, width=STEP, height=HEIGHT - 10, rx=6)
            self._drawing.text(x, GATE_FLOOR + 30, short(cycle.cycle, 13), "name small", text_anchor="middle")
            self._drawing.text(x, GATE_FLOOR + 45, HEADINGS[cycle.verdict].lower(), "tick", text_anchor="middle")
        self._draw_errors()
        self._draw_gates()
        return self._drawing.markup()

    def _sentence(self, cycle: CycleShown) -> str:
        before, after = number(cycle.mae_before, self._digits), number(cycle.mae_after, self._digits)
        errors = f"error on diagnose {before} for the champion, {after} for the candidate"
        gate = "not shown" if cycle.difference is None else signed(cycle.difference, self._digits)
        return f"{cycle.cycle}: {HEADINGS[cycle.verdict].lower()}; {errors}; gate difference {gate}."

    def _draw_axis(self, axis: _Axis, with_sign: bool) -> None:
        for k in range(axis.first, axis.last + 1):
            y = axis.y(k * axis.step)
            self._drawing.line(LEFT, y, self._right, y, "grid zero" if with_sign and k == 0 else "grid")
            write = signed if with_sign and k else number
            self._drawing.text(LEFT - 6, y + 4, write(k * axis.step, step_digits(axis.step)), "tick", text_anchor="end")

    def _draw_errors(self) -> None:
        self._drawing.text(4, ERROR_TOP - 12, "vector_mae on the diagnose rows, points", "tick strong")
        values = [v for _, cycle in self._cycles for v in (cycle.mae_before, cycle.mae_after) if v is not None]
        if not values:
            return
        axis = _Axis(values, ERROR_TOP, ERROR_FLOOR)
        self._draw_axis(axis, with_sign=False)
        path = [f"{x:.1f} {axis.y(value):.1f}" for place, cycle in self._cycles for x, value in _served(place, cycle)]
        if len(path) > 1:
            self._drawing.add("path", "served", d="M" + "L".join(path))
        for x, cycle in self._cycles:
            self._draw_pair(axis, x, cycle)

    def _draw_pair(self, axis: _Axis, x: float, cycle: CycleShown) -> None:
        before, after = cycle.mae_before, cycle.mae_after
        if before is not None and after is not None:
            self._drawing.line(x - APART, axis.y(before), x + APART, axis.y(after), "reach")
        if before is not None:
            left, y = x - APART, axis.y(before)
            tip = f"{cycle.cycle}, champion before: {number(before, self._digits)}"
            self._drawing.polygon([(left, y - 6), (left + 6, y), (left, y + 6), (left - 6, y)], "mark champion", tip)
        if after is not None:
            css = "mark candidate" if cycle.verdict == "promote" else "mark candidate refused"
            tip = f"{cycle.cycle}, candidate: {number(after, self._digits)}"
            self._drawing.add("circle", css, tip, cx=x + APART, cy=axis.y(after), r=5)

    def _draw_gates(self) -> None:
        words = "gate: candidate minus champion on the sealed rows, points"
        self._drawing.text(4, GATE_TOP - 12, words, "tick strong")
        shown = [v for _, c in self._cycles if c.difference is not None for v in (c.difference, *(c.ci or ()))]
        axis = _Axis([*shown, 0.0], GATE_TOP, GATE_FLOOR)
        if shown:
            self._draw_axis(axis, with_sign=True)
        middle = (GATE_TOP + GATE_FLOOR) / 2
        for x, cycle in self._cycles:
            if cycle.difference is not None:
                self._draw_verdict(axis, x, cycle, cycle.difference)
            elif cycle.verdict in ("hold", "undecided"):
                self._drawing.add("rect", "sealed", x=x - 24, y=middle - 10, width=48, height=20, rx=10)
                self._drawing.text(x, middle + 4, "sealed", "tick", text_anchor="middle")

    def _draw_verdict(self, axis: _Axis, x: float, cycle: CycleShown, difference: float) -> None:
        tip = f"{cycle.cycle}: {signed(difference, self._digits)}"
        if cycle.ci is not None:
            tip += f", interval {interval(cycle.ci, self._digits)}"
            path = f"M{x:.1f} {axis.y(cycle.ci[0]):.1f}V{axis.y(cycle.ci[1]):.1f}"
            self._drawing.add("path", "whisker gate", tip, d=path)
        self._drawing.add("circle", "mark candidate", tip, cx=x, cy=axis.y(difference), r=5)


def _served(x: float, cycle: CycleShown) -> list[tuple[float, float]]:
    """Where the line of what was in service passes in one cycle: (place, error)."""
    after = cycle.mae_after if cycle.verdict == "promote" else cycle.mae_before
    return [(x + shift, value) for shift, value in ((-APART, cycle.mae_before), (APART, after)) if value is not None]
