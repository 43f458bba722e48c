"""`etude sync` against a double of W&B, with the real wandb and weave in between."""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import run as run_process
from typing import Any

import pytest
from mcp import Client

from servers.core.services import Services
from servers.core.settings import Settings, TrackingSettings
from servers.core.tracking import coordinates, tracker_for
from servers.core.tracking.addresses import run_page, trace_page
from servers.core.tracking.wandb_tracker import WandbTracker
from servers.eval.server import build_room as build_eval
from servers.sync.command import run
from servers.sync.lineage import lineage_of
from tests.doubles.wandb_backend import Received, WandbBackend
from tests.doubles.wandb_faults import Name
from tests.doubles.wandb_store import Project
from tests.sync_world import CYCLE, JOB, MODEL, Ended, Syncs, SyncWorld
from tests.workshop import call

pytestmark = pytest.mark.services

PROJECT = "etude-kotone"
UPLOADS = ("CreateArtifact", "UpsertBucket", "file_stream", "/storage/", "calls/complete", "obj/create")


@dataclass(frozen=True)
class Sent:
    """What two syncs of one world left at W&B."""

    world: SyncWorld
    project: Project
    requests: list[Received]
    first: Ended
    again: Ended
    again_requests: list[Received]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    """A world sent by the command itself, and then once more."""
    world = SyncWorld(tmp_path_factory.mktemp("sent"))
    world.measured("constant")
    world.trained()
    world.judged()
    with WandbBackend() as backend:
        words = [sys.executable, "-m", "agent.cli", "sync", "--json", "--artifacts", str(world.workspace.root)]
        environment = {**os.environ, **backend.environment()}
        first = run_process(words, env=environment, capture_output=True, text=True, stdin=-3, timeout=120)
        before = len(backend.requests)
        again = Syncs(world, backend.environment()).run()
        assert backend.unknown == []
        project = backend.store.found("atelier", PROJECT)
        assert project is not None, first.stderr
        yield Sent(
            world,
            project,
            backend.requests[:before],
            Ended(first.returncode, first.stdout, first.stderr),
            again,
            backend.requests[before:],
        )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SyncWorld:
    """A world with one evaluation; what was sent is noted by service, so each test's double finds it new."""
    world = SyncWorld(tmp_path_factory.mktemp("small"))
    world.measured("constant")
    return world


def evaluation(sent: Sent) -> dict[str, Any]:
    """The run of the one evaluation."""
    (found,) = [one for one in sent.project.runs.values() if one["jobType"] == "eval"]
    return found


def test_sync_says_what_went_up_and_where_to_look(sent: Sent) -> None:
    """Ours: one document for a machine, nothing else on stdout, and nothing at all on stderr."""
    (place,) = json.loads(sent.first.printed)["sent"]

    assert (sent.first.code, sent.first.said) == (0, "")
    counts = {name: place[name] for name in ("runs", "traces", "tables", "artifacts", "runs_there_already")}
    assert counts == {"runs": 5, "traces": 20, "tables": 1, "artifacts": 2, "runs_there_already": 0}
    assert place["url"].endswith("/atelier/etude-kotone")


def test_runs_arrive_with_the_names_the_first_project_gave(sent: Sent) -> None:
    """Ours: job type, group by cycle, tags, config and flat metric names."""
    made = evaluation(sent)

    assert (made["group"], made["tags"], made["displayName"]) == (
        CYCLE,
        ["constant", "small"],
        f"eval-{CYCLE}-constant",
    )
    assert made["config"]["dataset/version"] == sent.world.card.fingerprint
    assert {"eval/mae_raw", "eval/vector_mae", "eval/mse_norm", "eval/mae_raw_energy"} <= set(made["summaryMetrics"])
    assert made["summaryMetrics"]["eval/mae_raw"] == made["summaryMetrics"]["eval/vector_mae"] > 0


def test_a_run_says_truthfully_how_it_ended(sent: Sent) -> None:
    """Ours: W&B shows a training that failed, or that somebody ended, as not finished."""
    states = {id: made["state"] for id, made in sent.project.runs.items()}

    assert states[JOB] == "finished"
    assert states["train-000000000002"] == states["train-000000000003"] == "failed"


