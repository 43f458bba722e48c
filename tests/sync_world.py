"""A small world for the tests of `etude sync`: measured models, a training, a verdict, and processes that send them."""

import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from servers.core.disk import write_json
from servers.core.job_files import TrainResult, write_wire
from servers.core.models import model_digest
from servers.core.services import Services
from servers.core.tracking import LocalTracker, Run
from servers.playbook.cycles import open_cycle
from tests.playbook_world import World

CYCLE = "begin_small"
MODEL, JOB = "student-000000000001", "train-000000000001"
PATIENCE_S = 3.0
LIMIT_S = 120.0
PRELOADED = ["wandb", "weave", "servers.sync.command", "tests.sync_world"]


@dataclass(frozen=True)
class Ended:
    """How a sync ended."""

    code: int | None
    printed: str
    said: str


class SyncWorld(World):
    """The playbook's world, saved while nothing went to W&B."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tracker = LocalTracker(self.workspace.tracking_file)
        open_cycle(self.workspace, self.task, Services(), "small")

    def measured(self, *models: str) -> None:
        """Evaluate models in the beginning of `small`."""
        asyncio.run(self.measure(CYCLE, *models))

    def trained(self, others: bool = True) -> None:
        """Leave a model, its run with three steps, and `others`: a training that failed and one that was cancelled."""
        folder = self.workspace.job_dir(JOB)
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "weights.json").write_text("[1, 2, 3]")
        result = TrainResult(
            job_id=JOB,
            model_id=MODEL,
            digest=model_digest(folder / "model"),
            family="student",
            hparams={"ridge": 1.0},
            dataset="small",
            dataset_version=self.card.fingerprint,
            cycle=CYCLE,
            train_rows=30,
            seconds=3.0,
            versions={"python": "3.11"},
        )
        write_wire(folder / "result.json", result)
        config = {"model": MODEL, "dataset": "small", "dataset/version": self.card.fingerprint, "ridge": 1.0}
        self.run(JOB, "train", "finished", config, {"objective/train_loss": 0.25})
        steps = [
            {"_step": step, "objective/train_loss": 1 / step, "iter_eval/mae_raw": 20.0 - step} for step in (1, 2, 4)
        ]
        self.tracker.log_history("local", "etude-kotone", JOB, steps)
        if not others:
            return
        self.run("train-000000000002", "train", "failed", config | {"model": "student-000000000002"}, {})
        self.run("train-000000000003", "train", "crashed", config | {"model": "student-000000000003"}, {})

    def run(self, id: str, job_type: str, state: Any, config: dict[str, Any], summary: dict[str, Any]) -> None:
        """Save a run."""
        moment = "2026-01-31T08:00:00Z"
        run = Run(
            id=id,
            name=f"{job_type}-{id}",
            entity="local",
            project="etude-kotone",
            group=CYCLE,
            job_type=job_type,
            tags=["small"],
            config=config,
            summary=summary,
            state=state,
            created_at=moment,
            updated_at=moment,
        )
        self.tracker.save_run(run)

    def judged(self) -> None:
        """Leave a verdict on the trained model against the constant, as it may leave the sealed folder."""
        gate = {
            "schema": 1, "verdict_id": "verdict-1", "cycle": CYCLE, "dataset": "small", "gate_fingerprint": "f" * 16,
            "candidate": MODEL, "champion": "constant", "focus_dimensions": ["energy"], "verdicts_asked": 1,
            "level_left": 0.01, "asked_at": "2026-01-31T09:00:00Z", "outcome": "hold", "reason": "no gain was shown",
            "n": 20, "clusters": None, "level": 0.025, "smallest_visible": 3.0, "difference": None, "ci": None,
            "checks": [{"name": "valid", "passed": True, "words": "all"}],
        }  # fmt: skip
        write_json(self.workspace.cycle_dir(CYCLE) / "gate.json", gate)

    def sealed_texts(self) -> list[str]:
        """Every text of the sealed split."""
        files = list(self.workspace.sealed_root.rglob("gate.jsonl"))
        texts = [json.loads(line)["text"] for file in files for line in file.read_text().splitlines()]
        assert texts, "no sealed rows, so nothing would be checked"
        return texts


class Syncs:
    """Runs `etude sync` in processes of their own, forked from one that has imported the SDKs.

    Args:
        world: Whose artifacts are sent.
    """

    _context: ForkServerContext | None = None

    def __init__(self, world: World, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self._artifacts = str(world.workspace.root)
        self._folder = Path(tempfile.mkdtemp(dir=world.workspace.root.parent))
        if Syncs._context is None:
            Syncs._context = multiprocessing.get_context("forkserver")
            Syncs._context.set_forkserver_preload(PRELOADED)

    def start(self, *words: str) -> BaseProcess:
        assert Syncs._context is not None
        all_words = ["--artifacts", self._artifacts, "--patience", str(PATIENCE_S), *words]
        process = Syncs._context.Process(target=_sync, args=(all_words, self.environment, str(self._folder)))
        process.start()
        return process

    def wait(self, process: BaseProcess) -> Ended:
        process.join(LIMIT_S)
        assert process.exitcode is not None, "the sync did not end"
        return Ended(process.exitcode, (self._folder / "out").read_text(), (self._folder / "err").read_text())

    def run(self, *words: str) -> Ended:
        return self.wait(self.start(*words))


def _sync(words: list[str], environment: dict[str, str], folder: str) -> None:
    from servers.sync.command import run

    for name in [name for name in os.environ if name.startswith(("WANDB_", "WF_", "WEAVE_"))]:
        del os.environ[name]
    os.environ.update(environment)
    for number, name in ((0, os.devnull), (1, f"{folder}/out"), (2, f"{folder}/err")):
        handle = os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(handle, number)
    code = run(words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
