"""The gate's rules, on evidence made in the test."""

from dataclasses import replace

import numpy as np
import pytest

from servers.core.fitness import Fitness, plain_checks, unfit
from servers.core.gate import Evidence, Verdict, level_for_next, shown, unfit_verdict
from servers.core.gate import judge as judge_fit
from servers.core.served import Activity
from servers.core.task import GateRules
from servers.playbook.report.wording import CHECKS

RULES = GateRules(min_gain=0.3, max_worse=1.5)
ROWS = 400
ACTIVE = Activity(base="constant", base_digest="0" * 64, share=0.9, largest=31.0, distinct=100, active=True)


def evidence(gain: float = 0.0, gains: tuple[float, float, float] | None = None, **changes: object) -> Evidence:
    """Three dimensions; the candidate's errors are the champion's plus noise, less the gain."""
    random = np.random.default_rng(3)
    champion = np.abs(random.normal(15, 6, (ROWS, 3)))
    candidate = champion + random.normal(0, 1.0, (ROWS, 3)) - np.array(gains or (gain, gain, gain))
    found = Evidence(
        dimensions=["a", "b", "c"],
        focus=["a"],
        scale_width=100.0,
        candidate=candidate,
        champion=champion,
        constant=champion + 4,
        prompt=None,
        clusters=np.arange(ROWS),
        json_valid_rate=1.0,
        expected_standard_error=0.05,
    )
    return replace(found, **changes)  # type: ignore[arg-type]  # keyword by keyword what Evidence takes


def fitness(**changes: object) -> Fitness:
    whole = Fitness(
        json_valid_rate=1.0,
        served_rows=120,
        leaked_rows=0,
        p95_latency_ms=3.0,
        activity=ACTIVE,
        differs_from_champion=0.8,
        has_prompt_arm=False,
    )
    return whole.model_copy(update=changes)


def judge(evidence: Evidence, rules: GateRules, level: float) -> Verdict:
    return judge_fit(plain_checks(fitness(), rules), evidence, rules, level)


def test_a_clear_gain_is_promoted_with_its_numbers():
    """Ours: a promotion shows the difference, the interval, the rows and the level."""
    verdict = judge(evidence(gain=1.0), RULES, 0.025)

    assert verdict.outcome == "promote"
    assert verdict.difference == pytest.approx(-1.0, abs=0.2)
    assert verdict.ci is not None and verdict.ci[1] < 0
    assert all(check.passed for check in verdict.checks)


def test_a_promotion_tells_three_digits_of_each_figure_and_keeps_the_rest():
    """Ours: a comparison with the sealed rows is needed, a reading of them is not."""
    verdict = judge(evidence(gain=1.0), RULES, 0.025)
    told = shown(verdict)

    assert verdict.difference is not None and told.difference == float(f"{verdict.difference:.3g}")
    assert told.difference != verdict.difference and told.ci != verdict.ci
    assert [check.name for check in told.checks] == [check.name for check in verdict.checks]
    by_name = {check.name: check for check in told.checks}
    assert len(f"{by_name['vector_mae_better_than_constant'].value}".replace(".", "")) <= 3
    words = told.model_dump_json()
    assert f"{verdict.difference:.5f}"[:8] not in words and str(verdict.difference) not in words


def test_a_gap_inside_the_noise_is_held():
    """Ours: a gain that cannot be told from luck is no progress."""
    assert judge(evidence(gain=0.0), RULES, 0.025).outcome == "hold"


def test_rows_that_could_not_have_shown_the_gain_leave_it_undecided():
    """Ours: undecided is about the rows and the level, not about what came out."""
    unclear = replace(evidence(gain=0.0), expected_standard_error=0.5)

    assert judge(unclear, RULES, 0.025).outcome == "undecided"


