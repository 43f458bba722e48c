"""The offline brain's policy: pure functions of what the tools said."""

import pytest

from agent.brain import Aim, Situation, Turn
from agent.lessons import lessons_of
from agent.offline import OfflineBrain, focus_dimensions, remedies_for
from agent.replies import Context, Diagnosis, Evaluated, Failure, Signal, Verdict

pytestmark = pytest.mark.anyio


def situation(champion: dict[str, float], constant: dict[str, float], **signals: str) -> Situation:
    """A situation with these errors by dimension, and this signal for each."""
    figures = {
        model: {f"mae_raw_{name}": error for name, error in errors.items()}
        for model, errors in (("student-1", champion), ("constant", constant))
    }
    dimensions = {name: Signal(signal=signal, r2=0.1) for name, signal in signals.items()}
    diagnosis = Diagnosis(verdict="train", reason="enough signal", dimensions=dimensions)
    context = Context(failures=[], eval_summary=figures)
    return Situation("cycle_1", "demo", list(signals), "student-1", diagnosis, context)


def failure(trace_id: str, **errors: float) -> Failure:
    return Failure(trace_id=trace_id, mae_raw=sum(errors.values()) / len(errors), abs_error_by_dim=errors)


def test_the_focus_is_where_the_champion_is_worst_against_the_constant_not_where_its_error_is_largest():
    """Ours: the largest raw error picks the dimension that nobody can learn."""
    given = situation(
        {"a": 29.0, "b": 9.0, "c": 18.0},
        {"a": 58.0, "b": 10.0, "c": 20.0 / 0.95},
        a="learnable", b="learnable", c="weak",
    )  # fmt: skip

    assert focus_dimensions(given) == ["b", "c"]


def test_a_dimension_without_signal_is_never_aimed_at():
    """Ours: rows for it cost money and teach nothing."""
    given = situation({"a": 20.0, "b": 5.0}, {"a": 20.0, "b": 10.0}, a="none", b="weak")

    assert focus_dimensions(given) == ["b"]


def test_equal_ratios_go_to_the_stronger_signal():
    """Ours: against a constant champion every ratio is 1, and then the signal decides."""
    given = situation({"a": 20.0, "b": 10.0}, {"a": 20.0, "b": 10.0}, a="weak", b="learnable")
    given.diagnosis.dimensions["b"] = Signal(signal="learnable", r2=0.5)

    assert focus_dimensions(given) == ["b", "a"]


def test_figures_that_did_not_come_back_through_wandb_are_not_made_up():
    """Ours: what the tracker did not say is an error, not a guess."""
    given = situation({"a": 20.0}, {"a": 20.0}, a="weak")
    del given.context.eval_summary["constant"]

    with pytest.raises(ValueError, match="'constant' did not come back"):
        focus_dimensions(given)


async def test_data_that_cannot_teach_stop_the_cycle_with_the_diagnosis_reason():
    """Ours: saying so is the right move."""
    given = situation({"a": 20.0}, {"a": 20.0}, a="weak")
    stopped = Diagnosis(verdict="stop", reason="the labels are noise", dimensions=given.diagnosis.dimensions)
    hopeless = situation({"a": 20.0}, {"a": 20.0}, a="none")

    by_verdict = await OfflineBrain().aim(Situation(**{**vars(given), "diagnosis": stopped}))
    by_signal = await OfflineBrain().aim(hopeless)

    assert by_verdict == Aim(stop_reason="the labels are noise")
    assert by_signal.stop_reason == "no dimension carries signal in the text"


def test_remedies_go_to_the_failures_that_err_most_on_a_focus_dimension():
    """Ours: at most five, one for each trace, each names its dimension and the plan."""
    failures = [failure(f"t{n}", a=float(n), b=10.0, c=90.0) for n in range(8)]
    failures += [failure("t9", a=1.0, b=50.0, c=0.0), failure("t9", a=1.0, b=50.0, c=0.0)]

    remedies = remedies_for(failures, ["a", "b"], "augment-1")

    assert [(remedy.trace_id, remedy.dimension) for remedy in remedies] == [
        ("t9", "b"), ("t0", "b"), ("t1", "b"), ("t2", "b"), ("t3", "b"),
    ]  # fmt: skip
    assert all("augment-1" in remedy.change and remedy.dimension in remedy.change for remedy in remedies)


def turn(outcome: str | None, kind: str = "cycle") -> Turn:
    """A turn that went from 10.126 to 9 points on dimension 'a1', with this verdict."""

    def measured(role: str, error: float) -> Evaluated:
        return Evaluated(
            evaluation_id=f"eval-{role}", model=role, n=40, metrics={"vector_mae": error, "mae_raw_a1": error}
        )

    evaluations = {role: measured(role, error) for role, error in (("constant", 20.0), ("champion", 10.126))}
    verdict = None
    if outcome is not None:
        evaluations["candidate"] = measured("candidate", 9.0)
        verdict = Verdict(outcome=outcome, reason="17 of 18", n=60, level=0.025, difference=None, ci=None, checks=[])
    diagnosis = Diagnosis(
        verdict="train", reason="", dimensions={"a1": Signal(signal="weak"), "b": Signal(signal="none")}
    )
    aim = Aim(["a1"]) if outcome else Aim(stop_reason="it has 3 reasons")
    return Turn("cycle_1", kind, ["a1", "b"], diagnosis, evaluations, aim, verdict=verdict)


@pytest.mark.parametrize("outcome", ["promote", "hold", "undecided", None])
@pytest.mark.parametrize("kind", ["begin", "cycle"])
def test_every_figure_in_a_lesson_is_a_claim(outcome, kind):
    """Ours: the playbook server refuses a bare figure, so none may be written, whatever came out."""
    if kind == "begin" and outcome is None:
        outcome = "hold"
    for lesson in lessons_of(turn(outcome, kind)):
        text = lesson.text
        for claim in lesson.claims:
            assert f"{{claim:{claim.id}}}" in text, "a claim that no text uses"
            text = text.replace(f"{{claim:{claim.id}}}", "")
            assert claim.source.startswith("evaluation:eval-")
        assert "{" not in text
        assert not any(char.isdigit() for char in text.replace("a1", "")), text


def test_the_lessons_of_a_cycle_say_aim_outcome_verdict_and_what_has_no_signal():
    """Ours: what a reader of the playbook looks for."""
    aimed, came_out, judged, without = lessons_of(turn("hold"))

    assert "a1" in aimed.text
    assert [(claim.metric, claim.value) for claim in came_out.claims[:2]] == [
        ("vector_mae", 10.13),
        ("vector_mae", 9.0),
    ]
    assert "prove nothing" in came_out.text
    assert "held it back" in judged.text
    assert "for b, so it cannot be learned" in without.text


def test_a_stopped_cycle_teaches_that_it_stopped():
    """Ours: no candidate, no verdict, and the playbook says so."""
    stopped, without = lessons_of(turn(None))

    assert "no verdict was spent" in stopped.text
    assert "for b, so it cannot be learned" in without.text
