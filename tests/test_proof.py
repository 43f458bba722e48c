"""The simulations of `make proof`, small: that they would see a judge that is fooled."""

from pathlib import Path

import numpy as np
import pytest

from servers.core.gate import level_for_next
from servers.core.statistics import compare
from tests.proof import __main__ as page
from tests.proof.evidence import judged
from tests.proof.first_project import first_project
from tests.proof.history import (
    ON_FOCUS,
    OVERALL,
    TRUE_GAIN,
    WHOLE_GATE,
    CombiningAgent,
    Model,
    RandomAgent,
    Rows,
    Rule,
    decide,
    first_false_promotion,
)
from tests.proof.leaks import case_and_punctuation, looked_for, one_word, rewritten, worlds
from tests.proof.point_estimate import point_estimate
from tests.proof.population import Population, population
from tests.proof.power import Cell, Powers, theory
from tests.proof.section import share
from tests.proof.templates import template_rows

AGENTS = (RandomAgent, CombiningAgent)
EVERYTHING_BETTER = Rule("a point estimate", (OVERALL,), fixed_level=0.5, shows_all=True)


@pytest.fixture(scope="module")
def drawn() -> Population:
    """One line of three versions, on the rows of one world."""
    return population(lines=1, worlds=(1,))


def history(drawn: Population, agent: type[RandomAgent] | type[CombiningAgent], rule: Rule, seed: int) -> int | None:
    random = np.random.default_rng(seed)
    rows = Rows.drawn(drawn, 300, 1, random)
    return first_false_promotion(rule, drawn, rows, agent(drawn, rows, random), verdicts=20)


def test_every_model_has_the_same_true_error_in_every_dimension(drawn: Population):
    """Ours: no difference is there to be found, alone or combined, so every promotion is a false one."""
    mixed = np.random.default_rng(0).dirichlet(np.ones(drawn.students))
    for weights in (*np.eye(drawn.students), mixed):
        assert drawn.errors(weights).mean(axis=0) == pytest.approx(drawn.reference, abs=1e-9)
    assert np.abs(drawn.retrainings.mean(axis=1)).max() < 1e-9
    assert drawn.retrainings.mean(axis=2).std(axis=1) == pytest.approx(2.2, abs=0.8)  # 0.14 at 240 rows


@pytest.mark.parametrize("agent", AGENTS)
def test_a_rule_without_a_level_is_fooled_and_the_gate_is_not(
    drawn: Population, agent: type[RandomAgent] | type[CombiningAgent]
):
    """Ours: the simulation can tell a judge that promotes noise from one that does not."""
    fooled = [history(drawn, agent, EVERYTHING_BETTER, seed) for seed in range(5)]
    held = [history(drawn, agent, WHOLE_GATE, seed) for seed in range(5)]

    assert sum(number is not None for number in fooled) >= 3
    assert held == [None] * 5


def test_a_truly_better_candidate_is_promoted_and_not_called_false(drawn: Population):
    """Ours: a simulation in which nothing is ever promoted would prove nothing."""
    random = np.random.default_rng(1)
    rows = Rows.drawn(drawn, 600, 1, random)
    agent = RandomAgent(drawn, rows, random)
    champion = agent.champion

    found = first_false_promotion(WHOLE_GATE, drawn, rows, agent, verdicts=3, true_gain_every=2)

    assert found is None and agent.champion is not champion and agent.champion.gain == TRUE_GAIN


def test_what_is_not_promoted_shows_an_agent_nothing(drawn: Population):
    """Ours: a simulated agent must not see more than a real one, nor less than a naive rule shows."""
    rows = Rows.drawn(drawn, 300, 1, np.random.default_rng(2))
    errors = drawn.errors(drawn.alone(0))
    champion = Model(errors[rows.sealed], errors[rows.diagnose], 0.0)
    worse = Model(champion.sealed + 0.5, champion.diagnose, 0.0)

    assert decide(WHOLE_GATE, drawn, rows, worse, champion, ["energy"], 0.025) == (False, None)
    assert decide(EVERYTHING_BETTER, drawn, rows, worse, champion, ["energy"], 0.5) == (False, pytest.approx(0.5))


def test_the_shortcut_past_the_gate_is_one_of_its_own_checks(drawn: Population):
    """Ours: where the overall test fails, the gate is not asked; it could not have promoted."""
    random = np.random.default_rng(3)
    rows = Rows.drawn(drawn, 200, 4, random)
    agent = RandomAgent(drawn, rows, random)
    for gain in (-0.3, 0.0, 0.3, 0.6):
        candidate, focus = agent.propose(gain)
        champion = agent.champion
        overall = compare(candidate.sealed.mean(axis=1), champion.sealed.mean(axis=1), rows.groups, 0.025)
        constant = drawn.constant[rows.sealed]
        verdict = judged(candidate.sealed, champion.sealed, constant, rows.groups, focus, 0.1, 0.025)
        passed = {check.name: check.passed for check in verdict.checks}
        assert passed[OVERALL] == (overall.p_better <= 0.025) and ON_FOCUS in passed


