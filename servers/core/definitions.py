"""What each metric means: formula in words, range, direction, how an invalid answer enters, and where it comes from.

Names are the first project's where it had them. Points are units of the task's scale, width is the scale's. What a task
does not have (tags, slots, an intent score) it has no metric for: null in an evaluation, and no definition beside it.
"""

from typing import Literal

from servers.core.task import Task
from servers.core.wire import Wire


class Definition(Wire):
    """What a metric means."""

    formula: str
    range: str
    better: Literal["lower", "higher", "neither"]
    invalid: str
    """How an invalid answer enters."""
    source: str


WORST = "counts with the worst error the scale allows for its target"
FIRST_PROJECT = "the studio's first project"
POINTS = "0 to the width of the scale, points"
DEFINITIONS: dict[str, Definition] = {
    "vector_mae": Definition(
        formula="mean over rows and dimensions of |prediction - target|",
        range=POINTS,
        better="lower",
        invalid=WORST,
        source=FIRST_PROJECT + ", which left invalid answers out",
    ),
    "mae_raw": Definition(
        formula="the same as vector_mae, under its older name",
        range=POINTS,
        better="lower",
        invalid=WORST,
        source=FIRST_PROJECT + ", which left invalid answers out",
    ),
    "mae_raw_<dimension>": Definition(
        formula="mean over rows of |prediction - target| of one dimension",
        range=POINTS,
        better="lower",
        invalid=WORST,
        source=FIRST_PROJECT + ", which left invalid answers out",
    ),
    "valid_vector_mae": Definition(
        formula="mean over the valid answers and dimensions of |prediction - target|; beside vector_mae it tells bad "
        "reading from bad JSON, and is never in the gate",
        range=POINTS + "; null where no answer was valid",
        better="lower",
        invalid="left out",
        source=FIRST_PROJECT + "'s vector_mae",
    ),
    "mse_raw": Definition(
        formula="mean over rows and dimensions of (prediction - target)²",
        range="0 to width², points²",
        better="lower",
        invalid=WORST,
        source=FIRST_PROJECT + ", which left invalid answers out",
    ),
    "mse_norm": Definition(
        formula="mse_raw / width²",
        range="0 to 1",
        better="lower",
        invalid=WORST,
        source=FIRST_PROJECT,
    ),
    "r2_score": Definition(
        formula="mean of r2_score_<dimension> over the dimensions that have one",
        range="-∞ to 1; null where no dimension has one",
        better="higher",
        invalid=WORST,
        source="by dimension here; the first project pooled them",
    ),
    "r2_score_<dimension>": Definition(
        formula="1 - Σ error² / Σ (target - mean target)² over the rows, of one dimension",
        range="-∞ to 1; null where all targets are equal",
        better="higher",
        invalid=WORST,
        source="coefficient of determination, as in scikit-learn's r2_score",
    ),
    "json_valid_rate": Definition(
        formula="share of answers that are strict JSON with exactly the dimensions, numbers in range, nothing around",
        range="0 to 1",
        better="higher",
        invalid="counts as 0",
        source=FIRST_PROJECT + ", stricter here",
    ),
    "intent_score_mean": Definition(
        formula="mean over rows of max(0, 100 - c * row error in hundredths of the scale); c is the task file's "
        "intent_points_per_error",
        range="0 to 100; null for a task without c",
        better="higher",
        invalid=WORST,
        source=FIRST_PROJECT,
    ),
    "output_sanity_score": Definition(
        formula="mean over rows of min(100, 72 + 0.6 * population standard deviation of the answer's numbers in "
        "hundredths of the scale)",
        range="12 to 100",
        better="neither",
        invalid="counts as 12",
        source=FIRST_PROJECT + "; a heuristic, never in the gate",
    ),
    "constraint_match_rate": Definition(
        formula="share of rows whose derived tags all equal the target's; rules from the task file",
        range="0 to 1; null for a task without tags",
        better="higher",
        invalid="counts as 0",
        source=FIRST_PROJECT,
    ),
    "slot_exact_match": Definition(
        formula="mean over rows of the share of derived slots that equal the target's; rules from the task file",
        range="0 to 1; null for a task without slots",
        better="higher",
        invalid="counts as 0",
        source=FIRST_PROJECT,
    ),
    "p50_inference_latency_ms": Definition(
        formula="nearest-rank median over single requests after warm-up",
        range="0 up; null where none was timed",
        better="lower",
        invalid="counts as timed",
        source=FIRST_PROJECT,
    ),
    "p95_inference_latency_ms": Definition(
        formula="nearest-rank 95th percentile over single requests after warm-up",
        range="0 up; null where none was timed",
        better="lower",
        invalid="counts as timed",
        source=FIRST_PROJECT,
    ),
    "cost_per_100_requests_usd": Definition(
        formula="dollars paid for 100 answers, from the service's usage figures; 0 for a model on this machine",
        range="0 up; null where nobody knows",
        better="lower",
        invalid="counts as paid",
        source="measured here; a constant in the first project",
    ),
}


def in_a_line(definition: Definition) -> str:
    """A definition for whoever asks what a figure means."""
    return f"{definition.formula} ({definition.range}; better: {definition.better})"


def definitions_for(task: Task) -> dict[str, Definition]:
    """The definitions that apply to a task: it may have no tags, no slots and no intent score."""
    lacking = {
        "intent_score_mean": task.intent_points_per_error is None,
        "constraint_match_rate": not task.derived.tags,
        "slot_exact_match": not task.derived.slots,
    }
    return {name: definition for name, definition in DEFINITIONS.items() if not lacking.get(name, False)}
