"""An SVG drawing built as a tree, so that it is well-formed and every text in it is escaped."""

import math
from collections.abc import Iterable, Mapping
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

from servers.core.words import cleaned


class Drawing:
    """One picture.

    Args:
        key: Unique in the page; the ids of title and description are made from it.
        width: In units of about one CSS pixel at the picture's natural size.
        height: In the same units.
        title: What the picture is, one phrase.
        description: What it shows, with its figures, for a reader who cannot see it.
        origin: The coordinates of its top left corner.
    """

    def __init__(
        self,
        key: str,
        width: float,
        height: float,
        title: str,
        description: str,
        origin: tuple[float, float] = (0, 0),
    ) -> None:
        labels = {"role": "img", "aria-labelledby": f"{key}-title {key}-desc"}
        box = " ".join(_plain(value) for value in (*origin, width, height))
        self.root = Element("svg", {"viewBox": box, "class": "chart", **labels})
        SubElement(self.root, "title", {"id": f"{key}-title"}).text = cleaned(title)
        SubElement(self.root, "desc", {"id": f"{key}-desc"}).text = cleaned(description, limit=4000)

    def group(self, css: str) -> Element:
        return SubElement(self.root, "g", {"class": css})

    def add(self, tag: str, css: str, tip: str = "", into: Element | None = None, **attributes: float | str) -> None:
        """Draw one shape; `tip` appears when a pointer rests on it."""
        shape = _child(self.root if into is None else into, tag, css, attributes)
        if tip:
            SubElement(shape, "title").text = cleaned(tip)

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        self.add("line", css, x1=x1, y1=y1, x2=x2, y2=y2)

    def text(self, x: float, y: float, words: str, css: str, **attributes: float | str) -> None:
        _child(self.root, "text", css, {"x": x, "y": y, **attributes}).text = cleaned(words)

    def polygon(self, points: Iterable[tuple[float, float]], css: str, tip: str = "") -> None:
        self.add("polygon", css, tip, points=" ".join(f"{_plain(x)},{_plain(y)}" for x, y in points))

    def markup(self) -> Markup:
        # Safe: every text and attribute went through the serializer, which escapes it.
        return Markup(tostring(self.root, encoding="unicode"))


def short(name: str, characters: int) -> str:
    """`name`, cut in its middle where it is longer: both of its ends tell similar names apart."""
    if len(name) <= characters:
        return name
    tail = (characters - 1) // 3
    return f"{name[: characters - 1 - tail]}…{name[len(name) - tail :]}"


def nice_step(span: float, about: int = 5) -> float:
    """A round step (1, 2 or 5 times a power of ten) that divides `span` into `about` parts or a few fewer."""
    if span <= 0:
        return 1.0
    power = 1.0
    while power * about < span:
        power *= 10
    while power * about >= span * 10:
        power /= 10
    return next((power * part for part in (0.1, 0.2, 0.5) if power * part * about >= span), power)


def step_digits(step: float) -> int:
    """Decimals that tell the multiples of a round step apart."""
    return max(0, -math.floor(math.log10(step) + 1e-9))


def _child(parent: Element, tag: str, css: str, attributes: Mapping[str, float | str]) -> Element:
    """A new element; underscores in the names of its attributes stand for hyphens."""
    values = {name.replace("_", "-"): _plain(value) for name, value in attributes.items()}
    return SubElement(parent, tag, ({"class": css} if css else {}) | values)


def _plain(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.1f}".removesuffix(".0")
