"""What a diagnosis says: one document, figures first, each with its unit. Counts and a few ids, never a text."""

from typing import Literal

from pydantic import Field

from servers.core.source_splits import SourceSplits
from servers.core.wire import Wire

Signal = Literal["learnable", "weak", "none"]
Verdict = Literal["train", "relabel", "collect more", "stop"]


class DimensionDiagnosis(Wire):
    """What the text says about one dimension."""

    signal: Signal
    r2: float
    """Of texts left out together with their near copies; 0 and below is no better than the mean."""
    p_family: float
    """Family-wise p-value of `r2`."""
    text_model_mae: float
    constant_mae: float
    """Points; left-out median."""
    ratio: float | None
    """text_model_mae / constant_mae; null where the targets are all equal."""
    constant_wins: bool
    """Whether the text model errs no less than the constant."""
    ceiling_r2: float | None
    """The most that a perfect reader could explain, judged by rows with equal texts; null where no text repeats."""
    ceiling_mae: float | None
    """Points; the error that a perfect reader would have on rows with equal texts."""
    verdict: Verdict
    """What to do about this dimension; 'stop' means to leave it alone."""
    words: str


class SourceShift(Wire):
    """How one source's labels differ from those of all other rows."""

    source: str
    rows: int
    shift: dict[str, float]
    """By dimension: mean of the source less mean of the others, in standard deviations of the others."""


class Diagnosis(Wire):
    """What a dataset version can teach."""

    schema_version: int = Field(2, alias="schema", serialization_alias="schema")
    dataset: str
    dataset_version: str
    verdict: Verdict
    reason: str
    rows: dict[str, int]
    dimensions: dict[str, DimensionDiagnosis]
    copies: dict[str, int]
    """In train: exact (rows whose text an earlier row has), near_groups, near_rows (rows in these). In train and
    diagnose: conflicting_texts (texts with unequal targets), conflicting_rows."""
    leakage: dict[str, int]
    """Rows with an exact or near copy in a split that judges them. Of sealed rows: counts alone."""
    resemblance: dict[str, float]
    """For information. same_labels: train rows with the label vector of a diagnose row; same_labels_alike: of these,
    with half of its text; template_overlap: share of the diagnose texts' four-word runs that stand in train."""
    label_shift: dict[str, float]
    """Mean of train less mean of diagnose, in standard deviations of diagnose; 0 where diagnose has no spread."""
    source_shift: list[SourceShift]
    """Of sources with enough rows, largest first."""
    outliers: dict[str, int]
    """length: texts far longer or shorter than the others; language: texts in another script or language."""
    source_splits: SourceSplits | None
    """What the splits that the data came with share; null where they came with none."""
    examples: dict[str, list[str]]
    """Ids of a few train and diagnose rows, by what was found; never of sealed rows."""
    warnings: list[str]
