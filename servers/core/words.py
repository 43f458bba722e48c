"""Words that came from outside, before somebody reads them: on one line, bounded, and with nothing in them unseen.

A request text, a job's log or a model's argument is data. It may hold characters that no font draws, which reorder the
words around them or carry words that only a language model reads. Files keep a text as it came; what a tool returns
and what a page shows went through here.
"""

import re
import unicodedata

MAX_CHARS = 500  # of one text, where nothing else is said
REFUSAL_CHARS = 1000

# Controls, formats (zero-width and reordering marks, tags), private use, halves of surrogate pairs, line separators.
_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
# Marks and letters by category, and drawn by no font all the same: grapheme joiner, fillers, variation selectors, and
# the rest of the plane that holds the tags (Unicode's Default_Ignorable_Code_Point).
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]")
_CUT_OUT = " … "


def cleaned(text: str, limit: int = MAX_CHARS) -> str:
    """`text` on one line, without unseen characters, at most `limit` characters; a cut one ends in '…'."""
    if len(text) > 10 * limit:  # a text may be megabytes long, and its end is not shown anyway
        text = text[: 10 * limit] + "…"
    line = _on_one_line(text)
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def refusal(text: str) -> str:
    """A refusal's words on one line, without unseen characters, at most REFUSAL_CHARS.

    One that is too long loses its middle: it begins with what is wrong and ends with what to do next.
    """
    if len(text) > 10 * REFUSAL_CHARS:  # it may echo megabytes
        text = text[: 5 * REFUSAL_CHARS] + _CUT_OUT + text[-5 * REFUSAL_CHARS :]
    line = _on_one_line(text)
    if len(line) <= REFUSAL_CHARS:
        return line
    half = (REFUSAL_CHARS - len(_CUT_OUT)) // 2
    return line[:half].rstrip() + _CUT_OUT + line[-half:].lstrip()


def escaped_unseen(json_text: str) -> str:
    """JSON that a reader sees all of: an unseen character in a text of it stands there as its escape."""
    unseen = (char for char in set(json_text) if char != "\n" and not is_seen(char))
    return json_text.translate({ord(char): _escape(char) for char in unseen})


def is_seen(char: str) -> bool:
    """Whether a character is drawn, or is a space."""
    return unicodedata.category(char) not in _UNSEEN_CATEGORIES and not _UNSEEN.match(char)


def _on_one_line(text: str) -> str:
    kept = (" " if char.isspace() else char for char in text if char.isspace() or is_seen(char))
    return " ".join("".join(kept).split())


def _escape(char: str) -> str:
    """The character in JSON's ASCII: one unit of UTF-16, or two."""
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
