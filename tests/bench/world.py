"""What the demo's world can teach the CPU student, without loop or gate: the table in the world's README.

python -m tests.bench.world [SEEDS]      # seeds 0 to SEEDS - 1, 24 unless told
"""

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from servers.core.demo_world.world import BLIND, DIMENSIONS, Request, World
from servers.core.student import Student

Floats = NDArray[np.float64]
SEEDS = 24


def targets(rows: Sequence[Request]) -> Floats:
    """Labels, shape (rows, dimensions), points."""
    return np.array([[row.target[name] for name in DIMENSIONS] for row in rows], dtype=float)


def student_errors(train: Sequence[Request], rows: Sequence[Request]) -> Floats:
    """Absolute errors on `rows` of a student of `train`, shape (rows, dimensions), points."""
    student = Student.fit([row.text for row in train], targets(train), DIMENSIONS, 0, 100)
    return np.abs(student.predict([row.text for row in rows]) - targets(rows))


def weakest(train: Sequence[Request], diagnose: Sequence[Request]) -> list[str]:
    """The two dimensions where a student of `train` is worst against the constant."""
    constant = np.abs(np.median(targets(train), axis=0) - targets(diagnose)).mean(axis=0)
    ratio = student_errors(train, diagnose).mean(axis=0) / constant
    return [DIMENSIONS[k] for k in np.argsort(-ratio)[:2]]


def errors_of(seed: int) -> dict[str, float]:
    """Mean absolute error on the gate rows of one world, by what was trained on."""
    world = World(seed)
    splits = world.splits()
    train, diagnose, gate = splits["train"], splits["diagnose"], splits["gate"]
    once = [*train, *world.teach(100, weakest(train, diagnose), seed=1)]
    twice = [*once, *world.teach(100, weakest(once, diagnose), seed=2, avoid={row.text for row in once})]
    plain = [*train, *world.teach(200, [], seed=3)]
    careless = [*train, *world.teach(100, BLIND, seed=4, careless_share=1.0)]
    clean = np.array([[row.clean[name] for name in DIMENSIONS] for row in gate])
    return {
        "nothing (the constant)": float(np.abs(np.median(targets(train), axis=0) - targets(gate)).mean()),
        "train, 280 rows": float(student_errors(train, gate).mean()),
        "+ 100 rows on its two weakest dimensions": float(student_errors(once, gate).mean()),
        "+ 100 more": float(student_errors(twice, gate).mean()),
        "train + 200 rows without a focus": float(student_errors(plain, gate).mean()),
        "train + 100 rows on the blind spot, all careless": float(student_errors(careless, gate).mean()),
        "the text's own meaning (no reader does better)": float(np.abs(clean - targets(gate)).mean()),
    }


def main() -> int:
    found = [errors_of(seed) for seed in range(int(sys.argv[1]) if sys.argv[1:] else SEEDS)]
    print("| trained on | mean | smallest to largest |\n|---|---|---|")
    for name in found[0]:
        values = [errors[name] for errors in found]
        print(f"| {name} | {np.mean(values):.1f} | {min(values):.1f} to {max(values):.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
