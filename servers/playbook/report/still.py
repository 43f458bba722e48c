"""A picture of a cycle for a chat: the error in service and the errors by dimension, as one PNG.

It is made of the page's own drawings, with the colours of its light scheme filled in. A chat client shows a tool's
picture as it stands, so there is paper behind it.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast
from xml.etree.ElementTree import Element, SubElement, fromstring, register_namespace, tostring

from servers.core.words import cleaned
from servers.playbook.report.charts.bars import bars
from servers.playbook.report.charts.journey import journey
from servers.playbook.report.charts.picture import Picture
from servers.playbook.report.view import ReportView
from servers.playbook.report.view_base import Role
from servers.playbook.report.wording import HEADINGS

STYLE = Path(__file__).parent / "page.css"
FONT = "Liberation Sans, DejaVu Sans, Arial, sans-serif"  # the renderer brings the first
GAP, HEAD, TITLE = 24, 76, 22
TITLE_CHARS = 200
SHARP = 1.25  # dots for each CSS pixel
_SVG = "http://www.w3.org/2000/svg"
_PROPERTY = re.compile(r"--([a-z-]+):\s*([^;}]+)[;}]")
_VARIABLE = re.compile(r"var\(--([a-z-]+)\)")


def still(view: ReportView) -> bytes | None:
    """The PNG; None where nothing was measured."""
    gone = journey([cycle for cycle in view.history if cycle.dataset == view.dataset.name], view.digits)
    found = [picture for picture in (gone.picture if gone else None, bars(view)) if picture is not None]
    if not found:
        return None
    # Here, because the renderer brings an engine of its own, which serving does not need.
    import vl_convert

    png: bytes = vl_convert.svg_to_png(_beside(view, found), SHARP)
    return png


def _beside(view: ReportView, pictures: Sequence[Picture]) -> str:
    """Drawings beside one another under a title, their colours filled in."""
    register_namespace("", _SVG)
    drawings = [fromstring(f'<g xmlns="{_SVG}">{picture.svg}</g>')[0] for picture in pictures]
    sizes = [(float(one.get("width", "0")), float(one.get("height", "0"))) for one in drawings]
    width = sum(wide for wide, _ in sizes) + GAP * (len(sizes) + 1)
    height = max(tall for _, tall in sizes) + HEAD + TITLE + GAP
    page = Element(f"{{{_SVG}}}svg", {"width": f"{width:g}", "height": f"{height:g}", "font-family": FONT})
    SubElement(page, f"{{{_SVG}}}rect", {"width": "100%", "height": "100%", "fill": "var(--card)"})
    _write(page, f"{view.this.cycle} on {view.dataset.name}: {HEADINGS[view.this.verdict]}", GAP, 36, "20")
    _write(page, _legend(view), GAP, 58, "12", soft=True)
    left = float(GAP)
    for picture, drawing, (wide, _) in zip(pictures, drawings, sizes, strict=True):
        _write(page, picture.title, left, HEAD + 10, "14")
        drawing.set("x", f"{left:g}")
        drawing.set("y", f"{HEAD + TITLE:g}")
        page.append(drawing)
        left += wide + GAP
    colours = dict(_PROPERTY.findall(STYLE.read_text(encoding="utf-8").partition("@media")[0]))
    return _VARIABLE.sub(lambda match: colours[match[1]].strip(), tostring(page, encoding="unicode"))


def _legend(view: ReportView) -> str:
    looks = {
        "champion": "orange: champion",
        "candidate": "blue: candidate",
        "rule": "brown tick: keyword rules",
        "constant": "grey tick: constant",
    }
    measured = [words for role, words in looks.items() if view.arm(cast(Role, role)) is not None]
    return f"{', '.join(measured)}. Diagnose rows, which prove nothing; 95% intervals."


def _write(page: Element, words: str, x: float, y: float, size: str, soft: bool = False) -> None:
    look = {"x": f"{x:g}", "y": f"{y:g}", "font-size": size}
    look |= {"fill": "var(--soft)"} if soft else {"fill": "var(--ink)", "font-weight": "bold"}
    SubElement(page, f"{{{_SVG}}}text", look).text = cleaned(words, TITLE_CHARS)
