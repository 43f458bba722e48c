"""All stages: the moves of a cycle and its job, an import, and the agent over a scripted house."""

import io
import json
import os
import random
import shutil
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio

from agent.desk import Desk
from agent.journal import Journal
from agent.ledger import Ledger
from agent.loop import Run
from agent.offline import OfflineBrain
from agent.progress import Progress
from servers.core.task import load_task
from servers.eval.importing import run as run_import
from tests.chaos.dying import in_child
from tests.chaos.faults import faults_in_ledgers
from tests.chaos.moves import stage_of_job, stages_of_moves
from tests.chaos.remains import Remains, document, remains_of, timeless
from tests.chaos.windows import ARTIFACTS, Arm, Stage
from tests.doubles.connected import sessions_with
from tests.doubles.house import rooms
from tests.doubles.house_world import World

CYCLES = 2
HARMLESS = {"describe_task", "prepare_dataset", "open_cycle", "get_cycle", "get_job", "read_evidence"}


def all_stages(folder: Path) -> list[Stage]:
    """Every stage; what they begin in goes to `folder`."""
    moves = stages_of_moves(folder / "moves")
    return [*moves, stage_of_job(moves, folder / "job"), stage_of_import(folder), stage_of_agent(folder)]


def stage_of_import(folder: Path) -> Stage:
    """`etude import` of a hundred rows."""
    start = folder / "import"
    (start / ARTIFACTS).mkdir(parents=True)
    words, names, rng = (
        ["calm", "fast", "warm", "cold", "bright", "slow", "deep"],
        load_task("kotone").names,
        random.Random(1),
    )
    rows = [
        {
            "id": f"r{number}",
            "text": f"{' '.join(rng.sample(words, 5))} {number}",
            "target": dict.fromkeys(names, number),
        }
        for number in range(100)
    ]
    (start / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return _in_peace(Stage("an import", start, _import, partial(_import, arm=lambda: None), _see_artifacts, {}))


def stage_of_agent(folder: Path) -> Stage:
    """The agent by itself, over servers that lose nothing."""
    start = folder / "agent"
    (start / ARTIFACTS).mkdir(parents=True)
    World(start / "world")
    return _in_peace(Stage("the agent", start, _run, partial(_run, arm=lambda: None), _see_run, {}))


def _in_peace(stage: Stage) -> Stage:
    """The stage with what it leaves where nobody dies."""
    folder = Path(shutil.copytree(stage.start, stage.start.with_name(f"{stage.start.name}-in-peace")))
    if in_child(partial(stage.go_on, folder)) != 0:
        raise RuntimeError(f"{stage.name} fails in peace")
    return replace(stage, expected=stage.see(folder))


def _import(folder: Path, arm: Arm) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    arm()
    if run_import([str(folder / "rows.jsonl"), "--name", "mine", "--artifacts", str(folder / ARTIFACTS)]) != 0:
        raise RuntimeError("the import failed")


def _see_artifacts(folder: Path) -> Remains:
    return remains_of(folder / ARTIFACTS)


def _run(folder: Path, arm: Arm) -> None:
    """What `etude cycle` does, its servers in this process."""

    async def run() -> None:
        async with sessions_with(rooms(World(folder / "world"))) as sessions:
            artifacts, journal = folder / ARTIFACTS, Journal(folder / ARTIFACTS)
            arm()
            desk = Desk(sessions, Ledger(artifacts), Progress(io.StringIO()))
            outcome = await Run(desk, OfflineBrain(), artifacts, journal).go("demo", CYCLES)
            (folder / "printed").write_text(outcome.model_dump_json(exclude={"artifacts", "report"}), encoding="utf-8")
            journal.finish()

    anyio.run(run)


def _see_run(folder: Path) -> Remains:
    world = World(folder / "world")
    return {
        "printed": timeless(json.loads((folder / "printed").read_text(encoding="utf-8"))),
        "note": document(folder / ARTIFACTS / "run.json"),
        "cycles": timeless(world.read()["cycles"]),
        "changes": dict(Counter(tool for tool in world.calls if tool not in HARMLESS and not tool.endswith("_tool"))),
        "ledgers": list(faults_in_ledgers(folder / ARTIFACTS)),
    }
