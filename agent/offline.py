"""The offline brain: a fixed policy over what the tools said, the same for the same replies, no account needed.

It aims at up to two dimensions where the champion is worst against the constant, among those whose text carries signal:
the largest raw error alone would pick the dimension that nobody can learn. The data change, so the recipe stays: one
cause at a time.
"""

from collections.abc import Sequence

from agent.brain import Aim, Change, Lesson, Remedy, Situation, Turn
from agent.lessons import lessons_of
from agent.replies import Failure

MAX_FOCUS = 2
MAX_REMEDIES = 5
NO_SIGNAL = "no dimension carries signal in the text"


class OfflineBrain:
    """The policy behind the four questions of `Brain`."""

    name = "offline"

    async def aim(self, situation: Situation) -> Aim:
        """Stop where the data cannot teach; else the dimensions with the largest error against the constant."""
        if situation.diagnosis.verdict == "stop":
            return Aim(stop_reason=situation.diagnosis.reason)
        focus = focus_dimensions(situation)
        return Aim(focus_dimensions=focus) if focus else Aim(stop_reason=NO_SIGNAL)

    async def remedies(self, situation: Situation, aim: Aim, augmentation_plan: str) -> list[Remedy]:
        """The failures with the largest error on a focus dimension."""
        return remedies_for(situation.context.failures, aim.focus_dimensions, augmentation_plan)

    async def changes(self, situation: Situation, aim: Aim) -> list[Change]:
        """None: an effect should have one cause, and the data are it."""
        return []

    async def lessons(self, turn: Turn) -> list[Lesson]:
        """What was aimed at, what came out, what the gate said, and what cannot be learned."""
        return lessons_of(turn)


def focus_dimensions(situation: Situation) -> list[str]:
    """At most two dimensions with signal, the largest ratio of champion error to constant error first.

    Raises:
        ValueError: W&B gave no figures for the champion or the constant.
    """
    figures = situation.context.eval_summary
    for model in (situation.champion, "constant"):
        if model not in figures:
            raise ValueError(f"the figures of {model!r} did not come back through W&B; known: {', '.join(figures)}")

    def ratio(dimension: str) -> float:
        ours, constant = (figures[model].get(f"mae_raw_{dimension}") for model in (situation.champion, "constant"))
        return ours / constant if ours is not None and constant else 0.0

    signals = situation.diagnosis.dimensions
    carrying = [name for name in situation.dimensions if name in signals and signals[name].signal != "none"]
    # Equal ratios (a constant champion has 1 everywhere) go to the dimension with the stronger signal.
    order = sorted(carrying, key=lambda name: (-round(ratio(name), 9), -(signals[name].r2 or 0.0)))
    return order[:MAX_FOCUS]


def remedies_for(failures: Sequence[Failure], focus: Sequence[str], augmentation_plan: str) -> list[Remedy]:
    """One remedy for each of the failures that err most on a focus dimension, at most five, one for each trace."""
    by_trace = {failure.trace_id: failure for failure in failures}
    worst: list[tuple[float, str, str]] = []
    for trace_id, failure in by_trace.items():
        errors = [(failure.abs_error_by_dim.get(name, 0.0), name) for name in focus]
        error, dimension = max(errors, key=lambda pair: pair[0])
        worst.append((error, trace_id, dimension))
    worst.sort(key=lambda entry: (-entry[0], entry[1]))
    return [
        Remedy(trace_id, dimension, f"new requests for {dimension} by augmentation plan {augmentation_plan}")
        for _, trace_id, dimension in worst[:MAX_REMEDIES]
    ]
