"""Everything the report shows, already computed.

Errors, differences and intervals are in points of the task's scale where not said otherwise. A figure that is not
known, not asked for, or sealed is null; NaN and infinity are refused. Mappings by dimension may leave dimensions out.
"""

import math
from typing import Literal

from pydantic import ConfigDict

from servers.core.task import Dimension, GateRules, Scale
from servers.core.wire import Wire

Outcome = Literal["promote", "hold", "undecided", "stopped"]
Role = Literal["constant", "rule", "student", "prompt", "teacher", "champion", "candidate"]


class Shown(Wire):
    """A part of the page."""

    model_config = ConfigDict(allow_inf_nan=False)


class DatasetShown(Shown):
    """The dataset version that the cycle opened on."""

    name: str
    version: str
    """Content fingerprint."""
    train_rows: int
    diagnose_rows: int
    gate_rows: int
    synthetic: bool
    """Whether a generator wrote the rows."""


class BackendShown(Shown):
    """What did one part of the work."""

    part: str
    """brain, tracking, teacher, model, jobs, …"""
    label: str
    embedded: bool
    """Whether it is the stand-in that ships with Étude, used where there is no account."""


class CycleShown(Shown):
    """One turn of the loop, as the history lists it."""

    cycle: str
    dataset: str
    verdict: Outcome | None = None
    """Null while the cycle is open."""
    reason: str = ""
    champion_before: str | None = None
    champion_after: str | None = None
    candidate: str | None = None
    focus: list[str] = []
    new_rows: int | None = None
    level: float | None = None
    """One-sided error probability that the gate's verdict might spend."""
    difference: float | None = None
    """On the sealed rows, vector_mae of the candidate minus the champion's; below 0 is better. Null while sealed."""
    ci: tuple[float, float] | None = None
    mae_before: float | None = None
    """vector_mae of the champion before the cycle, on the diagnose rows."""
    mae_after: float | None = None
    """vector_mae of the candidate, on the diagnose rows."""
    served: "Estimate | None" = None
    """The same of what was in service when the cycle ended."""
    tried: "Estimate | None" = None
    """The candidate's, with its interval."""
    constant: "Estimate | None" = None


NORMAL = 1.96  # standard errors to either side of a mean hold the truth 19 times in 20


class Estimate(Shown):
    """A mean, and where it may lie."""

    value: float
    se: float | None = None
    """Standard error, near-copies of one text counted as one piece of evidence."""
    ci: tuple[float, float] | None = None
    """95 % interval; where only `se` is known, see `reach`."""

    @property
    def reach(self) -> tuple[float, float] | None:
        """The 95 % interval, or what follows from the standard error; None where neither is known."""
        if self.ci is not None or self.se is None:
            return self.ci
        return self.value - NORMAL * self.se, self.value + NORMAL * self.se


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


class NewExample(Shown):
    text: str
    target: dict[str, float]
    source: str


class DroppedExample(Shown):
    text: str
    reason: str


class AugmentationShown(Shown):
    """The rows that the cycle added to train."""

    teacher: str
    focus: list[str] = []
    """Empty where the plan asked for more of the same."""
    why: str = ""
    added: int
    replayed: int = 0
    dropped: dict[str, int] = {}
    """Rows that a filter refused, by reason."""
    dropped_examples: list[DroppedExample] = []
    nothing_came: str | None = None
    """Why none of them were added; null where some were."""
    rows_before: int
    rows_after: int
    version_after: str
    examples: list[NewExample] = []


class WayShown(Shown):
    """A way of making a candidate against the champion, over its seeds."""

    way: str
    words: str
    seeds: int
    rows_added: int
    difference: float
    se: float
    p: float
    """Corrected for the number of ways."""
    worked: Literal["helped", "harmed", "not shown"]
    against: str | None
    """The way that it differs from by one thing."""
    part: float | None
    """What that one thing did."""
    part_worked: Literal["helped", "harmed", "not shown"] | None


class CampaignShown(Shown):
    """The ways that were compared on the diagnose rows."""

    n: int
    chosen: str | None
    reason: str
    ways: list[WayShown]
    """The best first."""
    left_out: dict[str, str] = {}
    """Ways that were not tried, and why."""


class SettingChange(Shown):
    name: str
    before: str | None = None
    after: str
    reason: str = ""


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


