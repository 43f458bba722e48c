"""The judge through its tools: what a verdict costs, what survives a crash, and what never gets out."""

import json
import os
import shutil
from multiprocessing import get_context
from pathlib import Path

import anyio
import pytest
from mcp import Client

from servers.core.dataset import DatasetStore
from servers.core.evaluations import EvaluationStore
from servers.core.registry import Registry
from servers.core.task import Scale
from servers.core.workspace import Workspace
from servers.eval.custody import Custody
from servers.eval.server import build_room
from tests.judge_world import COPIES, KOTONE, call, candidate_in, gate, verdicts_file

pytestmark = pytest.mark.anyio
FORK = get_context("fork")  # children that need not import everything again


def test_the_gate_counts_near_copies_once_however_many_there_are(folder: Path):
    """Bug: with groups over a tenth of a small sealed split, copies counted as evidence of their own."""
    verdict = anyio.run(gate, folder)

    assert verdict["clusters"] * COPIES == verdict["n"] >= 20


def test_a_judge_that_dies_before_its_verdict_is_kept_has_spent_and_shown_nothing(folder: Path, tmp_path: Path):
    """Ours: after the crash the same question gets the verdict that it would have got."""
    undisturbed = anyio.run(gate, Path(shutil.copytree(folder, tmp_path / "undisturbed")))

    def die() -> None:
        Custody.append_verdict = lambda *_: os._exit(9)  # type: ignore[assignment, method-assign]  # the child dies here
        anyio.run(gate, folder)

    process = FORK.Process(target=die)
    process.start()
    process.join(30)
    assert process.exitcode == 9
    assert verdicts_file(folder).read_text() == "" and not (folder / "loop" / "begin_mine" / "gate.json").exists()
    kept = sorted(file.name.split(".")[1] for file in verdicts_file(folder).parent.glob("evidence/*"))
    assert kept == ["candidate", "champion", "constant"]

    verdict = anyio.run(gate, folder)

    assert verdict | {"asked_at": ""} == undisturbed | {"asked_at": ""}
    assert len(verdicts_file(folder).read_text().splitlines()) == verdict["verdicts_asked"] == 1


def test_a_verdict_whose_document_was_lost_is_written_again_for_free(folder: Path):
    """Ours: what was spent lies in the sealed folder; gate.json is a copy of what may be shown."""
    first = anyio.run(gate, folder)
    document = folder / "loop" / "begin_mine" / "gate.json"
    written = document.read_text()
    document.unlink()

    assert anyio.run(gate, folder) == first and document.read_text() == written
    assert len(verdicts_file(folder).read_text().splitlines()) == 1


