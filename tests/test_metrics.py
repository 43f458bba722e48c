"""Scores of record."""

import re
from pathlib import Path

import numpy as np
import pytest
from mcp import Client

from servers.core.answers import Answer, ServedBy, vector_text
from servers.core.dataset import Example
from servers.core.definitions import definitions_for
from servers.core.metrics import RowScorer, aggregate, uncertainty
from servers.core.task import Derived, load_task
from servers.core.workspace import Workspace
from servers.eval.server import build_room
from tests.workshop import call

KOTONE = load_task("kotone")
STUDENT = ServedBy(backend="student", model_id="student-0", digest="d" * 64)


def example(number: int, value: float) -> Example:
    return Example(id=f"e{number}", text=f"text {number}", target=dict.fromkeys(KOTONE.names, value), source="import")


def answer(number: int, text: str, served_by: ServedBy = STUDENT, latency: float | None = None) -> Answer:
    return Answer(id=f"e{number}", text=text, latency_ms=latency, served_by=served_by)


def scored(examples: list[Example], answers: list[Answer]):
    return RowScorer(KOTONE, "eval-1", STUDENT, "diagnose", lambda trace: f"url/{trace}").score(examples, answers)


def constant(value: float) -> str:
    return vector_text(dict.fromkeys(KOTONE.names, value))


def test_the_figures_of_two_rows_worked_out_by_hand():
    """Ours: the definitions, on numbers that fit on a slip of paper."""
    rows = scored([example(1, 40), example(2, 60)], [answer(1, constant(50)), answer(2, constant(90))])

    metrics = aggregate(rows, KOTONE, cost_usd=0.5)

    assert metrics["vector_mae"] == metrics["mae_raw"] == metrics["mae_raw_energy"] == 20
    assert metrics["mse_raw"] == (100 + 900) / 2 and metrics["mse_norm"] == 0.05
    assert metrics["r2_score"] == metrics["r2_score_energy"] == 1 - 1000 / 200
    assert metrics["json_valid_rate"] == 1
    assert metrics["intent_score_mean"] == ((100 - 21) + (100 - 63)) / 2
    assert metrics["output_sanity_score"] == 72
    assert metrics["cost_per_100_requests_usd"] == 25
    assert metrics["p95_inference_latency_ms"] is None


def test_an_invalid_answer_costs_the_worst_error_and_is_never_skipped():
    """Bug: the first project's means skipped invalid answers; one of its summaries read 0."""
    rows = scored([example(1, 30), example(2, 30)], [answer(1, "I would say thirty"), answer(2, constant(30))])

    metrics = aggregate(rows, KOTONE, cost_usd=0.0)

    assert rows[0].abs_error_by_dim == dict.fromkeys(KOTONE.names, 70)
    assert rows[0].predicted_vector is None and rows[0].parse_error == "not a JSON document"
    assert metrics["vector_mae"] == 35 and metrics["json_valid_rate"] == 0.5
    assert rows[0].constraint_match is False and rows[0].slot_exact_match == 0
    assert metrics["output_sanity_score"] == (12 + 72) / 2


def test_a_mean_over_nothing_is_null():
    """Ours: never 0, which would read as perfect."""
    metrics = aggregate([], KOTONE, cost_usd=None)

    assert set(metrics.values()) == {None}


def test_one_row_answered_by_another_model_makes_the_evaluation_invalid():
    """Bug: a fallback model answered for the fine-tuned one, and nobody could tell."""
    other = STUDENT.model_copy(update={"digest": "e" * 64})

    with pytest.raises(ValueError, match=r"invalid: example 'e2' was answered by"):
        scored([example(1, 1), example(2, 1)], [answer(1, constant(1)), answer(2, constant(1), served_by=other)])


@pytest.mark.parametrize("numbers", [[1], [1, 1, 2]])
def test_a_missing_or_doubled_answer_makes_the_evaluation_invalid(numbers: list[int]):
    """Ours: one answer for each row, no more and no fewer."""
    with pytest.raises(ValueError, match="the evaluation is invalid"):
        scored([example(1, 1), example(2, 1)], [answer(n, constant(1)) for n in numbers])


