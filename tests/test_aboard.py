"""What the program in the container does besides the job itself: checkpoints out and in, and the log of a failure."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.core.disk import write_json, write_jsonl
from tests.doubles.hub import TOKEN, HubDouble
from tests.doubles.hub_repos import Repo
from tests.test_jobs import ROOT, rows, training
from training_jobs.cargo import BOARDING, LANGUAGE_MODELS, Boarding, Place

pytestmark = pytest.mark.services

RESULTS = Place(type="model", repo="ada/etude-kotone-m", folder="job")
LOG = Place(type="dataset", repo="ada/etude-jobs", folder="jobs/j")
CHECKPOINT = {"complete.json": b"{}", "weights.bin": b"weights"}

# Stands in for the training, which has no checkpoints where it takes a second.
STAND_IN = """
import os, sys, time
from pathlib import Path
from huggingface_hub import HfApi
from servers.core.hub import FAILURES
folder = Path(sys.argv[1])
print("has", sorted(path.name for path in folder.glob("checkpoints/*")), flush=True)
made = folder / "checkpoints" / "checkpoint-2"
made.mkdir(parents=True)
(made / "weights.bin").write_bytes(b"newer")
(made / "complete.json").write_text("{}")
(folder / "checkpoints" / "checkpoint-3").mkdir()  # not finished
while True:
    there = HfApi(endpoint=os.environ["HF_ENDPOINT"]).list_repo_files("ada/etude-kotone-m")
    if "job/checkpoints/checkpoint-2/weights.bin" in there:
        break
    time.sleep(0.05)
print("the key is", os.environ["HF_TOKEN"], flush=True)
sys.exit(7)
"""


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    with HubDouble() as double:
        yield double


def test_checkpoints_outlive_a_job_that_fails_and_the_next_attempt_finds_them(tmp_path: Path, hub: HubDouble):
    """Ours: what hours of a rented machine came to is not lost with it; its log is kept, without the key."""
    code = tmp_path / "code"
    (code / "training_jobs").mkdir(parents=True)
    for file in (ROOT / "training_jobs").glob("*.py"):
        (code / "training_jobs" / file.name).write_bytes(file.read_bytes())
    (code / "training_jobs" / "train.py").write_text(STAND_IN)
    _, spec = training(tmp_path)
    mounted = tmp_path / "mounted"
    write_jsonl(mounted / "train.jsonl", rows(30))
    write_json(mounted / "spec.json", spec.model_dump(mode="json", by_alias=True))
    boarding = Boarding(results=RESULTS, log=LOG, checkpoint_s=0.05)
    write_json(mounted / BOARDING, boarding.model_dump(mode="json", by_alias=True))
    hub.repos["dataset", LOG.repo] = Repo("dataset", LOG.repo, private=True)
    model = hub.repos["model", RESULTS.repo] = Repo("model", RESULTS.repo, private=True)
    model.commit({f"job/checkpoints/checkpoint-1/{name}": data for name, data in CHECKPOINT.items()})
    environment = {**os.environ, **hub.environment, "PYTHONPATH": f"{code}{os.pathsep}{ROOT}"}

    done = subprocess.run(
        [sys.executable, "-P", "-m", "training_jobs.aboard", str(mounted)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 7, done.stderr
    assert "has ['checkpoint-1']" in done.stdout
    kept = [path for path in hub.files("model", RESULTS.repo) if path.startswith("job/")]
    assert sorted(kept) == [
        "job/checkpoints/checkpoint-2/complete.json",
        "job/checkpoints/checkpoint-2/weights.bin",
    ]
    log = hub.files("dataset", LOG.repo)["jobs/j/log.txt"].decode()
    assert "has ['checkpoint-1']" in log and "the key is [key]" in log and TOKEN not in log
    assert json.loads((mounted / "spec.json").read_text())["job_id"] == spec.job_id  # what is mounted stays as it was


def test_what_is_installed_there_is_what_was_tested_here():
    """Ours: one list of versions for trainings here and there."""
    here = {
        line
        for name in ("constraints.txt", "constraints-train.txt")
        for line in (ROOT / name).read_text().splitlines()
        if "==" in line
    }

    assert set(LANGUAGE_MODELS) <= here
