"""The last steps of a cycle: note remedies, judge the candidate, put it into service, write down, close."""

from collections.abc import Iterable, Iterator

from servers.core.arms import kind_of
from servers.core.registry import MIN_REMEDIES
from servers.playbook.facts import Facts
from servers.playbook.lessons import lessons_of
from servers.playbook.next_step import NextStep, step
from servers.playbook.snapshot import erring_dimensions

SUGGESTED_REMEDIES = 5


def remedies_wanted(facts: Facts) -> int:
    """How many remedies there can be, up to what a promotion needs."""
    return min(MIN_REMEDIES, len(facts.snapshot["failures_top_k"]) if facts.snapshot else 0)


def remedy_step(facts: Facts) -> NextStep:
    """Remedies for the failures that err most where the new rows aim."""
    assert facts.snapshot is not None  # comes before this step
    planned = facts.augmentation if facts.rows_added else None
    focus = (planned and planned["focus_dimensions"]) or facts.worst_dimensions(facts.opening.champion)
    change = f"new rows of {planned['plan_id']}" if planned else "trained anew with another recipe"
    worst = []
    for failure in facts.snapshot["failures_top_k"]:
        errors = failure["abs_error_by_dim"]
        erring = erring_dimensions(errors)
        dimension = next((name for name in erring if name in focus), erring[0])
        worst.append((dimension in focus, errors[dimension], failure["trace_id"], dimension))
    remedies = [
        {"trace_id": trace_id, "dimension": dimension, "change": change}
        for _, _, trace_id, dimension in sorted(worst, reverse=True)[:SUGGESTED_REMEDIES]
    ]
    why = f"a promotion needs {MIN_REMEDIES} failures with what is changed for each"
    return step("write_playbook", why, cycle=facts.cycle, remedies=remedies, lessons=[])


def measuring(facts: Facts, models: Iterable[str], why: str) -> list[NextStep]:
    """The calls that measure models which this cycle has not measured; those that answer in jobs are asked first."""
    steps: list[NextStep] = []
    for model in models:
        if model in facts.evaluations:
            continue
        if kind_of(model) is not None and (model, "diagnose") not in facts.sampled:
            asked = "have it answer the diagnose rows; while it runs, call again"
            steps.append(step("sample_model", asked, cycle=facts.cycle, model=model, split="diagnose"))
        steps.append(step("evaluate_model", why, cycle=facts.cycle, model=model))
    return steps


def unmeasured(facts: Facts) -> list[NextStep]:
    return measuring(facts, facts.trained, "measure the candidate on the same rows")


def judging(facts: Facts) -> Iterator[NextStep]:
    if missing := unmeasured(facts):
        yield from missing
        return
    candidate = facts.candidate
    assert candidate is not None  # all that were trained are measured
    # The candidate first: where it is not fit for service, nobody else is asked.
    for model in (candidate.model, facts.opening.champion, *(["prompt"] if "prompt" in facts.evaluations else [])):
        if kind_of(model) is not None and (model, "gate") not in facts.sampled:
            asked = "have it answer the sealed rows, its answers stay sealed; while it runs, call again"
            yield step("sample_model", asked, cycle=facts.cycle, model=model, split="gate")
            return
    why = "judge it on the sealed rows; compare_models shows the change on the open ones, which proves nothing"
    yield step("gate_candidate", why, cycle=facts.cycle, candidate=candidate.model)


def ending(facts: Facts) -> Iterator[NextStep]:
    assert facts.gate is not None  # comes before this step
    if facts.release is None and facts.outcome == "promote":
        if facts.opening.kind == "cycle" and len(facts.remedies) < remedies_wanted(facts):
            yield remedy_step(facts)
            return
        yield step("promote_model", "it passed the gate", cycle=facts.cycle, candidate=facts.gate["candidate"])
        return
    if facts.champion_now is None:
        yield step("promote_model", "no model beat the constant", cycle=facts.cycle, candidate="constant")
        return
    yield from _written_down(facts, stopping=False)
    yield step("write_report", "close the cycle", cycle=facts.cycle)


def _written_down(facts: Facts, stopping: bool) -> Iterator[NextStep]:
    written = {lesson["title"] for lesson in facts.playbook["lessons"]} if facts.playbook else set()
    if lessons := [lesson for lesson in lessons_of(facts, stopping) if lesson["title"] not in written]:
        why = "write down what was learned; figures stand as {claim:id}"
        yield step("write_playbook", why, cycle=facts.cycle, remedies=[], lessons=lessons)


def stop(facts: Facts, reason: str, why: str = "end the cycle without a verdict") -> Iterator[NextStep]:
    yield from _written_down(facts, stopping=facts.gate is None)
    if facts.gate is not None:
        yield step("write_report", reason, cycle=facts.cycle)
    else:
        yield step("write_report", why, cycle=facts.cycle, stop_reason=reason)
