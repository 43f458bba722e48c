"""A campaign whose candidates err as a test says: no teacher writes, nothing is trained, the choice is the real one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mcp import Client

from servers.augment.server import build_room as build_augment
from servers.core.answers import Answer, ServedBy
from servers.core.campaign import Campaign, Way
from servers.core.dataset import DatasetStore
from servers.core.disk import now, write_json
from servers.core.evaluations import Evaluation, ScoredRow
from servers.core.job_files import CampaignSpec, CampaignTrained, Progress, TrainResult, TrainSpec, write_wire
from servers.core.registry import Registry
from servers.core.services import Services
from servers.eval.custody import Custody
from servers.eval.server import build_room as build_eval
from servers.playbook.cycles import open_cycle
from servers.retrain.planning import train_spec
from tests.playbook_world import STAND_IN, World, read_back
from tests.workshop import call

OUTCOME = {"written": 1, "added": 1, "replayed": 0, "dropped": {}, "examples_of_dropped": {}}
CHANGE = {"name": "word_ngrams", "value": 1, "reason": "single words may do"}
FOCUS = ["warmth", "energy"]
WEIGHTS = "0" * 64


class CampaignWorld(World):
    """A dataset, `small` or the demo's, with the constant in service."""

    def __init__(self, folder: Path, dataset: str = "small") -> None:
        super().__init__(folder)
        self.dataset = dataset
        if dataset != "small":
            Custody(self.workspace, self.task).ensure(dataset)
        begun: dict[str, Any] = {"action": "begin", "cycle": "begin", "verdict_id": "verdict-0", "reason": "a test"}
        Registry(self.workspace).put_in_service(dataset, "constant", "", **begun)

    @property
    def head(self) -> str:
        """The newest version."""
        return DatasetStore(self.workspace).head(self.dataset).fingerprint

    async def opened(self, campaign: bool = True) -> str:
        """Open the next cycle and bring it to where its candidates are planned."""
        cycle = open_cycle(self.workspace, self.task, Services(), self.dataset, campaign)
        await self.measure(cycle, "constant", "rule")
        async with Client(build_eval(self.workspace, self.task).server) as client:
            found = await call(client, "diagnose_dataset", cycle=cycle)
        # The labels are counted, not read, so these texts teach nothing; a campaign needs data that do.
        signals = {name: one | {"signal": "learnable"} for name, one in found["dimensions"].items()}
        found = self.file("loop", cycle, "diagnosis.json") | {"verdict": "train", "dimensions": signals}
        self.leave(cycle, "diagnosis.json", found)
        async with self.playbook() as playbook:
            calls = await read_back(self, playbook, cycle)
            await call(playbook, "record_context", cycle=cycle, server=STAND_IN, calls=calls)
        return cycle

    async def planned(self, cycle: str, seeds: int = 2, ways: list[Way] | None = None) -> Campaign:
        """Plan through the tool."""
        async with Client(build_augment(self.workspace, self.task).server) as client:
            given: dict[str, Any] = {"cycle": cycle, "focus_dimensions": FOCUS, "changes": [CHANGE], "seeds": seeds}
            await call(client, "plan_campaign", **given, ways=ways)
        return self.campaign(cycle)

    def campaign(self, cycle: str) -> Campaign:
        return Campaign.model_validate(self.file("loop", cycle, "campaign.json"))

    def made(self, cycle: str, added: int = 1, **words: str) -> Campaign:
        """Leave one new row for each set of rows, or none, as the augment server does."""
        campaign = self.campaign(cycle)
        rows = []
        for one in campaign.rows:
            outcome = OUTCOME | {"added": added, "replayed": one.spec["replay_rows"]} | words
            versions = dict(one.spec["versions"])
            if added:
                versions["to_version"] = self._version(campaign.dataset_version, one.spec["plan_id"])
            rows.append(one.model_copy(update={"spec": one.spec | {"outcome": outcome, "versions": versions}}))
        campaign = campaign.model_copy(update={"rows": rows})
        self.leave(cycle, "campaign.json", campaign.model_dump(mode="json", by_alias=True))
        return campaign

    def trained(self, cycle: str) -> None:
        """Leave the campaign's job as it ends well."""
        campaign = self.campaign(cycle)
        models = [arm.model_id for arm in campaign.trainable]
        spec = CampaignSpec(job_id=campaign.plan_id, cycle=cycle, plan_id=campaign.plan_id, arms=[])
        done = CampaignTrained(job_id=campaign.plan_id, models=models, failed={}, seconds=1.0, versions={})
        for arm in campaign.trainable:
            self._trained(arm.job_id, campaign.version(arm) or "", cycle, campaign.plan_id)
        self._ended(spec, done)

    def _trained(self, job_id: str, version: str, cycle: str, plan_id: str) -> None:
        card = DatasetStore(self.workspace).card(self.dataset, version)
        job = train_spec(self.workspace, self.task, card, job_id, {}, 0, cycle=cycle, plan_id=plan_id)
        told = job.model_dump(
            include={"job_id", "model_id", "family", "hparams", "dataset", "dataset_version", "cycle"}
        )
        rows = card.rows.train
        self._ended(job, TrainResult(**told, digest=WEIGHTS, train_rows=rows, seconds=1.0, versions={}))

    def _ended(self, spec: TrainSpec | CampaignSpec, done: TrainResult | CampaignTrained) -> None:
        folder = self.workspace.job_dir(spec.job_id)
        write_wire(folder / "spec.json", spec)
        progress = Progress(
            state="succeeded", attempt=1, pid=None, asked_at=now(), started_at=now(), updated_at=now(), step=1, of=1,
            message="done",
        )  # fmt: skip
        write_wire(folder / "status.json", progress)
        write_wire(folder / "result.json", done)
        write_json(folder / "tracked.json", {"schema": 1, "attempt": 1, "state": "succeeded"})

    def measured(self, cycle: str, changes: Mapping[Way, list[float]], noise: float = 0.2) -> None:
        """Leave evaluations whose error differs from the champion's by so many points, seed by seed."""
        arms = self.campaign(cycle).trainable
        self._measured(cycle, {arm.model_id: changes[arm.way][arm.seed - 1] for arm in arms}, noise)

    def _measured(self, cycle: str, changes: Mapping[str, float], noise: float) -> None:
        champion = self.evaluations.find(cycle, "constant")
        assert champion is not None
        rows = self.evaluations.rows(champion.evaluation_id)
        random = np.random.default_rng(1)
        for model, change in changes.items():
            moved = noise * random.standard_normal(len(rows))
            moved += change - moved.mean()
            self._evaluation(champion, rows, model, [float(value) for value in moved])

    async def chosen(self, cycle: str) -> dict[str, Any]:
        """The choice, through the tool."""
        async with Client(build_eval(self.workspace, self.task).server) as client:
            return await call(client, "choose_candidate", cycle=cycle)

    async def campaigned(self, changes: Mapping[Way, list[float]]) -> str:
        """A whole campaign up to its choice, with these differences from the champion."""
        cycle = await self.opened()
        await self.planned(cycle, len(next(iter(changes.values()))), list(changes))
        self.made(cycle)
        self.trained(cycle)
        self.measured(cycle, changes)
        await self.chosen(cycle)
        return cycle

    async def one_candidate(self, cycle: str, moved: float) -> str:
        """Leave what a cycle of one candidate leaves up to its measuring: one aimed row, and so many points more."""
        async with Client(build_augment(self.workspace, self.task).server) as client:
            await call(client, "plan_augmentation", cycle=cycle, focus_dimensions=FOCUS)
        spec = self.file("loop", cycle, "augmentation_spec.json")
        store = DatasetStore(self.workspace)
        card = store.card(self.dataset, self._version(spec["versions"]["from_version"], spec["plan_id"]))
        store.move_head(card)
        versions = spec["versions"] | {"to_version": card.fingerprint}
        self.leave(cycle, "augmentation_spec.json", spec | {"outcome": OUTCOME, "versions": versions})
        model = "student-0123456789ab"
        self._trained("train-0123456789ab", card.fingerprint, cycle, "retrain-0123456789ab")
        self._measured(cycle, {model: moved}, 0.2)
        return model

    def _version(self, version: str, plan_id: str) -> str:
        store = DatasetStore(self.workspace)
        parent = store.card(self.dataset, version)
        train = store.train(parent.name, parent.fingerprint)
        new = train[0].model_copy(
            update={"id": f"{plan_id}-0001", "text": f"new {plan_id}", "provenance": {"plan_id": plan_id}}
        )
        return store.save_child(parent, [*train, new], {"plan_id": plan_id}, moves_head=False).fingerprint

    def _evaluation(self, champion: Evaluation, rows: list[ScoredRow], model: str, moved: list[float]) -> None:
        """An evaluation that agrees with itself and with the training."""
        evaluation_id = model.replace("student", "eval")
        served_by = ServedBy(backend="student", model_id=model, digest=WEIGHTS)
        changed = [
            row.model_copy(
                update={
                    "mae_raw": row.mae_raw + change,
                    "trace_id": f"{model}{row.trace_id}"[-32:],
                    "run_id": evaluation_id,
                    "served_by": served_by,
                }
            )
            for row, change in zip(rows, moved, strict=True)
        ]
        mean = sum(row.mae_raw for row in changed) / len(changed)
        evaluation = champion.model_copy(
            update={
                "evaluation_id": evaluation_id,
                "model": model,
                "served_by": served_by,
                "metrics": champion.metrics | {"vector_mae": mean},
                "created_at": now(),
            }
        )
        answers = [Answer(id=row.example_id, text=row.answer, latency_ms=None, served_by=served_by) for row in changed]
        self.evaluations.save(evaluation, changed, answers)

    def leave(self, cycle: str, name: str, content: Mapping[str, Any]) -> None:
        """Leave a document of a cycle, as its tool does."""
        write_json(self.workspace.cycle_dir(cycle) / name, content)
