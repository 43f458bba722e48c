"""Figures in English words: a net for what is plainly one, not a proof that there is none.

Caught: numbers from eleven up and dozens, wherever they stand; smaller ones before a measure ("five percent", "by two
points"); and factors of an error ("halved", "twice as good"). "Two dimensions" and "the first of them" stay free, and
so does every other language.
"""

import re
import unicodedata

_LARGE = (
    r"(?:eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty"
    r"|hundreds?|thousands?|millions?|billions?|dozens?)"
)
_SMALL = r"(?:an?|one|two|three|four|five|six|seven|eight|nine|ten|half|quarter|third)"
_MEASURE = r"(?:per ?cent|percentage points?|per ?mille|milliseconds?|minutes?|hours?|dollars?|cents?)"
_WAY = r"(?:lower|higher|better|worse|less|more|down|up)"
_FACTOR = r"(?:half|twice|thrice|double|triple|(?:an?|one|two|three)[- ](?:third|quarter|fifth|tenth)s?)"
_SIZE = r"(?:errors?|mae|good|bad|large|small|high|low|many|much|great|wrong)"
_FIGURE = re.compile(
    rf"\b(?:{_LARGE}(?:-\w+)?"
    rf"|{_SMALL}(?: and a half| an?)?[- ]{_MEASURE}"
    rf"|{_SMALL} points? {_WAY}|by {_SMALL}(?: and a half| an?)? points?"
    rf"|(?:halved|tripled|quadrupled|(?:two|three|four|five|ten)-?fold)"
    rf"|{_FACTOR}(?: of)? (?:as|the|that|its|their)(?: \w+)?(?: of)?(?: the)? {_SIZE})\b",
    re.IGNORECASE,
)


def figures_in_words(text: str) -> list[str]:
    """The parts of `text` that are figures in words, as they stand there."""
    plain = " ".join(unicodedata.normalize("NFKC", text).split())
    return [match[0] for match in _FIGURE.finditer(plain)]
