"""A campaign that is killed at any moment is finished by doing the same again, and to the same end."""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from servers.augment.server import build_room as build_augment
from servers.core.job_files import RESULT, CampaignSpec, is_alive, locked_pid
from servers.core.jobs import JobStatus, JobStore
from servers.core.services import Services
from servers.core.tracking import LocalTracker
from servers.core.workspace import Workspace
from servers.retrain.campaigning import start_campaign
from servers.retrain.paying import Paying
from servers.retrain.trail import log_job
from tests.campaign_world import CampaignWorld
from tests.chaos.dying import STARTS, die_before, in_child
from tests.chaos.remains import differences, remains_of
from tests.test_jobs import wait_for
from tests.workshop import call
from training_jobs.campaign import campaign as train_all
from training_jobs.job import run

pytestmark = pytest.mark.services

JOB_STEPS = (3, 9, 17, 24, 33, 41)  # of some fifty on disk: in the first arm, between two, in the last, at the end
ROW_STEPS = (1, 3, 6, 8, 10)


class Planned:
    """A campaign whose rows are made, in a folder that can be copied."""

    def __init__(self, folder: Path) -> None:
        self.world = CampaignWorld(folder)
        self.plan_id = ""

    async def prepare(self) -> None:
        cycle = await self.world.opened()
        self.plan_id = (await self.world.planned(cycle, seeds=1, ways=["more", "no_new_data"])).plan_id
        self.world.made(cycle)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Planned:
    found = Planned(tmp_path_factory.mktemp("campaign"))
    anyio.run(found.prepare)
    return found


def copy_of(world: CampaignWorld, folder: Path) -> CampaignWorld:
    """The same world in a folder of its own."""
    shutil.copytree(world.workspace.root, folder / "artifacts")
    copy = object.__new__(CampaignWorld)
    copy.workspace, copy.task, copy.dataset = Workspace(folder / "artifacts"), world.task, world.dataset
    return copy


def started(world: CampaignWorld, plan_id: str) -> JobStatus:
    jobs, services = JobStore(world.workspace), Services()
    paying = Paying(world.workspace, services, jobs)
    return start_campaign(world.workspace, world.task, services, jobs, paying, plan_id, None)


def ended(world: CampaignWorld, plan_id: str) -> JobStatus:
    jobs = JobStore(world.workspace)
    wait_for(lambda: jobs.status(plan_id).state in ("succeeded", "failed", "cancelled"))
    return jobs.status(plan_id)


def test_one_job_trains_every_arm_as_a_training_of_its_own_would(planned: Planned, tmp_path: Path):
    """Ours: models, trails and evaluations need to know nothing of campaigns."""
    world = copy_of(planned.world, tmp_path)
    first = started(world, planned.plan_id)
    job = ended(world, planned.plan_id)
    again = started(world, planned.plan_id)
    arms = [status for status in JobStore(world.workspace).list() if status.kind == "train"]
    tracker = LocalTracker(world.workspace.tracking_file)
    log_job(world.workspace, tracker, Services(), job)

    assert first.kind == "campaign" and job.state == "succeeded" and again.attempt == 1
    assert [(arm.state, arm.model) for arm in arms] == [("succeeded", model) for model in job.models]
    assert len(job.models) == 2
    runs = tracker.runs("local", "etude-kotone")
    assert {run.id: run.state for run in runs if run.job_type == "train"} == {arm.job_id: "finished" for arm in arms}
    assert JobStore(world.workspace).status(planned.plan_id).tracked


def test_a_killed_campaign_keeps_the_arms_that_are_done_and_goes_on_with_the_rest(planned: Planned, tmp_path: Path):
    """Ours: nothing is trained twice, and the job's next attempt brings the same models."""
    world = copy_of(planned.world, tmp_path)
    started(world, planned.plan_id)
    wait_for(lambda: any((tmp_path / "artifacts" / "jobs").glob(f"train-*/{RESULT}")))
    folder = world.workspace.job_dir(planned.plan_id)
    pid = locked_pid(folder)
    assert pid is not None
    os.killpg(pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(folder))
    killed = JobStore(world.workspace).status(planned.plan_id)
    done = {file: file.stat().st_mtime_ns for file in (tmp_path / "artifacts" / "jobs").glob(f"train-*/{RESULT}")}
    started(world, planned.plan_id)
    job = ended(world, planned.plan_id)

    assert (job.state, len(job.models)) == ("succeeded", 2)
    assert {file: file.stat().st_mtime_ns for file in done} == done
    if killed.state == "failed":  # unless it was done in the moment before the signal
        assert job.attempt == 2


