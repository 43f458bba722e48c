"""Is a candidate fit for service at all? The gate's plain checks, which look at no answer to a sealed row.

They cost nothing and may be told: an answer that is no JSON, a model that answers as its untrained base does, or a
training row that is a near-copy of a sealed one says nothing about how good the candidate is on the sealed rows.
"""

from collections.abc import Sequence

from servers.core.served import Activity
from servers.core.task import GateRules
from servers.core.wire import Wire


class Check(Wire):
    """One rule of the gate."""

    name: str
    passed: bool
    detail: str
    """The number and the threshold, in words."""
    value: float | None = None
    """The number; null where nothing was measured or nothing is to be measured."""
    threshold: float | None = None
    evidence: str = ""
    """What the number was found on."""


class Fitness(Wire):
    """What the plain checks look at: nothing of it depends on an answer to a sealed row."""

    json_valid_rate: float
    """On the diagnose rows."""
    served_rows: int
    """Diagnose rows that the model under test answered itself: all of them, or there is no evaluation."""
    leaked_rows: int
    """Training rows of the candidate that are near-copies of sealed rows."""
    p95_latency_ms: float | None
    """Over single requests after warm-up; None where it was not measured."""
    activity: Activity | None
    """How its answers to the diagnose rows differ from its base's; None where it was made from no base."""
    differs_from_champion: float
    """Share of the diagnose rows that it answers otherwise than the champion."""
    has_prompt_arm: bool
    """Whether the untrained base model was measured, so that the gate compares with it."""


def plain_checks(fitness: Fitness, rules: GateRules) -> list[Check]:
    """The checks that spend nothing: they say nothing about how good the candidate is on the sealed rows."""
    latency, activity = fitness.p95_latency_ms, fitness.activity
    return [
        at_least("json_valid_rate", fitness.json_valid_rate, rules.min_json_valid_rate, "diagnose rows"),
        Check(
            name="served_by",
            passed=True,
            detail=f"all {fitness.served_rows} rows were answered by the model under test",
            value=1.0,
            threshold=1.0,
            evidence="digest beside every diagnose and sealed row",
        ),
        Check(
            name="active",
            passed=activity is None or activity.active,
            detail="not applicable: no base model"
            if activity is None
            else f"{activity.share:.3f} of the rows answered otherwise than {activity.base!r} does, more than 0, with "
            f"{activity.distinct} different answers, more than 1",
            value=activity and activity.share,
            threshold=activity and 0.0,
            evidence="diagnose rows",
        ),
        Check(
            name="changed",
            passed=fitness.differs_from_champion > 0,
            detail=f"{fitness.differs_from_champion:.3f} of the rows answered otherwise than the champion does, "
            "more than 0",
            value=fitness.differs_from_champion,
            threshold=0.0,
            evidence="diagnose rows",
        ),
        Check(
            name="no_leakage",
            passed=fitness.leaked_rows == 0,
            detail=f"{fitness.leaked_rows} training rows are near-copies of sealed rows, none allowed",
            value=fitness.leaked_rows,
            threshold=0,
            evidence="the candidate's training rows against the sketch of the sealed ones",
        ),
        Check(
            name="p95_latency_ms",
            passed=latency is None or latency <= rules.max_p95_latency_ms,
            detail="not measured: a warning"
            if latency is None
            else f"{latency:.1f} ms, at most {rules.max_p95_latency_ms:g}",
            value=latency,
            threshold=rules.max_p95_latency_ms,
            evidence="single requests on diagnose rows, after warm-up",
        ),
        Check(
            name="prompt_arm",
            passed=True,
            detail="compared on the sealed rows" if fitness.has_prompt_arm else "not applicable: no prompt arm",
        ),
    ]


def unfit(plain: Sequence[Check]) -> str | None:
    """Why a candidate is not fit for service, whatever its errors; None where every plain check passed."""
    failed = [check for check in plain if not check.passed]
    return "not fit for service: " + "; ".join(f"{check.name} {check.detail}" for check in failed) if failed else None


def at_least(name: str, value: float, threshold: float, rows: str) -> Check:
    detail = f"{value:.3f}, at least {threshold:g}"
    return Check(name=name, passed=value >= threshold, detail=detail, value=value, threshold=threshold, evidence=rows)
