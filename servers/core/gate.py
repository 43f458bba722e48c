"""The gate: may this candidate replace that champion? Every rule with its number, and what the rules may tell.

The judge sees errors on the sealed split. A promotion needs every check; the statistical ones are held to the level
that this verdict may spend, so that all verdicts ever asked of one split promote by luck with at most 5 % together:

    level(k) = 0.05 / (k (k + 1))  +  level(k - 1) if verdict k - 1 promoted the champion of verdict k

(the fallback procedure, Wiens & Dmitrienko 2005: what an accepted claim did not need goes to the next one). After a
rollback nothing goes on: else whoever promotes many models against a weak champion, is told their figures and goes
back, could choose the pair that luck set furthest apart, with a level saved up for it. A verdict without promotion
shows its outcome and the plain checks, which look at no sealed answer; the rest stays sealed, because a difference
shown after each try would teach the agent the sealed rows (Blum & Hardt 2015, "The Ladder").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from servers.core.disk import digest
from servers.core.fitness import Check, at_least
from servers.core.statistics import Comparison, Floats, Labels, compare, smallest_p_value
from servers.core.task import GateRules
from servers.core.wire import Wire

ALL_VERDICTS_LEVEL = 0.05  # what all verdicts of one split may spend together
VETO_LEVEL = 0.05  # family-wise over the dimensions: shown worse on any of them is a veto

Outcome = Literal["promote", "hold", "undecided"]


class Told(Wire):
    """What a verdict says."""

    outcome: Outcome
    reason: str
    """In words, with numbers."""
    n: int
    """Sealed rows."""
    clusters: int | None
    """Near-copy groups among them; null where they were not looked at."""
    level: float
    """One-sided, what this verdict could spend."""
    smallest_visible: float | None
    """The smallest gain in vector_mae, points, that such rows show at this level, foreseen from the diagnose rows; null
    where no gain would be shown, and where there was nothing to judge."""
    difference: float | None
    """Candidate minus champion in vector_mae, points; negative is better. Null while it is sealed."""
    ci: tuple[float, float] | None
    checks: list[Check]
    """Without promotion, outside the sealed folder, only those that are not statistical."""


class Verdict(Told):
    """What the judge found, whole. Stays in the sealed folder; `shown` is what leaves it."""

    statistical: list[str]
    """Names of the checks whose result depends on the sealed rows."""


@dataclass(frozen=True)
class Evidence:
    """What the statistical checks look at. Arrays of errors (rows, dimensions), points, rows in the same order."""

    dimensions: Sequence[str]
    focus: Sequence[str]
    """The dimensions that the new rows aimed at, written down before there was a candidate."""
    scale_width: float
    candidate: Floats
    champion: Floats
    constant: Floats
    prompt: Floats | None
    """The base model's without training, where there is such an arm."""
    clusters: Labels
    """Near-copy group of each row, shape (rows,)."""
    json_valid_rate: float
    """On the sealed rows."""
    expected_standard_error: float
    """Of the difference on the sealed rows, foreseen from the diagnose rows: so `undecided` tells nothing sealed."""


def level_for_next(carries: Sequence[bool]) -> float:
    """The one-sided level that the next verdict may spend.

    Args:
        carries: For each verdict asked so far, oldest first, whether it promoted what the verdict after it compares
            with.
    """
    carried = 0.0
    for k, goes_on in enumerate(carries, start=1):
        level = ALL_VERDICTS_LEVEL / (k * (k + 1)) + carried
        carried = level if goes_on else 0.0
    k = len(carries) + 1
    return ALL_VERDICTS_LEVEL / (k * (k + 1)) + carried


def verdict_id_for(gate_fingerprint: str, candidate_digest: str, champion_digest: str) -> str:
    """The id of the verdict on a pair of weights: asking twice finds the first."""
    return "verdict-" + digest([gate_fingerprint, candidate_digest, champion_digest])[:12]


def judge(plain: Sequence[Check], evidence: Evidence, rules: GateRules, level: float) -> Verdict:
    """Decide on the sealed rows.

    Args:
        plain: The plain checks, all passed; else there is nothing to judge, see `unfit_verdict`.
        evidence: Errors on the sealed rows.
        rules: The task's thresholds.
        level: What this verdict may spend, one-sided.

    Raises:
        ValueError: the rows are too few to tell anything (fewer than two near-copy groups).
    """
    overall = compare(evidence.candidate.mean(axis=1), evidence.champion.mean(axis=1), evidence.clusters, level)
    statistical = [
        at_least("json_valid_rate_sealed", evidence.json_valid_rate, rules.min_json_valid_rate, "sealed rows"),
        _shown_better("vector_mae", overall),
        *_focus_check(evidence, level),
        *_no_dimension_worse(evidence, rules),
        *_against_baselines(evidence),
    ]
    smallest = visible(evidence, level)
    outcome, reason = _outcome(statistical, overall, smallest <= rules.min_gain, rules)
    return Verdict(
        outcome=outcome,
        reason=reason,
        n=overall.n,
        clusters=overall.clusters,
        level=level,
        smallest_visible=smallest if math.isfinite(smallest) else None,
        difference=overall.difference,
        ci=overall.ci,
        checks=[*plain, *statistical],
        statistical=[check.name for check in statistical],
    )