def test_a_cancelled_campaign_is_gone_with_the_arm_that_it_was_at(planned: Planned, tmp_path: Path):
    """Ours: cancel_job with the campaign's id ends its only process."""
    world = copy_of(planned.world, tmp_path)
    started(world, planned.plan_id)
    cancelled = JobStore(world.workspace).cancel(planned.plan_id)

    assert cancelled.state == "cancelled" and cancelled.models == []
    assert {status.state for status in JobStore(world.workspace).list()} <= {"cancelled", "failed", "succeeded"}


def test_an_arm_that_cannot_be_trained_is_noted_and_the_others_go_on(planned: Planned, tmp_path: Path):
    """Ours: a failed candidate stays in the table, and the campaign has the rest."""
    world = copy_of(planned.world, tmp_path)
    version = world.campaign("cycle_1").rows[0].version
    rows = world.workspace.dataset_dir("small", version or "") / "train.jsonl"
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[:3]))
    started(world, planned.plan_id)
    job = ended(world, planned.plan_id)
    failed = [status for status in JobStore(world.workspace).list() if status.state == "failed"]

    assert job.state == "succeeded" and len(job.models) == 1
    assert len(failed) == 1 and failed[0].error and "3 rows to train on" in failed[0].error


def test_a_training_of_all_arms_that_dies_at_any_step_ends_the_same(planned: Planned, tmp_path: Path):
    """Ours: a few of its windows; `make chaos` goes through every one of the single training's."""
    peace = copy_of(planned.world, tmp_path / "peace")
    started(peace, planned.plan_id)
    ended(peace, planned.plan_id)
    expected = _seen(peace)
    # A server that died before it could start the process: a person does by hand.
    unstarted = copy_of(planned.world, tmp_path / "unstarted")
    kill = partial(die_before, 1, tmp_path / "unstarted", tmp_path / "note", STARTS)
    assert in_child(partial(_started_armed, unstarted, planned.plan_id, kill)) < 0

    for step in JOB_STEPS:
        folder = tmp_path / str(step)
        world = copy_of(unstarted, folder)
        kill = partial(die_before, step, folder / "artifacts", folder / "note")
        code = in_child(partial(_train, world.workspace.job_dir(planned.plan_id), kill))
        assert code == -signal.SIGKILL, (step, code)
        started(world, planned.plan_id)
        ended(world, planned.plan_id)
        assert list(differences(expected, _seen(world))) == [], (step, (folder / "note").read_text())


def test_rows_of_a_campaign_that_dies_at_any_step_are_the_same(tmp_path: Path):
    """Ours: sets of rows that were made are kept, the one that was not is made again."""
    world = CampaignWorld(tmp_path / "start", "demo")

    async def plan() -> str:
        campaign = await world.planned(await world.opened(), seeds=1, ways=["more", "focused"])
        return campaign.plan_id

    plan_id = anyio.run(plan)
    peace = copy_of(world, tmp_path / "peace")
    assert in_child(partial(_make_rows, peace, plan_id, lambda: None)) == 0
    expected = _seen(peace)
    assert peace.head == world.head  # the rows wait until an arm is chosen

    for step in ROW_STEPS:
        folder = tmp_path / str(step)
        hurt = copy_of(world, folder)
        kill = partial(die_before, step, folder / "artifacts", folder / "note")
        assert in_child(partial(_make_rows, hurt, plan_id, kill)) == -signal.SIGKILL, step
        assert in_child(partial(_make_rows, hurt, plan_id, lambda: None)) == 0
        assert list(differences(expected, _seen(hurt))) == [], (step, (folder / "note").read_text())


def _make_rows(world: CampaignWorld, plan_id: str, arm: Callable[[], None]) -> None:
    async def make() -> None:
        async with Client(build_augment(world.workspace, world.task).server) as client:
            arm()
            await call(client, "augment_dataset", plan_id=plan_id)

    anyio.run(make)


def _started_armed(world: CampaignWorld, plan_id: str, arm: Callable[[], None]) -> None:
    arm()
    started(world, plan_id)


def _train(folder: Path, arm: Callable[[], None]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.argv = ["training_jobs.campaign", str(folder)]
    arm()
    if run(CampaignSpec, train_all) != 0:
        raise RuntimeError("the job failed")


def _seen(world: CampaignWorld) -> dict[str, Any]:
    found = remains_of(world.workspace.root)
    return found | {"files": {file: True for file in found["files"] if not file.startswith("ledger/")}}