def test_history_arrives_in_order(sent: Sent) -> None:
    """Ours: one row a step, each once."""
    rows = sent.project.runs[JOB]["history"]

    assert [(row["_step"], row["iter_eval/mae_raw"]) for row in rows] == [(1, 19.0), (2, 18.0), (4, 16.0)]
    assert rows[0]["objective/train_loss"] == 1.0


def test_each_diagnose_row_is_a_root_trace_of_its_run(sent: Sent) -> None:
    """Ours: an evaluation's rows share one attribute, so counting roots counts rows."""
    made, calls = evaluation(sent), list(sent.project.calls.values())

    assert len(calls) == sent.world.card.rows.diagnose
    assert {(one["parent_id"], one["trace_id"] == one["id"], len(one["id"])) for one in calls} == {(None, True, 32)}
    assert {one["attributes"]["evaluation_id"] for one in calls} == {made["id"]}
    assert {one["wb_run_id"] for one in calls} == {f"atelier/{PROJECT}/{made['id']}"}
    assert all(one["op_name"].startswith(f"weave:///atelier/{PROJECT}/op/evaluate_row:") for one in calls)
    assert {"prediction", "target", "abs_error_by_dim", "json_valid", "latency_ms", "served_by"} <= set(
        calls[0]["output"]
    )


def test_the_worst_rows_stand_in_a_table_with_their_traces(sent: Sent) -> None:
    """Ours: text, target, prediction and error by dimension, worst first, linked to the trace."""
    made = evaluation(sent)
    table = json.loads(made["files"][made["summaryMetrics"]["eval/failures"]["path"]])
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]

    errors = [row["mae_raw"] for row in rows]
    assert errors == sorted(errors, reverse=True) and len(rows) == 20
    worst = sent.project.calls[rows[0]["trace_id"]]
    assert rows[0]["url"].endswith(f"/atelier/{PROJECT}/r/call/{worst['id']}")
    assert rows[0]["text"] == worst["inputs"]["request_text"]
    assert rows[0]["error_energy"] == worst["output"]["abs_error_by_dim"]["energy"]


def test_lineage_goes_from_data_to_weights_to_decision(sent: Sent) -> None:
    """Ours: a dataset version and a model are artifacts; runs say which they used and made."""
    named = {one["id"]: f"{one['type']}:{one['name']}" for one in sent.project.artifacts}
    data, model = "dataset:etude-small", "model:etude-small-model"
    gate = next(one for one in sent.project.runs.values() if one["jobType"] == "gate")

    def of(made: dict[str, Any], what: str) -> list[str]:
        return [named[id] for id in made[what]]

    assert (of(sent.project.runs[JOB], "used"), of(sent.project.runs[JOB], "logged")) == ([data], [model])
    assert of(evaluation(sent), "used") == [data]
    assert of(gate, "used") == [model]
    assert (gate["summaryMetrics"]["gate/outcome"], gate["config"]["candidate"]) == ("hold", MODEL)
    by_name = {one["name"]: one for one in sent.project.artifacts}
    assert set(by_name["etude-small"]["files"]) == {"train.jsonl", "diagnose.jsonl", "card.json"}
    assert sent.world.card.fingerprint in by_name["etude-small"]["aliases"]
    assert set(by_name["etude-small-model"]["files"]) == {"result.json", "model/weights.json"}


def test_a_second_sync_sends_nothing(sent: Sent) -> None:
    """Ours: what arrived is noted, and goes up once."""
    assert sent.again.code == 0
    assert "nothing new sent, 5 runs were there already" in sent.again.printed
    assert [one.label for one in sent.again_requests if any(part in one.label for part in UPLOADS)] == []


def test_nothing_sealed_is_ever_sent(sent: Sent) -> None:
    """Ours: no text of the sealed split is in any byte that W&B received, and no key in what is on disk."""
    received = b"\n".join(one.body for one in sent.requests).decode(errors="replace")

    open_texts = [trace["inputs"]["request_text"] for trace in sent.project.calls.values()]
    assert all(text in received for text in open_texts), "the search would find nothing"
    assert [text for text in sent.world.sealed_texts() if text in received] == []
    files = [path for path in sent.world.workspace.root.rglob("*") if path.is_file()]
    assert [path for path in files if b"k" * 40 in path.read_bytes()] == []


