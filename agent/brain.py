"""A brain: who decides inside a cycle.

The loop keeps the order of the steps and passes replies on word for word; a brain is asked at the four points where
there is a choice. Every question is asynchronous, so a brain may think with a remote model. What it answers is checked
by the servers: a brain can be wrong, but it cannot talk a server into a promotion.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from agent.replies import Augmentation, Comparison, Context, Diagnosis, Evaluated, Verdict


@dataclass(frozen=True)
class Situation:
    """What is known when a cycle decides what to do."""

    cycle: str
    dataset: str
    dimensions: list[str]
    """All of the task's, in its order."""
    champion: str
    diagnosis: Diagnosis
    context: Context
    """What came back through W&B: failures and figures."""


@dataclass(frozen=True)
class Aim:
    """What the cycle works on, or why it stops."""

    focus_dimensions: list[str] = field(default_factory=list)
    stop_reason: str | None = None


@dataclass(frozen=True)
class Remedy:
    """What is changed for one failure."""

    trace_id: str
    dimension: str
    change: str


@dataclass(frozen=True)
class Change:
    """One hyperparameter that the next training sets differently."""

    name: str
    value: float | int | str | bool
    reason: str


@dataclass(frozen=True)
class Claim:
    """A figure with its source; text holds it as {claim:id}, and the playbook server checks it."""

    id: str
    source: str
    metric: str
    value: float
    unit: str


@dataclass(frozen=True)
class Lesson:
    """Something learned; figures stand in the text only as {claim:id}."""

    title: str
    text: str
    claims: list[Claim]


@dataclass(frozen=True)
class Turn:
    """All that one cycle, or the beginning, brought."""

    cycle: str
    kind: Literal["begin", "cycle"]
    dimensions: list[str]
    diagnosis: Diagnosis
    evaluations: Mapping[str, Evaluated]
    """By role: constant, rule, champion, candidate; a role that nobody filled is missing."""
    aim: Aim
    augmentation: Augmentation | None = None
    comparison: Comparison | None = None
    verdict: Verdict | None = None
    """None where the cycle stopped before it."""

    @property
    def promotes(self) -> bool:
        return self.verdict is not None and self.verdict.outcome == "promote"


class Brain(Protocol):
    """Who decides. A question that cannot be answered from what is there raises ValueError."""

    name: str

    async def aim(self, situation: Situation) -> Aim:
        """Which dimensions to work on, or why to stop here."""

    async def remedies(self, situation: Situation, aim: Aim, augmentation_plan: str) -> list[Remedy]:
        """For which failures the new rows are made; a promotion needs at least three."""

    async def changes(self, situation: Situation, aim: Aim) -> list[Change]:
        """What the training sets differently; empty keeps the recipe."""

    async def lessons(self, turn: Turn) -> list[Lesson]:
        """What to write down."""
