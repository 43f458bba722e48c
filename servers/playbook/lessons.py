"""What a cycle has to say for itself, ready to be written down; figures stand only as claims, which resolve."""

from typing import Any

from servers.core.evaluations import Evaluation
from servers.playbook.facts import Facts
from servers.playbook.rounding import rounded

DECIMALS = 2
MAX_TOLD = 4  # focus dimensions; a lesson holds twenty claims at most
Lesson = dict[str, Any]
Claim = dict[str, Any]


def lessons_of(facts: Facts, stopping: bool) -> list[Lesson]:
    """The lessons that `write_playbook` can take as they stand.

    Args:
        facts: A cycle that has nothing left to do but to be written down.
        stopping: Whether it ends without a verdict.
    """
    if stopping:
        return [*_stopped(facts), *_without_signal(facts)]
    judged = _lesson("What the gate said", _verdict_words(facts), [])
    before = _first_model(facts) if facts.opening.kind == "begin" else [*_aimed_at(facts), *_came_out(facts)]
    return [*before, judged, *_without_signal(facts)]


def _first_model(facts: Facts) -> list[Lesson]:
    constant, candidate = facts.evaluations.get("constant"), facts.candidate
    if constant is None or candidate is None:
        return []
    claims = [_error("constant", constant), _error("candidate", candidate)]
    text = "On the diagnose rows the constant errs by {claim:constant} and the first model by {claim:candidate}."
    return [_lesson("The first model against the constant", text, claims)]


def _stopped(facts: Facts) -> list[Lesson]:
    if facts.champion is None:
        return []
    text = (
        "No verdict was spent in this cycle; what was in service errs by {claim:champion} on the diagnose rows and "
        "stays. The report gives the reason."
    )
    return [_lesson("A cycle that stopped", text, [_error("champion", facts.champion)])]


def _aimed_at(facts: Facts) -> list[Lesson]:
    champion, constant = facts.champion, facts.evaluations.get("constant")
    focus = _focus(facts)
    if champion is None or constant is None or not focus:
        return []
    claims, parts = [], []
    for number, name in enumerate(focus, start=1):
        claims += [_error(f"champion_{number}", champion, name), _error(f"constant_{number}", constant, name)]
        parts.append(f"{name} ({{claim:champion_{number}}} against {{claim:constant_{number}}})")
    text = f"New requests were made for {' and '.join(parts)}: the error in service against the constant's."
    return [_lesson("What was aimed at", text, claims)]


def _came_out(facts: Facts) -> list[Lesson]:
    champion, candidate = facts.champion, facts.candidate
    if champion is None or candidate is None:
        return []
    claims = [_error("before", champion), _error("after", candidate)]
    parts = ["over all dimensions from {claim:before} to {claim:after}"]
    for number, name in enumerate(_focus(facts), start=1):
        claims += [_error(f"before_{number}", champion, name), _error(f"after_{number}", candidate, name)]
        parts.append(f"on {name} from {{claim:before_{number}}} to {{claim:after_{number}}}")
    text = (
        f"The error went {', '.join(parts)}. These are the diagnose rows: they chose the remedy, so they prove nothing."
    )
    return [_lesson("What came out on the diagnose rows", text, claims)]


def _focus(facts: Facts) -> list[str]:
    """The dimensions that were aimed at, as many as a lesson can tell of."""
    return list(facts.augmentation["focus_dimensions"][:MAX_TOLD]) if facts.augmentation else []


def _without_signal(facts: Facts) -> list[Lesson]:
    found = {} if facts.diagnosis is None else facts.diagnosis["dimensions"]
    names = [name for name, dimension in found.items() if dimension["signal"] == "none"]
    if not names:
        return []
    text = (
        f"No signal was found in the text for {', '.join(names)}, so it cannot be learned from these texts: new "
        "requests aimed there cost rows and bring nothing. Other labels or other texts would be needed."
    )
    return [_lesson("Dimensions without signal", text, [])]


def _verdict_words(facts: Facts) -> str:
    """The verdict without its figures, most of which are sealed."""
    if facts.outcome == "promote":
        return "The gate promoted it: on the sealed rows it is better, and every check passed."
    if facts.outcome == "undecided":
        return "The gate could not decide: too few sealed rows to show a gain worth a promotion. The champion stays."
    checks = facts.gate["checks"] if facts.gate else []
    failed = [check["name"] for check in checks if check["passed"] is False]
    because = f"checks that failed: {', '.join(failed)}" if failed else "not every check on the sealed rows passed"
    return f"The gate held it back: {because}. The champion stays."


def _lesson(title: str, text: str, claims: list[Claim]) -> Lesson:
    return {"title": title, "text": text, "claims": claims}


def _error(claim: str, evaluation: Evaluation, dimension: str | None = None) -> Claim:
    """A claim about the mean absolute error of one dimension, or of all. An error is never null: see core.metrics."""
    metric = f"mae_raw_{dimension}" if dimension else "vector_mae"
    value = evaluation.metrics[metric]
    assert value is not None
    return {
        "id": claim,
        "source": f"evaluation:{evaluation.evaluation_id}",
        "metric": metric,
        "value": rounded(value, DECIMALS),
        "unit": "points",
    }