def unfit_verdict(plain: Sequence[Check], problem: str, n: int, level: float) -> Verdict:
    """The verdict on a candidate that is not fit for service: it looks at no sealed row, and spends nothing."""
    return Verdict(
        outcome="hold",
        reason=problem,
        n=n,
        clusters=None,
        level=level,
        smallest_visible=None,
        difference=None,
        ci=None,
        checks=list(plain),
        statistical=[],
    )


def shown(verdict: Verdict) -> Told:
    """What of a verdict may leave the sealed folder: all of a promotion, else what is not statistical.

    A promotion's figures are rounded to three significant digits: more would only say more about the sealed rows.
    """
    told = Told.model_validate(verdict.model_dump(exclude={"statistical"}))
    if verdict.outcome != "promote" or verdict.difference is None or verdict.ci is None:
        plain = [check for check in verdict.checks if check.name not in verdict.statistical]
        return told.model_copy(update={"difference": None, "ci": None, "checks": plain})
    checks = [
        check.model_copy(update={name: _rounded(getattr(check, name)) for name in ("value", "threshold")})
        if check.name in verdict.statistical
        else check
        for check in told.checks
    ]
    low, high = verdict.ci
    figures = {"difference": _rounded(verdict.difference), "ci": (_rounded(low), _rounded(high)), "checks": checks}
    return told.model_copy(update=figures)


def visible(evidence: Evidence, level: float) -> float:
    """The smallest gain, in points, that rows with the foreseen spread show at `level`; infinite for too few groups."""
    clusters = len(np.unique(evidence.clusters))
    if smallest_p_value(clusters) > level:
        return math.inf
    return float(stdtrit(clusters - 1, 1 - level)) * evidence.expected_standard_error


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")


def _outcome(
    statistical: Sequence[Check], overall: Comparison, could_tell: bool, rules: GateRules
) -> tuple[Outcome, str]:
    """The outcome and its reason; without promotion the reason holds nothing that depends on the sealed errors."""
    if all(check.passed for check in statistical):
        low, high = overall.ci
        return "promote", (
            f"vector_mae differs by {overall.difference:+.3g} points ({low:+.3g} to {high:+.3g}) over {overall.n} "
            f"sealed rows at level {overall.level:.4g}, and no check failed"
        )
    if not could_tell:
        return "undecided", (
            f"{overall.n} sealed rows could not have shown a gain of {rules.min_gain:g} points at level "
            f"{overall.level:.4g}; collect more held-out rows"
        )
    return "hold", f"the sealed rows do not show a gain that passes every check at level {overall.level:.4g}"


def _shown_better(what: str, comparison: Comparison) -> Check:
    return Check(
        name=f"{what}_better_than_champion",
        passed=comparison.difference < 0 and comparison.p_better <= comparison.level,
        detail=f"{comparison.difference:+.3g} points, p {comparison.p_better:.2g}, at most {comparison.level:.4g}",
        value=comparison.p_better,
        threshold=comparison.level,
        evidence=f"{comparison.n} sealed rows in {comparison.clusters} groups, paired",
    )


def _focus_check(evidence: Evidence, level: float) -> list[Check]:
    if not evidence.focus:
        return []
    columns = [list(evidence.dimensions).index(name) for name in evidence.focus]
    candidate, champion = evidence.candidate[:, columns].mean(axis=1), evidence.champion[:, columns].mean(axis=1)
    return [_shown_better("focus_dimensions", compare(candidate, champion, evidence.clusters, level))]


def _no_dimension_worse(evidence: Evidence, rules: GateRules) -> list[Check]:
    level = VETO_LEVEL / len(evidence.dimensions)
    by_dimension = {
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
            detail=f"{worst} {difference:+.3g} points is the least favourable, at most {rules.max_worse:+g}",
            value=difference,
            threshold=rules.max_worse,
            evidence=f"sealed rows, {worst}",
        ),
        Check(
            name="no_dimension_shown_worse",
            passed=p > level,
            detail=f"{surest} p {p:.2g} is the smallest, above {level:.4g}",
            value=p,
            threshold=level,
            evidence=f"sealed rows, {surest}, paired",
        ),
    ]


def _against_baselines(evidence: Evidence) -> list[Check]:
    """Better than the constant; not worse than the prompt arm, where there is one. As estimated, without a test."""
    arms = {"constant": evidence.constant} | ({} if evidence.prompt is None else {"prompt": evidence.prompt})
    return [_baseline_check(arm, errors, evidence, power) for arm, errors in arms.items() for power in (1, 2)]


def _baseline_check(arm: str, baseline: Floats, evidence: Evidence, power: Literal[1, 2]) -> Check:
    """One of vector_mae (power 1, points) and mse_norm (power 2, share of the squared scale) against a baseline."""
    unit = 1.0 if power == 1 else evidence.scale_width**2
    ours, theirs = (float((errors**power).mean()) / unit for errors in (evidence.candidate, baseline))
    must_beat = arm == "constant"
    metric, demand = ("vector_mae" if power == 1 else "mse_norm"), ("better" if must_beat else "not_worse")
    return Check(
        name=f"{metric}_{demand}_than_{arm}",
        passed=ours < theirs if must_beat else ours <= theirs,
        detail=f"{ours:.3g}, {'below' if must_beat else 'at most'} {theirs:.3g}",
        value=ours,
        threshold=theirs,
        evidence="sealed rows",
    )