def test_a_file_that_leads_to_the_sealed_split_is_refused(tmp_path: Path) -> None:
    """Ours: a link in an open folder does not open the sealed one."""
    world = SyncWorld(tmp_path)
    world.measured("constant")
    diagnose = world.workspace.dataset_dir("small", world.card.fingerprint) / "diagnose.jsonl"
    diagnose.unlink()
    diagnose.symlink_to(next(world.workspace.sealed_root.rglob("gate.jsonl")))

    (made,) = world.tracker.runs("local", PROJECT)
    with pytest.raises(ValueError, match="leads into the sealed folder"):
        lineage_of(world.workspace, made)


def test_a_sync_that_was_killed_goes_on_and_sends_each_thing_once(tmp_path: Path) -> None:
    """Ours: between arrival and note a record may go twice, under the same id; nothing is lost and nothing double."""
    world = SyncWorld(tmp_path)
    world.measured("constant")
    world.trained(others=False)
    with WandbBackend() as backend:
        syncs = Syncs(world, backend.environment())
        answer_lost = backend.go_wrong("held", on="calls/complete")
        process = syncs.start()
        assert answer_lost.arrived.wait(60)
        process.kill()
        process.join()
        backend.mend()
        second = backend.go_wrong("lost", on="calls/complete")
        ended = syncs.run()
        assert backend.unknown == []

    assert ended.code == 0, ended.said
    assert second.met == 1
    project = backend.store.project("atelier", PROJECT)
    assert {id: made["state"] for id, made in project.runs.items()}[JOB] == "finished"
    assert [row["_step"] for row in project.runs[JOB]["history"]] == [1, 2, 4]
    assert (len(project.runs), len(project.calls)) == (2, 20)
    assert Counter(one["name"] for one in project.artifacts if one["type"] != "run_table") == {
        "etude-small": 1,
        "etude-small-model": 1,
    }


def test_every_failure_is_one_line_and_a_later_sync_completes_it(small: SyncWorld) -> None:
    """Ours: whatever the service answers; nothing is lost, and nothing is there twice."""
    faults: list[tuple[Name, str, str]] = [
        ("401", "Viewer", "refused the key in WANDB_API_KEY"),
        ("garbage", "", "invalid character"),
        ("403", "calls/complete", "does not let this key write there"),
        ("409", "CommitArtifact", "answered 409"),
        ("403", "/storage/run", "its table is not there"),
        ("404", "file_stream", "its end is not there"),
    ]
    with WandbBackend() as backend:
        wrong = {"WANDB_API_KEY": "b" * 40, "WANDB_ENTITY": "atelier"}  # so nobody asks whose key it is
        assert "refused the key in WANDB_API_KEY" in Syncs(small, backend.environment() | wrong).run().said
        syncs = Syncs(small, backend.environment())
        for fault, on, says in faults:
            backend.go_wrong(fault, on=on, times=1000)
            failed = syncs.run()
            backend.mend()
            assert (failed.code, failed.printed) == (1, ""), on
            assert says in failed.said and failed.said.count("\n") == 1
            assert backend.store.api_key not in failed.said
        mended = syncs.run()

    assert mended.code == 0, mended.said
    project = backend.store.project("atelier", PROJECT)
    assert [made["state"] for made in project.runs.values()] == ["finished"]
    assert len(project.calls) == 20
    sent = [one for one in backend.requests if "calls/complete" in one.label and one.status == 200]
    assert len(sent) == 1


def test_busy_and_broken_answers_are_asked_for_again(small: SyncWorld) -> None:
    """Ours: with the service's own delay; the sync does not notice."""
    with WandbBackend() as backend:
        faults = [
            backend.go_wrong("429", on="calls/complete", value="0"),
            backend.go_wrong("half", on="calls/complete"),
            backend.go_wrong("500", on="file_stream"),
            backend.go_wrong("lost", on="CommitArtifact"),
        ]
        ended = Syncs(small, backend.environment()).run()

    assert ended.code == 0, ended.said
    assert [fault.met for fault in faults] == [1, 1, 1, 1]
    assert len(backend.store.project("atelier", PROJECT).calls) == 20


