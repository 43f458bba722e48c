"""Words that came from outside: cut, stripped, and escaped before they reach a file that somebody renders.

A request text, a model's name or a lesson is data. In JSON it stands as a string; in Markdown every character that
could start a heading, a link, an image, a table cell, a fence or HTML is escaped, so that it reads as it was written.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

MAX_CHARS = 500  # of one text in a snapshot, a playbook or a report

# Marks that reorder the words around them: a text could be made to look like another one.
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKDOWN = frozenset("\\`*_{[]|~@$")
_STARTS_A_BLOCK = re.compile(r"^(\d+(?=[.)](?:\s|$))|(?=[-+=#](?!\d)))")
_LINKS_BY_ITSELF = re.compile(r":(?=\S)|(?<=www)\.", re.IGNORECASE)  # http://…, mailto:…, www.…


def cleaned(text: str, limit: int = MAX_CHARS) -> str:
    """`text` on one line, without control characters, at most `limit` characters; a cut one ends in '…'."""
    if len(text) > 10 * limit:  # a text may be megabytes long, and its end is not shown anyway
        text = text[: 10 * limit] + "…"
    kept = (" " if char.isspace() else char for char in text if char.isspace() or _is_visible(char))
    line = " ".join("".join(kept).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def escaped(text: object, limit: int = MAX_CHARS) -> str:
    """`text` as plain words in Markdown, on one line."""
    line = "".join(_escape(char) for char in cleaned(str(text), limit))
    return _STARTS_A_BLOCK.sub(r"\1\\", _LINKS_BY_ITSELF.sub(r"\\\g<0>", line))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of cells that are Markdown already; columns of numbers read better ranged left than broken."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def figure(value: float | int | None, digits: int = 2) -> str:
    """A number for a reader; 'n/a' where nothing was measured."""
    if value is None:
        return "n/a"
    return str(value) if isinstance(value, int) else f"{value:.{digits}f}"


def _is_visible(char: str) -> bool:
    # Cc are control characters, Cs halves of a surrogate pair, which no UTF-8 file can hold.
    return unicodedata.category(char) not in ("Cc", "Cs") and char not in _REORDERING


def _escape(char: str) -> str:
    return _HTML.get(char) or (f"\\{char}" if char in _MARKDOWN else char)
