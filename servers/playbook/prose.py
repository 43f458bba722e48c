"""The prose of a playbook: figures come into it only through `{claim:id}`, which stands by itself.

Any other digit, of any script, is refused, except in the names of things: cycles, models, plans, dimensions, metrics,
files. A reference between spaces or punctuation cannot be glued to a sign, a digit or another unit. Figures in words
are caught as far as `number_words.py` goes; the words around a figure are nobody's but their author's, which is why the
server says unit and direction itself.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from servers.core.words import cleaned
from servers.playbook.claims import Claim, KeptClaim
from servers.playbook.number_words import figures_in_words
from servers.playbook.rounding import as_figure

_REFERENCE = re.compile(r"\{claim:([a-z][a-z0-9_]{0,63})\}")
_LOOKS_LIKE_ONE = re.compile(r"\{+\s*claims?\b", re.IGNORECASE)
_BEFORE, _AFTER = " ([\"'“«„*`=:", " .,;:!?)]\"'”»*`…\u2019"  # the last is the apostrophe of "{claim:id}'s"
_HEX_NAMES = r"(?:eval|student|train|augment|retrain|campaign|verdict)-[0-9a-f]{12}|[0-9a-f]{32}|cycle_[0-9]+"
_WORD = re.compile(r"\S+")


def check_text(what: str, text: str, claims: Sequence[Claim], names: Iterable[str]) -> None:
    """Refuse a text that is empty, and a figure that no claim carries.

    Args:
        what: What the text is, for the message.
        text: Words on one line, with `{claim:id}` in place of figures.
        claims: What the references may name.
        names: Names of things that may hold digits, besides the ids of this house.

    Raises:
        ValueError: a reference names no claim or is glued to something, or a figure stands by itself.
    """
    known = {claim.id for claim in claims}
    for match in _REFERENCE.finditer(text):
        if match[1] not in known:
            raise ValueError(f"{what}: no claim {match[1]!r}; claims given: {', '.join(sorted(known)) or 'none'}")
        before, after = text[: match.start()][-1:] or " ", text[match.end() :][:1] or " "
        if before not in _BEFORE or after not in _AFTER:
            raise ValueError(
                f"{what}: {cleaned(before + match[0] + after, 80)!r} joins a figure to other characters; put spaces "
                "around the reference, and leave sign and unit to the claim"
            )
    rest = _REFERENCE.sub(" ", text)
    if not any(char.isalpha() for char in text):
        raise ValueError(f"{what} has no word; say what was done or learned")
    if found := _LOOKS_LIKE_ONE.search(rest):
        raise ValueError(
            f"{what}: {cleaned(rest[found.start() :], 40)!r} is no reference; write {{claim:id}} with a claim's id"
        )
    if bare := [*_bare_figures(rest, names), *figures_in_words(rest)]:
        raise ValueError(
            f"{what}: the figure {cleaned(bare[0], 40)!r} rests on nothing; write {{claim:id}} and give the claim"
        )


def filled(text: str, claims: Sequence[KeptClaim]) -> str:
    """`text` with every reference replaced by its figure, unit and direction, and the number of its source: '[1]'."""
    shown = {claim.id: f"{_words_of(claim)} [{number}]" for number, claim in enumerate(claims, start=1)}
    return _REFERENCE.sub(lambda match: shown[match[1]], text)


def sources_of(claims: Sequence[KeptClaim]) -> list[str]:
    """Where each figure of a filled text comes from, in the order of their numbers."""
    return [f"{claim.source} {claim.metric}" for claim in claims]


def _words_of(claim: KeptClaim) -> str:
    # A playbook of an earlier version holds no such words.
    return claim.shown or f"{as_figure(claim.value)} {claim.unit}".strip()


def _bare_figures(text: str, names: Iterable[str]) -> list[str]:
    """The words of `text` that hold a digit outside a known name."""
    named = [name for name in names if _has_figure(name) and any(char.isalpha() for char in name)]
    known = "|".join(re.escape(name) for name in sorted(named, key=len, reverse=True))
    name = re.compile(rf"(?<![\w.\-])(?:{known + '|' if known else ''}{_HEX_NAMES})(?![\w\-]|\.\w)")
    return [word for word in _WORD.findall(name.sub(" ", text)) if _has_figure(word)]


def _has_figure(text: str) -> bool:
    # N* covers decimal digits of every script, fractions, superscripts and Roman numerals.
    return any(unicodedata.category(char).startswith("N") for char in text)
