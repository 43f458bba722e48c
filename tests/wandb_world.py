"""A measured beginning, its tracking as W&B would hold it, and reading it back through the official server's double."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from agent.desk import Desk, Patience
from agent.endpoints import Endpoint
from agent.ledger import Ledger
from agent.progress import Progress
from agent.sessions import connect
from agent.wandb_reading import ReadingBack
from agent.wandb_reads import Place, check_tools, handed_over
from agent.wandb_server import official
from servers.core.tracking import LocalTracker
from tests.doubles.wandb_store import WandbStore
from tests.playbook_world import World, measured_begin
from tests.workshop import call, refusal

KEY = "wandb-key-that-nobody-may-see-" + "x" * 10
ENTITY, PROJECT = "local", "etude-kotone"


@dataclass
class Naps:
    """Waits that take no time, and are noted."""

    seconds: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)


@dataclass
class Measured:
    """A beginning of the dataset `small` that was measured, and is to be read back."""

    world: World
    cycle: str
    steps: list[dict[str, Any]]
    naps: Naps = field(default_factory=Naps)

    @property
    def n(self) -> int:
        champion = self.world.evaluations.find(self.cycle, "constant")
        assert champion is not None
        return champion.n

    def store(self) -> WandbStore:
        """W&B, with everything that the tracker holds."""
        tracker, store = LocalTracker(self.world.workspace.tracking_file), WandbStore(entity=ENTITY)
        project = store.project(ENTITY, PROJECT)
        for run in tracker.runs(ENTITY, PROJECT):
            facts = {"displayName": run.name, "group": run.group, "jobType": run.job_type, "tags": run.tags}
            facts |= {"config": run.config, "summaryMetrics": run.summary, "createdAt": run.created_at}
            project.add_run(run.id, **facts, state=run.state)
        for trace in tracker.traces(ENTITY, PROJECT):
            told = trace.model_dump(exclude={"run_id"})
            op = f"weave:///{ENTITY}/{PROJECT}/op/{trace.op_name}:UgFTPndJjl578zL3UQCKkn2UvRCl5LMyg1zACHbyEN0"
            project.add_call(**told | {"op_name": op, "trace_id": _hyphened(trace.trace_id)})
        return store

    async def read(
        self, endpoint: Endpoint, folder: Path, given: list[dict[str, Any]] | None = None, call_s: float = 30.0
    ) -> dict[str, Any]:
        """What a run hands to record_context.

        Raises:
            StepFailed, ServerProblem: as a run would.
        """
        async with connect({"wandb": endpoint}, folder / "log") as sessions:
            check_tools(sessions)
            patience = Patience(sleep=self.naps.sleep, call_s=call_s)
            desk = Desk(sessions, Ledger(folder), Progress(io.StringIO()), patience)
            place = Place.named_in(step["arguments"] for step in self.steps)
            dimensions = self.world.task.names
            calls = await ReadingBack(desk, place, self.cycle, dimensions, given or []).calls()
            return handed_over(sessions, self.cycle, calls)

    async def recorded(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The snapshot that record_context makes of it."""
        async with self.world.playbook() as playbook:
            await call(playbook, "record_context", **arguments)
        snapshot: dict[str, Any] = self.world.file("loop", self.cycle, "mcp_eval_snapshot.json")
        return snapshot

    async def refused(self, arguments: Mapping[str, Any]) -> str:
        """What record_context says against it."""
        async with self.world.playbook() as playbook:
            return await refusal(playbook, "record_context", **arguments)

    def worst(self) -> list[float]:
        """The champion's errors as the eval server wrote them, worst first."""
        champion = self.world.evaluations.find(self.cycle, "constant")
        assert champion is not None
        return sorted((row.mae_raw for row in self.world.evaluations.rows(champion.evaluation_id)), reverse=True)


def measured(folder: Path, rows: int = 250) -> Measured:
    """Make one."""

    async def make() -> Measured:
        world = World(folder, rows=rows)
        async with world.playbook() as playbook:
            cycle = await measured_begin(world, playbook)
            state = await call(playbook, "get_cycle", cycle=cycle)
        return Measured(world, cycle, state["next_steps"])

    return anyio.run(make)


def endpoint(settings: Any, **environment: str) -> Endpoint:
    """The official server as the settings choose it, with the key."""
    found = official(settings, {}, {"WANDB_API_KEY": KEY} | environment)
    assert found is not None
    return found


def _hyphened(name: str) -> str:
    """An id as a tracker may spell it."""
    return f"{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:]}".upper()
