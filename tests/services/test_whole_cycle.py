"""A beginning and a cycle on all real SDKs, against doubles of every service: what each was asked, once."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.services.world import Said, Services

pytestmark = pytest.mark.services


@dataclass(frozen=True)
class Ran:
    """What a run of everything left."""

    services: Services
    said: Said

    @property
    def document(self) -> dict[str, Any]:
        return self.said.document

    def evaluations(self) -> list[dict[str, Any]]:
        files = (self.services.artifacts / "eval" / "runs").glob("*/eval.json")
        return [json.loads(file.read_text()) for file in files]

    def jobs(self, kind: str) -> list[Path]:
        return sorted((self.services.artifacts / "jobs").glob(f"{kind}-*"))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    with Services(tmp_path_factory.mktemp("services")) as services:
        imported = services.etude("import", str(services.write_rows()), "--name", "mine")
        assert imported.code == 0, imported.err
        yield Ran(services, services.etude("cycle", "--dataset", "mine", "--cycles", "1", "--json"))


def test_every_part_is_the_real_one_and_the_run_ends_well(ran: Ran):
    """Ours: the same command, with keys in the environment."""
    assert ran.document["backends"] == {
        "brain": "mistral", "wandb_mcp": "official", "tracking": "wandb", "teacher": "mistral-large-latest",
        "model": "student", "jobs": "huggingface", "prompt": "ministral-3b-2512",
    }  # fmt: skip
    assert ran.document["begin"]["verdict"] in ("promote", "hold", "undecided")
    (cycle,) = ran.document["cycles"]
    assert cycle["verdict"] in ("promote", "hold", "undecided", "stopped") and cycle["brain"]["usd"] > 0
    prompt, constant = cycle["diagnose"]["prompt"]["vector_mae"], cycle["diagnose"]["constant"]["vector_mae"]
    assert prompt != constant and cycle["gate"] is not None


def test_wandb_has_each_run_and_each_trace_once(ran: Ran):
    """Ours: an evaluation is one run and as many root traces as rows; a training is one run; a verdict is one."""
    (project,) = ran.services.wandb.store.projects.values()
    kinds = Counter(run["jobType"] for run in project.runs.values())
    evaluations = ran.evaluations()
    gates = list((ran.services.artifacts / "loop").glob("*/gate.json"))

    assert ran.services.wandb.unknown == []
    assert kinds == {"eval": len(evaluations), "train": len(ran.jobs("train")), "gate": len(gates)}
    assert {run["state"] for run in project.runs.values()} == {"finished"}
    counted = Counter(call["attributes"]["evaluation_id"] for call in project.calls.values())
    assert counted == {e["evaluation_id"]: e["n"] for e in evaluations}
    made = Counter(r.label for r in ran.services.wandb.requests if r.status == 200)
    assert made["CommitArtifact"] == len(project.artifacts)


def test_what_was_read_back_came_through_the_official_server(ran: Ran):
    """Ours: the snapshot says who answered, and holds the cycle's own evaluation as W&B told it."""
    snapshot = json.loads((ran.services.artifacts / "loop" / "cycle_1" / "mcp_eval_snapshot.json").read_text())

    assert (snapshot["source"], snapshot["server"]["kind"]) == ("wandb_mcp_tools_call", "official")
    assert len(snapshot["calls"]) == 5 and snapshot["failures_len"] > 0
    tools = {tool for tool, _ in ran.services.official.calls}
    assert tools == {
        "query_wandb_tool", "count_weave_traces_tool", "query_weave_traces_tool", "create_wandb_report_tool"
    }  # fmt: skip


