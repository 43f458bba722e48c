"""Paired, clustered comparisons."""

import math
from itertools import product

import numpy as np
import pytest

from servers.core.statistics import cluster_sums, compare, sign_flip_p_value

UNEQUAL = np.repeat(np.arange(60), np.tile([1, 1, 1, 2, 5], 12))  # sixty groups, the largest of five copies


def share_called_better(differences: np.ndarray, clusters: np.ndarray, level: float) -> float:
    """Of many sets of differences (sets, rows), how many show a gain at the level."""
    nothing = np.zeros(differences.shape[1])
    sums = differences @ (clusters[:, None] == np.unique(clusters)).astype(float)
    far = sums.sum(axis=1) < -1.5 * np.sqrt(np.square(sums).sum(axis=1))  # nearer to zero, no p-value is below 0.05
    shown = sum(compare(row, nothing, clusters, level).p_better <= level for row in differences[far])
    return shown / len(differences)


def test_a_known_pair_gives_the_t_interval_of_the_textbook():
    """Ours: with every row its own cluster and no skew, the comparison is the paired t-test."""
    champion = np.array([10.0, 12.0, 9.0, 11.0, 10.0])
    candidate = champion - np.array([1.0, 2.0, 0.0, 1.0, 1.0])

    found = compare(candidate, champion, np.arange(5), level=0.025)

    assert found.difference == pytest.approx(-1.0)
    assert found.standard_error == pytest.approx(math.sqrt(0.5 / 5))  # sample variance 0.5 over 5 rows
    assert found.ci == pytest.approx((-1 - 2.776445 * found.standard_error, -1 + 2.776445 * found.standard_error))
    # t = -3.162 with 4 degrees of freedom would give 0.017; the signs of four rows cannot show less than 1 in 16
    assert found.p_better == pytest.approx(1 / 16)


def test_copies_of_a_row_are_no_further_evidence():
    """Ours: near-copies are one piece of evidence, so repeating every row does not narrow the interval."""
    random = np.random.default_rng(1)
    candidate, champion = random.normal(10, 2, 40), random.normal(10, 2, 40)
    once = compare(candidate, champion, np.arange(40))

    thrice = compare(np.tile(candidate, 3), np.tile(champion, 3), np.tile(np.arange(40), 3))

    assert thrice.difference == pytest.approx(once.difference)
    assert thrice.standard_error == pytest.approx(once.standard_error)
    assert thrice.p_better == pytest.approx(once.p_better)
    assert thrice.n == 120 and thrice.clusters == 40


def test_equal_answers_show_nothing_either_way():
    """Ours: two models that answer the same constant on a dimension do not break the comparison."""
    errors = np.array([3.0, 4.0, 5.0])

    found = compare(errors, errors, np.arange(3))

    assert (found.difference, found.p_better, found.p_worse) == (0.0, 1.0, 1.0)
    assert found.ci == (0.0, 0.0) and found.rows_needed is None and found.clusters_needed is None


def test_the_same_difference_everywhere_is_as_sure_as_its_number_of_clusters_allows():
    """Ours: no spread is no licence to be infinitely sure."""
    errors = np.array([3.0, 4.0, 5.0])

    found = compare(errors - 1, errors, np.arange(3))

    assert found.p_better == 1 / 8 and found.p_worse == 1.0


def test_a_gain_on_three_rows_of_a_hundred_is_no_more_than_three_rows():
    """Ours: rows on which both models answer alike are no evidence, however many they are."""
    gain = np.zeros(100)
    gain[:3] = -1

    assert compare(gain, np.zeros(100), np.arange(100)).p_better >= 1 / 8


def test_one_group_of_copies_cannot_tell_two_models_apart():
    """Ours: a refusal with its reason, not a division by zero."""
    errors = np.array([3.0, 4.0, 5.0])

    with pytest.raises(ValueError, match="3 rows in 1 group"):
        compare(errors - 1, errors, np.zeros(3))