class CostShown(Shown):
    """What one part of the work took in this cycle."""

    part: str
    what: str = ""
    usd: float
    """0 where nothing had to be paid."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    """Null where no tokens were counted."""


class BudgetShown(Shown):
    """The budget of the artifacts folder, over all cycles, USD."""

    limit: float
    spent: float
    left: float


class TimeShown(Shown):
    """Seconds that one step of the cycle took in the servers."""

    step: str
    seconds: float
    calls: int


class NodeShown(Shown):
    """Something in the lineage."""

    id: str
    kind: Literal["data", "model", "refused"]
    """refused: a model that was not promoted."""
    column: str
    """Cycle in which it came to be."""
    label: str
    words: str = ""
    now: bool = False
    """Whether it is in service, or the newest data."""


class EdgeShown(Shown):
    start: str
    end: str
    kind: Literal["grew", "trained", "followed"]
    """Data from data, a model from data, a champion after a champion."""


class LineageShown(Shown):
    """How data and models came from one another; columns oldest first."""

    columns: list[str]
    nodes: list[NodeShown]
    edges: list[EdgeShown]


class TrainingShown(Shown):
    """The job that made the candidate."""

    job: str
    model: str
    family: str
    train_rows: int
    seconds: float
    changes: list[SettingChange] = []


class RemedyShown(Shown):
    """What was changed for one failure, and what came of it on that row."""

    trace: str
    dimension: str
    change: str
    text: str = ""
    error_before: float | None = None
    error_after: float | None = None
    trace_url: str | None = None
    """As for a failure."""


class LessonShown(Shown):
    title: str
    text: str
    """With its figures already filled in, each with the number of its source behind it."""
    sources: list[str] = []
    """Where each figure came from, the first is number 1."""


class PlanShown(Shown):
    """One line of the planned next cycle."""

    what: str
    """data, training, gate, …"""
    words: str


class ContextShown(Shown):
    """What came back through the W&B MCP server before anything was decided."""

    server: str
    """Name and version, from the handshake."""
    kind: Literal["official", "stand-in"]
    calls: dict[str, int]
    """Calls by tool."""
    failures: int
    fetched_at: str


class ToolCalls(Shown):
    tool: str
    server: str = ""
    calls: int
    errors: int = 0
    seconds: float


class DefinitionShown(Shown):
    """What a metric on the page means."""

    metric: str
    formula: str
    range: str
    better: Literal["lower", "higher", "neither"]


class ReportView(Shown):
    """One report. `this` also stands in `history`, which lists all cycles, oldest first."""

    title: str
    task_title: str
    dimensions: list[Dimension]
    scale: Scale
    rules: GateRules
    dataset: DatasetShown
    this: CycleShown
    generated_at: str
    history: list[CycleShown] = []
    backends: list[BackendShown] = []
    warnings: list[str] = []
    """What a reader should know before believing the verdict."""
    arms: list[ArmShown] = []
    """At most one of a role. A constant in service stands once, as the constant."""
    predictions: PredictionsShown | None = None
    failures: list[FailureShown] = []
    """Worst first."""
    failures_of: str | None = None
    """The model that answered so."""
    gate: GateShown | None = None
    begin_gate: GateShown | None = None
    """The verdict that began this line of models, where it is another one."""
    diagnosis: DiagnosisShown | None = None
    augmentation: AugmentationShown | None = None
    campaign: CampaignShown | None = None
    training: TrainingShown | None = None
    differences: list[DifferenceShown] = []
    """All together first, then by dimension."""
    by_length: list[SliceShown] = []
    """Short texts first."""
    by_source: list[SliceShown] = []
    biases: dict[str, Estimate] = {}
    """By dimension, mean of answer minus target of whose predictions are shown, points."""
    curve: CurveShown | None = None
    loss: list[LossPoint] = []
    """Of the training that made the candidate, by step of its optimizer; empty where it has none."""
    versions: list[VersionShown] = []
    """Models of this dataset, oldest first, each measured in the cycle that made it."""
    costs: list[CostShown] = []
    budget: BudgetShown | None = None
    times: list[TimeShown] = []
    lineage: LineageShown | None = None
    remedies: list[RemedyShown] = []
    lessons: list[LessonShown] = []
    next_cycle: list[PlanShown] = []
    context: ContextShown | None = None
    ledger: list[ToolCalls] = []
    definitions: list[DefinitionShown] = []
    provenance: dict[str, str] = {}
    """Other things that fix what was run: versions, digests, revisions."""

    @property
    def names(self) -> list[str]:
        return [dimension.name for dimension in self.dimensions]

    @property
    def digits(self) -> int:
        """Decimals of a mean error: a ten-thousandth of the scale shows."""
        return max(0, 4 - round(math.log10(self.scale.width)))

    def arm(self, role: Role) -> ArmShown | None:
        """The arm in this role, if it was measured."""
        return next((arm for arm in self.arms if arm.role == role), None)

    @property
    def before(self) -> ArmShown | None:
        """The arm that was in service: the champion, or the constant where there was none."""
        return self.arm("champion") or self.arm("constant")

    def embedded(self, part: str) -> str | None:
        """Label of the stand-in that did `part`, or None where a real backend did or nothing is known."""
        return next((b.label for b in self.backends if b.part == part and b.embedded), None)