def test_wandb_has_a_report_of_each_closed_cycle_once(ran: Ran):
    """Ours: with the words of the draft; the run says where it is."""
    (project,) = ran.services.wandb.store.projects.values()
    (cycle,) = ran.document["cycles"]
    begun, turned = project.reports

    assert "begin_mine" in begun["displayName"] and "cycle_1" in turned["displayName"]
    assert cycle["wandb_report"].endswith(f"--{turned['id']}")
    draft = (ran.services.artifacts / "wandb" / "report_draft.md").read_text()
    told = turned["markdown_report_text"].partition("## Money and time")[0]
    assert draft.startswith(told) and len(told) > 5000


def test_each_text_was_asked_of_each_arm_once(ran: Ran):
    """Ours: what an arm has answered is not asked, or paid for, again in the next cycle."""
    asked = [body for body in ran.services.answers.requests if body["model"] == "ministral-3b-2512"]
    rows = ran.document["dataset"]["rows"]

    questions = Counter(json.dumps(body["messages"]) for body in asked)
    warm_up = 5  # of the first texts, before any is timed
    assert len(questions) == rows["diagnose"] + rows["gate"]
    assert sum(questions.values()) == len(questions) + warm_up


def test_hugging_face_ran_one_job_for_each_training_and_one_to_try_it(ran: Ran):
    """Ours: nothing is submitted, or paid for, twice."""
    submitted = [line for line in ran.services.hub.seen if line == "POST /api/jobs/ada"]

    assert len(ran.jobs("smoke")) == 1
    assert len(submitted) == len(ran.jobs("train")) + 1


def test_the_budget_is_settled_and_holds(ran: Ran):
    """Ours: jobs, teacher and brain share one budget, and nothing stays set aside."""
    lines = [json.loads(line) for line in (ran.services.artifacts / "budget.jsonl").read_text().splitlines()]
    last = {line["key"]: line for line in lines}

    assert {line["event"] for line in last.values()} == {"settle"}
    assert 0 < sum(line["usd"] for line in last.values()) < 30
    assert {key.split("/")[-1].split("-")[0] for key in last} == {"sample", "teach", "train", "smoke"}


def test_no_service_saw_a_sealed_label_and_two_saw_no_sealed_text(ran: Ran):
    """Ours: texts of sealed rows go to a service that has to answer them, and nothing else of them goes anywhere."""
    rows = ran.services.sealed_rows()
    texts = [row["text"] for row in rows]
    at_wandb = b"".join(request.body for request in ran.services.wandb.requests).decode(errors="replace")
    at_hub = "".join(
        blob.decode(errors="replace")
        for repo in ran.services.hub.repos.values()
        for _, tree in repo.commits
        for blob in tree.values()
    )
    assert len(at_wandb) > 10_000 and len(at_hub) > 10_000
    assert [text for text in texts if json.dumps(text)[1:-1] in at_wandb or text in at_wandb] == []
    assert [text for text in texts if json.dumps(text)[1:-1] in at_hub or text in at_hub] == []
    asked = json.dumps(ran.services.answers.requests)
    assert all(json.dumps(text)[1:-1] in asked for text in texts)
    labels = [json.dumps(row["target"]) for row in rows]
    assert [label for label in labels if json.dumps(label)[1:-1] in asked or label in at_wandb + at_hub] == []


def test_no_secret_is_on_the_disk_or_on_the_screen(ran: Ran):
    """Ours: keys are in the environment and nowhere else."""
    files = [path for path in ran.services.artifacts.rglob("*") if path.is_file()]
    assert len(files) > 50
    for secret in ran.services.secrets:
        assert [str(path) for path in files if secret.encode() in path.read_bytes()] == []
        assert secret not in ran.said.out + ran.said.err


def test_syncing_afterwards_finds_everything_there(ran: Ran):
    """Ours: `etude sync` brings W&B up to date once; after a run there is nothing left to do."""
    before = len(ran.services.wandb.requests)

    said = ran.services.etude("sync")

    assert said.code == 0, said.err
    labels = Counter(r.label for r in ran.services.wandb.requests[before:])
    assert not {"UpsertBucket", "CreateArtifact", "CommitArtifact"} & labels.keys()
