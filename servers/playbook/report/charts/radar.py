"""Error by dimension as a share of the constant's error: inside the ring at 1 the model has read something."""

import math
from collections.abc import Mapping

from markupsafe import Markup

from servers.playbook.report.charts.drawing import Drawing, short
from servers.playbook.report.view import ArmShown, ReportView
from servers.playbook.report.wording import number

WIDTH, RADIUS = 460, 148
MARGIN = 38  # above and below the wheel, for names
LOWEST_TOP, HIGHEST_TOP = 1.06, 2.0  # of the radial axis; what lies beyond is drawn on the rim
MANY, MANY_MARGIN = 12, 88  # with more dimensions than this, names stand along their spokes
FEWEST = 3  # a radar of two spokes is a line


def radar(view: ReportView) -> Markup | None:
    """Champion and candidate against the constant; None where fewer than three dimensions can be compared."""
    constant = view.arm("constant")
    if constant is None:
        return None
    base = {name: estimate.value for name, estimate in constant.by_dimension.items() if estimate.value > 0}
    shares = {
        role: _shares(arm, base) for role in ("champion", "candidate") if (arm := view.arm(role)) and arm.by_dimension
    }
    names = [name for name in view.names if name in base and all(name in by_name for by_name in shares.values())]
    if len(names) < FEWEST or not shares:
        return None
    largest = max(by_name[name] for by_name in shares.values() for name in names)
    top = min(max(LOWEST_TOP, largest * 1.05), HIGHEST_TOP)
    height = 2 * (RADIUS + (MANY_MARGIN if len(names) > MANY else MARGIN))
    words = _words(names, shares)
    drawing = Drawing("radar", WIDTH, height, "Error relative to the constant", words, origin=(-WIDTH / 2, -height / 2))
    rings = [0.5, 1.0] if top < 1.5 else [0.5, 1.0, 1.5]
    _web(drawing, names, rings, top)
    for role, by_name in shares.items():
        _shape(drawing, role, names, by_name, top)
    for ring in rings:
        drawing.text(5, -4 - RADIUS * ring / top, "constant = 1" if ring == 1 else number(ring, 1), "tick halo")
    if largest > HIGHEST_TOP:
        drawing.text(-WIDTH / 2, height / 2 - 4, f"on the rim: {HIGHEST_TOP:g} or more", "tick")
    return drawing.markup()


def _shares(arm: ArmShown, base: Mapping[str, float]) -> dict[str, float]:
    return {name: arm.by_dimension[name].value / base[name] for name in base if name in arm.by_dimension}


def _words(names: list[str], shares: Mapping[str, Mapping[str, float]]) -> str:
    parts = [
        f"{name}: " + ", ".join(f"{role} {number(by_name[name])}" for role, by_name in shares.items()) for name in names
    ]
    return "1 is the error of the constant, lower is better. " + "; ".join(parts) + "."


def _place(k: int, of: int, radius: float) -> tuple[float, float]:
    """Spoke `k` of a wheel around (0, 0), the first one pointing up."""
    angle = 2 * math.pi * k / of - math.pi / 2
    return radius * math.cos(angle), radius * math.sin(angle)


def _web(drawing: Drawing, names: list[str], rings: list[float], top: float) -> None:
    for ring in rings:
        css = "ring one" if ring == 1 else "ring"
        drawing.polygon([_place(k, len(names), RADIUS * ring / top) for k in range(len(names))], css)
    for k, name in enumerate(names):
        drawing.line(0, 0, *_place(k, len(names), RADIUS), "spoke")
        x, y = _place(k, len(names), RADIUS + 12)
        if len(names) > MANY:
            _name_along(drawing, name, x, y)
        else:
            _name_beside(drawing, name, x, y)


def _name_beside(drawing: Drawing, name: str, x: float, y: float) -> None:
    anchor = "middle" if abs(x) < 5 else "start" if x > 0 else "end"
    lift = 4 if abs(y) < RADIUS else 0 if y < 0 else 10
    drawing.text(x, y + lift, short(name, 14), "name", text_anchor=anchor)


def _name_along(drawing: Drawing, name: str, x: float, y: float) -> None:
    # Turned so that no name stands on its head.
    turn, anchor = math.degrees(math.atan2(y, abs(x))) * (1 if x >= 0 else -1), "start" if x >= 0 else "end"
    place = f"rotate({turn:.1f} {x:.1f} {y:.1f})"
    drawing.text(x, y, short(name, 11), "name small", text_anchor=anchor, dominant_baseline="middle", transform=place)


def _shape(drawing: Drawing, role: str, names: list[str], by_name: Mapping[str, float], top: float) -> None:
    points = [_place(k, len(names), RADIUS * min(by_name[name] / top, 1)) for k, name in enumerate(names)]
    drawing.polygon(points, f"area {role}")
    for (x, y), name in zip(points, names, strict=True):
        tip = f"{name}, {role}: {number(by_name[name])} of the constant's error"
        if role == "candidate":
            drawing.add("circle", f"mark {role}", tip, cx=x, cy=y, r=3.4)
        else:
            drawing.polygon([(x, y - 4.6), (x + 4.6, y), (x, y + 4.6), (x - 4.6, y)], f"mark {role}", tip)
