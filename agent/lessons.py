"""What the offline brain writes down after a turn. Figures appear only as claims, so that the server can check each."""

from agent.brain import Claim, Lesson, Turn
from agent.replies import Evaluated

POINTS = "points"
DECIMALS = 2


def lessons_of(turn: Turn) -> list[Lesson]:
    """The lessons of one turn, or of the beginning."""
    if turn.kind == "begin":
        return [_first_model(turn), *_without_signal(turn)]
    if turn.verdict is None:
        return [_stopped(turn), *_without_signal(turn)]
    judged = Lesson("What the gate said", _verdict_words(turn), [])
    return [_aimed_at(turn), _came_out(turn), judged, *_without_signal(turn)]


def _first_model(turn: Turn) -> Lesson:
    claims = [_error("constant", turn.evaluations["constant"]), _error("candidate", turn.evaluations["candidate"])]
    text = (
        "On the diagnose rows the constant errs by {claim:constant} and the first model by {claim:candidate}. "
        + _verdict_words(turn)
    )
    return Lesson("The first model against the constant", text, claims)


def _stopped(turn: Turn) -> Lesson:
    text = (
        "No candidate was made in this cycle and no verdict was spent; the champion errs by {claim:champion} on the "
        "diagnose rows and stays. The report gives the reason."
    )
    return Lesson("A cycle that stopped", text, [_error("champion", turn.evaluations["champion"])])


def _aimed_at(turn: Turn) -> Lesson:
    claims, parts = [], []
    for number, name in enumerate(turn.aim.focus_dimensions, start=1):
        claims.append(_error(f"champion_{number}", turn.evaluations["champion"], name))
        claims.append(_error(f"constant_{number}", turn.evaluations["constant"], name))
        parts.append(f"{name} ({{claim:champion_{number}}} against {{claim:constant_{number}}})")
    text = (
        "Among the dimensions with signal the champion was worst, measured against the constant, on "
        f"{' and '.join(parts)}; new requests were made for them."
    )
    return Lesson("What was aimed at", text, claims)


def _came_out(turn: Turn) -> Lesson:
    champion, candidate = turn.evaluations["champion"], turn.evaluations["candidate"]
    claims = [_error("before", champion), _error("after", candidate)]
    parts = ["over all dimensions from {claim:before} to {claim:after}"]
    for number, name in enumerate(turn.aim.focus_dimensions, start=1):
        claims += [_error(f"before_{number}", champion, name), _error(f"after_{number}", candidate, name)]
        parts.append(f"on {name} from {{claim:before_{number}}} to {{claim:after_{number}}}")
    text = (
        f"The error went {', '.join(parts)}. These are the diagnose rows: they chose the remedy, so they prove nothing."
    )
    return Lesson("What came out on the diagnose rows", text, claims)


def _without_signal(turn: Turn) -> list[Lesson]:
    names = [name for name, found in turn.diagnosis.dimensions.items() if found.signal == "none"]
    if not names:
        return []
    text = (
        f"No signal was found in the text for {', '.join(names)}, so it cannot be learned from these texts: new "
        "requests aimed there cost rows and bring nothing. Other labels or other texts would be needed."
    )
    return [Lesson("Dimensions without signal", text, [])]


def _verdict_words(turn: Turn) -> str:
    """The verdict without its figures, most of which are sealed."""
    verdict = turn.verdict
    if verdict is None:
        return "There is no verdict."
    if verdict.outcome == "promote":
        return "The gate promoted it: on the sealed rows it is better, and every check passed."
    if verdict.outcome == "undecided":
        return "The gate could not decide: too few sealed rows to show a gain worth a promotion. The champion stays."
    failed = [check.name for check in verdict.checks if check.passed is False]
    because = f"checks that failed: {', '.join(failed)}" if failed else "not every check on the sealed rows passed"
    return f"The gate held it back: {because}. The champion stays."


def _error(claim: str, evaluated: Evaluated, dimension: str | None = None) -> Claim:
    """A claim about the mean absolute error of one dimension, or of all.

    Raises:
        ValueError: the evaluation has no such figure.
    """
    value = evaluated.error(dimension)
    metric = f"mae_raw_{dimension}" if dimension else "vector_mae"
    if value is None:
        raise ValueError(f"evaluation {evaluated.evaluation_id!r} has no {metric}")
    return Claim(claim, f"evaluation:{evaluated.evaluation_id}", metric, round(value, DECIMALS), POINTS)
