"""The arms that answer at once: what they say, in which words, and what they say served it."""

import json
from pathlib import Path

import numpy as np
import pytest

from servers.core.answers import parse_answer
from servers.core.arms import StudentArm, load_arm
from servers.core.dataset import Example
from servers.core.disk import write_jsonl
from servers.core.job_files import SampleSpec, TrainResult, begin_attempt, write_wire
from servers.core.models import model_digest
from servers.core.served import activity
from servers.core.student import Student
from servers.core.task import Task, load_task
from servers.core.workspace import Workspace
from training_jobs.job import Job
from training_jobs.sample import sample

MODEL = "student-0123456789ab"


PLACES = ("trains", "a rainy market", "two old sisters", "winter mornings", "my garden wall", "ships", "the last bus")


def rows(task: Task, n: int = 20) -> list[Example]:
    """Rows whose first dimension follows a word."""
    return [
        Example(
            id=f"r{number}",
            text=f"a {'calm' if number % 2 else 'fast'} piece for {PLACES[number % len(PLACES)]} {number}",
            target=dict.fromkeys(task.names, 50.0) | {task.names[0]: 20.0 if number % 2 else 80.0},
            source="import",
        )
        for number in range(n)
    ]


def trained(workspace: Workspace, task: Task, train: list[Example]) -> TrainResult:
    """A student as a training job leaves it."""
    folder = workspace.job_dir("train-0123456789ab")
    targets = np.array([[row.target[name] for name in task.names] for row in train])
    student = Student.fit([row.text for row in train], targets, task.names, task.scale.low, task.scale.high)
    student.save(folder / "model")
    result = TrainResult(
        job_id="train-0123456789ab",
        model_id=MODEL,
        digest=model_digest(folder / "model"),
        family="student",
        hparams=student.description.hparams.model_dump(),
        dataset="small",
        dataset_version="0123456789abcdef",
        cycle="begin_small",
        train_rows=len(train),
        seconds=1.0,
        versions={},
    )
    write_wire(folder / "result.json", result)
    return result


def swapped_when_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on somebody changes a model's files just before they are read."""
    load = Student.load

    def swap_then_load(folder: Path) -> Student:
        description = folder / "student.json"
        description.write_text(description.read_text().replace('"intercept": 50', '"intercept": 51'))
        return load(folder)

    monkeypatch.setattr(Student, "load", swap_then_load)


def test_the_constant_answers_the_weighted_median_of_the_training_rows(tmp_path: Path):
    """Ours: the baseline minimises the error that is reported, and replayed rows count double."""
    task = load_task("kotone")
    train = [
        Example(id=str(n), text="t", target=dict.fromkeys(task.names, value), source="import", weight=weight)
        for n, (value, weight) in enumerate([(10.0, 1.0), (20.0, 1.0), (90.0, 3.0)])
    ]

    arm = load_arm("constant", Workspace(tmp_path), task, train)

    assert arm.answer(["one", "two"]) == [json.dumps(dict.fromkeys(task.names, 90.0))] * 2
    assert arm.served_by.backend == arm.served_by.model_id == "constant"
    assert len(arm.served_by.digest) == 64


def test_the_rules_move_from_the_middle_and_stay_inside_the_scale(tmp_path: Path):
    """Ours: a rule meets beginnings of words, once each, whatever the case."""
    task = load_task("kotone")
    text = "CALM, calming; sleepy and warm: a gloomy night. Not unwarm."

    vector = parse_answer(load_arm("rule", Workspace(tmp_path), task, []).answer([text])[0], task)

    assert vector == dict.fromkeys(task.names, 50.0) | {"energy": 30.0, "warmth": 70.0, "brightness": 30.0}


def test_a_student_answers_in_strict_json_and_says_which_weights_served(tmp_path: Path):
    """Ours: every row records what served it."""
    task, workspace = load_task("kotone"), Workspace(tmp_path)
    result = trained(workspace, task, rows(task))

    arm = load_arm(MODEL, workspace, task, rows(task))
    vectors = [parse_answer(words, task) for words in arm.answer(["a calm piece", "a fast piece", "", "\ud800"])]

    assert (arm.served_by.model_id, arm.served_by.digest) == (MODEL, result.digest)
    assert vectors[0]["energy"] < 35 < 65 < vectors[1]["energy"]
    assert {vector["warmth"] for vector in vectors} == {50.0}


