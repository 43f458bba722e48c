"""A run while the model's server goes wrong: it goes on where it can, and else ends so that somebody can go on."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.desk import StepFailed
from agent.mistral.prompt import FOLDED
from agent.offline import OfflineBrain
from agent.outcome import Outcome
from tests.doubles.brains import Careful, Said, Scripted, brain_named
from tests.doubles.house import rooms
from tests.doubles.house_world import World
from tests.doubles.mistral import MistralDouble
from tests.doubles.mistral_faults import Fault
from tests.mistral_world import KEY, brain_at, run, thought

pytestmark = pytest.mark.anyio

SPRINKLED: list[Fault] = [
    None, "500", None, ("429", "0.01"), "cut", None, "length", None, "empty", None, "rubbish-json", None, "cut-clean",
]  # fmt: skip
FOR_EVER: list[Fault] = [("429", "0.01")] * 99


def world_in(folder: Path) -> World:
    return World(folder / "world", begun_already=True)


async def turn(world: World, folder: Path, double: MistralDouble | None) -> Outcome:
    """A run of one cycle over the scripted house, by the double's model or by the offline policy."""
    artifacts = folder / "artifacts"
    brain = brain_at(double, artifacts) if double else OfflineBrain()
    return await run(rooms(world), brain, artifacts, "demo")


def work(world: World) -> list[str]:
    """The calls that change something, in order."""
    reads = ("get_cycle", "read_evidence", "describe_task")
    return [tool for tool in world.calls if tool not in reads and not tool.endswith("_tool")]


def is_open(world: World) -> bool:
    return not world.read()["cycles"]["cycle_1"]["closed"]


async def test_a_cycle_ends_as_usual_whatever_goes_wrong_now_and_then(tmp_path: Path):
    """Ours: nothing is done twice, and nothing is left out."""
    offline, world = world_in(tmp_path / "offline"), world_in(tmp_path / "mistral")
    await turn(offline, tmp_path / "offline", None)
    with MistralDouble(Careful(), faults=SPRINKLED) as double:
        outcome = await turn(world, tmp_path / "mistral", double)

    assert double.faults == [] and double.refusals == []
    assert outcome.cycles[0].verdict == "promote" and work(world) == work(offline)
    noted = thought(tmp_path / "mistral" / "artifacts")
    assert [row["tries"] for row in noted][:3] == [1, 2, 3] and "length" in [row["finish"] for row in noted]
    assert sum(row["tries"] for row in noted) == len(double.requests)


@pytest.mark.parametrize("second", ["offline", "mistral"])
async def test_an_outage_that_lasts_ends_the_run_and_another_run_finishes_it(tmp_path: Path, second: str):
    """Ours: one line with what to do, without the key; the work so far stays."""
    world = world_in(tmp_path)
    with (
        MistralDouble(Careful(), api_key=KEY, faults=[None, None, *FOR_EVER]) as double,
        pytest.raises(
            StepFailed, match=r"^brain mistral: mistral-medium-latest at http://127.0.0.1:\d+: HTTP 429"
        ) as failed,
    ):
        await turn(world, tmp_path, double)
    so_far = work(world)
    assert "same command goes on from here, --brain offline goes on without the model" in str(failed.value)
    assert KEY not in str(failed.value) and "\n" not in str(failed.value)
    assert is_open(world) and "record_context" in so_far and "gate_candidate" not in so_far

    with MistralDouble(Careful()) as double:
        outcome = await turn(world, tmp_path, double if second == "mistral" else None)

    assert outcome.cycles[0].verdict == "promote" and not is_open(world)
    spent = outcome.cycles[0].brain
    assert (spent is None) if second == "offline" else (spent is not None and spent.answers > 2), "of both runs"
    counts = {tool: work(world).count(tool) for tool in ("record_context", "augment_dataset", "start_retrain")}
    assert set(counts.values()) == {1}


async def test_a_model_with_a_smaller_window_than_we_were_told_gets_less(tmp_path: Path):
    """Ours: only the server knows what fits; old turns are folded away until it does."""
    world = world_in(tmp_path)
    with MistralDouble(brain_named("one-by-one"), window_tokens=1_700) as double:
        outcome = await turn(world, tmp_path, double)

    assert outcome.cycles[0].verdict == "promote"
    assert double.refusals and all("too large for model" in words for words in double.refusals)
    assert any(body["messages"][1]["content"].startswith(FOLDED) for body in double.requests)


async def test_a_window_that_not_even_the_brief_fits_into_ends_the_run(tmp_path: Path):
    """Ours: and the line says what to change."""
    world = world_in(tmp_path)
    with (
        MistralDouble(Careful(), window_tokens=300) as double,
        pytest.raises(
            StepFailed, match=r"do not fit .*; lower context_tokens in \[agent.mistral\], or serve the model"
        ),
    ):
        await turn(world, tmp_path, double)

    assert len(double.requests) == 1 and is_open(world)


async def test_what_the_model_says_cannot_order_the_terminal(tmp_path: Path):
    """Ours: words of a model are shown cleaned."""
    screen = io.StringIO()
    said = Said("\x1b]0;mine\x07 I \u202elook\u202c.\r\n", [("playbook__get_cycle", {})])

    class First(Careful):
        def __init__(self) -> None:
            super().__init__()
            self.script = Scripted([said])

        def answer(self, body: Mapping[str, Any]) -> Said:
            return self.script.answer(body) if self.script.left else super().answer(body)

    with MistralDouble(First()) as double:
        await run(rooms(world_in(tmp_path)), brain_at(double, tmp_path), tmp_path, "demo", screen=screen)

    assert " I look." in screen.getvalue()
    assert not [char for char in "\x1b\x07\u202e\u202c\r" if char in screen.getvalue()]
