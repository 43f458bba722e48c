"""The demo world, cycle by cycle, under four policies: what a user of the champion would see on the holdout.

    python -m tests.proof.policies [SEEDS [CYCLES]]      # seeds 1 to 20, ten cycles each

Étude is the command itself, `etude cycle`, in a fresh folder for each seed. The others have the same student, splits
and number of new rows in a cycle, in this process. Exit code 1 when Étude's champion after three cycles is above 0.66
of the constant's error on the mean over the seeds, or when over 5 % of its promotions made the holdout worse.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from servers.core.workspace import Workspace
from tests.bench.seeds import holdout_error
from tests.proof.first_project import first_project
from tests.proof.point_estimate import point_estimate
from tests.proof.section import in_processes, print_section, table
from tests.proof.world_rows import Course

SEEDS, CYCLES = 20, 10
BOUND_AFTER, BOUND_RATIO, BOUND_HARMFUL = 3, 0.66, 0.05
ETUDE, POINT, NEVER = "Étude", "promote on a point estimate", "never promote"
FIRST, FIRST_FROM_TRAIN = "the first project's policy", "the same, made from train rows"


@dataclass(frozen=True)
class Seed:
    """What one world came to."""

    constant: float
    """Error of the train median on the holdout, points."""
    courses: dict[str, Course]


def etude(seed: int, cycles: int) -> tuple[float, Course]:
    """The constant's holdout error, and what the command made of one world."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "agent.cli", "cycle", "--json", "--brain", "offline", "--cycles", str(cycles)]
        command += ["--dataset", f"demo-{seed}", "--artifacts", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"seed {seed}: {done.stderr[-500:]}")
        document = json.loads(done.stdout)
        champions = [document["begin"]["champion"], *(cycle["champion_after"] for cycle in document["cycles"])]
        champions += champions[-1:] * (cycles + 1 - len(champions))  # a run that ended early keeps its champion
        workspace = Workspace(Path(folder))
        errors = {model: holdout_error(f"demo-{seed}", seed, workspace, model) for model in {"constant", *champions}}
    return errors["constant"], Course(
        errors=[errors[model] for model in champions],
        promoted=[champions[k] != champions[k - 1] for k in range(1, len(champions))],
        reported=[],
    )


def run_seed(cycles: int, seed: int) -> Seed:
    """One world under every policy."""
    constant, ours = etude(seed, cycles)
    never = Course(errors=[ours.errors[0]] * (cycles + 1), promoted=[False] * cycles, reported=[])
    courses = {
        ETUDE: ours,
        POINT: point_estimate(seed, cycles),
        NEVER: never,
        FIRST: first_project(seed, cycles, made_from="diagnose"),
        FIRST_FROM_TRAIN: first_project(seed, cycles, made_from="train"),
    }
    print(f"seed {seed}: " + ", ".join(f"{k} {v.errors[-1]:.2f}" for k, v in courses.items()), file=sys.stderr)
    return Seed(constant, courses)


def ratio(seeds: Sequence[Seed], policy: str, cycle: int) -> float:
    """Mean over the seeds of the champion's holdout error after a cycle, as a share of the constant's."""
    return float(np.mean([seed.courses[policy].errors[cycle] / seed.constant for seed in seeds]))


def promotions(seeds: Sequence[Seed], policy: str) -> tuple[int, int]:
    """How many promotions there were in all cycles, and how many of them made the holdout worse."""
    courses = [seed.courses[policy] for seed in seeds]
    return sum(sum(course.promoted) for course in courses), sum(course.harmful for course in courses)


def main() -> int:
    n_seeds, cycles = (int(a) for a in (*sys.argv[1:3], *map(str, (SEEDS, CYCLES)[len(sys.argv[1:3]) :])))
    if cycles < BOUND_AFTER:
        raise SystemExit(f"{cycles} cycles are too few: the bound is about the champion after {BOUND_AFTER}")
    with in_processes() as pool:
        seeds = pool.map(partial(run_seed, cycles), range(1, n_seeds + 1), chunksize=1)
    reached = ratio(seeds, ETUDE, BOUND_AFTER)
    count, harmful = promotions(seeds, ETUDE)
    kept = reached <= BOUND_RATIO and harmful <= BOUND_HARMFUL * count
    policies = list(seeds[0].courses)
    points = {policy: np.mean([seed.courses[policy].errors for seed in seeds], axis=0) for policy in policies}
    print_section(
        "Policies",
        f"policies {n_seeds} {cycles}",
        f"The demo world, seeds 1 to {n_seeds}, {cycles} cycles each: the champion's error on the 1,000 holdout rows, "
        f"which nothing in a loop reads, in points and as a share of the constant's "
        f"({np.mean([seed.constant for seed in seeds]):.2f} points); means over the seeds. Étude is at {reached:.3f} "
        f"of the constant after {BOUND_AFTER} cycles (bound {BOUND_RATIO:g}), and {harmful} of its {count} promotions "
        f"made the holdout worse (bound {BOUND_HARMFUL:.0%}): {'kept' if kept else 'BROKEN'}.",
        table(
            ["after", *policies],
            [
                [
                    f"cycle {cycle}" if cycle else "the beginning",
                    *(f"{points[policy][cycle]:.2f} ({ratio(seeds, policy, cycle):.3f})" for policy in policies),
                ]
                for cycle in range(cycles + 1)
            ],
        ),
        table(
            ["", *policies],
            [
                ["promotions in the cycles", *(str(promotions(seeds, policy)[0]) for policy in policies)],
                [
                    "of them worse on the holdout",
                    *(_of(*reversed(promotions(seeds, policy))) for policy in policies),
                ],
            ],
        ),
        "*Promote on a point estimate*: the same aim, teacher and filters as Étude, promoted when the mean error on "
        "the sealed rows is lower. *The first project's policy*: aims at the two dimensions of the largest raw error "
        "on the evaluation rows (here: diagnose), appends phrases about them to those rows, moves their labels outward "
        "by 12 to 28 points, replays the 15 hardest as plain copies, and promotes when the mean error on the same rows "
        "is lower. It is given the world's own phrases, and what it gains are the evaluation rows themselves, true "
        "labels of the whole world; on them it reports "
        f"{_reported(seeds, FIRST):.2f} points in the end. Made from train rows it reports "
        f"{_reported(seeds, FIRST_FROM_TRAIN):.2f}. All add 100 rows a cycle before filters.",
    )
    return 0 if kept else 1


def _reported(seeds: Sequence[Seed], policy: str) -> float:
    return float(np.mean([seed.courses[policy].reported[-1] for seed in seeds]))


def _of(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.1%})" if whole else "0"


if __name__ == "__main__":
    sys.exit(main())
