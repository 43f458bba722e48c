"""What a rollback does to the judge: no level is saved up, and no old verdict brings a model back."""

from pathlib import Path
from typing import Any

import pytest

from servers.core.answers import ServedBy
from servers.core.fitness import Fitness
from servers.core.gate import Verdict, level_for_next
from servers.core.registry import Registry
from servers.core.workspace import Workspace
from servers.eval.deciding import Question
from servers.eval.verdicts import Record, carries
from tests.judge_world import KOTONE, gate

pytestmark = pytest.mark.anyio
FITNESS = Fitness(
    json_valid_rate=1.0,
    served_rows=1,
    activity=None,
    leaked_rows=0,
    p95_latency_ms=None,
    differs_from_champion=1.0,
    has_prompt_arm=False,
)


def record(candidate: str, champion: str, outcome: str) -> Record:
    """A verdict on a pair of weights."""
    verdict: dict[str, Any] = {
        "outcome": outcome, "reason": "", "n": 1, "clusters": 1, "level": 0.01, "smallest_visible": None,
        "difference": None, "ci": None, "checks": [], "statistical": [],
    }  # fmt: skip
    models = {
        role: ServedBy(backend="student", model_id=name, digest=name)
        for role, name in (("candidate", candidate), ("champion", champion), ("constant", "constant"))
    }
    question = Question.model_validate(
        {
            "verdict_id": f"{candidate}-{champion}", "cycle": "cycle_1", "dataset": "mine", "task": KOTONE,
            "near_copy_threshold": 0.8, "models": models, "focus_dimensions": [], "fitness": FITNESS,
            "expected_standard_error": 0.1, "level": 0.01, "asked_at": "",
        }
    )  # fmt: skip
    return Record(question=question, verdict=Verdict.model_validate(verdict))


def test_what_a_promotion_did_not_need_goes_on_to_the_verdict_that_compares_with_it():
    """Ours: the fallback procedure, along a chain of champions."""
    chain = [record("a", "constant", "promote"), record("b", "a", "promote")]

    assert carries(chain, "b") == [True, True]
    assert carries([], "constant") == []


def test_after_a_rollback_no_level_goes_on():
    """Bug: who promoted many models against a weak champion, going back each time, saved up a level of 5 % and could
    then choose the pair that luck had set furthest apart: half of six such verdicts promoted an equal model."""
    weak = [record(name, "constant", "promote") for name in "abcdef"]

    assert carries(weak, "a") == [False] * 6
    assert level_for_next(carries(weak, "a")) == pytest.approx(0.05 / (7 * 8))
    assert carries(weak, "f") == [False] * 5 + [True]


def test_a_verdict_without_promotion_carries_nothing():
    """Ours: what was spent on a claim that was not shown is spent."""
    assert carries([record("a", "constant", "hold"), record("b", "constant", "undecided")], "constant") == [False] * 2


async def test_weights_that_were_taken_out_do_not_come_back_under_another_name(folder: Path):
    """Bug: the same recipe on the same rows gave the same weights a new name, and their old verdict put them back."""
    registry = Registry(Workspace(folder))
    told = await gate(folder)
    first = {"action": "begin", "cycle": "begin_mine", "verdict_id": told["verdict_id"], "reason": "so it came out"}
    registry.put_in_service("mine", "student-aaaaaaaaaaaa", "d" * 64, **first)
    registry.roll_back("mine", "constant", "c" * 64, replaces="student-aaaaaaaaaaaa", reason="it went wrong")

    with pytest.raises(ValueError, match="a verdict counts once"):
        registry.put_in_service("mine", "student-bbbbbbbbbbbb", "d" * 64, replaces="constant", **first)
