"""Error by dimension as a share of the constant's error: inside the ring at 1 the model has read something."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from servers.playbook.report.charts.drawing import drawn, short
from servers.playbook.report.charts.picture import Picture, Table
from servers.playbook.report.charts.spec import (
    CARD,
    COLOURS,
    CONSTANT,
    INK,
    LINE,
    SOFT,
    Spec,
    layer,
    layered,
    plain,
    to,
)
from servers.playbook.report.view import ReportView
from servers.playbook.report.view_results import ArmShown
from servers.playbook.report.wording import number

SIDE = 340
ROOM, MANY_ROOM = 1.32, 1.5  # of the plot, in radii: names stand around the wheel
LOWEST_TOP, HIGHEST_TOP = 1.06, 2.0  # of the radial axis; what lies beyond is drawn on the rim
MANY = 12  # with more dimensions than this, names stand along their spokes
FEWEST = 3  # a radar of two spokes is a line
TITLE = "Error relative to the constant"


def radar(view: ReportView) -> Picture | None:
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
    spec = _wheel(names, shares, top)
    table = Table(["dimension", *shares], [[name, *(number(s[name]) for s in shares.values())] for name in names])
    words = "1 is the error of the constant, lower is better. " + "; ".join(
        f"{name}: " + ", ".join(f"{role} {number(by_name[name])}" for role, by_name in shares.items()) for name in names
    )
    caption = (
        "Error as a share of the constant's. Inside the dashed ring a model has read something in the text; nearer the "
        "centre is better."
        + (f" What errs {HIGHEST_TOP:g} times as much or more lies on the rim." if largest > top else "")
    )
    return Picture("radar", TITLE, drawn(spec, "radar", TITLE, words + "."), table, caption)


def _shares(arm: ArmShown, base: Mapping[str, float]) -> dict[str, float]:
    return {name: arm.by_dimension[name].value / base[name] for name in base if name in arm.by_dimension}


def _wheel(names: Sequence[str], shares: Mapping[str, Mapping[str, float]], top: float) -> Spec:
    rows: list[dict[str, Any]] = []
    count = len(names)
    rings = [0.5, 1.0] if top < 1.5 else [0.5, 1.0, 1.5]
    for ring in rings:
        rows += [{"part": f"ring {ring}", "k": k, **_place(k, count, ring / top)} for k in range(count)]
        said = "constant" if ring == 1 else number(ring, 1)
        # In the middle of a side, where no name and no mark stands.
        rows.append({"part": "tick", "word": said, **_place(0.5, count, ring / top * math.cos(math.pi / count) + 0.05)})
    for k, name in enumerate(names):
        end, far = _place(k, count, 1), _place(k, count, 1.07)
        rows.append({"part": "spoke", "x": 0.0, "y": 0.0, "to_x": end["x"], "to_y": end["y"]})
        rows.append({"part": "name", "word": short(name, 14 if count <= MANY else 11), **far, **_turn(k, count, far)})
    for role, by_name in shares.items():
        for k, name in enumerate(names):
            tip = f"{name}, {role}: {number(by_name[name])} of the constant's error"
            rows.append({"part": role, "k": k, "tip": tip, **_place(k, count, min(by_name[name] / top, 1))})
    room = ROOM if count <= MANY else MANY_ROOM
    return layered(rows, _layers(rings, list(shares), rows, room), SIDE, round(SIDE * (0.9 if count <= MANY else 1)))


def _layers(rings: Sequence[float], roles: Sequence[str], rows: Sequence[dict[str, Any]], room: float) -> list[Spec]:
    x: Spec = {"field": "x", "type": "quantitative", "axis": None, "scale": {"domain": [-room, room], "nice": False}}
    tall = room * 0.9 if room == ROOM else room
    y: Spec = {"field": "y", "type": "quantitative", "axis": None, "scale": {"domain": [-tall, tall], "nice": False}}
    round_trip: Spec = {"x": x, "y": y, "order": plain("k", "quantitative")}
    found = []
    for ring in rings:
        one: Spec = {"stroke": LINE, "strokeWidth": 1}
        if ring == 1:
            one = {"stroke": CONSTANT, "strokeWidth": 1.8, "strokeDash": [5, 4], "fill": CONSTANT, "fillOpacity": 0.07}
        where = f"datum.part === 'ring {ring}'"
        found.append(layer("line", round_trip, where=where, interpolate="linear-closed", **one))
    spoke = {"x": x, "y": y, "x2": to("to_x"), "y2": to("to_y")}
    found.append(layer("rule", spoke, where="datum.part === 'spoke'", color=LINE))
    looks: dict[str, Spec] = {
        "champion": {"strokeDash": [2, 3], "fillOpacity": 0.06, "strokeCap": "round"},
        "candidate": {"fillOpacity": 0.16},
    }
    shapes = {"champion": "diamond", "candidate": "circle"}
    for role in roles:
        look = {"stroke": COLOURS[role], "fill": COLOURS[role], "strokeWidth": 2.2, **looks[role]}
        where = f"datum.part === '{role}'"
        found.append(layer("line", round_trip, where=where, interpolate="linear-closed", strokeJoin="round", **look))
        dot: Spec = {"filled": True, "color": COLOURS[role], "stroke": CARD, "strokeWidth": 1.2, "opacity": 1}
        found.append(layer("point", {"x": x, "y": y}, tips=True, where=where, shape=shapes[role], size=62, **dot))
    turns = sorted({(float(row["angle"]), str(row["anchor"])) for row in rows if row["part"] == "name"})
    for angle, anchor in turns:
        where = f"datum.part === 'name' && datum.angle === {angle} && datum.anchor === '{anchor}'"
        text = {"x": x, "y": y, "text": plain("word")}
        found.append(
            layer("text", text, where=where, align=anchor, angle=angle, baseline="middle", color=INK, fontSize=13)
        )
    tick = {"x": x, "y": y, "text": plain("word")}
    found.append(layer("text", tick, where="datum.part === 'tick'", color=SOFT, fontSize=11))
    return found


def _place(k: float, of: int, radius: float) -> dict[str, float]:
    """Spoke `k` of a wheel around (0, 0), the first one pointing up."""
    angle = math.pi / 2 - 2 * math.pi * k / of
    return {"x": radius * math.cos(angle), "y": radius * math.sin(angle)}


def _turn(k: int, of: int, far: Mapping[str, float]) -> dict[str, Any]:
    """How a name stands: beside its spoke, or, where there are many, along it and never on its head."""
    anchor = "center" if abs(far["x"]) < 0.05 else "left" if far["x"] > 0 else "right"
    if of <= MANY:
        return {"anchor": anchor, "angle": 0.0}
    turned = -math.degrees(math.atan2(far["y"], abs(far["x"]))) * (1 if far["x"] >= 0 else -1)
    return {"anchor": "left" if far["x"] >= 0 else "right", "angle": round(turned, 1)}
