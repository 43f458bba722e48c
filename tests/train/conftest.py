"""A small world for trainings: a base, rows that can be learned, and one adapter that was trained on them."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from servers.core.dataset import Example
from servers.core.disk import write_jsonl
from servers.core.job_files import TrainSpec
from servers.core.prompting import completion_text, messages_for
from servers.core.task import Task, load_task
from tests.train.tiny_base import make_base
from training_jobs.job import part
from training_jobs.train import train

TRAILS = Path(__file__).parent.parent.parent / "examples" / "trails" / "task.toml"
LEARNS = {"learning_rate": 5e-3, "epochs": 6, "warmup_share": 0.0}


@dataclass(frozen=True)
class World:
    """Files that jobs of one artifacts folder share."""

    root: Path
    task: Task
    rows: list[Example]
    """The last of them are diagnose rows."""
    base: Path

    def job(self, number: int) -> Path:
        return self.root / "jobs" / f"train-{number:012x}"

    def spec(self, number: int, **changes: Any) -> TrainSpec:
        whole = {
            "schema": 1, "job_id": f"train-{number:012x}", "model_id": f"lora-{number:012x}", "family": "lora",
            "hparams": LEARNS, "seed": 0, "task": self.task, "dataset": "trails", "dataset_version": "v1",
            "cycle": "cycle_1", "plan_id": "plan", "train_file": "../../train.jsonl", "texts_file": "../../texts.jsonl",
            "base": str(self.base),
        }  # fmt: skip
        return TrainSpec.model_validate(whole | changes)

    def train(self, number: int, **changes: Any) -> Path:
        """Do a training in this process, as a job of its own; its folder."""
        spec = self.spec(number, **changes)
        with part(self.job(number), spec) as job:
            train(job)
        return self.job(number)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root, task, draw = tmp_path_factory.mktemp("world"), load_task(str(TRAILS)), random.Random(0)
    words = ["steep", "flat", "edge", "wide", "mud", "dry", "crowd", "alone"]

    def row(number: int) -> Example:
        said = draw.sample(words, 4)
        target = {name: 10.0 * (words[2 * k] in said) for k, name in enumerate(task.names)}
        return Example(id=f"row-{number}", text=" ".join(said), target=target, source="import")

    rows = [row(number) for number in range(80)]
    said = [m["content"] for r in rows for m in messages_for(task, r.text)]
    base = make_base(root / "base", said + [completion_text(task, r.target) for r in rows])
    write_jsonl(root / "train.jsonl", rows[:64])
    write_jsonl(root / "texts.jsonl", rows[64:])
    return World(root, task, rows, base)


@pytest.fixture(scope="session")
def trained(world: World) -> Path:
    """The folder of a finished training."""
    return world.train(1)
