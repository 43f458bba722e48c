"""What a way does to the error: rows and seeds are both samples, and several ways are corrected for being several."""

import numpy as np
import pytest

from servers.core.campaign import DRAWS, WAYS
from servers.core.effects import LEVEL, compare_ways, corrected, effect, worked

ROWS = 120


def errors(change: list[float], noise: float = 0.5, seed: int = 0) -> np.ndarray:
    """Errors of one model a seed, shape (seeds, rows), that differ from 10 by these changes and by noise."""
    random = np.random.default_rng(seed)
    return np.array([10 + one + noise * random.standard_normal(ROWS) for one in change])


def test_seeds_that_disagree_make_an_effect_less_sure():
    """Ours: the same mean over the same rows is worth less where the seeds are far apart."""
    champion, clusters = np.full((1, ROWS), 10.0), np.arange(ROWS)

    together = effect(errors([-0.5, -0.5]), champion, clusters)
    apart = effect(errors([-0.1, -0.9]), champion, clusters)

    assert together.difference == pytest.approx(apart.difference)
    assert together.p < LEVEL < apart.p
    assert apart.standard_error == pytest.approx(0.4, abs=0.1)


def test_near_copies_are_one_piece_of_evidence():
    """Ours: ten copies of each row add no certainty."""
    few = errors([-0.2], seed=3)[:, :12]
    champion = np.full((1, 12), 10.0)

    once = effect(few, champion, np.arange(12))
    copied = effect(few.repeat(10, axis=1), champion.repeat(10, axis=1), np.arange(12).repeat(10))

    assert copied.p == pytest.approx(once.p)


def test_a_way_without_any_effect_is_shown_in_five_percent_of_campaigns_at_most():
    """Ours: with two or three seeds that differ as much as the rows make a mean differ, too."""
    random, clusters = np.random.default_rng(5), np.arange(ROWS)
    for seeds in (2, 3):
        shown = 0
        for _ in range(1000):
            of_rows = random.standard_normal(ROWS)
            of_seeds = random.standard_normal((seeds, 1)) / np.sqrt(ROWS)
            found = effect(of_rows + of_seeds + random.standard_normal((seeds, ROWS)), np.zeros((1, ROWS)), clusters)
            shown += found.p <= LEVEL
        assert shown <= 65, (seeds, shown)  # 5 % of 1,000 and two standard errors


def test_p_values_are_corrected_by_holm():
    """Ours: the smallest pays for all, the next for one less, and none falls below the one before."""
    assert corrected([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert corrected([]) == [] and corrected([0.6, 0.9]) == [1.0, 1.0]


def test_a_way_is_compared_with_the_one_that_it_differs_from_by_one_thing():
    """Ours: replay that takes back half of what the aim gave has harmed, though the whole is better than before."""
    found = compare_ways(
        {
            "more": {1: errors([-0.5])[0], 2: errors([-0.5], seed=1)[0]},
            "focused": {1: errors([-1.0])[0], 2: errors([-1.0], seed=1)[0]},
            "focused_replay": {1: errors([-0.5])[0], 2: errors([-0.5], seed=1)[0]},
        },
        np.full(ROWS, 10.0),
        np.arange(ROWS),
    )

    against_champion, cause = found["focused_replay"]
    assert worked(against_champion.difference, against_champion.p) == "helped"
    assert cause is not None and (cause.against, cause.worked) == ("focused", "harmed")
    assert cause.difference == pytest.approx(0.5)
    assert found["more"][1] is None
    aim = found["focused"][1]
    assert aim is not None and (aim.against, aim.worked) == ("more", "helped")


def test_rows_that_do_not_fit_are_refused():
    """Ours: an effect is paired by row, and one cluster tells nothing."""
    with pytest.raises(ValueError, match="rows differ in shape"):
        effect(errors([0.0]), np.zeros((1, 3)), np.arange(ROWS))
    with pytest.raises(ValueError, match="1 group of near-copies"):
        effect(errors([0.0]), np.zeros((1, ROWS)), np.zeros(ROWS))


def test_where_no_way_has_an_effect_a_campaign_shows_one_in_five_percent_at_most():
    """Ours: over all five ways together, three of which train on the same draw of rows."""
    random, clusters, shown = np.random.default_rng(8), np.arange(ROWS), 0
    for _ in range(400):
        of_rows, by_seed = random.standard_normal(ROWS), random.standard_normal((2, 2)) / np.sqrt(ROWS)
        errors = {
            way: {
                seed + 1: 10
                + of_rows
                + random.standard_normal(ROWS)
                + (by_seed[int(way == "more"), seed] if drawn else 0)
                for seed in range(2 if drawn else 1)
            }
            for way in WAYS
            for drawn in [way in DRAWS]
        }
        found = compare_ways(errors, np.full(ROWS, 10.0), clusters)
        shown += any(worked(one.difference, one.p) != "not shown" for one, _ in found.values())

    assert shown <= 28  # 5 % of 400 and two standard errors


def test_ways_that_train_on_one_draw_of_rows_tell_of_its_spread_once():
    """Ours: a copy of a way makes nothing surer but for the correction."""
    more, focused = ({seed: errors([change], seed=seed)[0] for seed, change in zip((1, 2), by_seed, strict=True)}
                     for by_seed in ([-0.2, -0.5], [-0.9, -1.4]))  # fmt: skip
    champion, clusters = np.full(ROWS, 10.0), np.arange(ROWS)

    two = compare_ways({"more": more, "focused": focused}, champion, clusters)
    three = compare_ways({"more": more, "focused": focused, "focused_replay": focused}, champion, clusters)

    assert three["focused"][0].p / 3 == pytest.approx(two["focused"][0].p / 2)