@pytest.mark.parametrize("sizes", [[1] * 16, [1, 1, 1, 3] * 4])
def test_the_sign_flip_test_gives_what_counting_all_signs_gives(sizes: list[int]):
    """Ours: the tail formula against all 65,536 draws, with four groups that outweigh the rest as well."""
    values = np.abs(np.random.default_rng(2).normal(1, 0.5, 16)) * sizes
    signs = np.array(list(product([-1, 1], repeat=16)))
    order = np.argsort(signs @ values)
    for share in (0.4, 0.1, 0.02, 0.002, 0.0005):
        rank = int(share * len(order))

        found = sign_flip_p_value(signs[order[rank]] * values)

        assert found == pytest.approx((rank + 1) / len(order), rel=0.15), share
        assert sign_flip_p_value(-signs[order[rank]] * values) == pytest.approx(1 - found)


@pytest.mark.parametrize("skew", ["none", "right", "left"])
def test_a_p_value_within_the_level_has_its_interval_below_zero(skew: str):
    """Ours: what is promoted is promoted by an interval that a reader can see."""
    random = np.random.default_rng(5)
    signs = {"none": 0, "right": 1, "left": -1}
    shown = 0
    for _ in range(300):
        errors = random.normal(-0.3, 0.7, 50) + signs[skew] * (random.standard_exponential(50) - 1)
        found = compare(errors, np.zeros(50), np.arange(50) // 2)
        low, high = found.ci
        assert low < found.difference < high
        assert high < 0 or found.p_better > found.level
        assert low > 0 or found.p_worse > found.level
        assert found.smallest_visible == pytest.approx(high - found.difference)
        shown += found.p_better <= found.level
    assert 20 < shown < 280  # both cases were looked at


def test_so_many_rows_as_are_said_to_be_needed_show_the_gain_four_times_in_five():
    """Ours: 80 % power, by simulation with as many rows as one small sample asked for."""
    random = np.random.default_rng(9)
    spread = np.tile([-1.0, 1.0], 30) * math.sqrt(59 / 60)  # sample deviation exactly 1
    needed = compare(spread - 0.2, np.zeros(60), np.arange(60) // 2 * 2 + np.arange(60) % 2).rows_needed
    assert needed is not None and needed == pytest.approx((1.96 + 0.84) ** 2 / 0.2**2, rel=0.05)

    shown = share_called_better(random.normal(-0.2, 1, (400, needed)), np.arange(needed), 0.025)

    assert 0.74 < shown < 0.87


def test_no_rows_are_asked_for_where_there_is_no_gain():
    """Ours: a candidate that is worse does not need more rows to be seen better."""
    errors = np.array([1.0, -0.5, 2.0, 0.3])

    assert compare(errors, np.zeros(4), np.arange(4)).rows_needed is None


@pytest.mark.parametrize(
    ("level", "most"),
    [(0.025, 0.0285), (0.001, 0.0020)],  # three standard deviations above what is expected of 20,000 draws
)
def test_the_test_keeps_its_level_where_a_few_rows_lose_much(level: float, most: float):
    """Bug: of right-skewed differences the plain t called too many equal candidates better, far out thrice as many."""
    random = np.random.default_rng(7)
    differences = random.gamma(4.0, 1.0, (20_000, 120)) - 4.0  # skewness 1, twice what two students showed

    assert share_called_better(differences, np.arange(120), level) <= most


def test_the_test_keeps_its_level_with_clusters_of_unequal_size():
    """Bug: the cluster-robust t of sixty unequal groups called a third more equal candidates better than it may."""
    random = np.random.default_rng(8)
    differences = random.normal(0, 1, (20_000, 60))[:, UNEQUAL]

    assert share_called_better(differences, UNEQUAL, 0.0083) <= 0.0103  # 0.0083 expected; three deviations above


def test_sums_are_by_cluster_whatever_the_labels():
    """Ours: labels are names, not positions."""
    assert cluster_sums(np.array([1.0, 2.0, 4.0]), np.array(["b", "a", "b"])).tolist() == [2.0, 5.0]
