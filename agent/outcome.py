"""The document that `etude cycle --json` prints: what a run was made of and what it brought. Null where nothing is."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from agent.replies import CampaignShown, GateShown, Metrics, Rows, Summary
from agent.spent import Spent

STAND_INS = (
    "etude-wandb-local",
    "etude",
)  # names in the handshake: the stand-in's, and of the server that has all tools


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class DatasetPart(_Part):
    name: str
    fingerprint: str
    """Of the version at the end of the run."""
    rows: Rows


class BackendsPart(_Part):
    """What stood behind each part."""

    brain: str
    wandb_mcp: Literal["stand-in", "official"]
    tracking: str
    teacher: str
    model: str
    jobs: str
    prompt: str | None
    """The base model that is asked without training."""


class BeginPart(_Part):
    """The beginning, whether this run made it or an earlier one."""

    champion: str
    """After the beginning; where an earlier run made it, the champion that this run found."""
    verdict: str | None
    reason: str | None


class DiagnosePart(_Part):
    """Metrics on the diagnose rows by role."""

    constant: Metrics | None = None
    rule: Metrics | None = None
    student: Metrics | None = None
    """The CPU student that a fine-tuned model has to beat."""
    prompt: Metrics | None = None
    teacher: Metrics | None = None
    champion: Metrics | None = None
    candidate: Metrics | None = None


class CyclePart(_Part):
    """One turn of the loop."""

    cycle: int
    """The number in its id."""
    verdict: Literal["promote", "hold", "undecided", "stopped"]
    reason: str | None
    """A sentence; null for a promotion."""
    focus_dimensions: list[str]
    champion_before: str
    champion_after: str
    diagnose: DiagnosePart
    gate: GateShown | None
    """Null where the cycle stopped before it."""
    campaign: CampaignShown | None
    """Null for a cycle of one candidate."""
    brain: Spent | None
    """What a language model's thinking took; null for the offline policy."""
    seconds: float
    """From its opening to its end, whatever happened in between."""
    wandb_report: str | None
    """Where W&B shows its report; null where W&B is not in use, or has none."""

    @classmethod
    def of(cls, summary: Summary, spent: Spent | None, at_wandb: str | None) -> "CyclePart":
        return cls(
            cycle=int(summary.cycle.rpartition("_")[2]),
            verdict=summary.verdict,
            reason=None if summary.verdict == "promote" else summary.reason,
            focus_dimensions=summary.focus_dimensions,
            champion_before=summary.champion_before,
            champion_after=summary.champion_after,
            diagnose=DiagnosePart(**summary.diagnose),
            gate=summary.gate,
            campaign=summary.campaign,
            brain=spent,
            seconds=summary.seconds,
            wandb_report=at_wandb,
        )


class Outcome(_Part):
    """One whole run."""

    schema_version: Literal[1] = Field(default=1, serialization_alias="schema")
    task: str
    dataset: DatasetPart
    backends: BackendsPart
    begin: BeginPart
    cycles: list[CyclePart]
    artifacts: str
    report: str
