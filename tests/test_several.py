"""Several candidates at once: what their number costs, and what may be said of the best."""

import numpy as np
import pytest

from servers.core.several import compare_family, compare_many

ROWS = 80
OWN = np.arange(ROWS)  # every row a cluster of its own


def equal_candidates(random: np.random.Generator, how_many: int, shared: float) -> dict[str, np.ndarray]:
    """Errors, less the champion's, of candidates no better than it, which err on the same rows to a share."""
    common = random.normal(0, 1, ROWS)
    return {
        f"c{k}": np.sqrt(shared) * common + np.sqrt(1 - shared) * random.normal(0, 1, ROWS) for k in range(how_many)
    }


@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_of_ten_equal_candidates_one_is_called_better_no_more_often_than_of_one(shared: float):
    """Ours: 2.5 % family-wise; uncorrected, ten unrelated candidates would show a winner in one run of five."""
    random = np.random.default_rng(4)
    runs, corrected, alone = 120, 0, 0
    for _ in range(runs):
        found = compare_many(equal_candidates(random, 10, shared), np.zeros(ROWS), OWN)
        corrected += found.best is not None
        alone += any(one.comparison.p_better <= 0.025 for one in found.candidates.values())
    assert corrected / runs <= 0.068  # 0.025 expected; this is three standard deviations above
    assert alone / runs > 2 * 0.025


def test_candidates_that_err_on_the_same_rows_are_charged_for_less_than_holm_would():
    """Ours: seeds of one recipe are hardly more chances than one."""
    random = np.random.default_rng(6)
    common = random.normal(-0.3, 1, ROWS)
    alike = {f"seed{k}": common + random.normal(0, 0.15, ROWS) for k in range(10)}

    found = compare_many(alike, np.zeros(ROWS), OWN).candidates

    holm = 10 * min(one.comparison.p_better for one in found.values())
    smallest = min(one.p_better for one in found.values())
    assert holm > 0.05 > smallest
    assert all(one.p_better >= one.comparison.p_better for one in found.values())


def test_the_best_is_named_only_when_shown_and_those_like_it_with_it():
    """Ours: two seeds of a good recipe cannot be told apart; a bad one can."""
    random = np.random.default_rng(8)
    base = random.normal(15, 3, ROWS)
    champion = base + random.normal(0, 1, ROWS)
    candidates = {
        "good": base - 1.5 + random.normal(0, 1, ROWS),
        "twin": base - 1.45 + random.normal(0, 1, ROWS),
        "same": champion,
        "bad": base + 2 + random.normal(0, 1, ROWS),
    }

    found = compare_many(candidates, champion, OWN)

    assert found.best in ("good", "twin") and {found.best, *found.indistinguishable} == {"good", "twin"}
    assert found.candidates["same"].p_better == found.candidates["same"].p_worse == 1
    assert found.candidates["bad"].p_worse <= 0.025


def test_where_none_is_shown_better_none_is_called_the_best():
    """Ours: the lowest of several errors is not a finding."""
    random = np.random.default_rng(10)
    candidates = {**equal_candidates(random, 3, 0.0), "bad": random.normal(2, 1, ROWS)}

    found = compare_many(candidates, np.zeros(ROWS), OWN)

    assert found.best is None and found.indistinguishable == ["c0", "c1", "c2"]


def test_one_candidate_is_the_plain_comparison_and_none_is_refused():
    """Ours: a family of one needs no correction."""
    errors = np.random.default_rng(1).normal(-0.9, 1, ROWS)

    one = compare_many({"only": errors}, np.zeros(ROWS), OWN).candidates["only"]

    assert one.p_better == one.comparison.p_better < 1e-5
    with pytest.raises(ValueError, match="give at least one candidate"):
        compare_family({}, OWN)


def test_copies_make_no_family_surer():
    """Ours: signs are drawn for groups of near-copies, not for rows."""
    random = np.random.default_rng(12)
    candidates = {name: errors - 0.3 for name, errors in equal_candidates(random, 4, 0.5).items()}
    once = compare_many(candidates, np.zeros(ROWS), OWN)

    tiled = {name: np.tile(errors, 3) for name, errors in candidates.items()}
    thrice = compare_many(tiled, np.zeros(3 * ROWS), np.tile(OWN, 3))

    for name, one in once.candidates.items():
        assert thrice.candidates[name].p_better == pytest.approx(one.p_better)
