"""Saved adapters answer: many at a time or timed one by one, with their base beside them, and merged into it."""

import sys
from pathlib import Path
from typing import Any

import pytest

from servers.core.answers import Answer, parse_answer
from servers.core.disk import read_json, read_jsonl, write_jsonl
from servers.core.job_files import BASE_PREDICTIONS, PREDICTIONS, RESULT, SampleResult, SampleSpec, begin_attempt
from servers.core.models import model_digest
from tests.train.conftest import World
from training_jobs.job import Job
from training_jobs.lora.adapter import put_on
from training_jobs.lora.base import load_base
from training_jobs.lora.generating import Answerer
from training_jobs.lora.merge import main
from training_jobs.sample import sample


def ask(world: World, folder: Path, **changes: Any) -> tuple[list[Answer], list[Answer]]:
    """Do a sampling of the diagnose rows; the answers, and the base's."""
    folder.mkdir()
    write_jsonl(folder / "texts.jsonl", [{"id": row.id, "text": row.text} for row in world.rows[64:]])
    whole = {
        "schema": 1, "job_id": "sample-1", "model_id": "lora-000000000001", "task": world.task, "arm": "fine_tuned",
        "model_dir": str(world.job(1) / "model"), "base": str(world.base), "texts_file": "texts.jsonl",
    }  # fmt: skip
    begin_attempt(folder)
    sample(Job(folder, SampleSpec.model_validate(whole | changes)))
    first, second = (
        [Answer.model_validate(row) for row in read_jsonl(folder / name)] for name in (PREDICTIONS, BASE_PREDICTIONS)
    )
    return first, second


def test_a_saved_adapter_answers_as_it_did_when_it_was_trained(world: World, trained: Path, tmp_path: Path) -> None:
    """Ours: the judge measures what was trained, row for row."""
    answers, _ = ask(world, tmp_path / "sample")

    assert answers == [Answer.model_validate(row) for row in read_jsonl(trained / PREDICTIONS)]
    made = SampleResult.model_validate(read_json(tmp_path / "sample" / RESULT))
    assert (made.rows, made.digest) == (16, model_digest(trained / "model"))


def test_the_base_answers_beside_it_and_otherwise(world: World, trained: Path, tmp_path: Path) -> None:
    """Ours: where base and adapter answer alike, the adapter is not at work; and nobody takes one for the other."""
    answers, base = ask(world, tmp_path / "sample", with_base=True)

    assert [answer.id for answer in base] == [answer.id for answer in answers]
    assert [answer.text for answer in base] != [answer.text for answer in answers]
    assert {(a.served_by.backend, a.served_by.model_id) for a in base} == {("prompt", "base")}
    for answer in base:
        parse_answer(answer.text, world.task)


def test_the_first_requests_are_timed_one_by_one(world: World, trained: Path, tmp_path: Path) -> None:
    """Ours: a latency is that of a request of its own; together or alone, the answers are the same."""
    answers, _ = ask(world, tmp_path / "sample", timed=3)

    assert [answer.latency_ms is not None for answer in answers] == [True] * 3 + [False] * 13
    assert [answer.text for answer in answers] == [row["text"] for row in read_jsonl(trained / PREDICTIONS)]


def test_a_merged_model_answers_like_the_adapter(
    world: World, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: whoever serves without PEFT serves the same model."""
    out = tmp_path / "merged"
    monkeypatch.setattr(sys, "argv", ["merge", str(trained), str(out)])
    assert main() == 0
    texts = [row.text for row in world.rows[64:]]

    merged = load_base(str(out), None)

    assert read_json(out / "config.json")["dtype"] == "bfloat16"
    system = read_json(trained / "model" / "adapter.json")["system"]
    words = [one.text for one in Answerer(merged.model, merged.tokenizer, world.task, system).answer(texts)]
    assert words == [row["text"] for row in read_jsonl(trained / PREDICTIONS)]
    assert main() == 1 and "is not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_dir": None}, "needs the adapter's folder"),
        ({"model_dir": "."}, "holds no adapter"),
        ({"base": None}, "trained on a folder 'base', which is not here"),
    ],
)
def test_a_sampling_that_cannot_be_done_says_why(
    world: World, trained: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    """Ours: one line, with what to do."""
    with pytest.raises(ValueError, match=words):
        ask(world, tmp_path / "sample", **changes)


def test_an_adapter_is_not_asked_another_question(world: World, trained: Path, tmp_path: Path) -> None:
    """Ours: a model that was trained for another prompt would be measured on what it never learned."""
    other = world.task.model_copy(update={"prompt": "Rate this: {text}"})

    with pytest.raises(ValueError, match="another prompt"):
        ask(world, tmp_path / "sample", task=other)


def test_an_adapter_that_does_not_fit_is_refused(world: World, trained: Path, tmp_path: Path) -> None:
    """Ours: damaged weights are one clear error."""
    folder = tmp_path / "model"
    folder.mkdir()
    for file in (trained / "model").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "adapter_model.safetensors").write_bytes(b"half")

    with pytest.raises(ValueError, match="cannot be put on 'base'"):
        put_on(load_base(str(world.base), None), folder)
