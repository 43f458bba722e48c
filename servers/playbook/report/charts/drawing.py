"""Draws a Vega-Lite document as SVG that belongs on a page of ours.

The renderer (Vega-Lite in vl-convert, which needs no network) takes half a second once and some twenty milliseconds
for each picture. What it writes is read again as a tree: ids become unique in the page, fonts and sizes are left to the
style sheet, empty shapes go, and what a mark says becomes its tooltip. Only the tags and attributes named here stay, so
a text from outside can be nothing but a text.
"""

import math
import re
from typing import Any
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from markupsafe import Markup

from servers.core.words import cleaned
from servers.playbook.report.charts.spec import CONFIG, Spec

TITLE_CHARS, DESCRIPTION_CHARS = 200, 4000
_SVG = "{http://www.w3.org/2000/svg}"
_TAGS = {"g", "path", "line", "text", "tspan", "rect", "defs", "clipPath", "linearGradient", "stop"}
_KEPT = {
    "clip-path", "d", "fill", "fill-opacity", "font-size", "font-style", "font-weight", "gradientUnits", "height", "id",
    "offset", "opacity", "stop-color", "stroke", "stroke-dasharray", "stroke-dashoffset", "stroke-linecap",
    "stroke-linejoin", "stroke-opacity", "stroke-width", "text-anchor", "transform", "width", "x", "x1", "x2", "y",
    "y1", "y2",
}  # fmt: skip
_DEFAULTS = {"opacity": "1", "fill-opacity": "1", "stroke-opacity": "1", "stroke-width": "1", "stroke-dasharray": ""}
_LONG = re.compile(r"-?\d+\.\d{2,}")
_REFERENCE = re.compile(r"url\(#([^)]*)\)")
_NOTHING = re.compile(r"(M0,0h0v0h0Z)?")


def drawn(spec: Spec, key: str, title: str, description: str, css: str = "chart") -> Markup:
    """One picture as SVG.

    Args:
        spec: A Vega-Lite document; its colours are custom properties of the page.
        key: Unique in the page; every id in the picture begins with it.
        title: What the picture is, one phrase.
        description: What it shows, with its figures, for a reader who cannot see it.
        css: Classes of the picture.

    Raises:
        ValueError: the document is not one that can be drawn.
    """
    # Here, because the renderer brings an engine of its own, which serving does not need.
    import vl_convert

    document = {**spec, "config": CONFIG | spec.get("config", {})}
    root = fromstring(vl_convert.vegalite_to_svg(_cleaned(document)))
    width, height = root.get("width", "0"), root.get("height", "0")
    labels = {"role": "img", "aria-labelledby": f"{key}-title {key}-desc"}
    size = {"viewBox": f"0 0 {width} {height}", "width": width, "height": height}
    page = Element("svg", {"class": css, **size, **labels})
    SubElement(page, "title", {"id": f"{key}-title"}).text = cleaned(title, limit=TITLE_CHARS)
    SubElement(page, "desc", {"id": f"{key}-desc"}).text = cleaned(description, limit=DESCRIPTION_CHARS)
    names = _Names(key)
    for child in root:
        _copy(child, page, names)
    # Safe: the serializer escapes every text and attribute, and only known tags and attributes are left.
    return Markup(tostring(page, encoding="unicode"))


def short(name: str, characters: int) -> str:
    """`name`, cut in its middle where it is longer: both of its ends tell similar names apart."""
    if len(name) <= characters:
        return name
    tail = (characters - 1) // 3
    return f"{name[: characters - 1 - tail]}…{name[len(name) - tail :]}"


def finite(*values: float | None) -> list[float]:
    """Those that are numbers."""
    return [found for found in values if found is not None and math.isfinite(found)]


class _Names:
    """Ids within one picture: the renderer counts on from one to the next, and the same picture is to be the same."""

    def __init__(self, key: str) -> None:
        self._key, self._known = key, dict[str, str]()

    def of(self, found: str) -> str:
        return self._known.setdefault(found, f"{self._key}-{len(self._known) + 1}")


def _cleaned(part: Any) -> Any:
    """A part of a document without characters that no XML may hold."""
    if isinstance(part, str):
        return cleaned(part)
    if isinstance(part, dict):
        return {name: _cleaned(inner) for name, inner in part.items()}
    return [_cleaned(inner) for inner in part] if isinstance(part, list) else part


def _copy(found: Element, parent: Element, names: _Names) -> None:
    tag = found.tag.removeprefix(_SVG)
    if tag not in _TAGS or found.get("display") == "none":
        return
    if tag == "path" and _NOTHING.fullmatch(found.get("d", "")):
        return
    kept = SubElement(parent, tag, _attributes(found, names))
    if said := _said(found):
        SubElement(kept, "title").text = cleaned(said, limit=TITLE_CHARS)
    if tag in ("text", "tspan"):
        kept.text = cleaned(found.text or "")
    for child in found:
        _copy(child, kept, names)
    if tag == "g" and not len(kept):
        parent.remove(kept)


def _said(found: Element) -> str | None:
    """What a mark tells about its row; axes and titles tell what everybody sees."""
    if found.get("role") != "graphics-symbol" or found.get("aria-roledescription") in ("axis", "title", "legend"):
        return None
    return found.get("aria-label")


def _attributes(found: Element, names: _Names) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for name, text in found.attrib.items():
        if name in _KEPT and text != _DEFAULTS.get(name):
            attributes[name] = _shortened(text, name, names)
    return attributes


def _shortened(text: str, name: str, names: _Names) -> str:
    if name == "id":
        return names.of(text)
    if match := _REFERENCE.fullmatch(text):
        return f"url(#{names.of(match[1])})"
    return _LONG.sub(_rounded, text) if name in ("d", "transform", "x", "y", "x1", "x2", "y1", "y2", "width") else text


def _rounded(match: re.Match[str]) -> str:
    # A tenth of a pixel cannot be seen, and halves the size of a page of scattered points.
    return f"{float(match[0]):.1f}".removesuffix(".0")
