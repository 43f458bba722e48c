"""The gate: may this candidate replace that champion? Every rule with its number, and what the rules may tell.

The judge sees errors on the sealed split. A promotion needs every check; the statistical ones are held to the level
that this verdict may spend, so that all verdicts ever asked of one split promote by luck with at most 5 % together:

    level(k) = 0.05 / (k (k + 1))  +  level(k - 1) if verdict k - 1 promoted

(the fallback procedure, Wiens & Dmitrienko 2005: what an accepted claim did not need goes to the next one). A verdict
without promotion shows its outcome and the checks that are not statistical; the rest stays sealed, because a difference
shown after each try would teach the agent the sealed rows (Blum & Hardt 2015, "The Ladder").
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from servers.core.statistics import Comparison, Floats, Labels, compare, smallest_p_value
from servers.core.task import GateRules
from servers.core.wire import Wire

ALL_VERDICTS_LEVEL = 0.05  # what all verdicts of one split may spend together
VETO_LEVEL = 0.05  # family-wise over the dimensions: shown worse on any of them is a veto

Outcome = Literal["promote", "hold", "undecided"]


class Check(Wire):
    """One rule of the gate."""

    name: str
    passed: bool
    detail: str
    """The number and the threshold."""


class Verdict(Wire):
    """What the judge found, whole. Stays in the sealed folder; `shown` is what leaves it."""

    outcome: Outcome
    reason: str
    n: int
    clusters: int
    level: float
    """One-sided, what this verdict could spend."""
    difference: float | None
    """Candidate minus champion in vector_mae, points."""
    ci: tuple[float, float] | None
    checks: list[Check]
    statistical: list[str]
    """Names of the checks whose result depends on the sealed rows."""


@dataclass(frozen=True)
class Evidence:
    """What the judge looks at. Error arrays have shape (rows, dimensions), in points, rows in the same order."""

    dimensions: Sequence[str]
    focus: Sequence[str]
    scale_width: float
    candidate: Floats
    champion: Floats
    constant: Floats
    clusters: Labels
    """Near-copy group of each row, shape (rows,)."""
    json_valid_rate: float
    p95_latency_ms: float | None
    """Over single requests after warm-up; None where it was not measured."""
    leaked_rows: int
    """Training rows of the candidate that are near-copies of sealed rows."""
    expected_standard_error: float
    """Of the difference on the sealed rows, foreseen from the diagnose rows: so `undecided` tells nothing sealed."""


def level_for_next(promoted: Sequence[bool]) -> float:
    """The one-sided level that the next verdict may spend.

    Args:
        promoted: For each verdict asked so far, oldest first, whether it promoted.
    """
    carried = 0.0
    for k, was_promoted in enumerate(promoted, start=1):
        level = ALL_VERDICTS_LEVEL / (k * (k + 1)) + carried
        carried = level if was_promoted else 0.0
    k = len(promoted) + 1
    return ALL_VERDICTS_LEVEL / (k * (k + 1)) + carried


def plain_checks(evidence: Evidence, rules: GateRules) -> list[Check]:
    """The checks that spend nothing: they say nothing about how good the candidate is on the sealed rows."""
    latency = evidence.p95_latency_ms
    return [
        Check(
            name="json_valid_rate",
            passed=evidence.json_valid_rate >= rules.min_json_valid_rate,
            detail=f"{evidence.json_valid_rate:.3f}, at least {rules.min_json_valid_rate:g}",
        ),
        Check(name="served_by", passed=True, detail="every row was answered by the model under test"),
        Check(
            name="no_leakage",
            passed=evidence.leaked_rows == 0,
            detail=f"{evidence.leaked_rows} training rows are near-copies of sealed rows, none allowed",
        ),
        Check(
            name="p95_latency_ms",
            passed=latency is None or latency <= rules.max_p95_latency_ms,
            detail="not measured: a warning"
            if latency is None
            else f"{latency:.1f} ms, at most {rules.max_p95_latency_ms:g}",
        ),
        Check(name="prompt_arm", passed=True, detail="not applicable: no prompt arm"),
    ]


def judge(evidence: Evidence, rules: GateRules, level: float) -> Verdict:
    """Decide on the sealed rows.

    Raises:
        ValueError: the rows are too few to tell anything (fewer than two near-copy groups).
    """
    overall = compare(evidence.candidate.mean(axis=1), evidence.champion.mean(axis=1), evidence.clusters, level)
    plain = plain_checks(evidence, rules)
    statistical = [
        _shown_better("vector_mae", overall),
        *_focus_check(evidence, level),
        *_no_dimension_worse(evidence, rules),
        *_better_than_constant(evidence),
    ]
    outcome, reason = _outcome(plain, statistical, overall, visible(evidence, level) <= rules.min_gain, rules)
    return Verdict(
        outcome=outcome,
        reason=reason,
        n=overall.n,
        clusters=overall.clusters,
        level=level,
        difference=overall.difference,
        ci=overall.ci,
        checks=[*plain, *statistical],
        statistical=[check.name for check in statistical],
    )


def shown(verdict: Verdict) -> Verdict:
    """What of a verdict may leave the sealed folder: all of a promotion, else what is not statistical."""
    if verdict.outcome == "promote":
        return verdict
    open_checks = [check for check in verdict.checks if check.name not in verdict.statistical]
    return verdict.model_copy(update={"difference": None, "ci": None, "checks": open_checks})


def visible(evidence: Evidence, level: float) -> float:
    """The smallest gain, in points, that rows with the foreseen spread show at `level`; infinite for too few groups."""
    clusters = len(np.unique(evidence.clusters))
    if smallest_p_value(clusters) > level:
        return math.inf
    return float(stdtrit(clusters - 1, 1 - level)) * evidence.expected_standard_error


def _outcome(
    plain: Sequence[Check], statistical: Sequence[Check], overall: Comparison, could_tell: bool, rules: GateRules
) -> tuple[Outcome, str]:
    """The outcome and its reason; without promotion the reason holds nothing that depends on the sealed errors."""
    if failed := [check for check in plain if not check.passed]:
        return "hold", "not fit for service: " + "; ".join(f"{check.name} {check.detail}" for check in failed)
    if all(check.passed for check in statistical):
        low, high = overall.ci
        return "promote", (
            f"vector_mae differs by {overall.difference:+.3f} points ({low:+.3f} to {high:+.3f}) over {overall.n} "
            f"sealed rows at level {overall.level:.4f}, and no check failed"
        )
    if not could_tell:
        return "undecided", (
            f"{overall.n} sealed rows could not have shown a gain of {rules.min_gain:g} points at level "
            f"{overall.level:.4f}; collect more held-out rows"
        )
    return "hold", f"the sealed rows do not show a gain that passes every check at level {overall.level:.4f}"


def _shown_better(what: str, comparison: Comparison) -> Check:
    return Check(
        name=f"{what}_better_than_champion",
        passed=comparison.difference < 0 and comparison.p_better <= comparison.level,
        detail=f"{comparison.difference:+.3f} points, p {comparison.p_better:.2g}, at most {comparison.level:.4g}",
    )


def _focus_check(evidence: Evidence, level: float) -> list[Check]:
    if not evidence.focus:
        return []
    columns = [list(evidence.dimensions).index(name) for name in evidence.focus]
    candidate, champion = evidence.candidate[:, columns].mean(axis=1), evidence.champion[:, columns].mean(axis=1)
    return [_shown_better("focus_dimensions", compare(candidate, champion, evidence.clusters, level))]


def _no_dimension_worse(evidence: Evidence, rules: GateRules) -> list[Check]:
    level = VETO_LEVEL / len(evidence.dimensions)
    by_dimension: Mapping[str, Comparison] = {
        name: compare(evidence.candidate[:, k], evidence.champion[:, k], evidence.clusters, level)
        for k, name in enumerate(evidence.dimensions)
    }
    worst = max(by_dimension, key=lambda name: by_dimension[name].difference)
    surest = min(by_dimension, key=lambda name: by_dimension[name].p_worse)
    difference, p = by_dimension[worst].difference, by_dimension[surest].p_worse
    return [
        Check(
            name="no_dimension_much_worse",
            passed=difference <= rules.max_worse,
            detail=f"{worst} {difference:+.3f} points is the least favourable, at most {rules.max_worse:+g}",
        ),
        Check(
            name="no_dimension_shown_worse",
            passed=p > level,
            detail=f"{surest} p {p:.2g} is the smallest, above {level:.4g}",
        ),
    ]


def _better_than_constant(evidence: Evidence) -> list[Check]:
    mae, constant = float(evidence.candidate.mean()), float(evidence.constant.mean())
    width = evidence.scale_width**2
    mse, constant_mse = (float(np.square(errors).mean()) / width for errors in (evidence.candidate, evidence.constant))
    return [
        Check(
            name="vector_mae_better_than_constant",
            passed=mae < constant,
            detail=f"{mae:.3f} points, below {constant:.3f}",
        ),
        Check(
            name="mse_norm_better_than_constant",
            passed=mse < constant_mse,
            detail=f"{mse:.5f}, below {constant_mse:.5f}",
        ),
    ]
