"""Models that err, idle, circle and ramble: none of it has an effect, and a run ends whatever they do."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.desk import StepFailed
from agent.mistral.prompt import CALL_A_TOOL
from agent.offline import OfflineBrain
from agent.progress import SPOKEN_CHARS
from tests.doubles.brains import RAMBLE, Careless, Lazy, LazyStop, Rambling, Said, brain_named
from tests.doubles.house import rooms
from tests.doubles.house_world import World
from tests.doubles.mistral import MistralDouble
from tests.mistral_world import (
    Noted,
    beginning_in,
    brain_at,
    brought,
    brought_offline,
    copied,
    is_open,
    run,
    run_real,
    told,
)

pytestmark = pytest.mark.anyio

REFUSED_AT_ONCE = {
    "malformed_arguments", "wrong_type", "missing_argument", "extra_argument", "unknown_tool", "tool_without_prefix",
    "out_of_order", "invented_figure",
}  # fmt: skip


class Watched(Careless):
    """A careless model whose mistakes are noted by the answer that they stand in."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, rate=1.0)
        self.by_answer: list[str | None] = []

    def answer(self, body: Mapping[str, Any]) -> Said:
        before = len(self.made)
        said = super().answer(body)
        self.by_answer.append(self.made[-1] if len(self.made) > before else None)
        return said


@pytest.fixture(scope="module")
def beginning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return beginning_in(tmp_path_factory.mktemp("beginning"))


@pytest.fixture(scope="module")
def offline(beginning: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return brought_offline(beginning, tmp_path_factory.mktemp("offline"))


@pytest.fixture
def folder(beginning: Path, tmp_path: Path) -> Path:
    """Artifacts of the beginning for one test."""
    return copied(beginning, tmp_path)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_careless_model_is_told_of_each_mistake_and_none_has_an_effect(
    folder: Path, offline: dict[str, Any], seed: int
):
    """Ours: what is wrong comes back as a message to act on; the cycle ends as if nothing had been."""
    model = Watched(seed)
    with MistralDouble(model) as double:
        await run_real(brain_at(double, folder), folder)

    assert brought(folder) == offline and double.refusals == []
    assert len(model.made) >= 8, "the first eight of these seeds are all eleven kinds between them"
    answered = {
        (number, mistake): double.requests[number + 1]
        for number, mistake in enumerate(model.by_answer[:-1])
        if mistake is not None
    }
    for (number, mistake), request in answered.items():
        if mistake == "prose":
            assert request["messages"][-1]["content"].startswith(CALL_A_TOOL[:20])
            assert request["tool_choice"] == "required"
        elif mistake == "too_many_calls":
            assert [reply["ok"] for reply in told(request)] == [True] * 8 + [False] * 3
        elif mistake in REFUSED_AT_ONCE:
            (reply,) = told(request)
            assert not reply["ok"] and reply["error"], (seed, number, mistake)


async def test_what_a_lazy_model_left_the_offline_policy_finishes(folder: Path, offline: dict[str, Any]):
    """Ours: the run ends with a clear line, what is done stays done, and who goes on may be another."""
    with (
        MistralDouble(Lazy()) as double,
        pytest.raises(StepFailed, match=r"called no tool 3 times in a row; its last words: 'I have done enough for to"),
    ):
        await run_real(brain_at(double, folder), folder)
    assert is_open(folder) and (folder / "loop" / "cycle_1" / "mcp_eval_snapshot.json").exists(), (
        "two batches were done"
    )

    outcome = await run_real(OfflineBrain(), folder)

    assert brought(folder) == offline
    assert outcome.cycles[0].brain is None and outcome.backends.brain == "offline"


async def test_a_model_cannot_end_a_cycle_for_a_reason_of_its_own(folder: Path):
    """Ours: why a cycle stops is the servers' to say, and a text could talk a model into any reason."""
    model = Noted(LazyStop())
    with MistralDouble(model) as double, pytest.raises(StepFailed, match="called no tool 3 times in a row"):
        await run_real(brain_at(double, folder), folder)

    (reply,) = told(double.requests[1])
    assert not reply["ok"] and "write_report" in reply["error"]
    assert is_open(folder)


async def test_a_model_that_goes_in_circles_is_told_and_then_stopped(folder: Path):
    """Ours: answers cost money; looking for ever moves nothing."""
    with (
        MistralDouble(brain_named("circling")) as double,
        pytest.raises(StepFailed, match=r"'playbook__get_cycle' brought the same in 6 answers, and nothing moved"),
    ):
        await run_real(brain_at(double, folder), folder)

    assert len(double.requests) == 6
    notes = [told(body)[0].get("note", "") for body in double.requests[1:]]
    assert notes[:2] == ["", ""] and all("Due: eval__evaluate_model" in note for note in notes[2:]), notes


async def test_words_beside_calls_are_shown_within_bounds_and_not_kept(tmp_path: Path):
    """Ours: a model may think aloud; the screen and the window are not its paper."""
    screen, artifacts = io.StringIO(), tmp_path / "artifacts"
    world = World(tmp_path / "world", begun_already=True)
    with MistralDouble(Rambling(words=900)) as double:
        outcome = await run(rooms(world), brain_at(double, artifacts), artifacts, "demo", screen=screen)

    assert outcome.cycles[0].verdict == "promote" and double.refusals == []
    spoken = [line for line in map(str.strip, screen.getvalue().splitlines()) if line and line in RAMBLE * 2]
    assert 0 < sum(map(len, spoken)) <= len(double.requests) * SPOKEN_CHARS
    assert screen.getvalue().count("  …\n") == len(double.requests)
    assert not [m for body in double.requests for m in body["messages"] if "turn this over" in m["content"]]


async def test_a_model_that_never_comes_to_the_point_is_stopped(folder: Path):
    """Ours: an answer has an end, and three of them without a call are enough; its words are kept in short."""
    with (
        MistralDouble(Rambling(words=20_000)) as double,
        pytest.raises(StepFailed, match="called no tool 3 times in a row; its last words: 'Before I act") as failed,
    ):
        await run_real(brain_at(double, folder), folder)

    assert len(double.requests) == 3 and double.refusals == []
    assert max(len(message["content"]) for message in double.requests[-1]["messages"][2:]) < 2_000
    assert len(str(failed.value)) < 600 and "\n" not in str(failed.value)
