"""Words that somebody else wrote, made safe to show: to a terminal, which takes orders, and to a language model."""

import re
import unicodedata

INVISIBLE = {
    "Cc",
    "Cf",
    "Co",
    "Cs",
    "Zl",
    "Zp",
}  # control, format (bidirectional, zero-width, tag), private, separators
# Drawn by no font, though marks and letters by category: joiner, fillers, variation selectors, the plane of the tags.
_UNDRAWN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]")
KEPT = "\n\t"
CUT = "…[cut]"


def cleaned(text: str, limit: int) -> str:
    """`text` without invisible characters, at most `limit` characters long and then with a mark that it was cut."""
    some = text[: 4 * limit]  # a megabyte of one line is not walked to its end
    drawn = _UNDRAWN.sub("", some)
    seen = "".join(char for char in drawn if char in KEPT or unicodedata.category(char) not in INVISIBLE)
    return seen if len(seen) <= limit and len(some) == len(text) else seen[:limit] + CUT


def one_line(text: str, limit: int) -> str:
    """`text` cleaned, in one line."""
    return " ".join(cleaned(text, limit).split())