def test_two_processes_that_ask_at_once_get_one_verdict(folder: Path):
    """Ours: the second waits for the first, and finds its verdict."""
    processes = [FORK.Process(target=anyio.run, args=(gate, folder)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0]
    assert len(verdicts_file(folder).read_text().splitlines()) == 1


async def test_the_same_weights_under_another_name_get_their_verdict_under_that_name(folder: Path):
    """Bug: gate.json named the model that was judged first, so the one that was asked for could never be promoted."""
    first = await gate(folder)
    ours = folder / "jobs" / f"train-{first['candidate'].removeprefix('student-')}"
    copy = Path(shutil.copytree(ours, folder / "jobs" / "train-0123456789ab"))
    result = json.loads((copy / "result.json").read_text())
    result |= {"job_id": copy.name, "model_id": "student-0123456789ab"}
    (copy / "result.json").write_text(json.dumps(result))
    await call(folder, "evaluate_model", cycle="begin_mine", model="student-0123456789ab")

    again = await gate(folder, "student-0123456789ab")

    assert again == first | {"candidate": "student-0123456789ab"}


@pytest.mark.parametrize("who", ["constant", "student"])
async def test_candidate_and_champion_are_measured_before_they_are_judged(folder: Path, who: str):
    """Ours: what the verdict may show is foreseen from the diagnose rows of both."""
    files = (folder / "eval" / "runs").glob("*/eval.json")
    (theirs,) = (file for file in files if json.loads(file.read_text())["model"].startswith(who))
    shutil.rmtree(theirs.parent)

    refused, text, _ = await call(folder, "gate_candidate", cycle="begin_mine", candidate=candidate_in(folder))

    model = who if who == "constant" else candidate_in(folder)
    assert refused and f"{model!r} is not measured in begin_mine; call evaluate_model with it first" in text
    assert verdicts_file(folder).read_text() == ""


async def test_one_candidate_a_cycle_is_judged(folder: Path):
    """Bug: a cycle could put one candidate after the other to the gate, and end with the verdict that it liked."""
    await gate(folder)
    document = folder / "loop" / "begin_mine" / "gate.json"
    other = json.loads(document.read_text()) | {"verdict_id": "verdict-000000000000", "candidate": "student-other"}
    document.write_text(json.dumps(other))

    refused, text, _ = await call(folder, "gate_candidate", cycle="begin_mine", candidate=candidate_in(folder))
    verdicts_file(folder).write_text("")
    spent, again, _ = await call(folder, "gate_candidate", cycle="begin_mine", candidate=candidate_in(folder))

    assert refused and spent and f"{other['outcome']!r} on 'student-other'" in text == again
    assert json.loads(document.read_text()) == other and verdicts_file(folder).read_text() == ""


@pytest.mark.parametrize("left", [None, '{"verdict_id": "verdict-1"'])
async def test_without_knowing_what_was_spent_nothing_is_judged(folder: Path, left: str | None):
    """Bug: a lost or cut file of verdicts read as none, which gave back all that was spent."""
    await gate(folder)
    file = verdicts_file(folder)
    file.unlink() if left is None else file.write_text(left)

    refused, text, _ = await call(folder, "gate_candidate", cycle="begin_mine", candidate=candidate_in(folder))

    assert refused and "are missing or cut short; restore the file" in text


async def test_a_damaged_verdict_is_refused_without_its_content(folder: Path):
    """Bug: the refusal quoted what stood in the sealed file."""
    await gate(folder)
    file = verdicts_file(folder)
    stored = json.loads(file.read_text())
    stored["verdict"]["difference"] = "minus-one-and-a-half"
    file.write_text(json.dumps(stored) + "\n")

    refused, text, _ = await call(folder, "gate_candidate", cycle="begin_mine", candidate=candidate_in(folder))

    assert refused and "Record: verdict.difference" in text and "minus-one-and-a-half" not in text and "\n" not in text


async def test_a_verdict_tells_no_word_id_or_answer_of_a_sealed_row(folder: Path):
    """Ours: looked for in every file outside the sealed folder, and in what the tool said."""
    verdict = await gate(folder)
    workspace = Workspace(folder)
    judged = Custody(workspace, KOTONE).gate(DatasetStore(workspace).head("mine"))
    words = {row.text.split()[-1] for row in judged} | {row.text.rpartition(" ")[0] for row in judged}

    files = [path for path in folder.rglob("*") if path.is_file() and folder / "sealed" not in path.parents]
    outside = b"\n".join(path.read_bytes() for path in files).decode(errors="replace") + json.dumps(verdict)

    assert len(judged) == verdict["n"] and not [word for word in words if word in outside]


async def test_a_task_that_changed_since_the_import_is_refused_before_anything_is_measured(folder: Path):
    """Bug: the tools failed without a word, or counted every answer as invalid."""
    other = KOTONE.model_copy(update={"scale": Scale(low=0, high=10)})
    async with Client(build_room(Workspace(folder), other).server) as client:
        scale = await client.call_tool("prepare_dataset", {"dataset": "mine"})
    fewer = KOTONE.model_copy(update={"dimensions": KOTONE.dimensions[:2]})
    async with Client(build_room(Workspace(folder), fewer).server) as client:
        dimensions = await client.call_tool("prepare_dataset", {"dataset": "mine"})

    for result in (scale, dimensions):
        assert result.is_error and "import the rows again" in str(result.content)


async def test_a_comparison_on_diagnose_rows_counts_near_copies_once(folder: Path):
    """Bug: as in the gate, groups over a tenth of a small split were parted."""
    one, other = sorted(path.name for path in (folder / "eval" / "runs").iterdir())

    refused, text, found = await call(folder, "compare_models", champion_evaluation=other, candidate_evaluations=[one])

    assert not refused, text
    (compared,) = found["candidates"]
    assert compared["overall"]["clusters"] * COPIES == compared["overall"]["n"]


@pytest.mark.parametrize("who", ["constant", "student"])
async def test_an_invalid_evaluation_does_not_reach_the_gate_and_spends_nothing(folder: Path, who: str):
    """Ours: neither candidate nor champion is judged by what another model answered."""
    (file,) = (f for f in (folder / "eval" / "runs").glob("*/rows.jsonl") if f'"mode": "{who}"' in f.read_text())
    rows_there = [json.loads(line) for line in file.read_text().splitlines()]
    rows_there[0]["served_by"]["digest"] = "f" * 64
    file.write_text("".join(json.dumps(row) + "\n" for row in rows_there))

    refused, text, _ = await call(folder, "gate_candidate", cycle="begin_mine", candidate=candidate_in(folder))

    assert refused and f"evaluation {file.parent.name!r} is invalid: a row was answered by" in text
    assert verdicts_file(folder).read_text() == ""


async def test_an_evaluation_under_another_digest_than_the_training_left_is_invalid(folder: Path):
    """Ours: files that agree with one another, but not with the job that made the model."""
    evaluations = EvaluationStore(Workspace(folder))
    (found,) = (e for e in evaluations.all() if e.arm == "student")
    for file in (folder / "eval" / "runs" / found.evaluation_id).iterdir():
        file.write_text(file.read_text().replace(found.served_by.digest, "f" * 64))

    with pytest.raises(ValueError, match=r"is invalid: 'student-[0-9a-f]{12}' was trained to other weights"):
        evaluations.verified(found.evaluation_id)


async def test_an_evaluation_says_whether_the_training_is_at_work(folder: Path):
    """Ours: the student beside its base, the constant, on the same rows."""
    found = {e.arm: e.differs_from_base for e in EvaluationStore(Workspace(folder)).all()}

    assert found["constant"] is None
    assert found["student"] is not None and found["student"].base == "constant" and found["student"].active


async def test_several_candidates_are_compared_at_once_and_pay_for_their_number(folder: Path):
    """Ours: lowest error first, each p-value raw and corrected, and nothing broken where both answer one constant."""
    await call(folder, "evaluate_model", cycle="begin_mine", model="rule")
    found = {e.arm: e.evaluation_id for e in EvaluationStore(Workspace(folder)).all()}

    refused, text, compared = await call(
        folder,
        "compare_models",
        champion_evaluation=found["constant"],
        candidate_evaluations=[found["rule"], found["student"]],
    )

    assert not refused, text
    candidates = compared["candidates"]
    assert {c["evaluation_id"] for c in candidates} == {found["rule"], found["student"]}
    assert candidates[0]["overall"]["difference"] <= candidates[1]["overall"]["difference"]
    for candidate in candidates:
        assert candidate["corrected_p_better"] >= candidate["overall"]["p_better"]
        assert all(d["corrected_p"] >= d["p"] for d in candidate["by_dimension"].values())
    # Six groups show nothing of the little that the student has learned: nobody is named the best.
    assert all(c["corrected_p_better"] > compared["level"] for c in candidates) and compared["best"] is None
    assert set(compared["indistinguishable"]) == {"rule", candidate_in(folder)}


async def test_a_champion_with_other_weights_than_were_put_into_service_is_not_compared_with(folder: Path):
    """Ours: the registry says whose weights serve; a name alone could stand for any."""
    registry = folder / "models" / "registry.json"
    Registry(Workspace(folder)).put_in_service(
        "mine", "constant", "f" * 64, action="begin", cycle="begin_mine", verdict_id="verdict-0", reason="so it was"
    )
    assert registry.exists()

    refused, text, _ = await call(folder, "gate_candidate", cycle="begin_mine", candidate=candidate_in(folder))

    assert refused and "'constant' has not the weights that were put into service" in text
    assert verdicts_file(folder).read_text() == ""


@pytest.mark.parametrize(("added", "aimed_at"), [(3, ["warmth"]), (0, [])])
async def test_a_candidate_is_held_to_an_aim_only_where_rows_came_of_it(folder: Path, added: int, aimed_at: list[str]):
    """Ours: a candidate of another recipe was not made for the dimensions that nobody could write rows for."""
    spec = {"focus_dimensions": ["warmth"], "outcome": {"added": added}}
    (folder / "loop" / "begin_mine" / "augmentation_spec.json").write_text(json.dumps(spec))

    assert (await gate(folder))["focus_dimensions"] == aimed_at
