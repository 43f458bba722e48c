"""Adapters are trained: by TRL, on completions only, on the text tower only, through kills."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from servers.core.answers import Answer, parse_answer
from servers.core.dataset import Example
from servers.core.disk import read_json, read_jsonl
from servers.core.job_files import (
    METRICS,
    RESULT,
    CampaignSpec,
    CampaignTrained,
    TrainResult,
    begin_attempt,
    write_wire,
)
from servers.core.lora import SYSTEM, LoraHparams
from servers.core.models import model_digest
from servers.core.prompting import completion_text
from tests.train.conftest import World
from tests.train.tiny_base import in_eight_bits, make_base
from training_jobs.campaign import campaign
from training_jobs.job import Job, part
from training_jobs.lora.base import load_base
from training_jobs.lora.chat import system_message, training_rows
from training_jobs.lora.checkpoints import NOTE, newest
from training_jobs.lora.training import build_trainer
from training_jobs.train import train

CEILING_S = 180.0


def result_of(job: Path) -> TrainResult:
    return TrainResult.model_validate(read_json(job / RESULT))


def metrics_of(job: Path) -> list[dict[str, Any]]:
    return list(read_jsonl(job / METRICS))


def adapter_layers(job: Path) -> list[str]:
    with safe_open(job / "model" / "adapter_model.safetensors", "pt") as weights:
        return list(weights.keys())


def test_a_training_learns_and_leaves_an_adapter_that_answers(world: World, trained: Path) -> None:
    """Ours: the job's folder holds what a student's does: metrics by step, answers, a model, its digest."""
    metrics = metrics_of(trained)
    losses = [row["objective/train_loss"] for row in metrics if row["_step"]]
    made = result_of(trained)
    answers = [Answer.model_validate(row) for row in read_jsonl(trained / "predictions.jsonl")]

    assert [row["_step"] for row in metrics] == list(range(25))  # 64 rows in batches of 8, two a step, six times
    assert losses[-1] < losses[0] / 3
    assert all("learning_rate" in row for row in metrics if row["_step"])
    measured = [row for row in metrics if "iter_eval/mae_raw" in row]
    assert [row["_step"] for row in measured] == [0, 4, 8, 12, 16, 20, 24]
    assert {f"iter_eval/mae_raw_{name}" for name in world.task.names} <= measured[-1].keys()
    assert measured[-1]["iter_eval/json_valid_rate"] == 1.0
    assert measured[0]["iter_eval/unforced_rate"] == 0.0 and measured[-1]["iter_eval/unforced_rate"] > 0.5
    assert made.digest == model_digest(trained / "model") and made.base == "base" and "torch" in made.versions
    assert {answer.served_by.digest for answer in answers} == {made.digest}
    assert [answer.id for answer in answers] == [row.id for row in world.rows[64:]]
    for answer in answers:
        parse_answer(answer.text, world.task)
    assert not (trained / "checkpoints").exists()


def test_only_the_text_tower_learns(trained: Path) -> None:
    """Ours: the eyes are not what is asked about, and an adapter on them would be weight for nothing."""
    layers = adapter_layers(trained)

    assert all(".language_model." in layer for layer in layers)
    assert len(layers) == 2 * 7 * 2  # two layers, seven matrices each, two halves


def test_an_adapter_knows_its_base_by_name_and_no_path_of_this_machine(world: World, trained: Path) -> None:
    """Ours: what is published says nothing of the machine that made it."""
    for file in (trained / "model").iterdir():
        assert str(world.root).encode() not in file.read_bytes(), file.name
    assert read_json(trained / "model" / "adapter_config.json")["base_model_name_or_path"] == "base"


def test_the_loss_is_on_the_answer_alone_and_a_heavy_row_stands_twice(world: World, tmp_path: Path) -> None:
    """Ours: what the text says is not learned by heart; a replayed row counts as often as its weight."""
    base = load_base(str(world.base), None)
    heavy = world.rows[0].model_copy(update={"weight": 2.0})
    rows = training_rows(world.task, [heavy, world.rows[1]], system_message(base.tokenizer))

    prepared = build_trainer(base, rows, LoraHparams(), 0, tmp_path).train_dataset

    learned = [base.tokenizer.decode([token for token in labels if token != -100]) for labels in prepared["labels"]]
    asked = [world.rows[0], world.rows[0], world.rows[1]]
    assert learned == [completion_text(world.task, row.target) + "</s>" for row in asked]


def test_the_day_of_the_training_is_in_no_question(world: World) -> None:
    """Ours: a chat template that puts in the date would ask something else tomorrow."""
    base = load_base(str(world.base), None)
    (row,) = training_rows(world.task, world.rows[:1], system_message(base.tokenizer))

    words = base.tokenizer.apply_chat_template(row["prompt"], tokenize=False)

    assert SYSTEM in words and "The date is" not in words and world.rows[0].text in words


def test_a_killed_training_goes_on_to_the_same_adapter(world: World, trained: Path) -> None:
    """Ours: a kill costs the steps since the last checkpoint, and changes nothing: not a weight, not a metric."""
    folder = world.root / "killed" / "train-000000000001"  # of the same specification, beside the other's folder
    folder.mkdir(parents=True)
    for file in ("train.jsonl", "texts.jsonl"):
        shutil.copy(world.root / file, world.root / "killed" / file)
    spec = world.spec(1, train_file="../train.jsonl", texts_file="../texts.jsonl")
    write_wire(folder / "spec.json", spec)
    command = [sys.executable, "-m", "training_jobs.train", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + CEILING_S
    while not (folder / "checkpoints" / "checkpoint-9" / NOTE).exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / RESULT).exists()
    whole = folder / "checkpoints" / "checkpoint-9"
    cut = Path(shutil.copytree(whole, folder / "checkpoints" / "checkpoint-23"))  # as a full disk leaves it
    (cut / "optimizer.pt").write_bytes(b"half")
    began = Path(shutil.copytree(whole, folder / "checkpoints" / "checkpoint-22"))  # as a kill leaves it
    (began / NOTE).unlink()

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as second:
        assert second.stdout is not None
        words = iter(second.stdout.readline, "")
        went_on = next(int(line.split()[-1]) for line in words if line.startswith("going on from step "))
        assert 9 <= went_on < 22
        assert next(line for line in words if "saving the adapter" in line)  # all steps done, and killed once more
        second.kill()
    assert not (folder / RESULT).exists()

    with part(folder, spec) as job:
        train(job)

    assert read_json(folder / "status.json")["attempt"] == 3
    assert metrics_of(folder) == metrics_of(trained)
    assert result_of(folder).digest == result_of(trained).digest


def test_a_checkpoint_of_other_work_is_passed_over(tmp_path: Path) -> None:
    """Ours: nobody goes on from where another training was."""
    folder = tmp_path / "checkpoint-3"
    folder.mkdir()
    (folder / NOTE).write_text(
        json.dumps({"schema_version": 1, "work": "a", "step": 3, "base_revision": None, "files": {}})
    )

    assert (newest(tmp_path, "a") or pytest.fail()).folder == folder
    assert newest(tmp_path, "b") is None
    assert not folder.exists()


def test_the_text_model_alone_is_a_base_as_well(world: World, tmp_path: Path) -> None:
    """Ours: a Ministral without eyes has its layers under other names."""
    base = make_base(tmp_path / "blind", [row.text for row in world.rows], with_eyes=False)

    job = world.train(2, base=str(base), hparams={"epochs": 1, "batch_size": 32})

    assert len(adapter_layers(job)) == 2 * 7 * 2


def test_a_base_in_eight_bits_is_read_as_the_numbers_it_stands_for(world: World, tmp_path: Path) -> None:
    """Ours: the base's own weights are FP8, which neither the CPU nor an older GPU computes in."""
    base = in_eight_bits(world.base, tmp_path / "eight")

    job = world.train(7, base=str(base), hparams={"epochs": 1, "batch_size": 32})

    exact, read = load_base(str(world.base), None).model, load_base(str(base), None).model
    for (name, one), other in zip(exact.named_parameters(), read.parameters(), strict=True):
        assert other.dtype == torch.float32
        assert (one - other).abs().max() <= one.abs().max() / 16, name  # three bits behind the first
    assert len(adapter_layers(job)) == 2 * 7 * 2


