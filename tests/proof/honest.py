"""What is true of a figure, said a second time and apart from the code under test: its unit, its rounding, its way."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from tests.proof.figures import Figure, name_of


@dataclass(frozen=True)
class Kind:
    """Figures of one unit."""

    names: str
    """A pattern; the last name on the path that fits one decides."""
    units: Sequence[str]
    """Ways to write the unit."""
    never: Sequence[str]
    """Units that it does not have."""


KINDS = [
    Kind(
        r"vector_mae|mae_raw\w*|\w+_mae|abs_error_by_dim|target_vector|predicted_vector|difference|ci|value_ranges",
        ("points", "Points", "pts", "point"),
        ("%", "points²", "ms", "rows", "usd", "share", "none", "seconds"),
    ),
    Kind(r"mse_raw", ("points²", "points^2", "squared points"), ("points", "%", "rows", "none")),
    Kind(
        r"mse_norm|\w+_rate|slot_exact_match|ratio|p_family|level",
        ("share", "", "fraction"),
        ("points", "rows", "ms", "usd"),
    ),
    Kind(r"r2_score\w*|r2", ("", "none"), ("points", "points²", "%", "rows", "seconds")),
    Kind(r"intent_score\w*|output_sanity_score", ("score points", "points"), ("%", "ms", "rows", "usd", "points²")),
    Kind(r"\w+_ms", ("ms", "milliseconds"), ("seconds", "points", "%", "usd")),
    Kind(r"seconds\w*", ("seconds", "s"), ("ms", "points", "rows", "minutes")),
    Kind(
        r"n|n_invalid|\w*train_rows|new_rows|rows|added|written|leakage|dropped",
        ("rows", "examples"),
        ("points", "%", "ms", "usd"),
    ),
    Kind(r"clusters|near_groups", ("groups", "count"), ("points", "%", "rows")),
    Kind(r"label_shift", ("standard deviations", "sd"), ("points", "%", "rows", "none")),
]
SHARES = KINDS[2]
COMPARED_IN_A_SNAPSHOT = ("eval_summary", "failures_top_k", "failures_len")
_LOWER = r"\w*mae\w*|mse_\w+|\w+_ms|\w+_usd|difference|ci"
_HIGHER = r"r2_score\w*|\w+_rate|slot_exact_match|intent_score\w*"


def kind_of(figure: Figure, dimensions: Sequence[str]) -> Kind | None:
    """The kind of a figure that a lesson might tell of."""
    if figure.source.startswith("snapshot:") and figure.path[0] not in COMPARED_IN_A_SNAPSHOT:
        return None
    if any(part in ("hparams", "next_hparams", "config", "standard_errors") or "." in part for part in figure.path):
        return None
    names = [part.rpartition("/")[2] for part in figure.path if part not in dimensions]
    return next((kind for name in reversed(names) for kind in KINDS if re.fullmatch(kind.names, name)), None)


def dimension_of(figure: Figure, dimensions: Sequence[str]) -> str | None:
    """The dimension that a figure is about."""
    return next((d for d in dimensions for part in figure.path if part == d or part.endswith(f"_{d}")), None)


def ways_of(figure: Figure) -> list[str]:
    """The words that are true of a difference; none where the figure is no difference, or is 0."""
    is_difference = (figure.source.startswith("compare:") and figure.path[0] == "metrics") or (
        figure.source.startswith(("gate:", "summary:")) and name_of(figure) in ("difference", "ci")
    )
    if not is_difference or abs(figure.value) < 1e-9:
        return []
    way = "lower" if figure.value < 0 else "higher"
    if re.fullmatch(_LOWER, name_of(figure)):
        return [way, "better" if way == "lower" else "worse"]
    if re.fullmatch(_HIGHER, name_of(figure)):
        return [way, "better" if way == "higher" else "worse"]
    return [way]


def written(found: float, random: Random) -> float:
    """`found` as somebody may write it down: a whole number as it is, another with a decimal or more."""
    if found == int(found):
        return random.choice([int(found), float(found)])
    least = next(d for d in range(1, 20) if abs(found) * 10**d >= 10)
    for decimals in range(least + random.choice([0, 0, 0, 1, 2, 3]), 20):
        value = round(found, decimals)
        if _decimals(value) >= least:
            return value
    return found


def holds(found: float, value: float) -> bool:
    """Whether `found` is `value` within half a unit of the decimals that were written, or nearly so: a falsehood must
    be one beyond doubt."""
    unit = Decimal(10) ** -_decimals(value)
    return abs(Decimal(repr(found)) - Decimal(repr(value))) <= unit * Decimal("0.51")


def _decimals(value: float) -> int:
    exponent = Decimal(repr(value)).as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)
