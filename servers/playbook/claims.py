"""Claims: a figure in a lesson stands there only as `{claim:id}`, and a claim is a number that a document holds.

A claim names its source, the metric in it, and the value as it was written down; the source must hold a number that
rounds to that value. What is null was not measured or is sealed, and supports nothing. Any other digit in a text is
refused, except in the names of things: cycles, models, plans, dimensions, metrics, files. Numbers in words ("twenty")
are beyond this check.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field

from servers.core.wire import Wire
from servers.core.words import cleaned
from servers.playbook.sources import Sources

SLACK = 1e-9  # for halves that binary fractions cannot hold exactly
_REFERENCE = re.compile(r"\{claim:([a-z][a-z0-9_]{0,63})\}")
_HEX_NAMES = r"(?:eval|student|train|augment|retrain|campaign|verdict)-[0-9a-f]{12}|[0-9a-f]{32}|cycle_[0-9]+"
_WORD = re.compile(r"\S+")


class Claim(Wire):
    """A figure and where it comes from."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    source: str
    """E.g. evaluation:<id>, compare:<candidate evaluation>:<champion evaluation>, gate:<cycle>."""
    metric: str
    """Key or dotted path, e.g. vector_mae, dimensions.energy.r2."""
    value: Annotated[float, Field(strict=True, allow_inf_nan=False)] | Annotated[int, Field(strict=True)]
    unit: Annotated[str, Field(max_length=20)]


def check_claims(sources: Sources, claims: Sequence[Claim]) -> None:
    """Resolve every claim.

    Raises:
        ValueError: a source or metric is unknown, holds no number, or another one; the message names the claim.
    """
    if len({claim.id for claim in claims}) != len(claims):
        raise ValueError(f"two claims share an id among {', '.join(claim.id for claim in claims)}; give each its own")
    for claim in claims:
        if _bare_figures(claim.unit, ()):
            raise ValueError(f"claim {claim.id!r}: unit {claim.unit!r} holds a figure; put it into the value")
        found = number_in(sources, claim.source, claim.metric, f"claim {claim.id!r}")
        if not _rounds_to(found, claim.value):
            raise ValueError(
                f"claim {claim.id!r}: {claim.metric} of {claim.source} is {found!r}, not {claim.value!r}; "
                "write that value, rounded as you like"
            )


def check_text(what: str, text: str, claims: Sequence[Claim], names: Iterable[str]) -> None:
    """Refuse a figure that no claim carries.

    Args:
        what: What the text is, for the message.
        text: Words with `{claim:id}` in place of figures.
        claims: What the references may name.
        names: Names of things that may hold digits, besides the ids of this house.

    Raises:
        ValueError: a reference names no claim, or a digit stands by itself.
    """
    known = {claim.id for claim in claims}
    for name in _REFERENCE.findall(text):
        if name not in known:
            raise ValueError(f"{what}: no claim {name!r}; claims given: {', '.join(sorted(known)) or 'none'}")
    if bare := _bare_figures(_REFERENCE.sub(" ", text), names):
        raise ValueError(
            f"{what}: the figure {cleaned(bare[0], 40)!r} rests on nothing; write {{claim:id}} and give the claim"
        )


def filled(text: str, claims: Sequence[Claim]) -> str:
    """`text` with every reference replaced by its figure and unit."""
    by_id = {claim.id: f"{_shown(claim.value)} {claim.unit}".strip() for claim in claims}
    return _REFERENCE.sub(lambda match: by_id[match[1]], text)


def number_in(sources: Sources, ref: str, metric: str, what: str) -> float:
    """The number that `metric` names in the document `ref`.

    Raises:
        ValueError: there is no such document or metric, or it is no number; the message begins with `what`.
    """
    try:
        document = sources.document(ref)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    measured = document.get("metrics")
    candidates = [document, measured] if isinstance(measured, Mapping) else [document]
    values = [value for candidate in candidates for value in _follow(candidate, metric.split("."))]
    if not values:
        raise ValueError(f"{what}: {ref} has no {metric!r}; read_evidence shows what it has")
    value = values[0]
    if value is None:
        raise ValueError(f"{what}: {metric} of {ref} is null: not measured, or sealed; it supports no claim")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{what}: {metric} of {ref} is not a number")
    return value


def _follow(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """What lies at a dotted path; a key may itself hold dots, and a list is entered by position."""
    if not path:
        yield value
    for length in range(len(path), 0, -1):
        key = ".".join(path[:length])
        if isinstance(value, Mapping) and key in value:
            yield from _follow(value[key], path[length:])
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            yield from _follow(value[int(key)], path[length:])


def _rounds_to(found: float, claimed: float) -> bool:
    """Whether `found` is `claimed` within half a unit of the last decimal that was written."""
    exponent = Decimal(repr(claimed)).as_tuple().exponent
    decimals = max(0, -exponent) if isinstance(exponent, int) else 0
    return abs(found - claimed) <= 0.5 * 10.0**-decimals + SLACK


def _bare_figures(text: str, names: Iterable[str]) -> list[str]:
    """The words of `text` that hold a digit outside a known name."""
    known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True) if _has_figure(name))
    name = re.compile(rf"(?<![\w.\-])(?:{known + '|' if known else ''}{_HEX_NAMES})(?![\w\-]|\.\w)")
    return [word for word in _WORD.findall(name.sub(" ", text)) if _has_figure(word)]


def _shown(value: float) -> str:
    """A figure for a reader: as it was written, but no longer than makes sense."""
    written = str(value)
    return written if len(written) <= 7 else f"{value:.4g}"


def _has_figure(text: str) -> bool:
    # N* covers decimal digits of every script, fractions, superscripts and Roman numerals.
    return any(unicodedata.category(char).startswith("N") for char in text)
