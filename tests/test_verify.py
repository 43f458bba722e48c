"""`etude verify`: a verdict can be computed again by somebody else, and what was meddled with is found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from servers.core.registry import Registry
from servers.core.workspace import Workspace
from servers.eval.verify_command import run
from tests.judge_world import candidate_in, gate, verdicts_file


@pytest.fixture(scope="module")
def judged(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts with one verdict."""
    folder = Path(shutil.copytree(trained, tmp_path_factory.mktemp("judged") / "artifacts"))
    anyio.run(gate, folder)
    return folder


@pytest.fixture
def folder(judged: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(judged, tmp_path / "artifacts"))


def verify(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and document of the command."""
    code = run(["begin_mine", "--artifacts", str(folder), "--json", *words])
    out = capsys.readouterr().out
    return code, json.loads(out) if out else {}


def changed(file: Path, change: Callable[[Any], None]) -> None:
    """Change the first line, or the whole, of a JSON file."""
    first, _, rest = file.read_text().partition("\n") if file.suffix == ".jsonl" else (file.read_text(), "", "")
    value = json.loads(first)
    change(value)
    file.write_text(json.dumps(value) + "\n" + rest)


def differing(found: dict[str, Any]) -> set[str]:
    return {point["what"] for point in found["points"] if point["finding"] == "differs"}


def answers_file(folder: Path, role: str) -> Path:
    (file,) = verdicts_file(folder).parent.glob(f"evidence/*.{role}.jsonl")
    return file


def test_a_verdict_can_be_computed_again_and_agrees(folder: Path, capsys: pytest.CaptureFixture[str]):
    """Ours: everything that the verdict followed from was kept, the models' own words included."""
    code, found = verify(folder, capsys, "--again")

    assert code == 0 and found["agrees"]
    assert [point["what"] for point in found["points"]] == [
        "sealed rows", "level", "verdict", "gate.json", "names", "candidate", "registry",
        "threshold", "task", "leakage", "fitness", "foreseen error", "focus",
        "candidate asked again", "champion asked again", "constant asked again",
    ]  # fmt: skip
    assert {point["finding"] for point in found["points"]} == {"agrees"}
    assert list(verdicts_file(folder).parent.glob("jobs/*")) == [], "the texts were taken away again"


def test_the_sealed_folder_alone_is_enough(folder: Path, capsys: pytest.CaptureFixture[str]):
    """Ours: somebody who has the seal and the cycle's papers needs neither the models nor the evaluations."""
    for name in ("jobs", "eval"):
        shutil.rmtree(folder / name)

    code, found = verify(folder, capsys, "--again")

    unknown = {point["what"] for point in found["points"] if point["finding"] == "cannot be checked"}
    assert code == 0 and unknown == {
        "candidate", "leakage", "fitness", "foreseen error", "candidate asked again"
    }  # fmt: skip


def test_figures_of_a_verdict_without_promotion_are_not_told_while_the_split_judges(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    """Ours: agreement is one word; the difference would teach whoever asks the sealed rows."""
    _, found = verify(folder, capsys)
    stored = json.loads(verdicts_file(folder).read_text())["verdict"]

    assert stored["outcome"] != "promote" and not found["retired"]
    assert found["verdict"]["difference"] is None and found["verdict"]["ci"] is None
    assert not {check["name"] for check in found["verdict"]["checks"]} & set(stored["statistical"])
    assert str(stored["difference"]) not in json.dumps(found)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda record: record["verdict"].update(difference=-5.0), "verdict"),
        (lambda record: record["verdict"].update(outcome="promote"), "verdict"),
        (lambda record: record["question"].update(level=0.05), "level"),
        (lambda record: record["question"]["fitness"].update(json_valid_rate=0.99), "fitness"),
        (lambda record: record["question"].update(expected_standard_error=9.0), "foreseen error"),
        (lambda record: record["question"].update(focus_dimensions=["energy"]), "focus"),
        (lambda record: record["question"]["task"]["gate"].update(max_worse=99.0), "task"),
        (lambda record: record["question"].update(near_copy_threshold=0.9), "threshold"),
    ],
)
def test_a_record_that_was_changed_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Any], None], what: str
):
    """Ours: a verdict that does not follow from what it says it followed from is no verdict."""
    changed(verdicts_file(folder), change)

    code, found = verify(folder, capsys)

    assert code == 1 and not found["agrees"] and what in differing(found)


