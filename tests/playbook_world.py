"""A small world for the playbook's tests: a dataset, measured models, and the W&B stand-in that reads them back."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcp import Client

from servers.core.dataset import Example
from servers.core.evaluations import EvaluationStore
from servers.core.task import Task, load_task
from servers.core.workspace import Workspace
from servers.eval.custody import Custody
from servers.eval.server import build_room as build_eval
from servers.playbook.server import build_room
from servers.wandb_local.server import build_room as build_wandb
from tests.workshop import call

STAND_IN = {"name": "etude-wandb-local", "version": "0.1.0"}
WORDS = ("warm", "cold", "bright", "dark", "fast", "slow")


class World:
    """Artifacts with the dataset `small`, a third of whose rows are for diagnosis."""

    def __init__(
        self, folder: Path, text: str = "a {word} piece for the {place} number {letter}", rows: int = 60
    ) -> None:
        self.workspace = Workspace(folder / "artifacts")
        self.task: Task = load_task("kotone")
        self.evaluations = EvaluationStore(self.workspace)
        examples = [_example(number, text, self.task) for number in range(rows)]
        self.card = Custody(self.workspace, self.task).create("small", examples, recipe={})

    async def measure(self, cycle: str, *models: str) -> None:
        """Evaluate models in a cycle."""
        async with Client(build_eval(self.workspace, self.task).server) as judge:
            for model in models:
                await call(judge, "evaluate_model", cycle=cycle, model=model)

    async def replies(self, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What the stand-in answers to the W&B calls among `steps`, ready for record_context."""
        async with Client(build_wandb(self.workspace).server) as wandb:
            return [
                await _reply(wandb, step["tool"], step["arguments"]) for step in steps if step["tool"].endswith("_tool")
            ]

    def file(self, *parts: str) -> Any:
        """A JSON document under the artifacts folder."""
        return json.loads(self.workspace.root.joinpath(*parts).read_text(encoding="utf-8"))

    def text(self, *parts: str) -> str:
        return self.workspace.root.joinpath(*parts).read_text(encoding="utf-8")

    def playbook(self) -> Client:
        """A client of the playbook server, in memory."""
        return Client(build_room(self.workspace, self.task).server)


async def measured_begin(world: World, client: Client) -> str:
    """Open the beginning of `small` and measure the models without weights."""
    cycle: str = (await call(client, "open_cycle", dataset="small"))["cycle"]
    await world.measure(cycle, "constant", "rule")
    return cycle


async def read_back(world: World, client: Client, cycle: str) -> list[dict[str, Any]]:
    """The replies to the W&B calls that get_cycle suggests."""
    state = await call(client, "get_cycle", cycle=cycle)
    return await world.replies(state["next_steps"])


async def recorded_begin(world: World, client: Client) -> tuple[str, dict[str, Any]]:
    """A measured beginning whose context is recorded; the cycle and record_context's result."""
    cycle = await measured_begin(world, client)
    calls = await read_back(world, client, cycle)
    return cycle, await call(client, "record_context", cycle=cycle, server=STAND_IN, calls=calls)


def most_wrong(failure: dict[str, Any]) -> str:
    """The dimension on which a recorded failure errs most."""
    errors: dict[str, float] = failure["abs_error_by_dim"]
    return max(errors, key=errors.__getitem__)


def altered(calls: list[dict[str, Any]], tool: str, old: str, new: str) -> list[dict[str, Any]]:
    """The replies with a text changed in those of one tool."""
    assert any(old in entry["text"] for entry in calls if entry["tool"] == tool), f"{old!r} is in no reply of {tool}"
    return [entry | {"text": entry["text"].replace(old, new)} if entry["tool"] == tool else entry for entry in calls]


def failed(tool: str, text: str, is_error: bool = False) -> dict[str, Any]:
    return {"tool": tool, "arguments": {}, "text": text, "is_error": is_error}


async def _reply(wandb: Client, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    result = await wandb.call_tool(tool, dict(arguments))
    text = getattr(result.content[0], "text", "")
    return {"tool": tool, "arguments": dict(arguments), "text": text, "is_error": bool(result.is_error)}


def _example(number: int, text: str, task: Task) -> Example:
    letter = f"{chr(97 + number % 26)}{chr(97 + number // 26)}{chr(97 + number * 7 % 26)}"
    filled = text.format(word=WORDS[number % 6], place=f"{letter[::-1]} garden", letter=letter)
    target = {name: float((number * 7 + place * 13) % 101) for place, name in enumerate(task.names)}
    return Example(id=f"r{number}", text=filled, target=target, source="import")
