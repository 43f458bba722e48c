"""A tool's result in words, for whoever sees no typed form: a person in a chat, or the model that they talk to.

    @room.reads(told=wording.evaluation)

Each room's `wording.py` has a function for each of its tools, from the typed result to `Said`. The words hold nothing
that the typed result does not: figures with their units, the ids that other calls take, what to mind, and in the last
line what to call next. They are Markdown that reads as well without being rendered. Texts of others stand in code
spans, so that it shows where they begin and end, and nothing in them is a link, a picture or a heading.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from servers.core import phrases
from servers.core.backends import Backends
from servers.core.quotes import Quote
from servers.core.words import cleaned, escaped_unseen
from servers.shelf import JSON

TEXT_CHARS = 2_000  # of a result in words
WHOLE_CHARS = 5_000  # where something has to be passed on, or read, as it stands: next steps, a page of evidence
CUT = "… The typed result says more."
QUOTED_CHARS = 120
SHOWN_NAMES = 12
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


@dataclass(frozen=True)
class Link:
    """A resource that has the whole of what a result says in short."""

    uri: str
    name: str
    mime_type: str = JSON


@dataclass(frozen=True)
class Said:
    """A result in words, and where there is more of it."""

    text: str
    links: tuple[Link, ...] = ()
    picture: bytes | None = None
    """A PNG that shows what the words say, for whoever can see it."""


def said(*parts: str | None, then: str, links: Sequence[Link] = (), most: int = TEXT_CHARS) -> Said:
    """A result in words.

    Args:
        parts: Paragraphs, the weightiest first; what has no room at the end is cut off between two lines. None and ''
            are left out.
        then: What to call next.
        links: Resources with the whole of it.
        most: Characters, at most.
    """
    last = f"Next: {cleaned(then, most // 2).rstrip('.')}."
    body = "\n\n".join(part for part in parts if part)
    room = most - len(last) - 2
    if len(body) > room:
        room -= len(CUT) + 2
        end = body.rfind("\n", 0, room + 1)
        kept = body[:end] if end > 0 else body[: room - 1] + "…"
        body = f"{kept.rstrip()}\n\n{CUT}"
    return Said(f"{body}\n\n{last}", tuple(links))


def quoted(text: str, most: int = QUOTED_CHARS) -> str:
    """Words of somebody else, as data."""
    return f"`{cleaned(text, most).replace('`', chr(39))}`"


def plain(text: str, most: int = 500) -> str:
    """A sentence of ours that may name what others called something: no link, tag or code begins in it."""
    line = cleaned(text, most).replace("](", "] (").replace("![", "! [").replace("`", "'")
    return _TAG.sub("< ", line)


def as_json(value: Any) -> str:
    """JSON on one line that can be copied as it stands; a character of it that is not seen stands there as its escape,
    and a backtick too, which would end the code span.
    """
    compact = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"`{escaped_unseen(compact).replace('`', chr(92) + 'u0060')}`"


def call(tool: str, **arguments: Any) -> str:
    """A call that can be made as it stands."""
    return f"{tool} {as_json(arguments)}"


def number(value: float | None, digits: int = 2) -> str:
    """A number for a reader; small ones keep three digits that say something."""
    if value is None:
        return "not measured"
    if value == round(value) and digits == 0:
        return f"{value:,.0f}"
    return f"{value + 0.0:,.{digits}f}" if abs(value) >= 1 or value == 0 else f"{value:.3g}"


def signed(value: float) -> str:
    """A difference, its sign always shown."""
    return ("+" if value > 0 else "") + number(value)


def interval(ends: Sequence[float] | None, sign: bool = False) -> str:
    """'17.06 to 18.62'."""
    if ends is None:
        return "no interval"
    return " to ".join(signed(end) if sign else number(end) for end in ends)


def share(value: float) -> str:
    """A share as a percentage."""
    return f"{100 * value:.3g}%"


def usd(value: float) -> str:
    """Money; a fraction of a cent is not nothing."""
    return f"{value:,.2f} USD" if value == 0 or value >= 0.01 else f"{value:.2g} USD"


def lasting(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"


def sentence(text: str) -> str:
    """`text`, made plain, as a whole sentence."""
    return phrases.sentence(plain(text))


def names(words: Iterable[str], most: int = SHOWN_NAMES) -> str:
    """'a, b and 3 more'; 'none' where there are none."""
    every = list(words)
    shown = ", ".join(every[:most])
    return f"{shown} and {len(every) - most} more" if len(every) > most else shown or "none"


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {line}" for line in lines)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], most: int = SHOWN_NAMES) -> str:
    """A Markdown table of the first rows, and how many there are besides."""
    lines = [header, ["---"] * len(header), *rows[:most]]
    drawn = "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)
    return drawn + (f"\n\n… and {len(rows) - most} more." if len(rows) > most else "")


def fitting(items: Sequence[str], room: int) -> list[str]:
    """The first of some entries, as many as have room, and at least one where there is one."""
    kept: list[str] = []
    for item in items:
        room -= len(item) + 1
        if room < 0 and kept:
            break
        kept.append(item)
    return kept


def warning(*notes: str | None) -> str | None:
    """What to mind."""
    found = [note for note in notes if note]
    if len(found) < 2:
        return f"Warning: {found[0]}." if found else None
    return "Warnings:\n" + bullets(f"{note}." for note in found)


def priced(quote: Quote, what: str = "It") -> str:
    """What something takes, as it was quoted."""
    low, likely, high = (
        lasting(60 * minutes) for minutes in (quote.minutes_low, quote.seconds / 60, quote.minutes_high)
    )
    takes = f"{what} will take about {likely} ({low} to {high}) on {plain(quote.hardware, 60)}"
    if quote.approve_usd == 0:
        return f"{takes}, and cost nothing. Estimate: {plain(quote.basis, 120)}."
    smoke = " A small trial run comes first, which is in the quote." if quote.smoke_run else ""
    return (
        f"{takes}, and cost about {usd(quote.usd)} ({usd(quote.usd_low)} to {usd(quote.usd_high)}), at most "
        f"{usd(quote.approve_usd)}. Estimate: {plain(quote.basis, 120)}.{smoke}"
    )


def embedded(backends: Backends) -> str:
    """What stands behind each part, labelled where it needs no account."""
    parts = {"runs and traces": "tracking", "teacher": "teacher", "model": "model", "jobs": "jobs"}
    told = [
        f"{words} {plain(getattr(backends, part), 60)}{' (embedded)' if backends.is_embedded(part) else ''}"
        for words, part in parts.items()
    ]
    return f"Behind it: {', '.join(told)}."


def sizes(rows: Mapping[str, int]) -> str:
    """Rows by split."""
    return f"{rows['train']:,} rows to train on, {rows['diagnose']:,} to diagnose, {rows['gate']:,} sealed for the gate"


Teller = Callable[[Any], Said]
"""From a typed result to its words."""
