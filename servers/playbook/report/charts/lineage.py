"""Where data and models came from: data versions above, models below, a column for each cycle that made something."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from servers.playbook.report.charts.drawing import drawn, short
from servers.playbook.report.charts.picture import Picture, Table
from servers.playbook.report.charts.spec import (
    CANDIDATE,
    CARD,
    CHAMPION,
    INK,
    LINE,
    PAPER,
    SOFT,
    Spec,
    layer,
    layered,
    plain,
    to,
)
from servers.playbook.report.view_work import LineageShown
from servers.playbook.report.wording import UNKNOWN

COLUMN, LEAST_WIDTH, LANE = 112, 336, 84
LABEL_CHARS = 16
MOST = 8  # columns: the newest
TITLE = "Lineage of data and models"
KINDS = {"data": "data version", "model": "model, promoted", "refused": "model, not promoted"}
CAPTION = (
    "A square is a dataset version, a dot a model (hollow: not promoted). A thin line leads from the rows to what was "
    "trained on them, the thick one from champion to champion; a ring is what is in use now."
)


def lineage(found: LineageShown, key: str = "lineage") -> Picture | None:
    """The picture; None where there is nothing to show. A wide one needs a frame that scrolls.

    Args:
        found: What came from what.
        key: Unique in the page.
    """
    columns = found.columns[-MOST:]
    nodes = [node for node in found.nodes if node.column in columns]
    if not nodes:
        return None
    left_out = len(found.columns) - len(columns)
    caption = CAPTION + (f" The newest {MOST} of {len(found.columns)} cycles." if left_out else "")
    found = found.model_copy(update={"columns": columns, "nodes": nodes})
    places = _places(found)
    lanes = 1 + max(y for _, y in places.values())
    width = max(LEAST_WIDTH, COLUMN * len(found.columns))
    spec = layered(_rows(found, places), _layers(found.columns, lanes), width, round(LANE * lanes + 6))
    labels = {node.id: node.label for node in found.nodes}
    cells = [
        [
            node.column,
            KINDS[node.kind] + (", now in use" if node.now else ""),
            node.label,
            ", ".join(labels.get(edge.start, "") for edge in found.edges if edge.end == node.id) or UNKNOWN,
            node.words,
        ]
        for node in found.nodes
    ]
    words = "; ".join(
        f"{column}: {kind} {label}, from {start}" if start != UNKNOWN else f"{column}: {kind} {label}"
        for column, kind, label, start, _ in cells
    )
    table = Table(["cycle", "kind", "what", "from", "in words"], cells)
    return Picture(key, TITLE, drawn(spec, key, TITLE, words + "."), table, caption, wide=width > LEAST_WIDTH)


def _places(found: LineageShown) -> dict[str, tuple[float, float]]:
    """Column and lane of each node: data in the upper lanes, models below, as many lanes as the fullest column."""
    column = {name: k for k, name in enumerate(found.columns)}
    depth = {"data": 0, "model": 1, "refused": 1}
    most = Counter({lane: 1 for lane in (0, 1)})
    for lane in (0, 1):
        full = Counter(node.column for node in found.nodes if depth[node.kind] == lane)
        most[lane] = max([1, *full.values()])
    taken: Counter[tuple[str, int]] = Counter()
    places = {}
    # What serves takes the first lane of the models, so that the line of champions runs straight.
    for node in sorted(found.nodes, key=lambda node: node.kind == "refused"):
        lane = depth[node.kind]
        offset = 0 if lane == 0 else most[0]
        places[node.id] = (float(column[node.column]), float(offset + taken[node.column, lane]))
        taken[node.column, lane] += 1
    return places


def _rows(found: LineageShown, places: dict[str, tuple[float, float]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for edge in found.edges:
        if edge.start in places and edge.end in places:
            rows.append({"part": edge.kind, **_between(places[edge.start], places[edge.end])})
    for node in found.nodes:
        x, y = places[node.id]
        tip = f"{node.column}, {KINDS[node.kind]}: {node.label}" + (f", {node.words}" if node.words else "")
        label = short(node.label, LABEL_CHARS)
        rows.append({"part": node.kind, "x": x, "y": y, "label": label, "now": node.now, "tip": tip})
    return rows


def _between(start: tuple[float, float], end: tuple[float, float]) -> dict[str, float]:
    return {"x": start[0], "y": start[1], "to_x": end[0], "to_y": end[1]}


def _layers(columns: Sequence[str], lanes: float) -> list[Spec]:
    heads = [short(name, LABEL_CHARS) for name in columns]
    x: Spec = {
        "field": "x",
        "type": "quantitative",
        "title": None,
        "scale": {"domain": [-0.5, len(columns) - 0.5], "nice": False, "zero": False},
        "axis": {
            "orient": "top",
            "grid": False,
            "values": list(range(len(columns))),
            "labelExpr": f"{heads!r}[datum.value]" if all(name.isidentifier() for name in heads) else "datum.value + 1",
            "labelColor": INK,
            "labelFontSize": 13,
            "labelOverlap": False,
        },
    }
    y: Spec = {
        "field": "y",
        "type": "quantitative",
        "axis": None,
        "scale": {"domain": [lanes - 0.45, -0.5], "nice": False, "zero": False},
    }
    place: Spec = {"x": x, "y": y}
    line: Spec = {**place, "x2": to("to_x"), "y2": to("to_y")}
    looks: dict[str, Spec] = {
        "grew": {"color": CHAMPION, "strokeWidth": 2},
        "trained": {"color": SOFT, "strokeWidth": 1.2, "opacity": 0.8},
        "followed": {"color": CANDIDATE, "strokeWidth": 5, "opacity": 0.35, "strokeCap": "round"},
    }
    marks: dict[str, Spec] = {
        "data": {"shape": "square", "fill": CHAMPION, "stroke": CARD, "size": 190},
        "model": {"shape": "circle", "fill": CANDIDATE, "stroke": CARD, "size": 230},
        "refused": {"shape": "circle", "fill": PAPER, "stroke": SOFT, "size": 150},
    }
    found = [layer("rule", line, where=f"datum.part === '{kind}'", **look) for kind, look in looks.items()]
    ring = layer("point", place, where="datum.now", shape="circle", size=560, stroke=LINE, strokeWidth=2, opacity=1)
    found.append(ring)
    for kind, look in marks.items():
        where = f"datum.part === '{kind}'"
        found.append(layer("point", place, tips=True, where=where, strokeWidth=2, opacity=1, **look))
    text = {**place, "text": plain("label")}
    for where, dy in (("datum.part === 'data'", -20), ("datum.part === 'model' || datum.part === 'refused'", 25)):
        found.append(layer("text", text, where=where, dy=dy, fontSize=12, color=INK))
    return found
