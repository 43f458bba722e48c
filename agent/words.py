"""Words that somebody else wrote, made safe to show: to a terminal, which takes orders, and to a language model."""

import unicodedata

INVISIBLE = {
    "Cc",
    "Cf",
    "Co",
    "Cs",
    "Zl",
    "Zp",
}  # control, format (bidirectional, zero-width, tag), private, separators
KEPT = "\n\t"
CUT = "…[cut]"


def cleaned(text: str, limit: int) -> str:
    """`text` without invisible characters, at most `limit` characters long and then with a mark that it was cut."""
    some = text[: 4 * limit]  # a megabyte of one line is not walked to its end
    seen = "".join(char for char in some if char in KEPT or unicodedata.category(char) not in INVISIBLE)
    return seen if len(seen) <= limit and len(some) == len(text) else seen[:limit] + CUT


def one_line(text: str, limit: int) -> str:
    """`text` cleaned, in one line."""
    return " ".join(cleaned(text, limit).split())