def test_a_campaign_trains_adapters_and_an_arm_that_cannot_is_noted(world: World) -> None:
    """Ours: both families go through the same campaign."""
    short = {"epochs": 1, "batch_size": 32}
    arms = [world.spec(3, hparams=short), world.spec(4, hparams=short, seed=1), world.spec(5, base="/nowhere")]
    spec = CampaignSpec.model_validate(
        {"schema": 1, "job_id": "campaign-1", "cycle": "cycle_1", "plan_id": "plan", "arms": arms}
    )
    folder = world.root / "jobs" / "campaign-1"
    folder.mkdir()

    begin_attempt(folder)
    campaign(Job(folder, spec))

    done = CampaignTrained.model_validate(read_json(folder / RESULT))
    assert done.models == ["lora-000000000003", "lora-000000000004"]
    assert (
        list(done.failed) == ["train-000000000005"] and "cannot load the base '/nowhere'" in done.failed[arms[2].job_id]
    )
    assert result_of(world.job(3)).digest != result_of(world.job(4)).digest


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base": None}, "needs a base"),
        ({"base": "nobody/nothing"}, "cannot load the base 'nobody/nothing'"),
        ({"hparams": {"max_length": 32}}, "64 of 64 rows have more than 32 tokens"),
        ({"family": "oracle"}, "no family 'oracle'; known: student, lora"),
    ],
)
def test_a_training_that_cannot_be_done_says_why(world: World, changes: dict[str, Any], words: str) -> None:
    """Ours: one line, with what to do."""
    with pytest.raises(ValueError, match=words) as raised:
        world.train(6, **changes)
    assert "\n" not in str(raised.value)


def test_a_training_that_left_no_model_has_failed(world: World, trained: Path, tmp_path: Path) -> None:
    """Ours: result.json alone means success, so it is not written over an empty folder."""
    job = Job(tmp_path, world.spec(1))

    with pytest.raises(ValueError, match="no model files"):
        job.finish(result_of(trained))
    assert not (tmp_path / RESULT).exists()


def test_a_row_keeps_its_words(world: World) -> None:
    """Ours: what a text holds is no markup of the chat."""
    odd = Example(id="x", text="[INST] {text} </s>", target=world.rows[0].target, source="import")
    (row,) = training_rows(world.task, [odd], None)

    assert odd.text in row["prompt"][0]["content"]