def test_a_verdict_without_promotion_shows_nothing_that_depends_on_the_sealed_rows():
    """Ours: otherwise each try would teach the agent the sealed rows."""
    worse, better = (shown(judge(evidence(gain=gain), RULES, 0.0001)) for gain in (-2.0, 0.05))

    assert worse == better
    assert worse.difference is None and worse.ci is None
    assert {check.name for check in worse.checks} == {
        "json_valid_rate",
        "served_by",
        "active",
        "changed",
        "no_leakage",
        "p95_latency_ms",
        "prompt_arm",
    }


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"json_valid_rate": 0.97}, "json_valid_rate", 0.97),
        ({"p95_latency_ms": 1300.0}, "p95_latency_ms", 1300.0),
        ({"leaked_rows": 1}, "no_leakage", 1),
        ({"differs_from_champion": 0.0}, "changed", 0.0),
        ({"activity": ACTIVE.model_copy(update={"share": 0.0, "active": False})}, "active", 0.0),
    ],
)
def test_a_candidate_unfit_for_service_is_held_whatever_its_error(changes: dict[str, object], name: str, value: float):
    """Ours: each plain rule can stop a promotion by itself, before the sealed rows are asked, and is named."""
    plain = plain_checks(fitness(**changes), RULES)
    problem = unfit(plain)
    assert problem is not None

    verdict = unfit_verdict(plain, problem, ROWS, 0.025)

    assert verdict.outcome == "hold" and name in verdict.reason
    assert [(check.name, check.value) for check in verdict.checks if not check.passed] == [(name, value)]
    assert shown(verdict).model_dump() == verdict.model_dump(exclude={"statistical"}), "nothing in it is sealed"


def test_what_was_not_measured_or_is_not_there_stops_nobody():
    """Ours: no timing is a warning; a model that was made from nothing has no base to differ from."""
    plain = plain_checks(fitness(p95_latency_ms=None, activity=None), RULES)

    assert unfit(plain) is None
    details = {check.name: check.detail for check in plain}
    assert "a warning" in details["p95_latency_ms"] and details["active"] == "not applicable: no base model"
    assert details["prompt_arm"] == "not applicable: no prompt arm"


def test_invalid_answers_on_the_sealed_rows_stop_a_promotion_and_are_not_told():
    """Ours: how many sealed answers are JSON depends on the sealed rows, like any error on them."""
    verdict = judge(evidence(gain=2.0, json_valid_rate=0.97), RULES, 0.025)

    assert [check.name for check in verdict.checks if not check.passed] == ["json_valid_rate_sealed"]
    assert shown(verdict) == shown(judge(evidence(gain=-2.0), RULES, 0.025))


def test_a_model_worse_than_its_own_untrained_base_is_held():
    """Ours: where there is a prompt arm, training has to be worth it."""
    base = evidence(gain=1.0)

    worse = judge(replace(base, prompt=base.candidate - 0.1), RULES, 0.025)
    equal = judge(replace(base, prompt=base.candidate), RULES, 0.025)

    failed = {check.name for check in worse.checks if not check.passed}
    assert failed == {"vector_mae_not_worse_than_prompt", "mse_norm_not_worse_than_prompt"}
    assert equal.outcome == "promote"


def test_every_check_says_its_number_its_threshold_and_what_it_was_found_on():
    """Ours: a reader can follow each rule without the code."""
    base = evidence(gain=1.0)
    for check in judge(replace(base, prompt=base.candidate), RULES, 0.025).checks:
        if check.name != "prompt_arm":
            assert check.value is not None and check.threshold is not None and check.evidence, check.name


def test_every_check_has_words_in_a_report():
    """Ours: nobody but us knows what 'served_by' demands."""
    base = evidence(gain=1.0)
    names = [check.name for check in judge(replace(base, prompt=base.candidate), RULES, 0.025).checks]

    assert len(names) == 16
    assert [name for name in names if name not in CHECKS] == []