def test_a_document_that_tells_another_outcome_is_found(folder: Path, capsys: pytest.CaptureFixture[str]):
    """Ours: gate.json is a copy, and may only tell what the seal holds."""
    changed(folder / "loop" / "begin_mine" / "gate.json", lambda gate: gate.update(outcome="promote"))

    code, found = verify(folder, capsys)

    assert code == 1 and differing(found) == {"gate.json"}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"candidate": "student-0123456789ab"}, "candidate"),
        ({"champion": "student-0123456789ab"}, "names"),
        ({"cycle": "cycle_5"}, "names"),
        ({"gate_fingerprint": "0" * 16}, "names"),
    ],
)
def test_a_document_about_something_else_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str], change: dict[str, str], what: str
):
    """Bug: a promotion copied into another cycle, or with another model's name, agreed."""
    ours = folder / "jobs" / f"train-{candidate_in(folder).removeprefix('student-')}"
    other = Path(shutil.copytree(ours, folder / "jobs" / "train-0123456789ab"))
    changed(
        other / "result.json",
        lambda made: made.update(job_id=other.name, model_id="student-0123456789ab", digest="f" * 64),
    )
    changed(folder / "loop" / "begin_mine" / "gate.json", lambda gate: gate.update(change))

    code, found = verify(folder, capsys)

    assert code == 1 and what in differing(found)


def test_a_model_in_service_that_this_verdict_did_not_put_there_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    """Ours: the registry may name a verdict; whether it was one that promotes stands in the seal."""
    gate_file = folder / "loop" / "begin_mine" / "gate.json"
    told = json.loads(gate_file.read_text())
    Registry(Workspace(folder)).put_in_service(
        "mine", told["candidate"], "0" * 64, action="begin", cycle="begin_mine", verdict_id=told["verdict_id"],
        reason="because",
    )  # fmt: skip

    code, found = verify(folder, capsys)

    assert told["outcome"] != "promote" and code == 1 and differing(found) == {"registry"}


def test_open_rows_that_were_meddled_with_do_not_agree(folder: Path, capsys: pytest.CaptureFixture[str]):
    """Bug: an evaluation that is there and invalid counted as one that is not there any more."""
    (file,) = (f for f in (folder / "eval" / "runs").glob("*/rows.jsonl") if '"mode": "student"' in f.read_text())
    changed(file, lambda row: row.update(mae_raw=0.0))

    code, found = verify(folder, capsys)

    assert code == 1 and {"fitness", "foreseen error"} <= differing(found)


def test_answers_that_another_model_gave_do_not_make_a_verdict(folder: Path, capsys: pytest.CaptureFixture[str]):
    """Ours: in the first project a fallback answered for the model under test."""
    changed(answers_file(folder, "candidate"), lambda answer: answer["served_by"].update(digest="0" * 64))

    code, found = verify(folder, capsys)

    assert code == 1 and found["verdict"] is None and "verdict" in differing(found)
    assert "with the weights it was loaded with" in str(found["points"])


def test_answers_that_the_model_does_not_give_are_found_by_asking_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    """Ours: whoever rewrites answers, verdict and document alike is found by the model's own words."""
    words = json.loads(answers_file(folder, "candidate").read_text().splitlines()[0])["text"]
    changed(answers_file(folder, "candidate"), lambda answer: answer.update(text=words.replace(".", "") + " "))

    _, found = verify(folder, capsys, "--again")

    assert "candidate asked again" in differing(found)


def test_sealed_rows_that_were_changed_end_it_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]):
    """Ours: without the rows that were judged on there is nothing to recompute."""
    changed(verdicts_file(folder).with_name("gate.jsonl"), lambda row: row.update(text="another"))

    code = run(["begin_mine", "--artifacts", str(folder)])

    assert code == 1 and "are missing or changed; restore the file" in capsys.readouterr().err


def test_a_cycle_without_a_verdict_says_so(folder: Path, capsys: pytest.CaptureFixture[str]):
    """Ours: a candidate that was unfit for service spent none."""
    verdicts_file(folder).write_text("")

    code = run(["begin_mine", "--artifacts", str(folder)])

    assert code == 1 and "begin_mine spent no verdict" in capsys.readouterr().err
    assert candidate_in(folder)