def test_without_a_key_sync_says_what_to_set_and_asks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: weave would ask the terminal for a key; nothing is loaded that could."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)

    code = run(["--artifacts", str(tmp_path)])

    printed, said = capsys.readouterr()
    assert (code, printed) == (1, "")
    assert said == "etude sync: WANDB_API_KEY is not set; make a key at https://wandb.ai/authorize and set it\n"


def test_a_tracker_saves_here_while_w_and_b_is_down_and_sends_later(small: SyncWorld) -> None:
    """Ours: the save succeeds, the note says why it cannot be read there, the next one brings it."""
    with WandbBackend() as backend:
        services = _services(backend)
        tracker = WandbTracker(small.workspace, services, limit_s=12.0)
        ours = [made.model_copy(update={"entity": "atelier"}) for made in small.tracker.runs("local", PROJECT)]
        backend.stop()
        tracker.save_run(ours[0])
        note = tracker.publish("atelier", PROJECT)
        backend.start()
        later = WandbTracker(small.workspace, services).publish("atelier", PROJECT)

    assert note is not None and "etude sync sends it" in note and "\n" not in note
    assert later is None
    assert [made["state"] for made in backend.store.project("atelier", PROJECT).runs.values()] == ["finished"]


@pytest.mark.anyio
async def test_the_eval_server_learns_the_keys_entity_and_publishes_what_it_measured(tmp_path: Path) -> None:
    """Ours: an evaluation's result links to W&B, and its rows can be read there when it returns."""
    world = SyncWorld(tmp_path)
    with WandbBackend() as backend:
        services = _services(backend, project="near-production")
        async with Client(build_eval(world.workspace, world.task, services).server) as judge:
            described = await call(judge, "describe_task")
            measured = await call(judge, "evaluate_model", cycle=CYCLE, model="constant")

    assert (described["entity"], described["project"]) == ("atelier", "near-production")
    assert measured["tracking_note"] is None
    assert measured["run_url"] == f"{backend.url}/atelier/near-production/runs/{measured['run_id']}"
    rows = world.evaluations.rows(measured["evaluation_id"])
    project = backend.store.found("atelier", "near-production")
    assert project is not None and set(project.calls) == {row.trace_id for row in rows}
    assert rows[0].trace_url == f"{backend.url}/atelier/near-production/r/call/{rows[0].trace_id}"
    assert "Viewer" not in Counter(one.label for one in backend.requests[-3:])


def test_pages_are_where_w_and_b_has_them() -> None:
    """Ours: as weave's `ui_url` and wandb's `run.url` say, in the cloud and on a company's own server."""
    own = {"WANDB_BASE_URL": "https://api.company.example/"}

    assert trace_page({}, "ent", "proj", "abc") == "https://wandb.ai/ent/proj/r/call/abc"
    assert run_page({}, "ent", "a b", "abc") == "https://wandb.ai/ent/a%20b/runs/abc"
    assert run_page(own, "ent", "proj", "abc") == "https://app.company.example/ent/proj/runs/abc"


def test_a_configured_entity_needs_no_network(tmp_path: Path) -> None:
    """Ours: and without a key everything is local."""
    world = SyncWorld(tmp_path)
    settings = Settings(tracking=TrackingSettings(entity="team"))
    with_key = Services(settings, {"WANDB_API_KEY": "k" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"})

    assert coordinates(world.workspace, with_key, "kotone") == ("team", PROJECT)
    assert coordinates(world.workspace, Services(settings), "kotone") == ("local", PROJECT)
    assert not isinstance(tracker_for(world.workspace, Services(settings)), WandbTracker)


def _services(backend: WandbBackend, project: str | None = None) -> Services:
    environment = {**os.environ, **backend.environment()}
    return Services(Settings(tracking=TrackingSettings(project=project)), environment)
