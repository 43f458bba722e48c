"""Which quantity a metric is, and the ways its unit may be written.

A metric is a dotted path into a document. Its quantity follows from the names on that path, the last one first, so that
`standard_errors.mae_raw_warmth` is in points because `mae_raw_warmth` is. A path without a known name has no known
unit, and supports no claim; a new kind of figure gets its line in the table here.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from servers.core.words import cleaned


@dataclass(frozen=True)
class Quantity:
    """Something that is measured in one unit."""

    shown: str
    """Behind the figure; empty for a plain number."""
    name: str
    """What a refusal calls the unit."""
    spellings: frozenset[str]
    """Lower case; each is taken for the unit."""
    as_percent: bool = False
    """Whether it may be written as a percentage too."""


def _quantity(shown: str, *spellings: str, name: str | None = None, as_percent: bool = False) -> Quantity:
    return Quantity(shown, name or shown, frozenset({shown, *spellings}), as_percent)


def _count(*nouns: str) -> Quantity:
    """Things that are counted: their noun, or none."""
    singular = [noun.removesuffix("s") for noun in nouns]
    return _quantity(nouns[0], *nouns, *singular, *_NO_UNIT, "count", "number")


_NO_UNIT = ("", "none", "1", "-", "no unit", "unitless", "dimensionless", "number", "plain number")
_PERCENT = frozenset({"%", "percent", "per cent", "pct"})
_PERCENTAGE_POINTS = frozenset({"percentage points", "percentage point", "pp", "%-points", "percent points"})

POINTS = _quantity("points", "point", "pts", "pt", "points of the scale", "scale points")
SQUARED = _quantity("points²", "points^2", "points**2", "points squared", "squared points", "square points", "pts²")
SCORE = _quantity("score points", "points", "score", "of 100", "out of 100", *_NO_UNIT)
SHARE = _quantity("", "share", "of 1", "fraction", "rate", "ratio", "proportion", "probability", *_NO_UNIT,
                  name="share", as_percent=True)  # fmt: skip
NUMBER = _quantity("", "r2", "r²", "r^2", "score", *_NO_UNIT, name="none")
DEVIATIONS = _quantity("standard deviations", "standard deviation", "sd", "sds", "sigma")
MILLISECONDS = _quantity("ms", "milliseconds", "millisecond", "msec")
SECONDS = _quantity("seconds", "second", "s", "sec", "secs")
MINUTES = _quantity("minutes", "minute", "min")
DOLLARS = _quantity("usd", "$", "us$", "dollars", "dollar", "us dollars")
PRICE = _quantity("usd per 100 requests", "usd/100 requests", "usd", "$", "dollars", "dollars per 100 requests")
ROWS = _count("rows", "examples", "requests", "texts", "answers", "pairs")
TEXTS = _count("texts", "rows", "examples", "requests")
GROUPS = _count("groups", "clusters", "near-copy groups")
VERDICTS = _count("verdicts")
FAILURES = _count("failures", "traces", "rows")
SEEDS = _count("seeds", "candidates")

_SETTINGS = frozenset({"config", "hparams", "next_hparams", "hparam_patch", "changes"})
"""Where hyperparameters stand, whatever they are called."""
_BY_DIMENSION = {
    "abs_error_by_dim": POINTS,
    "target_vector": POINTS,
    "predicted_vector": POINTS,
    "value_ranges": POINTS,
    "label_shift": DEVIATIONS,
    "shift": DEVIATIONS,
}
_NAMED: list[tuple[str, Quantity]] = [
    (r"vector_mae|valid_vector_mae|mae_raw|mae_raw_.+|.*_mae|mae", POINTS),
    (r"mse_raw(_.+)?|variance", SQUARED),
    (r"r2_score(_.+)?|r2|.*_r2|.*_loss|freedom|seed|attempt|_?step|of|schema|schema_version", NUMBER),
    (r"mse_norm(_.+)?|.*_rate|.*_share|share|.*_ratio|ratio|slot_exact_match|.*_overlap|near_copy_threshold", SHARE),
    (r"p|p_.+|corrected_p(_.+)?|power|level|level_.+", SHARE),
    (r"intent_score(_mean)?|output_sanity_score", SCORE),
    (r".*_ms", MILLISECONDS),
    (r"seconds|seconds_estimate|.*_seconds|.*_s", SECONDS),
    (r"minutes|minutes_.+", MINUTES),
    (r"cost_per_100_requests_usd", PRICE),
    (r"usd|usd_.+|.*_usd", DOLLARS),
    (r"clusters|clusters_.+|.*_clusters|near_groups|groups|.*_groups", GROUPS),
    (r".*_texts|texts", TEXTS),
    (r"verdicts_asked|verdicts", VERDICTS),
    (r"failures_len", FAILURES),
    (r"seeds", SEEDS),
    (r"n|n_.+|rows|.*_rows|rows_.+|written|added|replayed|distinct|repeats", ROWS),
    (r"dropped|dropped_.+|leakage|copies|resemblance|outliers", ROWS),
    (r"error_before|error_after|smallest_visible|noise_ceiling|largest", POINTS),
    # The gate's checks: a p-value beside its level, an error beside another, a share, a count.
    (r".+_better_than_champion|no_dimension_shown_worse|json_valid_rate_sealed|served_by|active|changed", SHARE),
    (r"vector_mae_.+_than_.+|no_dimension_much_worse", POINTS),
    (r"no_leakage", ROWS),
]
_AROUND: list[tuple[str, Quantity]] = [
    (r"difference|differences|ci|.*_error|standard_errors|min_gain|thin_ranges", POINTS),
    (r"source_splits", ROWS),
]
"""Names that say what is told of a metric, and the unit where no metric stands on the path."""


def named_path(path: Sequence[str], document: Mapping[str, Any]) -> list[str]:
    """The path with a check of the gate by its name in place of its position: that says what its figures are."""
    named, place = list(path), document
    if "checks" in path[:-1]:
        at = path.index("checks")
        for part in path[:at]:
            place = place[part]
        named[at + 1] = place["checks"][int(path[at + 1])]["name"]
    return named


def quantity_of(path: Sequence[str], dimensions: Collection[str]) -> Quantity | None:
    """What a figure at this path is measured in; None where no name on it is known."""
    if any(part in _SETTINGS for part in path):
        return NUMBER
    for container in (part for part in path if part in _BY_DIMENSION):
        return _BY_DIMENSION[container]
    # A dimension may be called like a metric, `level` say; then the rest of the path decides, if it can.
    for names in ([part for part in path if part not in dimensions], path):
        for table in (_NAMED, _AROUND):
            for name in reversed(names):
                for pattern, quantity in table:
                    if re.fullmatch(pattern, _known(name)):
                        return quantity
    return None


def read_unit(given: str, quantity: Quantity, is_difference: bool) -> tuple[str, float]:
    """How a claim writes its figure: what stands behind it, and what the number found is multiplied with.

    Args:
        given: The claim's unit.
        quantity: What its metric is.
        is_difference: Whether the figure is a difference: a share's is in percentage points, never in percent.

    Raises:
        ValueError: the unit is another one; the message names the right one.
    """
    unit = cleaned(given, 40).casefold().rstrip(".")
    if unit in quantity.spellings:
        return quantity.shown, 1.0
    if quantity.as_percent and is_difference and unit in _PERCENTAGE_POINTS:
        return "percentage points", 100.0
    if quantity.as_percent and not is_difference and unit in _PERCENT:
        return "%", 100.0
    percent = "percentage points" if is_difference else "%"
    right = f"{quantity.name!r} (or {percent!r})" if quantity.as_percent else repr(quantity.name)
    raise ValueError(f"the unit is {right}, not {cleaned(given, 40)!r}")


def _known(part: str) -> str:
    """A name without the section that a training's log puts before it: left_out/mae_raw."""
    return part.rpartition("/")[2]
