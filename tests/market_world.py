"""A world whose trainings cost money: Hugging Face's prices as a double, and jobs that end when the test says so."""

import os
from pathlib import Path
from typing import Any, Literal

from mcp import Client

from servers.core.budget import Budget
from servers.core.campaign import Arm, Campaign
from servers.core.disk import digest, write_json
from servers.core.families import FAMILIES
from servers.core.job_files import (
    RESULT,
    SPEC,
    CampaignSpec,
    CampaignTrained,
    JobSpec,
    RemoteUse,
    TrainResult,
    TrainSpec,
    begin_attempt,
    log_header,
    read_spec,
    try_lock,
    write_wire,
)
from servers.core.jobs import JobStatus, JobStore
from servers.core.quotes import Quotes
from servers.core.services import Services
from servers.core.settings import JobsSettings, ModelSettings, Settings
from servers.playbook.cycles import open_cycle
from servers.retrain.campaigning import start_campaign
from servers.retrain.paying import Paying
from servers.retrain.planning import Planning
from servers.retrain.server import build_room
from tests.doubles.price_list import PriceList
from tests.test_retrain_server import TASK, World

FLAVOR = "a10g-small"
PRICE = 0.02


class ScriptedJobs(JobStore):
    """Jobs whose lock the test holds, and lets go of when it says how they end; no process runs."""

    def __init__(self, world: World) -> None:
        super().__init__(world.workspace)
        self._workspace = world.workspace
        self._locks: dict[str, int] = {}
        self.started: list[JobSpec] = []

    def start(self, spec: JobSpec) -> JobStatus:
        self.started.append(spec)
        self.begin(spec)
        return self.status(spec.job_id)

    def begin(self, spec: JobSpec) -> None:
        """Begin the next attempt, as a campaign's process does for its parts."""
        folder = self._workspace.job_dir(spec.job_id)
        folder.mkdir(parents=True, exist_ok=True)
        lock = try_lock(folder)
        assert lock is not None, f"{spec.job_id} lives"
        self._locks[spec.job_id] = lock
        begin_attempt(folder)
        write_wire(folder / SPEC, spec)

    def ends(self, job_id: str, usd: float | None = None, well: bool = True, log: str = "") -> None:
        """Leave what the program that follows a job leaves."""
        folder = self._workspace.job_dir(job_id)
        use = None if usd is None else RemoteUse(seconds=60.0, usd=usd)
        attempt = self.status(job_id).attempt
        (folder / "log.txt").write_text(f"{log_header(attempt)}\n{log}\n")
        spec = self.started_as(job_id)
        if well and isinstance(spec, TrainSpec):
            write_wire(folder / RESULT, _result(spec, use))
        elif well and isinstance(spec, CampaignSpec):
            made = [arm for arm in spec.arms if (self._workspace.job_dir(arm.job_id) / RESULT).exists()]
            trained = CampaignTrained(
                job_id=job_id, models=[arm.model_id for arm in made], failed={}, seconds=9.0, versions={}
            )
            write_wire(folder / RESULT, trained)
        elif use is not None:
            write_json(folder / "remote.json", {"use": use})
        os.close(self._locks.pop(job_id))

    def started_as(self, job_id: str) -> JobSpec:
        return read_spec(self._workspace.job_dir(job_id))


def _result(spec: TrainSpec, use: RemoteUse | None) -> TrainResult:
    return TrainResult(
        job_id=spec.job_id,
        model_id=spec.model_id,
        digest="0" * 64,
        family=spec.family,
        hparams=spec.hparams,
        dataset=spec.dataset,
        dataset_version=spec.dataset_version,
        cycle=spec.cycle,
        train_rows=30,
        seconds=60.0,
        remote=use,
        versions={},
    )


class Market:
    """A world whose trainings run on Hugging Face Jobs."""

    def __init__(self, folder: Path, prices: PriceList, family: Literal["student", "lora"] = "student") -> None:
        self.prices = prices
        settings = Settings(model=ModelSettings(family=family), jobs=JobsSettings(flavor=FLAVOR))
        self.services = Services(settings, prices.environment)
        self.world = World(folder)
        (self.world.workspace.cycle_dir(self.world.cycle) / "cycle.json").unlink()
        self.cycle = open_cycle(self.world.workspace, TASK, self.services, "small")
        self.budget = Budget(self.world.workspace, self.services)
        self.jobs = ScriptedJobs(self.world)
        self.paying = Paying(self.world.workspace, self.services, self.jobs)
        self.planning = Planning(self.world.workspace, TASK, self.services, self.jobs, self.paying)

    def client(self) -> Client:
        return Client(build_room(self.world.workspace, TASK, self.services).server)

    @property
    def figures(self) -> tuple[float, float]:
        state = self.budget.state()
        return state.spent, state.reserved

    def campaign(self) -> Campaign:
        """A campaign of two ways without new rows."""
        workspace, card = self.world.workspace, self.world.card
        arms = [
            Arm(arm=f"no_new_data-{n}", way="no_new_data", seed=n, rows=None, changes=[],
                job_id=f"train-00000000000{n}", model_id=f"student-00000000000{n}")
            for n in (1, 2)
        ]  # fmt: skip
        quotes = Quotes(workspace, self.services, FAMILIES["student"])
        campaign = Campaign(
            plan_id="campaign-0123456789ab", cycle=self.cycle, dataset="small", dataset_version=card.fingerprint,
            from_model="constant", seeds=2, left_out={}, rows=[], arms=arms, why="", task_digest=digest(TASK),
            quote=quotes.quote("small", card.fingerprint, [(30, {})] * 2), planned_at="",
        )  # fmt: skip
        write_json(workspace.cycle_dir(self.cycle) / "campaign.json", campaign.model_dump(mode="json", by_alias=True))
        return campaign

    def start(self, asker: "Market", campaign: Campaign, approve_usd: float | None) -> JobStatus:
        """Start a campaign under somebody's configuration."""
        workspace = self.world.workspace
        return start_campaign(workspace, TASK, asker.services, self.jobs, asker.paying, campaign.plan_id, approve_usd)

    def with_settings(self, **changes: Any) -> "Market":
        """The same folder under another configuration."""
        other = object.__new__(Market)
        other.__dict__ |= self.__dict__
        settings = self.services.settings.model_copy(update=changes)
        other.services = Services(settings, self.prices.environment)
        other.paying = Paying(self.world.workspace, other.services, self.jobs)
        other.planning = Planning(self.world.workspace, TASK, other.services, self.jobs, other.paying)
        return other