def test_tags_and_slots_follow_the_rules_of_the_task_file():
    """Ours: nostalgia over 60 is city pop, whatever else; energy over 60 rises the filter."""
    target = example(1, 50).model_copy(update={"target": dict.fromkeys(KOTONE.names, 50) | {"nostalgia": 70}})
    near = vector_text(dict.fromkeys(KOTONE.names, 50) | {"nostalgia": 66})
    far = vector_text(dict.fromkeys(KOTONE.names, 50) | {"nostalgia": 61, "energy": 63})

    (same,), (other,) = scored([target], [answer(1, near)]), scored([target], [answer(1, far)])

    assert same.constraint_match is True and same.slot_exact_match == 1
    assert other.constraint_match is False
    assert other.slot_exact_match == 0.25  # of style, instrument, mood and gimmick only the instrument agrees


def test_latency_is_the_nearest_rank_of_the_timed_rows():
    """Ours: rows that were answered together are not timed."""
    examples = [example(n, 1) for n in range(1, 22)]
    answers = [answer(n, constant(1), latency=float(n) if n <= 20 else None) for n in range(1, 22)]

    metrics = aggregate(scored(examples, answers), KOTONE, cost_usd=0.0)

    assert metrics["p50_inference_latency_ms"] == 10 and metrics["p95_inference_latency_ms"] == 19


def test_near_copies_do_not_narrow_a_standard_error():
    """Ours: clusters, not rows, carry the variance."""
    rows = scored([example(n, 10 * n) for n in range(1, 5)], [answer(n, constant(50)) for n in range(1, 5)])

    apart, together = (uncertainty(rows, KOTONE, np.array(c))[0]["vector_mae"] for c in ([0, 1, 2, 3], [0, 0, 1, 1]))

    assert together > apart


