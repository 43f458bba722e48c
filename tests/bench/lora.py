"""Our training of an adapter beside a plain TRL script, on the same rows in the same run: a ratio of rows a second.

    make bench-train ARGS="[--base REPOSITORY_OR_FOLDER] [--rows N] [--rounds N]"

The plain script is what the library's own examples do: its trainer with its defaults, and the recipe's batch, rate,
rank and length. Ours is timed alone, and as a job does it: measuring itself before and after, and saving checkpoints.
They take turns, after one round to warm up; the median of each counts. Without a base it is a random Ministral, tiny on
the CPU, of the 3B's size where there is a GPU.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer

from servers.core.dataset import Example
from servers.core.demo_world.world import Request, World
from servers.core.job_files import TrainSpec, begin_attempt, write_wire
from servers.core.lora import LoraHparams
from servers.core.prompting import completion_text
from servers.core.task import Task, load_task
from tests.train.tiny_base import Size, make_base
from training_jobs.job import Job
from training_jobs.lora.base import TEXT_TOWER, Base, device, load_base, number_type
from training_jobs.lora.chat import question, system_message, training_rows
from training_jobs.lora.generating import Answerer
from training_jobs.lora.training import build_trainer, epoch_steps
from training_jobs.lora.watching import WATCHED_ROWS, Watcher

SMALL = Size(width=128, inner=384, layers=4, heads=4, head_width=32)
THREE_B = Size(width=3072, inner=9216, layers=26, heads=32, head_width=128, vocabulary=131072)
WATCHED = 16 if device().type == "cpu" else WATCHED_ROWS


def plain(base: str, task: Task, rows: list[Example], hparams: LoraHparams, folder: Path) -> float:
    """Seconds in the trainer of a script that a person would write."""
    on_cpu = device().type == "cpu"
    loaded = load_base(base, None)  # as ours loads it: reading weights is not what is compared
    system = system_message(loaded.tokenizer)
    chats = [
        {
            "prompt": question(task, row.text, system),
            "completion": [{"role": "assistant", "content": completion_text(task, row.target)}],
        }
        for row in rows
    ]
    trainer = SFTTrainer(
        model=loaded.model,
        args=SFTConfig(
            output_dir=str(folder), num_train_epochs=1, learning_rate=hparams.learning_rate, report_to="none",
            per_device_train_batch_size=hparams.batch_size, max_length=hparams.max_length, save_strategy="no",
            gradient_accumulation_steps=hparams.gradient_accumulation, disable_tqdm=True,
            use_cpu=on_cpu, bf16=not on_cpu,
        ),
        train_dataset=Dataset.from_list(chats),
        processing_class=loaded.tokenizer,
        peft_config=LoraConfig(
            r=hparams.lora_r, lora_alpha=hparams.lora_alpha, lora_dropout=hparams.lora_dropout,
            target_modules=TEXT_TOWER,
        ),
    )  # fmt: skip
    return _seconds(trainer.train)


def ours(base: str, task: Task, rows: list[Example], hparams: LoraHparams, folder: Path, watched: bool) -> float:
    """Seconds in our trainer."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    loaded: Base = load_base(base, None)
    system = system_message(loaded.tokenizer)
    trainer = build_trainer(
        loaded, training_rows(task, rows[WATCHED:], system), hparams, seed=0, checkpoints=folder / "checkpoints"
    )
    if watched:
        spec = TrainSpec(
            schema=1, job_id="train-1", model_id="lora-1", family="lora", hparams=hparams.model_dump(), seed=0,
            task=task,
            dataset="demo", dataset_version="v", cycle="c", plan_id="p", train_file="", texts_file="", base=base,
        )  # fmt: skip
        write_wire(folder / "spec.json", spec)
        begin_attempt(folder)
        steps = epoch_steps(len(rows) - WATCHED, hparams)
        answerer = Answerer(trainer.model, loaded.tokenizer, task, system)
        trainer.add_callback(Watcher(Job(folder, spec), answerer, rows[:WATCHED], steps, None, "work", phases=0))
    else:
        trainer.args.save_strategy = "no"
    return _seconds(trainer.train)


def random_base(folder: Path, task: Task, rows: list[Example]) -> Path:
    """A model of random weights that costs what a real one costs."""
    words = [task.prompt_for(row.text) for row in rows] + [completion_text(task, row.target) for row in rows]
    return make_base(folder, words, size=SMALL if device().type == "cpu" else THREE_B)


def demo_rows(task: Task, count: int) -> list[Example]:
    """So many requests of the demo's world."""
    requests: list[Request] = [request for split in World(0).splits().values() for request in split][:count]
    return [
        Example(
            id=f"r{k}", text=r.text, target={name: float(r.target[name]) for name in task.names}, source="demo-world"
        )
        for k, r in enumerate(requests)
    ]


def _seconds(work: Callable[[], object]) -> float:
    if device().type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device().type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def compare(base: str, task: Task, rows: list[Example], rounds: int, scratch: Path) -> None:
    hparams = LoraHparams(epochs=1)
    ways: dict[str, Callable[[], float]] = {
        "plain TRL script": lambda: plain(base, task, rows[WATCHED:], hparams, scratch / "plain"),
        "ours, training alone": lambda: ours(base, task, rows, hparams, scratch / "alone", watched=False),
        "ours, measuring and saving as a job does": lambda: ours(
            base, task, rows, hparams, scratch / "job", watched=True
        ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            took = way()
            if turn:
                seconds[name].append(took)
    where = torch.cuda.get_device_name() if device().type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{len(rows) - WATCHED} rows, one epoch, {where}, {number_type()}, median of {rounds}")
    usual = statistics.median(seconds["plain TRL script"])
    for name, each in seconds.items():
        median = statistics.median(each)
        print(f"  {name:<45} {(len(rows) - WATCHED) / median:8.1f} rows/s   {usual / median:5.2f} of plain")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", help="what to train on; a random model where not given")
    parser.add_argument("--rows", type=int, default=48 if device().type == "cpu" else 512)
    parser.add_argument("--rounds", type=int, default=2 if device().type == "cpu" else 3)
    wanted = parser.parse_args()
    task = load_task("kotone")
    rows = demo_rows(task, wanted.rows + WATCHED)
    with tempfile.TemporaryDirectory() as scratch:
        base = wanted.base or str(random_base(Path(scratch) / "base", task, rows))
        compare(base, task, rows, wanted.rounds, Path(scratch))


if __name__ == "__main__":
    main()
