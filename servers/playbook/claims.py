"""Claims: a figure in a lesson stands there only as `{claim:id}`, and a claim is a number that a document holds.

A claim names its source (a trace is one), the metric in it, the value as it was written down, and its unit. The source
must hold a number that rounds to that value, as `rounding.py` states; the unit must be the metric's, as `units.py` has
it; a dimension that is named must be the metric's; and a direction must be the one that the difference has. What is
null was not measured or is sealed, and supports nothing; of a snapshot only that supports a claim which was compared
with what the eval server wrote. How a claim reads in the end, with unit and direction, is the server's word.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from servers.core.definitions import DEFINITIONS
from servers.core.wire import Wire
from servers.playbook.differences import Difference, SaidDirection, check_direction, difference_in, in_words
from servers.playbook.rounding import ROUNDING, as_figure, rounded, rounds_to
from servers.playbook.sources import Sources
from servers.playbook.units import quantity_of, read_unit

MOST = 10**15  # of a value, either way: nothing here is measured in more
COMPARED_IN_A_SNAPSHOT = ("eval_summary", "failures_top_k", "failures_len")


class Claim(Wire):
    """A figure and where it comes from."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    source: Annotated[str, Field(max_length=300)]
    """E.g. evaluation:<id>, trace:<id>, compare:<candidate evaluation>:<champion evaluation>, gate:<cycle>."""
    metric: Annotated[str, Field(max_length=200)]
    """Key or dotted path, e.g. vector_mae, mae_raw_energy, dimensions.energy.r2."""
    value: (
        Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-MOST, le=MOST)]
        | Annotated[int, Field(strict=True, ge=-MOST, le=MOST)]
    )
    unit: Annotated[str, Field(max_length=40)]
    """The metric's: points, points², share or %, rows, ms, seconds, usd, none."""
    dimension: str | None = None
    """The metric's, if it has one."""
    direction: SaidDirection | None = None
    """Of a difference."""


class KeptClaim(Claim):
    """A claim that held, as it is kept."""

    shown: str = ""
    """How it reads, with its unit and, for a difference, its direction."""


def check_claims(sources: Sources, claims: Sequence[Claim], dimensions: Collection[str]) -> list[KeptClaim]:
    """Resolve every claim.

    Args:
        sources: Where the numbers are.
        claims: What is claimed.
        dimensions: The task's.

    Raises:
        ValueError: a source or metric is unknown or holds no number, or value, unit, dimension or direction is another;
            the message names the claim and what is right.
    """
    if len({claim.id for claim in claims}) != len(claims):
        raise ValueError(f"two claims share an id among {', '.join(claim.id for claim in claims)}; give each its own")
    kept = []
    for claim in claims:
        try:
            kept.append(_checked(sources, claim, dimensions))
        except ValueError as error:
            raise ValueError(f"claim {claim.id!r}: {error}") from error
    return kept


def _checked(sources: Sources, claim: Claim, dimensions: Collection[str]) -> KeptClaim:
    kind, path, which = claim.source.partition(":")[0], claim.metric.split("."), f"{claim.metric} of {claim.source}"
    if kind == "snapshot" and path[0] not in COMPARED_IN_A_SNAPSHOT:
        raise ValueError(
            f"of a snapshot only {', '.join(COMPARED_IN_A_SNAPSHOT)} were compared with what the eval server wrote, so "
            f"{claim.metric!r} supports no claim; a training's figures stand in job:<job id>"
        )
    document = sources.document(claim.source)
    found = _number_at(document, path, claim)
    quantity = quantity_of(path, dimensions)
    if quantity is None:
        raise ValueError(f"{which} has no known unit; claim a figure that was measured, such as vector_mae")
    dimension = _dimension_of(path, dimensions)
    if claim.dimension is not None and claim.dimension != dimension:
        about = f"is about {dimension!r}" if dimension else "is about no single dimension"
        raise ValueError(f"{which} {about}, not about {claim.dimension!r}")
    difference = difference_in(kind, path, found, document, dimensions)
    is_relative = difference is not None and not difference.told_beside
    try:
        unit, factor = read_unit(claim.unit, quantity, is_relative)
        check_direction(claim.direction, difference)
    except ValueError as error:
        raise ValueError(f"{which}: {error}") from error
    if not rounds_to(found * factor, claim.value):
        right = rounded(found * factor, decimals=2)
        raise ValueError(f"{which} is {found * factor!r}, not {claim.value!r}; write {right!r}, within {ROUNDING}")
    return KeptClaim(
        **claim.model_dump(exclude={"unit", "dimension", "direction"}),
        unit=unit or quantity.name,
        dimension=dimension,
        direction=difference and difference.direction,
        shown=_shown(claim.value, unit, difference),
    )


def _number_at(document: Mapping[str, Any], path: Sequence[str], claim: Claim) -> float:
    """The number that the claim's metric names in its source.

    Raises:
        ValueError: there is none.
    """
    measured = document.get("metrics")
    candidates = [document, measured] if isinstance(measured, Mapping) else [document]
    values = [value for candidate in candidates for value in _follow(candidate, path)]
    if not values:
        raise ValueError(f"{claim.source} has no {claim.metric!r}; read_evidence shows what it has")
    value = values[0]
    if value is None:
        raise ValueError(f"{claim.metric} of {claim.source} is null: not measured, or sealed; it supports no claim")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{claim.metric} of {claim.source} is not a number")
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


def _dimension_of(path: Sequence[str], dimensions: Collection[str]) -> str | None:
    """The dimension that a path is about: named on it, or at the end of a metric's name."""
    for part in reversed(path):
        for name in dimensions:
            if part == name and len(path) > 1:
                return name
            stem = part.removesuffix(f"_{name}").rpartition("/")[2]
            if part.endswith(f"_{name}") and (f"{stem}_<dimension>" in DEFINITIONS or stem in DEFINITIONS):
                return name
    return None


def _shown(value: float, unit: str, difference: Difference | None) -> str:
    figure = as_figure(value)
    return f"{figure} {unit}".strip() if difference is None else in_words(figure, unit, difference)
