"""Pieces of Vega-Lite documents: marks, axes and layers as every picture of ours has them.

Colours are the custom properties of the page's style sheet, so that one drawing follows the reader's light or dark
theme and the paper. A test holds every document to Vega-Lite's schema.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Spec = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]

INK, SOFT, LINE, FAINT = "var(--ink)", "var(--soft)", "var(--line)", "var(--faint)"
PAPER, CARD = "var(--paper)", "var(--card)"
CANDIDATE, CHAMPION, CONSTANT, RULE = "var(--candidate)", "var(--champion)", "var(--constant)", "var(--rule)"
SEAL, WARN = "var(--seal)", "var(--warn)"
COLOURS = {"candidate": CANDIDATE, "champion": CHAMPION, "constant": CONSTANT, "rule": RULE}

CONFIG: Spec = {
    "background": "transparent",
    "font": "Liberation Sans",  # to measure with; the page draws with its own
    "padding": {"left": 10, "right": 12, "top": 4, "bottom": 4},  # fonts differ in width from what is measured with
    "view": {"stroke": None},
    "axis": {
        "labelColor": SOFT,
        "titleColor": SOFT,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "gridColor": LINE,
        "gridWidth": 1,
        "domainColor": SOFT,
        "tickColor": SOFT,
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
        "titlePadding": 8,
        "labelLimit": 160,
    },
    "text": {"fontSize": 12, "color": INK},
}


def layered(rows: Rows, layers: Sequence[Spec], width: int, height: int, **more: Any) -> Spec:
    """One picture of several layers over the same rows.

    Args:
        rows: The figures; a field `tip` is what a pointer that rests on a mark is told.
        layers: From the lowest up.
        width: Of the plot without its axes, CSS pixels.
        height: The same.
        more: Other parts of the document.
    """
    return {"data": {"values": list(rows)}, "width": width, "height": height, "layer": list(layers), **more}


def layer(kind: str, encoding: Spec, tips: bool = False, where: str | None = None, **mark: Any) -> Spec:
    """One layer.

    Args:
        kind: Vega-Lite's mark: rule, point, bar, text, line, area, rect.
        encoding: By channel.
        tips: Whether each mark carries its row's `tip`; marks without are kept from readers of the picture's parts.
        where: Which rows, as a Vega expression over `datum`.
        mark: Properties of the mark.
    """
    channels = encoding | ({"description": {"field": "tip", "type": "nominal"}} if tips else {})
    found: Spec = {"mark": {"type": kind, "aria": tips, **mark}, "encoding": channels}
    return found if where is None else {"transform": [{"filter": where}], **found}


def amount(
    field: str, title: str | None = None, domain: tuple[float, float] | None = None, zero: bool = False, **axis: Any
) -> Spec:
    """A quantity on an axis; without a domain it spans the figures, in round steps."""
    scale: Spec = {"zero": zero} | ({"nice": True} if domain is None else {"domain": list(domain), "nice": False})
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, "axis": {"tickCount": 5, **axis}}


SIGNED: Spec = {"labelExpr": "datum.value === 0 ? '0' : format(datum.value, '+~r')"}
"""For an axis of differences."""


def named(field: str, order: Sequence[str], title: str | None = None, **axis: Any) -> Spec:
    """Names on an axis, in the order given."""
    shown = {"grid": False, "labelColor": INK, "labelFontSize": 13, **axis}
    return {"field": field, "type": "nominal", "title": title, "sort": list(order), "axis": shown}


def to(field: str) -> Spec:
    """Where a mark ends that begins on an axis."""
    return {"field": field}


def plain(field: str, kind: str = "nominal", **more: Any) -> Spec:
    """A field as it is."""
    return {"field": field, "type": kind, **more}


def value(found: float | str) -> Spec:
    """The same for every mark."""
    return {"value": found}
