"""The lineage of one dataset as a picture with links: versions of the data, the models trained on them, what served.

Time runs from left to right, one column a cycle or a rollback. Three lanes: the data above, the models in the middle,
what was in service below. Built as a tree, so that it is well-formed and every text in it is escaped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

from servers.core.dataset import Card
from servers.core.evaluations import Evaluation
from servers.core.phrases import counted
from servers.core.registry import CONSTANT, Move
from servers.core.words import cleaned
from servers.playbook.report.charts.drawing import short
from servers.playbook.report.wording import HEADINGS, number
from servers.playbook.site.addresses import Link
from servers.playbook.site.archive import CycleLine

MOST = 60  # columns: the newest
COLUMN, LEFT, RIGHT = 168, 104, 30
NODE, TALL, RADIUS = 132, 46, 9
DATA, MODELS, SERVICE = 44, 148, 256  # upper edges of the lanes
HEIGHT = 344
SIGNS = {"promote": "▲", "hold": "■", "undecided": "?", "stopped": "✕", None: "…"}
WORDS_CHARS = 4000


@dataclass(frozen=True)
class Column:
    """One cycle, or one rollback."""

    line: CycleLine | None
    move: Move | None
    """What it changed in service; None where nothing."""

    @property
    def at(self) -> str:
        return self.line.opening.opened_at if self.line else self.move.at if self.move else ""


def columns_of(lines: Sequence[CycleLine], moves: Sequence[Move]) -> list[Column]:
    """Cycles and rollbacks of one dataset, oldest first."""
    by_cycle = {move.cycle: move for move in moves if move.cycle is not None}
    rollbacks = [Column(None, move) for move in moves if move.action == "rollback"]
    return sorted([*(Column(line, by_cycle.get(line.cycle)) for line in lines), *rollbacks], key=lambda one: one.at)


def lineage(
    dataset: str,
    columns: Sequence[Column],
    cards: Sequence[Card],
    measured: Sequence[Evaluation],
    digits: int,
    link: Link,
) -> Markup | None:
    """The picture; None before the first cycle.

    Args:
        dataset: Its name.
        columns: From `columns_of`.
        cards: Every version of the dataset.
        measured: Evaluations, oldest first.
        digits: Decimals of an error.
        link: To the page of a key.
    """
    if not columns:
        return None
    errors = {one.model: one.metrics.get("vector_mae") for one in measured if one.dataset == dataset}
    return _Lineage(dataset, columns[-MOST:], {card.fingerprint: card for card in cards}, errors, digits, link).markup()


class _Lineage:
    """One picture in the making."""

    def __init__(
        self,
        dataset: str,
        columns: Sequence[Column],
        cards: dict[str, Card],
        errors: dict[str, float | None],
        digits: int,
        link: Link,
    ) -> None:
        self._dataset, self._cards, self._errors, self._digits, self._link = dataset, cards, errors, digits, link
        width = LEFT + COLUMN * len(columns) + RIGHT
        key = f"lineage-{dataset}"
        labels = {"role": "group", "aria-labelledby": f"{key}-title {key}-desc"}
        self._root = Element(
            "svg", {"viewBox": f"0 0 {width} {HEIGHT}", "width": str(width), "class": "lineage", **labels}
        )
        SubElement(self._root, "title", {"id": f"{key}-title"}).text = f"Lineage of {dataset}"
        told = " ".join(self._sentence(column) for column in columns)
        SubElement(self._root, "desc", {"id": f"{key}-desc"}).text = cleaned(told, WORDS_CHARS)
        self._drawn: dict[str, float] = {}
        """Where each dataset version stands."""
        self._draw(columns, width)

    def markup(self) -> Markup:
        # Safe: every text and attribute went through the serializer, which escapes it.
        return Markup(tostring(self._root, encoding="unicode"))

    def _draw(self, columns: Sequence[Column], width: int) -> None:
        for y, name in ((DATA, "data"), (MODELS, "models"), (SERVICE, "in service")):
            self._text(8, y + TALL / 2 + 4, name, "lane")
        served, since = self._before(columns[0]), float(LEFT - 6)
        for k, column in enumerate(columns):
            x = LEFT + COLUMN * (k + 0.5)
            if column.line is not None:
                self._draw_cycle(x, column.line)
            if column.move is not None:
                self._serve(since, x - RADIUS, served)
                self._draw_move(x, column)
                served, since = column.move.model, x + RADIUS
        self._serve(since, width - 6, served)

    def _before(self, first: Column) -> str:
        """What was in service when the first column began."""
        if first.line is not None:
            return first.line.opening.champion
        return (first.move.previous if first.move else None) or CONSTANT

    def _draw_cycle(self, x: float, line: CycleLine) -> None:
        head = self._node(f"cycles/{line.cycle}", f"{line.cycle}: {HEADINGS[line.shown.verdict].lower()}")
        self._text(x, 20, short(line.cycle, 20), "cycle", head)
        versions = [line.opening.dataset_version, *([line.version_after] if line.version_after else [])]
        for version in versions:
            self._draw_version(x, version)
        if line.candidate is not None and line.candidate != CONSTANT:
            trained_on = self._drawn.get(line.version_after or line.opening.dataset_version, x)
            self._curve(trained_on, DATA + TALL, x, MODELS)
            self._draw_model(x, line, line.candidate)
        else:
            self._text(x, MODELS + TALL / 2 + 4, f"{SIGNS[line.shown.verdict]} no candidate", "quiet")

    def _draw_version(self, x: float, version: str) -> None:
        if version in self._drawn or (card := self._cards.get(version)) is None:
            return
        if self._drawn and (before := max(self._drawn.values())) < x:
            self._path(f"M{before + NODE / 2:.0f} {DATA + TALL / 2}H{x - NODE / 2:.0f}", "edge")
        elif self._drawn:  # a second version in the same column stands where the first one did
            return
        parent = self._cards.get(card.parent or "")
        more = "" if parent is None else f" ({card.rows.train - parent.rows.train:+d})"
        rows = f"{counted(card.rows.train, 'row')}{more}"
        node = self._node(f"datasets/{self._dataset}/{version}", f"version {version}: {rows} to train on")
        self._box(node, x, DATA, "data", version[:8], rows)
        self._drawn[version] = x

    def _draw_model(self, x: float, line: CycleLine, model: str) -> None:
        verdict = line.shown.verdict
        error = self._errors.get(model)
        told = "not measured" if error is None else f"error {number(error, self._digits)}"
        node = self._node(f"models/{model}", f"{model}: {told} on diagnose; {HEADINGS[verdict].lower()}")
        self._box(node, x, MODELS, f"model {verdict or 'open'}", f"{SIGNS[verdict]} {short(model, 14)}", told)
        if verdict not in ("promote", None):
            middle = MODELS + TALL
            self._path(f"M{x:.0f} {middle}v22m-7 0h14", f"stop {verdict}")
            self._text(x, middle + 38, HEADINGS[verdict].lower(), "quiet")

    def _draw_move(self, x: float, column: Column) -> None:
        move = column.move
        assert move is not None  # the caller looked
        line = SERVICE + TALL / 2
        if move.action == "rollback":
            node = self._node(f"models/{move.model}", f"rollback to {move.model}")
            self._text(x, MODELS + TALL / 2 + 4, "↶ rollback", "quiet")
            self._path(f"M{x:.0f} {MODELS + TALL / 2 + 12}V{line - RADIUS:.0f}", "arrow back")
        else:
            node = self._node(f"models/{move.model}", f"{move.model} in service from {move.at}")
            self._path(f"M{x:.0f} {MODELS + TALL}V{line - RADIUS:.0f}", "arrow")
        SubElement(node, "circle", {"cx": f"{x:.0f}", "cy": f"{line:.0f}", "r": str(RADIUS), "class": "served"})

    def _serve(self, start: float, end: float, model: str) -> None:
        """The stretch of time in which a model served."""
        y = SERVICE + TALL / 2
        self._path(f"M{start:.0f} {y:.0f}H{end:.0f}", "service none" if model == CONSTANT else "service")
        if end - start > COLUMN / 3:
            self._text((start + end) / 2, y + 26, short(model, max(8, int((end - start) / 7.5))), "serving")

    def _node(self, key: str, said: str) -> Element:
        """A link; what it is drawn of goes into it."""
        constant = key == f"models/{CONSTANT}"
        node = SubElement(self._root, "g") if constant else SubElement(self._root, "a", {"href": self._link(key)})
        SubElement(node, "title").text = cleaned(said)
        return node

    def _box(self, node: Element, x: float, y: float, css: str, first: str, second: str) -> None:
        size = {"x": f"{x - NODE / 2:.0f}", "y": str(y), "width": str(NODE), "height": str(TALL), "rx": "7"}
        SubElement(node, "rect", {**size, "class": f"box {css}"})
        self._text(x, y + 19, first, "name", node)
        self._text(x, y + 36, second, "figure", node)

    def _curve(self, x1: float, y1: float, x2: float, y2: float) -> None:
        middle = (y1 + y2) / 2
        self._path(f"M{x1:.0f} {y1}C{x1:.0f} {middle:.0f} {x2:.0f} {middle:.0f} {x2:.0f} {y2}", "edge")

    def _path(self, path: str, css: str) -> None:
        SubElement(self._root, "path", {"d": path, "class": css})

    def _text(self, x: float, y: float, words: str, css: str, into: Element | None = None) -> None:
        place = {"x": f"{x:.0f}", "y": f"{y:.0f}", "class": css}
        SubElement(self._root if into is None else into, "text", place).text = cleaned(words)

    def _sentence(self, column: Column) -> str:
        line, move = column.line, column.move
        if line is None:
            return f"Rollback to {move.model}." if move else ""
        said = f"{line.cycle}: {HEADINGS[line.shown.verdict].lower()}"
        if line.candidate:
            said += f", candidate {line.candidate}"
        if card := self._cards.get(line.version_after or ""):
            said += f" trained on version {card.fingerprint} with {counted(card.rows.train, 'row')}"
        return said + (f"; {move.model} in service from then on." if move else ".")
