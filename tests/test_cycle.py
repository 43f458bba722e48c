"""The main job, whole: the command, the agent, five servers over stdio, jobs, and what is left on disk."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from servers.core.task import load_task
from servers.core.workspace import Workspace
from tests.acceptance import check_artifacts, check_document, check_seal
from tests.bench.seeds import holdout_error

ROOMS = {
    "eval": "eval",
    "augment": "augment",
    "retrain": "retrain",
    "playbook": "playbook",
    "wandb": "wandb_local",
}
HANDSHAKE = {"initialize", "server/discover", "notifications/initialized", "notifications/cancelled"}


@dataclass(frozen=True)
class Finished:
    """A run of two cycles on the demo's world, every server behind a recording proxy."""

    document: dict[str, Any]
    artifacts: Path
    methods: list[str]
    stderr: str


def etude(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agent.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    folder = tmp_path_factory.mktemp("cycle")
    artifacts, log = folder / "artifacts", folder / "methods.jsonl"
    proxy = ["-m", "tests.doubles.recording_proxy", str(log), sys.executable]
    servers = {
        name: {"command": sys.executable, "args": [*proxy, "-m", f"servers.{room}", "--artifacts", str(artifacts)]}
        for name, room in ROOMS.items()
    }
    config = folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": servers}))
    done = etude("cycle", "--json", "--artifacts", str(artifacts), "--mcp", str(config))
    assert done.returncode == 0, done.stderr
    methods = [json.loads(line)["method"] for line in log.read_text().splitlines()]
    yield Finished(json.loads(done.stdout), artifacts, methods, done.stderr)


def test_two_cycles_of_the_demo_promote_and_every_verdict_is_borne_out(finished: Finished):
    """Ours: the document of --json has one shape, and a promotion carries its proof."""
    check_document(finished.document)

    assert finished.document["begin"]["verdict"] == "promote"
    assert "promote" in [cycle["verdict"] for cycle in finished.document["cycles"]]


def test_the_last_champion_is_better_on_rows_that_nothing_in_the_loop_read(finished: Finished):
    """Ours: the improvement is true outside the folder that claims it."""
    dataset = Workspace(finished.artifacts).root / "datasets" / "demo"
    assert dataset.is_dir()
    first = finished.document["begin"]["champion"]
    last = finished.document["cycles"][-1]["champion_after"]

    before, after = (holdout_error("demo", 0, Workspace(finished.artifacts), model) for model in (first, last))

    assert after < before - 0.5, (before, after)


def test_every_artifact_of_the_design_is_there(finished: Finished):
    """Ours: names are promises to whoever reads the folder."""
    check_artifacts(finished.document)


def test_no_sealed_text_stands_outside_the_sealed_folder(finished: Finished):
    """Ours: no tool result, trace, ledger, log or file tells a sealed row."""
    assert check_seal(finished.document) == 600


def test_the_agent_asks_for_nothing_but_the_handshake_and_tools(finished: Finished):
    """Ours: a proxy between agent and servers sees no other request."""
    assert set(finished.methods) - HANDSHAKE == {"tools/list", "tools/call"}


def test_the_ledger_and_the_servers_own_trails_tell_the_same_calls(finished: Finished):
    """Ours: every tools/call is in the agent's ledger, and in that of the server that answered it, once."""
    calls = [
        json.loads(line)
        for file in (finished.artifacts / "loop").glob("*/ledger.jsonl")
        for line in file.read_text().splitlines()
    ]
    trails = [
        {"server": file.stem, **json.loads(line)}
        for file in (finished.artifacts / "ledger").glob("*.jsonl")
        for line in file.read_text().splitlines()
    ]

    assert len(calls) == finished.methods.count("tools/call")
    told, kept = (sorted((entry["server"], entry["tool"]) for entry in rows) for rows in (calls, trails))
    assert told == kept and len({entry["call"] for entry in trails}) == len(trails)


def test_the_snapshot_holds_what_came_back_through_the_wandb_server(finished: Finished):
    """Ours: evidence has one way in, and says which server it came from."""
    snapshot = json.loads((finished.artifacts / "loop" / "cycle_1" / "mcp_eval_snapshot.json").read_text())

    assert snapshot["source"] == "wandb_mcp_tools_call"
    assert snapshot["server"]["name"] == "etude-wandb-local" and snapshot["server"]["kind"] == "stand-in"
    assert len(snapshot["failures_top_k"]) == 20


def test_the_second_dataset_begins_anew_in_the_same_folder(finished: Finished):
    """Ours: another world is another champion; cycle numbers go on."""
    done = etude("cycle", "--json", "--cycles", "1", "--dataset", "demo-3", "--artifacts", str(finished.artifacts))

    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["begin"]["verdict"] is not None and document["cycles"][0]["cycle"] == 3


def test_another_task_runs_through_the_same_loop(tmp_path: Path):
    """Ours: other dimensions, another scale, the user's own rows; nothing of it is known to the code."""
    root = Path(__file__).parent.parent / "examples" / "trails"
    options = ["--artifacts", str(tmp_path), "--task", str(root / "task.toml")]
    imported = etude("import", str(root / "reports.jsonl"), "--name", "trails", *options)
    assert imported.returncode == 0, imported.stderr

    done = etude("cycle", "--json", "--cycles", "1", "--dataset", "trails", *options)

    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    check_document(document)
    check_artifacts(document)
    check_seal(document)
    assert document["task"] == load_task(str(root / "task.toml")).name == "trails"
    assert document["begin"]["verdict"] == "promote"
    assert document["backends"]["teacher"] == "recombination"