def test_every_measured_figure_but_the_cost_stands_with_its_error_and_interval():
    """Ours: a figure without its noise invites a reading that it does not bear."""
    random = np.random.default_rng(3)
    examples = [example(n, float(random.integers(0, 101))) for n in range(80)]
    answers = [
        answer(n, constant(float(random.integers(0, 101))) if n % 20 else "?", latency=float(n) if n < 50 else None)
        for n in range(80)
    ]
    rows = scored(examples, answers)
    metrics = aggregate(rows, KOTONE, cost_usd=0.1)

    errors, intervals = uncertainty(rows, KOTONE, np.arange(80) // 2)

    assert errors.keys() == intervals.keys() == metrics.keys() - {"cost_per_100_requests_usd"}
    for name, (low, high) in intervals.items():
        assert low <= metrics[name] <= high and errors[name] > 0, name
    sums = np.array([row.mae_raw for row in rows]).reshape(40, 2).sum(axis=1)
    assert errors["vector_mae"] == pytest.approx(np.std(sums, ddof=1) / np.sqrt(40) / 2, rel=0.03)
    low, high = intervals["json_valid_rate"]
    assert low < 0.95 < high <= 1


def test_an_interval_covers_the_true_figure_as_often_as_it_says():
    """Ours: 95 %, over rows in groups of copies; by rows it would be three in four."""
    random = np.random.default_rng(11)
    hits = 0
    for _ in range(40):
        offs = np.repeat(random.normal(0, 10, 40), 3)
        rows = scored([example(n, 50) for n in range(120)], [answer(n, constant(50 + offs[n])) for n in range(120)])
        _, intervals = uncertainty(rows, KOTONE, np.arange(120) // 3)
        low, high = intervals["vector_mae"]
        hits += low <= 10 * np.sqrt(2 / np.pi) <= high
    assert hits >= 34  # 38 expected; 34 is three standard deviations below


def test_nothing_is_claimed_where_all_rows_are_copies_of_one():
    """Ours: one group has no spread to learn from."""
    rows = scored([example(n, 10 * n) for n in range(1, 5)], [answer(n, constant(50)) for n in range(1, 5)])

    assert uncertainty(rows, KOTONE, np.zeros(4)) == ({}, {})


def test_a_rate_of_all_or_nothing_is_not_called_certain():
    """Ours: forty valid answers of forty do not show that the next is valid: 1 - 0.025^(1/40)."""
    rows = scored([example(n, n) for n in range(40)], [answer(n, constant(50)) for n in range(40)])
    broken = scored([example(n, n) for n in range(40)], [answer(n, "?") for n in range(40)])

    low, high = uncertainty(rows, KOTONE, np.arange(40))[1]["json_valid_rate"]
    none = uncertainty(broken, KOTONE, np.arange(40))[1]["json_valid_rate"]

    assert (low, high) == (pytest.approx(0.9119, abs=1e-4), 1) and none == (0, pytest.approx(0.0881, abs=1e-4))


def test_every_figure_has_a_written_definition():
    """Ours: what is shown can be looked up, and nothing is defined that is not shown."""
    names = [re.sub(f"_({'|'.join(KOTONE.names)})$", "_<dimension>", name) for name in aggregate([], KOTONE, None)]

    assert list(dict.fromkeys(names)) == list(definitions_for(KOTONE))


def test_a_task_without_tags_slots_and_intent_has_no_such_figures_and_no_such_definitions():
    """Ours: another task has its own rules or none; null then, and nothing that reads as if it applied."""
    plain = KOTONE.model_copy(update={"derived": Derived(), "intent_points_per_error": None})
    rows = RowScorer(plain, "eval-1", STUDENT, "diagnose", str).score([example(1, 40)], [answer(1, constant(50))])

    metrics = aggregate(rows, plain, cost_usd=0.0)

    lacking = {"intent_score_mean", "constraint_match_rate", "slot_exact_match"}
    assert {name for name in lacking if metrics[name] is None} == lacking == lacking - definitions_for(plain).keys()
    assert metrics["vector_mae"] == 10 and rows[0].intent_score is None


def test_bad_reading_is_told_from_bad_json():
    """Ours: the first project's own figure, over valid answers, is kept beside; over none it is null."""
    half = scored([example(1, 30), example(2, 30)], [answer(1, "thirty"), answer(2, constant(40))])
    none = scored([example(1, 30)], [answer(1, "thirty")])

    assert aggregate(half, KOTONE, None)["valid_vector_mae"] == 10 and aggregate(half, KOTONE, None)["vector_mae"] == 40
    assert aggregate(none, KOTONE, None)["valid_vector_mae"] is None and aggregate(none, KOTONE, None)["mae_raw"] == 70


@pytest.mark.parametrize("n", [3, 7, 47])
def test_targets_that_are_all_equal_have_no_r2(n: int):
    """Bug: the mean of equal decimals can miss them by a rounding error; the r2 was then -10^30."""
    rows = scored([example(k, 33.3) for k in range(n)], [answer(k, constant(40)) for k in range(n)])

    metrics = aggregate(rows, KOTONE, cost_usd=0.0)

    assert metrics["r2_score"] is None and metrics["r2_score_energy"] is None


def test_an_evaluation_of_nothing_but_invalid_answers_has_the_worst_figures_and_all_of_them():
    """Ours: a broken model is measured like any other."""
    metrics = aggregate(scored([example(1, 0), example(2, 100)], [answer(1, ""), answer(2, "?")]), KOTONE, cost_usd=0.0)

    assert metrics["vector_mae"] == 100 and metrics["mse_norm"] == 1 and metrics["json_valid_rate"] == 0
    assert metrics["r2_score"] == -3 and metrics["intent_score_mean"] == 0


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["kotone", "examples/trails/task.toml"])
async def test_describe_task_tells_what_each_figure_of_this_task_means(name: str, tmp_path: Path):
    """Ours: who asks what a figure is need not read the code; trails has no tags, slots or intent score."""
    task = load_task(name if name == "kotone" else str(Path(__file__).parent.parent / name))
    async with Client(build_room(Workspace(tmp_path), task).server) as client:
        metrics = (await call(client, "describe_task"))["metrics"]

    assert list(metrics) == list(definitions_for(task)) and ("slot_exact_match" in metrics) is (name == "kotone")
    assert metrics["mse_norm"] == "mse_raw / width² (0 to 1; better: lower)"
