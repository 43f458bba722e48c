"""A whole cycle without the agent: a person with any MCP client, doing what get_cycle says."""

import csv
import json
import shutil
from pathlib import Path

import anyio
import pytest

from tests.workshop import Workshop

pytestmark = pytest.mark.anyio
DEMO = "demo-1"  # a world whose first cycle promotes


@pytest.fixture(scope="module")
def beginning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts in which the demo has begun and its first model is the champion."""
    folder = tmp_path_factory.mktemp("beginning")

    async def begin() -> None:
        async with Workshop(folder) as shop:
            await shop.call("prepare_dataset", dataset=DEMO)
            await shop.follow((await shop.call("open_cycle", dataset=DEMO))["cycle"])

    anyio.run(begin)
    return folder


@pytest.fixture(scope="module")
def remedying(beginning: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Artifacts of `cycle_1` as far as its remedies, which come next, and the tools that led there."""
    folder = Path(shutil.copytree(beginning, tmp_path_factory.mktemp("remedying") / "artifacts"))

    async def go_on() -> list[str]:
        async with Workshop(folder) as shop:
            cycle = (await shop.call("open_cycle", dataset=DEMO))["cycle"]
            return await shop.follow(cycle, until="write_playbook")

    return folder, anyio.run(go_on)


@pytest.fixture
def begun(beginning: Path, tmp_path: Path) -> Path:
    """A copy of the beginning for one test."""
    return Path(shutil.copytree(beginning, tmp_path / "artifacts"))


async def test_following_the_next_steps_alone_improves_the_model(remedying: tuple[Path, list[str]], tmp_path: Path):
    """Ours: the tools lead a person through, with the same effect and the same state as the agent's run."""
    so_far, called = remedying
    begun = Path(shutil.copytree(so_far, tmp_path / "artifacts"))
    async with Workshop(begun) as shop:
        opened = await shop.call("open_cycle", dataset=DEMO)  # finds the open one
        called = [*called, *await shop.follow(opened["cycle"])]
        models = await shop.call("list_models", dataset=DEMO)
        lessons = await shop.call("search_playbook", query="diagnose rows error")

    assert opened["cycle"] == "cycle_1" and opened["champion"].startswith("student-")
    assert {"record_context", "augment_dataset", "gate_candidate", "promote_model", "write_report"} <= set(called)
    folder = begun / "loop" / "cycle_1"
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["verdict"] == "promote" and summary["champion_after"] == models["champion"] != opened["champion"]
    playbook = json.loads((folder / "playbook.json").read_text())
    assert len(playbook["remedies"]) >= 3 and all(r["error_after"] is not None for r in playbook["remedies"])
    lines = (folder / "before_after_metrics.csv").read_text(encoding="utf-8").splitlines()
    error = next(row for row in csv.DictReader(lines) if row["metric"] == "vector_mae")
    assert float(error["after"]) == summary["diagnose"]["candidate"]["vector_mae"] != float(error["constant"])
    written = [(entry["cycle"], entry["title"]) for entry in lessons["entries"] if entry["kind"] == "lesson"]
    assert {(f"begin_{DEMO}", "The first model against the constant"), ("cycle_1", "What was aimed at")} <= set(written)
    assert ("cycle_1", "What came out on the diagnose rows") in written
    page = (begun / "wandb" / "report.html").read_text(encoding="utf-8")
    assert all(word in page for word in ("cycle_1", f"begin_{DEMO}", "etude-wandb-local", summary["candidate"]))


async def test_a_beginning_refuses_what_is_out_of_order_with_the_step_that_is_missing(tmp_path: Path):
    """Ours: a refusal names the next valid step."""
    async with Workshop(tmp_path) as shop:
        no_data = await shop.refusal("open_cycle", dataset="demo")
        await shop.call("prepare_dataset", dataset="demo")
        no_cycle = await shop.refusal("evaluate_model", cycle="cycle_1", model="constant")
        begin = (await shop.call("open_cycle", dataset="demo"))["cycle"]
        beginning = await shop.refusal("plan_augmentation", cycle=begin, focus_dimensions=[])
        unjudged = await shop.refusal("promote_model", cycle=begin, candidate="constant")
        untrained = await shop.refusal("gate_candidate", cycle=begin, candidate="rule")
        unmeasured = await shop.refusal("gate_candidate", cycle=begin, candidate="student-000000000000")

    assert "prepare_dataset" in no_data and "open_cycle" in no_cycle and "plan_retrain" in beginning
    assert "gate_candidate" in unjudged and "start_retrain" in untrained and "list_models" in unmeasured


async def test_a_closed_cycle_changes_no_more_and_the_next_one_asks_for_its_steps(begun: Path):
    """Ours: what a verdict was given on stays as it was."""
    async with Workshop(begun) as shop:
        closed = [
            await shop.refusal("evaluate_model", cycle=f"begin_{DEMO}", model="constant"),
            await shop.refusal("plan_retrain", cycle=f"begin_{DEMO}", changes=[]),
            await shop.refusal("write_playbook", cycle=f"begin_{DEMO}", remedies=[], lessons=[]),
        ]
        cycle = (await shop.call("open_cycle", dataset=DEMO))["cycle"]
        no_context = await shop.refusal("plan_augmentation", cycle=cycle, focus_dimensions=["nostalgia"])
        no_gate = await shop.refusal("write_report", cycle=cycle)

    assert all("closed" in said for said in closed)
    assert "record_context" in no_context and "stop_reason" in no_gate


