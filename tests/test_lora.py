"""The lora family as servers see it: recipes, specifications, cards. Trainings themselves are in tests/train."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from servers.core.answers import ServedBy
from servers.core.evaluations import Evaluation
from servers.core.job_files import TrainResult, TrainSpec, read_spec, write_wire
from servers.core.lora import LoraHparams
from servers.core.model_card import model_card
from servers.core.settings import ModelSettings
from servers.core.task import load_task

KOTONE = load_task("kotone")
MADE: dict[str, Any] = {
    "schema": 1, "job_id": "train-000000000001", "model_id": "lora-000000000001", "digest": "d" * 64, "family": "lora",
    "hparams": LoraHparams().model_dump(), "dataset": "kotone", "dataset_version": "v1", "cycle": "cycle_1",
    "train_rows": 500, "base": ModelSettings().base, "base_revision": "abc", "seconds": 60.0, "versions": {"trl": "1"},
}  # fmt: skip


def lora_spec(**changes: Any) -> TrainSpec:
    whole = {
        "schema": 1, "job_id": "train-000000000001", "model_id": "lora-000000000001", "family": "lora",
        "hparams": LoraHparams().model_dump(), "seed": 0, "task": KOTONE, "dataset": "kotone", "dataset_version": "v1",
        "cycle": "cycle_1", "plan_id": "plan", "train_file": "train.jsonl", "texts_file": "texts.jsonl",
        "base": ModelSettings().base,
    }  # fmt: skip
    return TrainSpec.model_validate(whole | changes)


def evaluation(**changes: Any) -> Evaluation:
    served_by = ServedBy(backend="fine_tuned", model_id=MADE["model_id"], digest=MADE["digest"])
    whole: dict[str, Any] = {
        "schema": 1, "evaluation_id": "eval-1", "cycle": "cycle_1", "model": MADE["model_id"], "arm": "fine_tuned",
        "served_by": served_by, "dataset": "kotone", "dataset_version": "v1", "diagnose_fingerprint": "f", "n": 120,
        "n_invalid": 2, "created_at": "", "entity": "e", "project": "p", "run_id": "r", "run_url": "u",
        "metrics": {"vector_mae": 9.25, "mae_raw_energy": 8.5, "json_valid_rate": 0.983, "r2_score": None},
        "standard_errors": {}, "intervals": {"vector_mae": (8.5, 10.0)},
    }  # fmt: skip
    return Evaluation.model_validate(whole | changes)


def test_the_default_recipe_is_the_first_projects() -> None:
    """Ours: what worked there is where we begin; its second cycle's plan is a recipe too."""
    first = LoraHparams()

    assert (first.learning_rate, first.epochs) == (2e-5, 2)
    assert (first.lora_r, first.lora_alpha, first.lora_dropout) == (16, 32, 0.05)
    assert LoraHparams(learning_rate=1.2e-5, epochs=3) != first


def test_every_part_of_a_recipe_has_its_range() -> None:
    """Ours: a plan that is refused is told what it may say."""
    limits = LoraHparams.model_json_schema()["properties"]

    assert all({"minimum", "maximum", "default"} <= one.keys() for one in limits.values())
    with pytest.raises(ValidationError):
        LoraHparams(learning_rate=1.0)


def test_a_specification_is_the_same_after_a_trip_through_its_file(tmp_path: Path) -> None:
    """Ours: what a server asks for is what the job reads, on whatever machine."""
    spec = lora_spec()
    write_wire(tmp_path / "spec.json", spec)

    assert read_spec(tmp_path) == spec


@pytest.mark.skipif(
    importlib.util.find_spec("torch") is not None,
    reason="with torch the words about a machine without it cannot be seen; make test has none",
)
def test_a_machine_without_torch_says_what_to_type(tmp_path: Path) -> None:
    """Ours: an import error of a library is no answer."""
    write_wire(tmp_path / "spec.json", lora_spec())

    done = subprocess.run(
        [sys.executable, "-m", "training_jobs.train", str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and "make setup-train" in done.stderr and done.stderr.count("\n") == 1


def test_a_card_has_the_evaluation_with_its_interval() -> None:
    """Ours: a figure without its uncertainty is no figure; what was not measured is not in it."""
    card = model_card(KOTONE, TrainResult.model_validate(MADE), evaluation())

    assert card.startswith("---\n") and f"base_model: {MADE['base']}\n" in card
    assert "| `vector_mae` | 9.25 | 8.5 to 10 |" in card
    assert "| `mae_raw_energy` | 8.5 |  |" in card and "120 rows" in card and "2 answers were invalid" in card
    assert "r2_score" not in card
    assert "| `learning_rate` | 2e-05 |" in card and MADE["digest"] in card


def test_a_card_of_a_model_that_was_not_measured_says_so() -> None:
    """Ours: no figures, and a base that is a folder leads nowhere on the Hub."""
    card = model_card(KOTONE, TrainResult.model_validate(MADE | {"base": "mine"}), None)

    assert "Not measured yet." in card and "base_model" not in card and "`mine`" in card


def test_a_card_with_another_models_evaluation_is_refused() -> None:
    """Ours: figures belong to the weights that they were measured on."""
    other = ServedBy(backend="fine_tuned", model_id="lora-000000000002", digest="e" * 64)

    with pytest.raises(ValueError, match="not of 'lora-000000000001'"):
        model_card(KOTONE, TrainResult.model_validate(MADE), evaluation(served_by=other))
