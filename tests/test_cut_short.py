"""Tools that a crash cut short: the step counts as undone, and doing it again leads to the end.

A folder in the way of a file ends a tool in the middle of its writes, as a crash does.
"""

from pathlib import Path
from typing import Any

import pytest

from servers.core.job_files import RESULT
from servers.core.tracking import LocalTracker
from servers.core.workspace import Workspace
from tests.test_jobs import wait_for
from tests.workshop import Workshop

pytestmark = pytest.mark.anyio
CYCLE = "begin_demo"


async def next_step(shop: Workshop) -> dict[str, Any]:
    first: dict[str, Any] = (await shop.call("get_cycle"))["next_steps"][0]
    return first


async def opened(shop: Workshop, until: str) -> None:
    """Bring the beginning of the demo to where a tool is due."""
    await shop.call("prepare_dataset", dataset="demo")
    await shop.call("open_cycle", dataset="demo")
    await shop.follow(CYCLE, until=until)


async def cut_short(shop: Workshop, before: Path) -> None:
    """Make the next move, and have it crash where it writes this file."""
    before.mkdir(parents=True)
    with pytest.raises(AssertionError, match="Error executing tool"):
        await shop.move((await shop.call("get_cycle"))["next_steps"])
    before.rmdir()


async def test_an_evaluation_whose_summary_was_not_written_is_made_again(tmp_path: Path):
    """Bug: it counted, and the summary of all evaluations went without it for ever."""
    async with Workshop(tmp_path) as shop:
        await opened(shop, until="evaluate_model")
        due = await next_step(shop)
        await cut_short(shop, before=tmp_path / "eval" / "summary" / "latest_summary.json")

        assert await next_step(shop) == due


async def test_replies_that_were_recorded_by_halves_are_recorded_again(tmp_path: Path):
    """Bug: with the snapshot the step counted as done, and every later plan was refused for want of the other file."""
    async with Workshop(tmp_path) as shop:
        await opened(shop, until="query_wandb_tool")
        due = await next_step(shop)
        await cut_short(shop, before=tmp_path / "loop" / CYCLE / "mcp_decision_input.json")

        assert await next_step(shop) == due


async def test_a_training_that_ended_while_nobody_looked_is_logged_before_the_cycle_goes_on(tmp_path: Path):
    """Bug: its run was missing from the tracker, so that the next cycles could not read it back."""
    async with Workshop(tmp_path) as shop:
        await opened(shop, until="start_retrain")
        job = (await shop.call("start_retrain", **(await next_step(shop))["arguments"]))["job_id"]
        wait_for(lambda: (tmp_path / "jobs" / job / RESULT).exists())

        assert await next_step(shop) | {"why": ""} == {"tool": "get_job", "arguments": {"job_id": job}, "why": ""}
        await shop.follow(CYCLE, until="gate_candidate")

    runs = LocalTracker(Workspace(tmp_path).tracking_file).runs("local", "etude-kotone")
    assert [run.id for run in runs if run.job_type == "train"] == [job]
