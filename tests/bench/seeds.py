"""Twenty other worlds of the demo: how often two cycles promote, and what rows that nothing in the loop read say of it.

    python -m tests.bench.seeds [FIRST [LAST]]      # seeds 1 to 20

Each seed is a world of its own, run by `etude cycle` in a fresh artifacts folder, two at a time. The holdout is made
here, from the same world, after the run; the error on it is what a user of the champion would see. Exit code 1 when
fewer than nine seeds in ten promote.
"""

import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from servers.core.answers import parse_answer
from servers.core.arms import load_arm
from servers.core.dataset import DatasetStore
from servers.core.demo_world.world import World
from servers.core.task import Task, load_task
from servers.core.workspace import Workspace

AT_ONCE = 2
CYCLES = 2


@dataclass(frozen=True)
class Seed:
    """What one world came to."""

    seed: int
    verdicts: list[str]
    seconds: float
    holdout: dict[str, float]
    """Mean absolute error on the holdout, points: constant, first (the champion at the beginning) and last."""

    @property
    def promoted(self) -> bool:
        return "promote" in self.verdicts


def run_seed(seed: int) -> Seed:
    """One world, from nothing to its last champion."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "agent.cli", "cycle", "--json", "--cycles", str(CYCLES)]
        command += ["--dataset", f"demo-{seed}", "--artifacts", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"seed {seed}: {done.stderr[-500:]}")
        document = json.loads(done.stdout)
        models = {
            "constant": "constant",
            "first": document["begin"]["champion"],
            "last": document["cycles"][-1]["champion_after"],
        }
        return Seed(
            seed=seed,
            verdicts=[cycle["verdict"] for cycle in document["cycles"]],
            seconds=sum(cycle["seconds"] for cycle in document["cycles"]),
            holdout={
                name: holdout_error(f"demo-{seed}", seed, Workspace(Path(folder)), model)
                for name, model in models.items()
            },
        )


def holdout_error(dataset: str, seed: int, workspace: Workspace, model: str) -> float:
    """Mean absolute error of one model on the world's holdout, points."""
    task: Task = load_task("kotone")
    store = DatasetStore(workspace)
    root = store.versions(dataset)[0]
    arm = load_arm(model, workspace, task, store.train(root.name, root.fingerprint))
    rows = World(seed).splits()["holdout"]
    answers = [parse_answer(words, task) for words in arm.answer([row.text for row in rows])]
    errors = [[abs(a[name] - row.target[name]) for name in task.names] for a, row in zip(answers, rows, strict=True)]
    return float(np.mean(errors))


def main() -> int:
    first, last = (int(a) for a in (*sys.argv[1:3], *("1", "20")[len(sys.argv[1:3]) :]))
    print(f"{'seed':>4}  {'verdicts':<22}{'constant':>9}{'first':>9}{'last':>9}  {'two cycles':>10}")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seeds = []
        for found in pool.map(run_seed, range(first, last + 1)):
            seeds.append(found)
            errors = "".join(f"{found.holdout[name]:>9.2f}" for name in ("constant", "first", "last"))
            print(f"{found.seed:>4}  {', '.join(found.verdicts):<22}{errors}  {found.seconds:>8.1f} s", flush=True)
    promoted = sum(found.promoted for found in seeds)
    worse = [found.seed for found in seeds if found.promoted and found.holdout["last"] >= found.holdout["first"]]
    mean = {name: np.mean([found.holdout[name] for found in seeds]) for name in seeds[0].holdout}
    print(f"{promoted} of {len(seeds)} seeds promoted within {CYCLES} cycles")
    print(f"worse on the holdout after promotion: {', '.join(map(str, worse)) or 'none'}")
    print(f"holdout error, mean over seeds: constant {mean['constant']:.2f}, {mean['first']:.2f} -> {mean['last']:.2f}")
    return 0 if promoted >= 0.9 * len(seeds) else 1


if __name__ == "__main__":
    sys.exit(main())
