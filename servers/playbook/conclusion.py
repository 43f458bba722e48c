"""How a cycle ended, and the summary that closes it."""

from datetime import datetime
from typing import Any

from servers.core.disk import now
from servers.core.evaluations import Evaluation
from servers.core.jobs import ENDED
from servers.core.wire import Wire
from servers.core.words import cleaned
from servers.playbook.facts import Facts
from servers.playbook.report.view_base import Outcome, Role

BASELINES: tuple[Role, ...] = ("constant", "rule", "student", "prompt", "teacher")
ROLES: tuple[Role, ...] = (*BASELINES, "champion", "candidate")
REASON_CHARS = 500


class Conclusion(Wire):
    """The verdict of a whole cycle."""

    verdict: Outcome
    reason: str
    champion_after: str


def conclude(facts: Facts, stop_reason: str | None) -> Conclusion:
    """Derive the verdict from what the cycle's tools left.

    Args:
        facts: An open cycle.
        stop_reason: Why it ends before the gate; None where the gate has spoken.

    Raises:
        ValueError: a step is missing, a training is under way, or a reason to stop contradicts the verdict that was
            given.
    """
    cycle, opened, gate = facts.cycle, facts.opening, facts.gate
    if waiting := [job.job_id for job in facts.jobs if job.state not in ENDED]:
        raise ValueError(f"{waiting[-1]} is under way; wait for it with get_job, or end it with cancel_job first")
    reason = cleaned(stop_reason or "", REASON_CHARS)
    in_service = facts.champion_now or "constant"
    if gate is None:
        if not reason:
            raise ValueError(f"{cycle} has no verdict; call gate_candidate first, or give a stop_reason to end it here")
        return Conclusion(verdict="stopped", reason=reason, champion_after=in_service)
    if stop_reason is not None:
        raise ValueError(
            f"{cycle} has the verdict {gate['outcome']!r}, so it was not stopped; call write_report without stop_reason"
        )
    if gate["outcome"] == "promote" and facts.release is None and not facts.overtaken:
        raise ValueError(
            f"the verdict of {cycle} is promote, and {gate['candidate']!r} is not in service; call promote_model first"
        )
    if facts.champion_now is None:
        raise ValueError(
            f"no model of {opened.dataset!r} is in service after {cycle}; "
            "call promote_model with candidate 'constant' first"
        )
    if gate["outcome"] == "promote" and facts.overtaken:
        words = f"passed the gate against {opened.champion}, but {in_service} was put into service before it"
        return Conclusion(verdict="hold", reason=words, champion_after=in_service)
    return Conclusion(verdict=gate["outcome"], reason=cleaned(gate["reason"], REASON_CHARS), champion_after=in_service)


def by_role(facts: Facts) -> dict[Role, Evaluation | None]:
    """The cycle's evaluations by role; a constant in service stands under both names."""
    return {
        **{role: facts.evaluations.get(role) for role in BASELINES},
        "champion": facts.champion,
        "candidate": facts.candidate,
    }


def summary_of(facts: Facts, conclusion: Conclusion, report: str) -> dict[str, Any]:
    """`summary.json`: what a reader needs of a closed cycle without opening another file."""
    opened, gate = facts.opening, facts.gate
    evaluations = by_role(facts)
    candidate = evaluations["candidate"]
    kept = ("verdict_id", "outcome", "difference", "ci", "n", "level", "checks", "verdicts_asked", "level_left")
    return {
        "schema": 1,
        "cycle": opened.cycle,
        "kind": opened.kind,
        "dataset": opened.dataset,
        "dataset_version": opened.dataset_version,
        "verdict": conclusion.verdict,
        "reason": conclusion.reason,
        "focus_dimensions": facts.augmentation["focus_dimensions"] if facts.augmentation else [],
        "rows_added": facts.rows_added if facts.augmented else None,
        # Rows whose candidate is shown worse on the diagnose rows are taken out of the newest version again.
        "rows_kept": facts.head.fingerprint != opened.dataset_version if facts.rows_added else None,
        "champion_before": opened.champion,
        "champion_after": conclusion.champion_after,
        "candidate": candidate and candidate.model,
        "diagnose": {role: evaluation and evaluation.metrics for role, evaluation in evaluations.items()},
        "gate": None if gate is None else {key: gate[key] for key in kept},
        "campaign": facts.campaign_result
        and {key: facts.campaign_result[key] for key in ("ways", "chosen", "to_gate", "reason")},
        "seconds": round(_seconds_since(opened.opened_at), 1),
        "closed_at": now(),
        "report": report,
    }


def _seconds_since(moment: str) -> float:
    return (datetime.fromisoformat(now()) - datetime.fromisoformat(moment)).total_seconds()
