"""Everything the report shows, already computed: the whole of it here, its parts in the `view_*.py` beside.

Errors, differences and intervals are in points of the task's scale where not said otherwise. A figure that is not
known, not asked for, or sealed is null; NaN and infinity are refused. Mappings by dimension may leave dimensions out.
"""

import math
from typing import Literal

from servers.core.task import Dimension, GateRules, Scale
from servers.playbook.report.view_base import CycleShown, Estimate, Role, Shown
from servers.playbook.report.view_results import (
    ArmShown,
    CurveShown,
    DiagnosisShown,
    DifferenceShown,
    FailureShown,
    GateShown,
    LossPoint,
    PredictionsShown,
    SliceShown,
    VersionShown,
)
from servers.playbook.report.view_work import (
    AugmentationShown,
    CampaignShown,
    CostShown,
    LessonShown,
    LineageShown,
    RemedyShown,
    TimeShown,
    TrainingShown,
)


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


class BudgetShown(Shown):
    """The budget of the artifacts folder, over all cycles, USD."""

    limit: float
    spent: float
    left: float


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
    wandb_report: str | None = None
    """Where W&B shows a report of the same cycle."""
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