def test_one_dimension_made_much_worse_stops_a_promotion():
    """Ours: the mean must not hide a dimension that was sacrificed."""
    verdict = judge(evidence(gains=(4.0, 4.0, -2.0)), RULES, 0.025)

    assert verdict.outcome == "hold"
    assert {check.name for check in verdict.checks if not check.passed} == {
        "no_dimension_much_worse",
        "no_dimension_shown_worse",
    }


def test_a_gain_beside_the_focus_is_not_what_was_aimed_at():
    """Ours: the focus dimensions themselves have to be better."""
    verdict = judge(evidence(gains=(0.0, 2.0, 2.0)), RULES, 0.025)

    assert [check.name for check in verdict.checks if not check.passed] == ["focus_dimensions_better_than_champion"]


def test_better_than_a_bad_champion_but_not_than_the_constant_is_held():
    """Ours: the first project's last models were a constant's error."""
    base = evidence(gain=1.0)

    verdict = judge(replace(base, constant=base.candidate - 0.5), RULES, 0.025)

    assert {check.name for check in verdict.checks if not check.passed} == {
        "vector_mae_better_than_constant",
        "mse_norm_better_than_constant",
    }


def test_without_a_focus_there_is_no_focus_check():
    """Ours: the first model of all was aimed at nothing."""
    names = [check.name for check in judge(evidence(gain=1.0, focus=[]), RULES, 0.025).checks]

    assert not any(name.startswith("focus") for name in names)


def test_dimensions_on_which_both_answer_the_same_constant_break_nothing():
    """Ours: a constant fallback on a dimension without signal is usual."""
    base = evidence(gain=1.0)
    same = base.candidate.copy()
    same[:, 2] = base.champion[:, 2]

    assert judge(replace(base, candidate=same), RULES, 0.025).outcome == "promote"


def test_all_verdicts_of_a_split_together_spend_five_percent():
    """Ours: the k-th verdict spends 0.05 / (k (k + 1)), and what a promotion did not need goes on."""
    assert level_for_next([]) == pytest.approx(0.025)
    assert level_for_next([False]) == pytest.approx(0.05 / 6)
    assert level_for_next([True]) == pytest.approx(0.025 + 0.05 / 6)
    assert level_for_next([True, True]) == pytest.approx(0.025 + 0.05 / 6 + 0.05 / 12)
    assert level_for_next([True, False]) == pytest.approx(0.05 / 12)
    assert sum(level_for_next([False] * k) for k in range(2000)) < 0.05


def test_a_task_of_one_dimension_is_judged_like_any_other():
    """Ours: the mean over dimensions is then the dimension itself."""
    base = evidence(gain=1.0)
    one = {side: getattr(base, side)[:, :1] for side in ("candidate", "champion", "constant")}

    assert judge(replace(base, dimensions=["a"], **one), RULES, 0.025).outcome == "promote"


def test_groups_of_near_copies_too_few_for_the_level_leave_it_undecided_whatever_the_gain():
    """Bug: five pieces of evidence cannot show less than 1 in 32, and it was called a gain that was not there."""
    few = evidence(gain=9.0, clusters=np.arange(ROWS) % 5, expected_standard_error=0.001)

    assert judge(few, RULES, 0.025).outcome == "undecided"
    assert judge(few, RULES, 0.04).outcome == "promote"


def test_a_candidate_without_a_valid_answer_is_held():
    """Ours: the worst error on every row, and no exception."""
    worst = replace(evidence(), candidate=np.full((ROWS, 3), 100.0), json_valid_rate=0.0)

    assert judge(worst, RULES, 0.025).outcome == "hold"


def test_a_verdict_foretells_the_smallest_gain_that_it_could_have_shown():
    """Ours: from the diagnose rows' spread, so that it tells nothing sealed."""
    early, late = (judge(evidence(gain=0.0), RULES, level).smallest_visible for level in (0.025, 0.0001))

    assert early == pytest.approx(0.05 * 1.966, abs=0.001)
    assert late is not None and late > 1.8 * early
