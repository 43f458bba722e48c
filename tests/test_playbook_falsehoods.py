"""A small run of the proof that planted falsehoods are refused and true playbooks are not."""

from pathlib import Path

import pytest

from tests.playbook_world import World, recorded_begin
from tests.proof.falsehoods import tried
from tests.proof.planted import PLANTED

pytestmark = pytest.mark.anyio


async def test_every_kind_of_falsehood_is_refused_and_the_same_playbook_without_it_is_not(tmp_path: Path) -> None:
    """Ours: `python -m tests.proof.falsehoods` does it two hundred times, on a whole cycle of the demo."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle, _ = await recorded_begin(world, playbook)
        tally = await tried(playbook, world.workspace, cycle, true=3 * len(PLANTED), false=3 * len(PLANTED))

    assert tally.refused_although_true == [] and tally.accepted_although_false == []
    assert tally.accepted == 3 * len(PLANTED)
    assert tally.refused == dict.fromkeys(PLANTED, 3) and set(PLANTED) == {
        "value", "unit", "metric", "direction", "dimension", "source", "trace",
    }  # fmt: skip
