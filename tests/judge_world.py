"""Artifacts in which a first candidate was measured and not judged yet, and how the judge is asked, for tests."""

import json
import random
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from servers.core.dataset import Example
from servers.core.task import load_task
from servers.core.workspace import Workspace
from servers.eval.custody import Custody
from servers.eval.server import build_room
from tests.workshop import Workshop

KOTONE = load_task("kotone")
DRAW = 5  # of the rows: one in which the student finds what there is
COPIES = 4  # of each text: more than a tenth of the 36 sealed rows, so that no further tightening may part them


def rows() -> list[Example]:
    """30 texts in four near-copies each, every row with a word and an id of its own; the text says a little of energy.

    So little that a student finds it and the few sealed rows do not show it: the verdict is no promotion.
    """
    draw = random.Random(DRAW)
    letters = "bcdfghklmnprstvz"

    def word() -> str:
        return "".join(draw.choice(letters) + draw.choice("aeiou") for _ in range(4))

    found = []
    for number in range(30):
        mood = ("wild", "calm")[number % 2]
        text = " ".join([*(word() for _ in range(9)), mood, mood, mood, *(word() for _ in range(8))])
        target = {name: float(draw.randint(0, 100)) for name in KOTONE.names}
        target["energy"] = float(draw.randint(20, 90) if mood == "wild" else draw.randint(0, 60))
        for _ in range(COPIES):
            own = word()
            found.append(Example(id=f"id-{own}", text=f"{text} {own}", target=target, source="import"))
    return found


def train_first(folder: Path) -> None:
    """Import the rows as 'mine', open its beginning, and train and measure a candidate."""
    Custody(Workspace(folder), KOTONE).create("mine", rows(), recipe={"kind": "import"})

    async def train() -> None:
        async with Workshop(folder) as shop:
            await shop.call("prepare_dataset", dataset="mine")
            await shop.call("open_cycle", dataset="mine")
            await shop.call("evaluate_model", cycle="begin_mine", model="constant")
            await shop.call("diagnose_dataset", cycle="begin_mine")
            plan = await shop.call("plan_retrain", cycle="begin_mine", changes=[])
            job = await shop.call("start_retrain", plan_id=plan["plan_id"])
            while job["state"] in ("queued", "running"):
                job = await shop.call("get_job", job_id=job["job_id"], wait_s=20)
            await shop.call("evaluate_model", cycle="begin_mine", model=job["model"])

    anyio.run(train)


def candidate_in(folder: Path) -> str:
    (result,) = (folder / "jobs").glob("train-*/result.json")
    return str(json.loads(result.read_text())["model_id"])


def verdicts_file(folder: Path) -> Path:
    (file,) = (folder / "sealed" / "mine").glob("*/verdicts.jsonl")
    return file


async def call(folder: Path, tool: str, **arguments: Any) -> tuple[bool, str, dict[str, Any]]:
    """Whether the tool refused, its words, and its typed result."""
    async with Client(build_room(Workspace(folder), KOTONE).server) as client:
        result = await client.call_tool(tool, arguments)
    return result.is_error, str(getattr(result.content[0], "text", "")), result.structured_content or {}


async def gate(folder: Path, candidate: str | None = None) -> dict[str, Any]:
    refused, text, found = await call(
        folder, "gate_candidate", cycle="begin_mine", candidate=candidate or candidate_in(folder)
    )
    assert not refused, text
    return found
