"""Paired, clustered comparisons."""

import math

import numpy as np
import pytest

from servers.core.statistics import clustered_standard_error, compare


def test_a_known_pair_gives_the_t_interval_of_the_textbook():
    """Ours: with every row its own cluster, the comparison is the paired t-test."""
    champion = np.array([10.0, 12.0, 9.0, 11.0, 10.0])
    candidate = champion - np.array([1.0, 2.0, 0.0, 1.0, 1.0])

    found = compare(candidate, champion, np.arange(5), level=0.025)

    assert found.difference == pytest.approx(-1.0)
    assert found.standard_error == pytest.approx(math.sqrt(0.5 / 5))  # sample variance 0.5 over 5 rows
    assert found.ci == pytest.approx((-1 - 2.776445 * found.standard_error, -1 + 2.776445 * found.standard_error))
    # t = -3.162 with 4 degrees of freedom would give 0.017; five sign flips cannot show less than 1 in 32
    assert found.p_better == pytest.approx(1 / 32)


def test_copies_of_a_row_are_no_further_evidence():
    """Ours: near-copies are one piece of evidence, so repeating every row does not narrow the interval."""
    random = np.random.default_rng(1)
    candidate, champion = random.normal(10, 2, 40), random.normal(10, 2, 40)
    once = compare(candidate, champion, np.arange(40))

    thrice = compare(np.tile(candidate, 3), np.tile(champion, 3), np.tile(np.arange(40), 3))

    assert thrice.difference == pytest.approx(once.difference)
    assert thrice.standard_error == pytest.approx(once.standard_error)
    assert thrice.n == 120 and thrice.clusters == 40


def test_equal_answers_show_nothing_either_way():
    """Ours: two models that answer the same constant on a dimension do not break the comparison."""
    errors = np.array([3.0, 4.0, 5.0])

    found = compare(errors, errors, np.arange(3))

    assert (found.difference, found.p_better, found.p_worse) == (0.0, 1.0, 1.0)


def test_the_same_difference_everywhere_is_as_sure_as_its_number_of_clusters_allows():
    """Ours: no spread is no licence to be infinitely sure."""
    errors = np.array([3.0, 4.0, 5.0])

    found = compare(errors - 1, errors, np.arange(3))

    assert found.p_better == 1 / 8 and found.p_worse == 1.0


def test_one_group_of_copies_cannot_tell_two_models_apart():
    """Ours: a refusal with its reason, not a division by zero."""
    errors = np.array([3.0, 4.0, 5.0])

    with pytest.raises(ValueError, match="3 rows in 1 group"):
        compare(errors - 1, errors, np.zeros(3))


def test_the_test_keeps_its_level_in_the_far_tail():
    """Ours: at the levels that late verdicts spend, chance promotes no more often than the level says."""
    random = np.random.default_rng(7)
    draws, level = 12_000, 0.001
    hits = 0
    for _ in range(draws // 400):
        # skewed differences of equal mean, 120 rows: what two similar models' absolute errors look like
        candidate = random.gamma(2.0, 5.0, (400, 120))
        champion = random.gamma(2.0, 5.0, (400, 120))
        hits += sum(
            compare(a, b, np.arange(120), level).p_better <= level for a, b in zip(candidate, champion, strict=True)
        )
    # 12 expected; 26 is four standard deviations above
    assert hits <= 26


def test_the_standard_error_of_one_cluster_is_unknown():
    """Ours: infinite, so that nothing can be shown with it."""
    assert clustered_standard_error(np.array([1.0, 2.0]), np.array([0, 0])) == math.inf
