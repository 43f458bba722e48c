"""What was found: on the diagnose rows, on the sealed ones as far as it may be told, and in the data."""

from typing import Literal

from servers.playbook.report.view_base import Estimate, Role, Shown


class ArmShown(Shown):
    """What one arm did on the diagnose rows."""

    role: Role
    model: str
    n: int
    n_invalid: int = 0
    vector_mae: Estimate
    by_dimension: dict[str, Estimate] = {}
    """Mean absolute error of each dimension."""
    metrics: dict[str, float | None] = {}
    """Other metrics by their names in the evaluation (r2_score, json_valid_rate, …)."""
    run: str | None = None
    """Where the tracker holds the evaluation."""


class Pairs(Shown):
    """One dimension's true and predicted values, row by row; invalid answers are left out."""

    true: list[float]
    predicted: list[float]


class PredictionsShown(Shown):
    role: Role
    model: str
    by_dimension: dict[str, Pairs]


class FailureShown(Shown):
    """A diagnose row that was answered badly."""

    trace: str
    """Id of the trace, or where to find it."""
    text: str
    target: dict[str, float]
    prediction: dict[str, float] | None
    """Null where the answer was not valid."""
    errors: dict[str, float]
    mae: float
    parse_error: str | None = None
    after: dict[str, float] | None = None
    """What the candidate answered; null where it was not asked, or its answer was not valid."""
    trace_url: str | None = None
    """Where the tracker shows the trace to a browser; null for a trace in the artifacts folder."""


class CheckShown(Shown):
    name: str
    passed: bool | None
    """Null where the check does not apply or was not measured."""
    detail: str = ""
    evidence: str = ""
    """What the number was found on."""


class GateShown(Shown):
    """A verdict on the sealed rows."""

    outcome: Literal["promote", "hold", "undecided"]
    reason: str
    candidate: str
    champion: str
    n: int
    level: float
    """One-sided error probability that this verdict might spend."""
    difference: float | None = None
    """vector_mae of the candidate minus the champion's; below 0 is better. Null while sealed."""
    ci: tuple[float, float] | None = None
    """Interval of `difference` that covers with probability 1 - 2 * level."""
    checks: list[CheckShown] = []
    smallest_visible: float | None = None
    """The smallest gain, points, that such rows show at this level, foreseen from the open rows."""
    verdicts_asked: int | None = None
    """How many verdicts this split has given, this one included."""
    level_left: float | None = None
    """What the next verdict may spend."""
    verdict_id: str | None = None


class SignalShown(Shown):
    """What the text says about one dimension."""

    dimension: str
    signal: Literal["learnable", "weak", "none"]
    r2: float | None = None
    text_model_mae: float | None = None
    constant_mae: float | None = None
    ratio: float | None = None
    """text_model_mae / constant_mae; 1 is a constant's error."""
    ceiling_mae: float | None = None
    """What a perfect reader would err by, where rows with equal texts tell."""
    verdict: str = ""
    words: str = ""


class DiagnosisShown(Shown):
    verdict: str
    reason: str = ""
    dimensions: list[SignalShown] = []
    copies: dict[str, int] = {}
    """exact, near_groups, near_rows, conflicting_texts, conflicting_rows."""
    leakage: dict[str, int] = {}
    """train_diagnose_exact, train_diagnose_near, train_gate_exact, train_gate_near, diagnose_gate_near."""
    outliers: dict[str, int] = {}
    """length, language."""
    label_shift: dict[str, float] = {}
    """By dimension, mean of diagnose minus mean of train, in standard deviations."""
    warnings: list[str] = []


class DifferenceShown(Shown):
    """The candidate's error minus that of what was in service, on the same diagnose rows."""

    name: str
    """A dimension, or `vector_mae` for all together."""
    difference: float
    ci: tuple[float, float]
    """95 %, each by itself, not corrected for their number."""


class SliceShown(Shown):
    """A part of the diagnose rows."""

    name: str
    n: int
    errors: dict[str, Estimate]
    """By role, mean absolute error over rows and dimensions."""


class CurvePoint(Shown):
    train_rows: int
    diagnose: float
    """vector_mae on the diagnose rows."""
    left_out: float | None = None
    """The same on train rows that were left out of the training."""


class CurveShown(Shown):
    """One training, with ever more of its rows."""

    model: str
    points: list[CurvePoint]


class LossPoint(Shown):
    step: int
    loss: float


class VersionShown(Shown):
    """A model that was measured, and how many rows it was trained on."""

    model: str
    cycle: str
    train_rows: int
    error: Estimate
    promoted: bool
