"""Runs of the Mistral brain: the real SDK against the double on the loopback, over servers in this process."""

import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
from mcp.server import MCPServer

from agent.brain import Brain
from agent.desk import Desk
from agent.journal import Journal
from agent.ledger import Ledger
from agent.loop import Run
from agent.mistral.access import Access
from agent.mistral.brain import MistralBrain
from agent.offline import OfflineBrain
from agent.outcome import Outcome
from agent.progress import Progress
from agent.settings import MistralSettings
from servers.catalogue import all_servers
from tests.doubles.brains import Brain as Model
from tests.doubles.brains import Said
from tests.doubles.connected import sessions_with
from tests.doubles.mistral import MistralDouble
from tests.workshop import Workshop

DEMO = "demo-1"  # a world whose first cycle promotes
KEY = "the-key-that-nobody-may-see"
OF_THE_BRAIN = ("brain.jsonl", "results")  # in a cycle's folder, what only a language model leaves
DOCUMENTS = (
    "diagnosis.json", "augmentation_spec.json", "hparam_patch.json", "playbook.json", "gate.json", "summary.json",
)  # fmt: skip


def brain_at(double: MistralDouble, folder: Path, **settings: Any) -> MistralBrain:
    """The brain under test, led to the double."""
    return MistralBrain(Access(double.url, KEY), MistralSettings(**settings), folder)


async def run(
    servers: Mapping[str, MCPServer[Any]],
    brain: Brain,
    folder: Path,
    dataset: str = DEMO,
    cycles: int = 1,
    screen: io.StringIO | None = None,
    campaign: bool = False,
) -> Outcome:
    """A run over the wire, as `etude cycle` makes it."""
    async with sessions_with(servers) as sessions:
        desk = Desk(sessions, Ledger(folder), Progress(screen or io.StringIO()))
        journal = Journal(folder)
        outcome = await Run(desk, brain, folder, journal).go(dataset, cycles, campaign)
        journal.finish()
        return outcome


async def run_real(brain: Brain, folder: Path, dataset: str = DEMO, screen: io.StringIO | None = None) -> Outcome:
    """A run of one cycle over the five real servers."""
    return await run(all_servers(folder), brain, folder, dataset, screen=screen)


async def begin(folder: Path, dataset: str = DEMO) -> None:
    """Make a dataset's first model its champion."""
    async with Workshop(folder) as shop:
        await shop.call("prepare_dataset", dataset=dataset)
        await shop.follow((await shop.call("open_cycle", dataset=dataset))["cycle"])


def copied(beginning: Path, folder: Path) -> Path:
    """Artifacts of one's own that go on from a beginning."""
    return Path(shutil.copytree(beginning, folder / "artifacts"))


def brought(folder: Path, cycle: str = "cycle_1") -> dict[str, Any]:
    """What a cycle left behind, without what differs from run to run: times, and what only a model leaves."""
    opened = folder / "loop" / cycle
    files = {file.relative_to(opened).as_posix() for file in opened.rglob("*") if file.is_file()}
    return {
        "files": sorted(name for name in files if not name.startswith(OF_THE_BRAIN)),
        "versions": sorted(card.parent.name for card in folder.glob("datasets/*/*/card.json")),
        "evaluations": sorted(file.parent.name for file in folder.glob("eval/runs/*/eval.json")),
        "models": {file.parent.name: read(file)["digest"] for file in sorted(folder.glob("jobs/train-*/result.json"))},
        "registry": timeless(read(folder / "models" / "registry.json")),
        **{name: timeless(read(opened / name)) for name in DOCUMENTS},
    }


def is_open(folder: Path, cycle: str = "cycle_1") -> bool:
    """Whether a cycle was opened and not closed."""
    opened = folder / "loop" / cycle
    return (opened / "cycle.json").exists() and not (opened / "summary.json").exists()


def read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def beginning_in(folder: Path) -> Path:
    """Artifacts in which the demo has begun."""
    anyio.run(begin, folder)
    return folder


def brought_offline(beginning: Path, folder: Path) -> dict[str, Any]:
    """What the offline policy brings in the first cycle."""
    copy = copied(beginning, folder)
    anyio.run(run_real, OfflineBrain(), copy)
    return brought(copy)


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def thought(folder: Path, cycle: str = "cycle_1") -> list[dict[str, Any]]:
    """What `brain.jsonl` holds of each answer in the end: the last line about it."""
    noted = rows(folder / "loop" / cycle / "brain.jsonl")
    return list({row["answer"]: row for row in noted}.values())


def timeless(value: Any) -> Any:
    """A document without the times in it, which no two runs share."""
    if isinstance(value, list):
        return [timeless(entry) for entry in value if entry != "p95_latency_ms"]
    if not isinstance(value, dict):
        return value
    if value.get("name") == "p95_latency_ms":
        return "p95_latency_ms"
    return {key: timeless(entry) for key, entry in value.items() if not _is_time(key)}


def _is_time(key: str) -> bool:
    return key == "at" or key.endswith("_at") or "seconds" in key or "latency" in key


class Noted:
    """A model that is watched: what it said to each request."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.said: list[Said] = []

    def answer(self, body: Mapping[str, Any]) -> Said:
        self.said.append(self.model.answer(body))
        return self.said[-1]


def told(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a request tells of the calls in the newest answer."""
    messages = body["messages"]
    last = max((n for n, message in enumerate(messages) if message["role"] == "assistant"), default=len(messages))
    return [json.loads(message["content"]) for message in messages[last + 1 :] if message["role"] == "tool"]
