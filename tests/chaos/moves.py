"""The moves of a cycle: one tool call, or a few that belong together, as `get_cycle` says.

All five servers are in one process here, so that the whole house dies at once; jobs are processes of their own and live
on. The artifacts folder is kept before each move, so that a death in one of them is compared right after it.
"""

import itertools
import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from servers.core.job_files import TrainSpec
from tests.chaos.dying import STARTS, die_before, in_child
from tests.chaos.remains import Remains, remains_of
from tests.chaos.windows import ARTIFACTS, Arm, Stage
from tests.workshop import Workshop
from training_jobs.job import run
from training_jobs.train import train

DATASET = "demo"
LAST_CYCLE = "cycle_1"
START = "start_retrain"
END = "the end"
MAX_MOVES = 6  # from a death to where the next move is due


def stages_of_moves(folder: Path) -> list[Stage]:
    """A beginning and a cycle of the demo, made once in peace.

    Args:
        folder: Gets what each move begins in.
    """
    due = _made_in_peace(folder)
    seen = [_see(folder / str(number)) for number in range(len(due))]
    return [
        Stage(f"{number} {due[number]}", folder / str(number), _move_alone, partial(_go_on, until=due[number + 1]),
              _see, seen[number + 1])
        for number in range(len(due) - 1)
    ]  # fmt: skip


def stage_of_job(moves: list[Stage], folder: Path) -> Stage:
    """The training job by itself: a server died before it could start it, and a person does by hand.

    Args:
        moves: All moves.
        folder: Gets what the job begins in.
    """
    place, start = next((place, move) for place, move in enumerate(moves) if f" {START} " in move.name)
    shutil.copytree(start.start, folder)
    dying = partial(die_before, 1, folder / ARTIFACTS, folder / "note", STARTS)
    if in_child(partial(start.work, folder, dying)) >= 0:
        raise RuntimeError("the server lived on")
    return Stage("a job", folder, _train, moves[place].go_on, _see, start.expected)


def _made_in_peace(folder: Path) -> list[str]:
    now = folder / "now"
    (now / ARTIFACTS).mkdir(parents=True)

    async def walk(shop: Workshop) -> None:
        for number in itertools.count():
            due = await _due(shop)
            shutil.copytree(now, folder / str(number))
            (folder / str(number) / "due").write_text(due)
            if due == END:
                return
            await _move(shop)

    if in_child(partial(_in_workshop, now, walk)) != 0:
        raise RuntimeError("the house does not get through a cycle in peace")
    kept = sorted((int(file.parent.name), file.read_text()) for file in folder.glob("*/due"))
    return [due for _, due in kept]


def _see(folder: Path) -> Remains:
    """What has to be the same after each move.

    A call whose server died before it noted it is in no ledger, and the papers in `wandb/` come anew with the report.
    """
    found = remains_of(folder / ARTIFACTS)
    return found | {"files": {file: 1 for file in found["files"] if not file.startswith(("ledger/", "wandb/"))}}


def _in_workshop(folder: Path, work: Callable[[Workshop], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with Workshop(folder / ARTIFACTS) as shop:
            await work(shop)

    anyio.run(inside)


def _move_alone(folder: Path, arm: Arm) -> None:
    async def move(shop: Workshop) -> None:
        steps = await _steps(shop)
        arm()
        await _move(shop, steps)

    _in_workshop(folder, move)


def _go_on(folder: Path, until: str) -> None:
    """Do what comes next until a move is due.

    Raises:
        AssertionError: a tool refuses, or the move is never due.
    """

    async def move(shop: Workshop) -> None:
        made: list[str] = []
        while (due := await _due(shop)) != until:
            assert len(made) < MAX_MOVES, f"{until} is not due after {made}, but {due}"
            made.append(due)
            await _move(shop)

    _in_workshop(folder, move)


def _train(folder: Path, arm: Arm) -> None:
    (job,) = (folder / ARTIFACTS / "jobs").iterdir()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.argv = ["training_jobs.train", str(job)]
    arm()
    if run(TrainSpec, train) != 0:
        raise RuntimeError("the job failed")


async def _due(shop: Workshop) -> str:
    """Which move comes next, with its arguments."""
    first = (await _steps(shop))[0]
    return END if first["tool"] == END else f"{first['tool']} {json.dumps(first['arguments'])}"


async def _move(shop: Workshop, steps: list[dict[str, Any]] | None = None) -> None:
    """Make the next move; a folder in which a job is at work cannot be kept, so its end belongs to its start."""
    made = await shop.move(steps or await _steps(shop))
    while made in ([START], ["get_job"]) and (waiting := await _steps(shop))[0]["tool"] == "get_job":
        made = await shop.move(waiting)


async def _steps(shop: Workshop) -> list[dict[str, Any]]:
    """The next steps, from an empty folder on."""
    if not (await shop.call("list_datasets"))["datasets"]:
        return [{"tool": "prepare_dataset", "arguments": {"dataset": DATASET}}]
    if not list(shop.folder.glob("loop/*/cycle.json")):
        return [{"tool": "open_cycle", "arguments": {"dataset": DATASET}}]
    state = await shop.call("get_cycle")
    if state["closed"] and state["cycle"] == LAST_CYCLE:
        return [{"tool": END, "arguments": {}}]
    steps: list[dict[str, Any]] = state["next_steps"]
    return steps
