"""Markdown: words that came from outside as plain words in it, tables, and figures for a reader.

A request text, a model's name or a lesson is data. Every character that could start a heading, a link, an image, a
table cell, a fence or HTML is escaped, so that it reads as it was written.
"""

import re
from collections.abc import Iterable, Sequence

from servers.core.words import MAX_CHARS, cleaned

LESSON_CHARS = 4000  # of a lesson's text with its figures filled in
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKDOWN = frozenset("\\`*_{[]|~@$")
_STARTS_A_BLOCK = re.compile(r"^(\d+(?=[.)](?:\s|$))|(?=[-+=#](?!\d)))")
_LINKS_BY_ITSELF = re.compile(r":(?=\S)|(?<=www)\.", re.IGNORECASE)  # http://…, mailto:…, www.…


def escaped(text: object, limit: int = MAX_CHARS) -> str:
    """`text` as plain words in Markdown, on one line."""
    line = "".join(_escape(char) for char in cleaned(str(text), limit))
    return _STARTS_A_BLOCK.sub(r"\1\\", _LINKS_BY_ITSELF.sub(r"\\\g<0>", line))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of cells that are Markdown already; columns of numbers read better ranged left than broken."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def lesson(title: str, text: str, sources: Sequence[str]) -> str:
    """A lesson with its figures filled in, and below it where each of them comes from, by number."""
    lines = [f"- \\[{number}] {escaped(source)}" for number, source in enumerate(sources, start=1)]
    return "\n\n".join([f"**{escaped(title)}** {escaped(text, LESSON_CHARS)}", *(["\n".join(lines)] if lines else [])])


def figure(value: float | int | None, digits: int = 2) -> str:
    """A number for a reader; 'n/a' where nothing was measured."""
    if value is None:
        return "n/a"
    return str(value) if isinstance(value, int) else f"{value:.{digits}f}"


def _escape(char: str) -> str:
    return _HTML.get(char) or (f"\\{char}" if char in _MARKDOWN else char)