async def test_without_three_remedied_failures_nothing_is_promoted(remedying: tuple[Path, list[str]], tmp_path: Path):
    """Ours: the retrain server asks for them, whoever calls and whatever the gate said."""
    async with Workshop(Path(shutil.copytree(remedying[0], tmp_path / "artifacts"))) as shop:
        cycle = (await shop.call("open_cycle", dataset=DEMO))["cycle"]
        plan = await shop.call("plan_retrain", cycle=cycle, changes=[])
        job = await shop.call("start_retrain", plan_id=plan["plan_id"])
        again = await shop.call("start_retrain", plan_id=plan["plan_id"])
        while job["state"] in ("queued", "running"):
            job = await shop.call("get_job", job_id=job["job_id"], wait_s=20)
        await shop.call("evaluate_model", cycle=cycle, model=job["model"])
        verdict = await shop.call("gate_candidate", cycle=cycle, candidate=job["model"])
        free = await shop.call("gate_candidate", cycle=cycle, candidate=job["model"])
        refused = await shop.refusal("promote_model", cycle=cycle, candidate=job["model"])
        constant = await shop.refusal("promote_model", cycle=cycle, candidate="constant")

    assert again["job_id"] == job["job_id"]
    assert verdict["outcome"] == "promote" and free == verdict and verdict["verdicts_asked"] == 2
    assert verdict["focus_dimensions"] == ["nostalgia", "acousticness"]
    assert "write_playbook" in refused and "constant" in constant


async def test_new_rows_are_filtered_counted_and_only_for_train(begun: Path):
    """Ours: careless rows are found by a second reading; what judges the model does not change."""
    async with Workshop(begun) as shop:
        before = await shop.call("prepare_dataset", dataset=DEMO)
        cycle = (await shop.call("open_cycle", dataset=DEMO))["cycle"]
        await shop.follow(cycle, until="plan_augmentation")
        unknown = await shop.refusal("plan_augmentation", cycle=cycle, focus_dimensions=["loudness"])
        plan = await shop.call("plan_augmentation", cycle=cycle, focus_dimensions=["nostalgia"], new_rows=60)
        made = await shop.call("augment_dataset", plan_id=plan["plan_id"])
        again = await shop.call("augment_dataset", plan_id=plan["plan_id"])
        other = await shop.refusal("plan_augmentation", cycle=cycle, focus_dimensions=["warmth"])
        published = await shop.call("publish_dataset", dataset=DEMO, dataset_version=made["dataset_version"])

    assert "this task has energy" in unknown and "carried out" in other
    assert made == again and made["parent"] == before["dataset_version"]
    assert made["added"] + sum(made["dropped"].values()) == 60 and made["dropped"]["two readings disagree"] >= 3
    assert made["rows"] == {"train": 280 + made["added"], "diagnose": 120, "gate": 600}
    folder = begun / published["path"]
    assert published["files"] == ["README.md", "diagnose.jsonl", "train.jsonl"]
    assert "Synthetic" in (folder / "README.md").read_text()
    assert len((folder / "train.jsonl").read_text().splitlines()) == made["rows"]["train"]


async def test_failures_come_worst_first_and_in_pages(tmp_path: Path):
    """Ours: small answers, with a cursor for more."""
    async with Workshop(tmp_path) as shop:
        await shop.call("prepare_dataset", dataset="demo")
        begin = (await shop.call("open_cycle", dataset="demo"))["cycle"]
        rule = await shop.call("evaluate_model", cycle=begin, model="rule")
        constant = await shop.call("evaluate_model", cycle=begin, model="constant")
        again = await shop.call("evaluate_model", cycle=begin, model="rule")
        first = await shop.call("list_failures", evaluation_id=rule["evaluation_id"], dimension="warmth", limit=50)
        last = await shop.call("list_failures", evaluation_id=rule["evaluation_id"], offset=100, limit=50)
        compared = await shop.call(
            "compare_models",
            champion_evaluation=constant["evaluation_id"],
            candidate_evaluations=[rule["evaluation_id"]],
        )
        wrong = await shop.refusal("list_failures", evaluation_id="eval-0", dimension="warmth")

    errors = [failure["abs_error_by_dim"]["warmth"] for failure in first["failures"]]
    assert again == rule and rule["intervals"].keys() == rule["standard_errors"].keys() >= {"vector_mae", "r2_score"}
    assert errors == sorted(errors, reverse=True) and first["next_offset"] == 50
    assert len(last["failures"]) == 20 and last["next_offset"] is None and last["total"] == 120
    difference = rule["metrics"]["vector_mae"] - constant["metrics"]["vector_mae"]
    assert compared["candidates"][0]["overall"]["difference"] == pytest.approx(difference)
    assert "evaluate_model" in wrong


async def test_an_unknown_argument_is_refused_instead_of_dropped(tmp_path: Path):
    """MCP: the SDK would keep the default of a misspelt optional argument without a word."""
    async with Workshop(tmp_path) as shop:
        said = await shop.refusal("list_failures", evaluation_id="eval-0", dimenson="warmth")

    assert said == "list_failures takes no argument 'dimenson'; it takes evaluation_id, dimension, limit, offset"
