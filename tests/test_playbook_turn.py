"""Whoever does nothing but follow next_steps, with the real servers, gets a first model and a whole cycle."""

import csv
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from servers.augment.server import build_room as build_augment
from servers.core.dataset import Example
from servers.core.demo_world.world import World as DemoWorld
from servers.core.task import load_task
from servers.core.tracking import LocalTracker
from servers.core.workspace import Workspace
from servers.eval.custody import Custody
from servers.eval.server import build_room as build_eval
from servers.playbook.server import build_room as build_playbook
from servers.retrain.server import build_room as build_retrain
from servers.wandb_local.server import build_server
from tests.playbook_world import STAND_IN, call

pytestmark = pytest.mark.anyio

MOST_CALLS = 80  # of a beginning and a cycle; about forty are needed


async def test_following_next_steps_makes_a_first_model_and_turns_the_cycle(tmp_path: Path) -> None:
    """Ours: the suggested calls can be made as they stand, in order, and end the cycle with a report."""
    workspace, task = Workspace(tmp_path / "artifacts"), load_task("kotone")
    rows = [
        Example(id=f"row{number}", text=one.text, target={k: float(v) for k, v in one.target.items()}, source="import")
        for number, one in enumerate(DemoWorld(seed=3).splits()["holdout"][:260])
    ]
    Custody(workspace, task).create("asked", rows, recipe={})
    rooms = [build(workspace, task).server for build in (build_playbook, build_eval, build_augment, build_retrain)]

    async with AsyncExitStack() as stack:
        tools: dict[str, Client] = {}
        for server in (*rooms, build_server(LocalTracker(workspace.tracking_file))):
            client = await stack.enter_async_context(Client(server))
            tools |= {tool.name: client for tool in (await client.list_tools()).tools}
        begin = await _follow(tools, "asked")
        cycle = await _follow(tools, "asked")
        lessons = await call(tools["search_playbook"], "search_playbook", query="diagnose rows error")

    assert (begin["cycle"], cycle["cycle"]) == ("begin_asked", "cycle_1")
    assert begin["verdict"] == "promote" and cycle["verdict"] in ("promote", "hold", "undecided")
    assert {"augmented", "remedied", "trained", "measured again", "judged", "written"} <= set(cycle["done"])
    assert [entry["cycle"] for entry in lessons["entries"] if entry["kind"] == "lesson"] == ["cycle_1", "begin_asked"]

    folder = workspace.cycle_dir("cycle_1")
    summary = json.loads((folder / "summary.json").read_text())
    playbook = json.loads((folder / "playbook.json").read_text())
    assert summary["champion_before"] == begin_champion(workspace) and summary["focus_dimensions"]
    assert len(playbook["remedies"]) == 3 and playbook["candidate"] == summary["candidate"]
    assert all(remedy["error_after"] is not None for remedy in playbook["remedies"])
    lines = (folder / "before_after_metrics.csv").read_text(encoding="utf-8").splitlines()
    error = next(row for row in csv.DictReader(lines) if row["metric"] == "vector_mae")
    assert float(error["after"]) - float(error["before"]) == pytest.approx(float(error["difference"]))
    assert float(error["after"]) == summary["diagnose"]["candidate"]["vector_mae"] != float(error["constant"])
    assert (summary["gate"]["difference"] is None) == (cycle["verdict"] != "promote")
    page = (workspace.report_dir / "report.html").read_text(encoding="utf-8")
    assert all(
        word in page for word in ("cycle_1", "begin_asked", "etude-wandb-local", "recombination", summary["candidate"])
    )


def begin_champion(workspace: Workspace) -> str:
    champion: str = json.loads((workspace.cycle_dir("begin_asked") / "summary.json").read_text())["champion_after"]
    return champion


async def _follow(tools: dict[str, Client], dataset: str) -> dict[str, Any]:
    """Open a cycle and make the suggested calls until it is closed; its last state."""
    state = await call(tools["open_cycle"], "open_cycle", dataset=dataset)
    calls = 0
    while not state["closed"]:
        replies: list[dict[str, Any]] = []
        for step in state["next_steps"]:
            tool, arguments = step["tool"], dict(step["arguments"])
            if tool == "record_context":
                arguments |= {"server": STAND_IN, "calls": replies}
            result = await tools[tool].call_tool(tool, arguments)
            text = getattr(result.content[0], "text", "")
            assert not result.is_error, text
            replies.append({"tool": tool, "arguments": step["arguments"], "text": text, "is_error": False})
        calls += len(state["next_steps"])
        assert calls < MOST_CALLS, state["next_steps"]
        state = await call(tools["get_cycle"], "get_cycle", cycle=state["cycle"])
    return state