def test_rows_in_groups_are_copies_of_one_row(drawn: Population):
    """Ours: near-copies are one piece of evidence, and the simulation has them at their worst: the same."""
    rows = Rows.drawn(drawn, 100, 5, np.random.default_rng(0))

    assert len(rows.sealed) == 100 and len(np.unique(rows.groups)) < 60
    for group in np.unique(rows.groups):
        assert len(np.unique(rows.sealed[rows.groups == group])) == 1


def test_theory_knows_the_level_and_what_more_rows_do():
    """Ours: without a gain the power is the level; with one it grows with the rows."""
    spreads = np.array([2.0, 2.5])

    assert theory(spreads, Cell(240, 0.0, 1)) == pytest.approx(level_for_next([]))
    assert theory(spreads, Cell(240, 0.0, 5)) == pytest.approx(level_for_next([False] * 4))
    assert theory(spreads, Cell(70, 0.6, 1)) < theory(spreads, Cell(240, 0.6, 1)) < theory(spreads, Cell(600, 0.6, 1))


@pytest.mark.parametrize(
    ("simulated", "within"),
    [
        (Powers(theory=0.6, test=0.61, even=0.3, focused=0.6), True),
        (Powers(theory=0.6, test=0.70, even=0.3, focused=0.6), False),
        (Powers(theory=0.6, test=0.50, even=0.3, focused=0.4), False),
        (Powers(theory=0.6, test=0.60, even=0.3, focused=0.7), False),
        (Powers(theory=1.0, test=1.0, even=0.3, focused=0.7), True),
    ],
)
def test_a_power_off_theory_is_called_so(simulated: Powers, within: bool):
    """Ours: too much power is as suspicious as too little, and no gate promotes more often than one of its tests."""
    assert simulated.within_theory(draws=2000) == within


def test_planted_copies_are_counted_by_every_way_and_honest_rows_by_none():
    """Ours: an exact copy, and one in other case and punctuation, of a diagnose and of a sealed row."""
    world = worlds()["the demo world"]
    copies = rewritten(world, "case and punctuation changed", "gate")[:40]
    honest = [row.text for row in world.honest[:40]]

    assert not set(copies) & {row.text for row in world.sides["gate"]}
    assert set(looked_for(world, copies, "gate").values()) == {40}
    assert set(looked_for(world, honest, "gate").values()) == {0}


def test_rewrites_change_what_they_say_they_change():
    """Ours: a rewrite that changed nothing would be found by anybody."""
    text, words = "Please write a gentle tune, for the harbour.", ["velvet", "drum"]
    for seed in range(20):
        random = np.random.default_rng(seed)
        other = case_and_punctuation(text, words, random)
        assert other != text and other.casefold().count("harbour") == 1
        changed = one_word(text, words, random).replace(",", "").replace(".", "").split()
        before = text.replace(",", "").replace(".", "").split()
        assert sum(one != two for one, two in zip(before, changed, strict=True)) == 1


def test_template_texts_are_distinct_and_as_short_as_the_first_tasks():
    """Ours: 11 to 22 words, where one word weighs most."""
    texts = [row.text for row in template_rows(500, seed=3, prefix="t")]

    assert len(set(texts)) == 500
    assert {len(text.split()) for text in texts} <= set(range(11, 23))


def test_the_policies_start_from_the_same_model_and_promote_what_they_think_better():
    """Ours: what differs between the courses is the policy."""
    ours, first = point_estimate(3, 1), first_project(3, 1, made_from="diagnose")

    assert ours.errors[0] == first.errors[0] and len(ours.errors) == len(first.errors) == 2
    assert first.promoted == [True] and first.reported[1] < first.reported[0] - 1  # it has trained on these rows
    assert first.errors[1] - first.reported[1] > 1
    assert ours.harmful == (ours.promoted == [True] and ours.errors[1] > ours.errors[0])


def test_a_share_has_its_exact_interval():
    """Ours: Clopper and Pearson's; nothing seen in a hundred is not never."""
    assert share(0, 100) == "0.0% (0.0% to 3.6%)"
    assert share(5, 100) == "5.0% (1.6% to 11.3%)"


def test_a_simulation_that_fails_leaves_the_page_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ours: docs/proof.md is written whole or not at all; a broken bound is written, and is exit code 1."""
    monkeypatch.setattr(page, "PAGE", tmp_path / "proof.md")
    monkeypatch.setattr(page, "PARTS", ("one", "two"))
    monkeypatch.setattr(page, "section", lambda part: ("## " + part, part == "one"))
    assert page.main([]) == 1
    written = (tmp_path / "proof.md").read_text()
    assert "## one" in written and "## two" in written

    monkeypatch.undo()
    monkeypatch.setattr(page, "PAGE", tmp_path / "proof.md")
    monkeypatch.setattr(page, "PARTS", ("no_such_part",))
    with pytest.raises(RuntimeError, match="no_such_part ended with 1 and printed no section"):
        page.main([])
    assert (tmp_path / "proof.md").read_text() == written
