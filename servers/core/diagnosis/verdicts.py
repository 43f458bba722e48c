"""From figures to words: train, relabel, collect more, or stop; for each dimension and for the whole."""

from collections.abc import Mapping
from typing import NamedTuple

from servers.core.diagnosis.findings import DimensionDiagnosis, Verdict
from servers.core.diagnosis.labels import LOW_CEILING, MIN_REPEATS
from servers.core.diagnosis.signal import SignalFound

FEW_TEXTS = 40  # below this, what was found may be anything
ENOUGH_TEXTS = 200  # below this, no signal means that none was found


class Ceiling(NamedTuple):
    """What rows with equal texts leave a perfect reader."""

    r2: float
    mae: float
    repeats: int
    """Labels beyond the first of each text."""

    @property
    def is_low(self) -> bool:
        """Whether equal texts disagree too much, and often enough to be sure of it."""
        return self.repeats >= MIN_REPEATS and self.r2 < LOW_CEILING


def dimension_diagnosis(found: SignalFound, texts: int, ceiling: Ceiling | None) -> DimensionDiagnosis:
    """The figures of one dimension with their verdict.

    Args:
        found: What a text model made of it.
        texts: Distinct ones.
        ceiling: None where no text repeats.
    """
    constant_wins = found.text_model_mae >= found.constant_mae
    verdict, words = _about_dimension(found, texts, ceiling, constant_wins)
    return DimensionDiagnosis(
        signal=found.signal,
        r2=found.r2,
        p_family=found.p_family,
        text_model_mae=found.text_model_mae,
        constant_mae=found.constant_mae,
        ratio=found.text_model_mae / found.constant_mae if found.constant_mae > 0 else None,
        constant_wins=constant_wins,
        ceiling_r2=None if ceiling is None else ceiling.r2,
        ceiling_mae=None if ceiling is None else ceiling.mae,
        verdict=verdict,
        words=words,
    )


def _about_dimension(
    found: SignalFound, texts: int, ceiling: Ceiling | None, constant_wins: bool
) -> tuple[Verdict, str]:
    errors = f"a text model errs by {found.text_model_mae:.2f}, the constant by {found.constant_mae:.2f}"
    best = f"; by the rows with equal texts a perfect reader would err by {ceiling.mae:.2f}" if ceiling else ""
    if found.constant_mae == 0:
        return "stop", "nearly all targets are equal, so there is nothing to learn"
    if texts < FEW_TEXTS:
        return "collect more", f"{texts} distinct texts are too few to find anything"
    if found.signal != "none" and constant_wins:
        return "collect more", f"the text says something, but too little to beat the constant: {errors}"
    if found.signal != "none":
        much = "enough to train on" if found.signal == "learnable" else "a little; expect small gains"
        return "train", f"the text says {much}: {errors}{best}"
    if ceiling is not None and ceiling.is_low:
        return "relabel", f"no signal was found, and rows with equal texts disagree: {errors}{best}"
    if texts < ENOUGH_TEXTS:
        return "collect more", f"no signal was found, but {texts} distinct texts are too few to say that there is none"
    return "stop", f"no signal was found in the text; more training cannot mend this: {errors}"


def whole_verdict(
    dimensions: Mapping[str, DimensionDiagnosis], texts: int, repeats: int, conflicting_texts: int
) -> tuple[Verdict, str]:
    """What to do with the data, and why.

    Args:
        dimensions: All of them.
        texts: Distinct ones.
        repeats: Labels beyond the first of each text.
        conflicting_texts: Texts with unequal targets.
    """
    teachable = [name for name, found in dimensions.items() if found.verdict == "train"]
    silent = [name for name, found in dimensions.items() if found.signal == "none"]
    hopeful = [name for name in dimensions if name not in teachable and name not in silent]
    ceilings = [found.ceiling_r2 for found in dimensions.values() if found.ceiling_r2 is not None]
    low = sum(ceiling < LOW_CEILING for ceiling in ceilings)
    disagree = repeats >= MIN_REPEATS and 2 * low >= len(dimensions)
    if teachable:
        parts = [f"there is signal for {', '.join(teachable)}"] if len(teachable) < len(dimensions) else []
        parts = parts or [f"there is signal for all {len(teachable)} dimensions"]
        parts += [f"too little to beat the constant for {', '.join(hopeful)}"] if hopeful else []
        parts += [f"none was found for {', '.join(silent)}"] if silent else []
        return "train", "; ".join(parts)
    if disagree and texts < ENOUGH_TEXTS:
        return "relabel", (
            f"{conflicting_texts} texts stand more than once and their labels disagree so much that no reader of the "
            f"text can explain half of what they say of {low} of {len(dimensions)} dimensions; label them again"
            + (f"; {texts} distinct texts are few besides" if texts < FEW_TEXTS else "")
        )
    if texts < FEW_TEXTS:
        disagreeing = f", and {conflicting_texts} of them have labels that disagree" if conflicting_texts else ""
        return "collect more", (
            f"{texts} distinct texts are too few to find anything{disagreeing}; collect at least {ENOUGH_TEXTS}"
        )
    if hopeful:
        return "collect more", (
            f"the text says something about {', '.join(hopeful)}, but {texts} distinct texts teach too little to beat "
            "the constant"
        )
    if texts < ENOUGH_TEXTS:
        return "collect more", f"no signal was found, but {texts} distinct texts are too few to say that there is none"
    return "stop", f"{texts} distinct texts say nothing about any dimension; the labels were made from something else"