def test_an_unknown_model_is_refused_with_the_known_ones(tmp_path: Path):
    """Ours: a refusal says what there is; an id is never a path."""
    task, workspace = load_task("kotone"), Workspace(tmp_path)
    trained(workspace, task, rows(task))

    for model in ("student-000000000000", "somebody", "../../etc/passwd", "", "student-0123456789AB"):
        with pytest.raises(ValueError, match=f"no model .* known: constant, rule, {MODEL}; list_models shows all"):
            load_arm(model, workspace, task, [])


def test_files_that_are_not_those_that_were_trained_are_not_served(tmp_path: Path):
    """Ours: a row answered by anything but the model under test invalidates an evaluation."""
    task, workspace = load_task("kotone"), Workspace(tmp_path)
    trained(workspace, task, rows(task))
    model = workspace.job_dir("train-0123456789ab") / "model"

    description = model / "student.json"
    description.write_text(description.read_text().replace('"intercept": 50', '"intercept": 51'))
    with pytest.raises(ValueError, match="not those that were trained; restore them, or call rollback_model"):
        load_arm(MODEL, workspace, task, rows(task))

    for file in model.iterdir():
        file.unlink()
    with pytest.raises(ValueError, match=r"gone from .*; restore them, or call rollback_model"):
        load_arm(MODEL, workspace, task, rows(task))


def test_files_that_are_swapped_while_they_are_loaded_are_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ours: the digest beside every row is that of the bytes that answer, not of those that lay there before."""
    task, workspace = load_task("kotone"), Workspace(tmp_path)
    trained(workspace, task, rows(task))
    swapped_when_loaded(monkeypatch)

    with pytest.raises(ValueError, match="not those that were trained"):
        load_arm(MODEL, workspace, task, rows(task))


def test_a_sampling_from_files_that_are_swapped_leaves_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ours: the same where a job answers, which knows no digest but the one that it takes."""
    task, workspace = load_task("kotone"), Workspace(tmp_path)
    trained(workspace, task, rows(task))
    write_jsonl(tmp_path / "texts.jsonl", [{"id": "a", "text": "a calm piece"}])
    folder = workspace.job_dir("sample-1")
    folder.mkdir()
    begin_attempt(folder)
    spec = SampleSpec(
        job_id="sample-1",
        model_id=MODEL,
        task=task,
        model_dir="../train-0123456789ab/model",
        texts_file="../../texts.jsonl",
    )
    sample(Job(folder, spec))
    assert (folder / "predictions.jsonl").read_text().count("\n") == 1
    (folder / "predictions.jsonl").unlink()
    swapped_when_loaded(monkeypatch)

    with pytest.raises(ValueError, match="changed while it was loaded"):
        sample(Job(folder, spec))

    assert not (folder / "predictions.jsonl").exists()


def test_the_student_stands_on_the_constant_and_the_others_on_nothing(tmp_path: Path):
    """Ours: what a model is held against to see that its training is at work."""
    task, workspace = load_task("kotone"), Workspace(tmp_path)
    trained(workspace, task, rows(task))

    student, constant, rule = (load_arm(model, workspace, task, rows(task)) for model in (MODEL, "constant", "rule"))

    assert student.base is not None and student.base.served_by == constant.served_by
    assert constant.base is None and rule.base is None


def test_a_student_that_learned_nothing_from_the_texts_is_inactive(tmp_path: Path):
    """Ours: all its dimensions are constants, so nothing that was trained speaks."""
    task, workspace = load_task("kotone"), Workspace(tmp_path)
    flat = [row.model_copy(update={"target": dict.fromkeys(task.names, 40.0)}) for row in rows(task)]
    texts = [row.text for row in flat]
    trained(workspace, task, flat)

    idle = load_arm(MODEL, workspace, task, flat)
    (workspace.job_dir("train-0123456789ab") / "result.json").unlink()
    trained(workspace, task, rows(task))
    working = load_arm(MODEL, workspace, task, rows(task))

    for arm, active in ((idle, False), (working, True)):
        assert arm.base is not None
        assert activity(arm.answer(texts), arm.base.answer(texts), arm.base.served_by, task).active is active


def test_a_student_of_another_task_is_refused():
    """Ours: the same number of dimensions does not make it the same task."""
    task = load_task("kotone")
    train = rows(task)
    targets = np.array([[row.target[name] for name in task.names] for row in train])
    backwards = Student.fit([row.text for row in train], targets, task.names[::-1], 0, 100)

    with pytest.raises(ValueError, match="was trained for nostalgia, complexity"):
        StudentArm(task, MODEL, backwards, "0" * 64)
