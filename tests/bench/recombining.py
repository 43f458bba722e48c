"""Does recombination teach? The table in decision 13: what its check says, and what rows that nothing read say.

    python -m tests.bench.recombining [FILE]      # FILE: rows of the first task, JSON lines; left out unless told

Each data set is split in two by near-copy groups, or comes with a holdout: one part is train, the other is what rows
that nothing in the loop read say. 100 recombined rows are added to train whether or not the check trusts them, with
labels estimated again and, as the teacher once did, with the mean of the two rows' labels.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from servers.augment.aim import Aim
from servers.augment.recombination import RecombinationTeacher
from servers.augment.trust import reader_of, trust_in_recombination
from servers.core.dataset import Example
from servers.core.demo_world.world import Request, World
from servers.core.near_copies import THRESHOLD, groups, near_pairs
from servers.core.student import Student
from servers.core.task import Task, load_task
from tests.doubles.clauses import clause_rows, clause_task

Floats = NDArray[np.float64]
Halves = tuple[list[Example], list[Example]]
TRAILS = Path(__file__).parents[2] / "examples" / "trails"
SEEDS = 6
NEW_ROWS = 100
MORE_OF_THE_SAME = Aim(focus_dimensions=[])


def examples(rows: Sequence[tuple[str, dict[str, float]]]) -> list[Example]:
    return [Example(id=f"r{k}", text=text, target=target, source="import") for k, (text, target) in enumerate(rows)]


def halves(rows: list[Example], seed: int) -> Halves:
    """Two halves of the near-copy groups."""
    labels = groups([row.text for row in rows], max_share=1.0).labels
    place = np.random.default_rng(seed).permutation(labels.max() + 1)[labels]
    first = place < place.max() / 2
    return [r for r, here in zip(rows, first, strict=True) if here], [
        r for r, here in zip(rows, first, strict=True) if not here
    ]


def from_lines(path: Path, text: str, target: str) -> list[Example]:
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        value = row
        for part in target.split("."):
            value = value[part]
        found.append((row[text], {name: float(v) for name, v in value.items()}))
    return examples(found)


def demo(split: str) -> Callable[[int], Halves]:
    def rows(requests: Sequence[Request]) -> list[Example]:
        return examples([(r.text, {name: float(v) for name, v in r.target.items()}) for r in requests])

    def make(seed: int) -> Halves:
        splits = World(seed).splits()
        return rows(splits[split][:280]), rows(splits["holdout"])

    return make


def worlds(file: Path | None) -> Iterator[tuple[str, Task, Callable[[int], Halves]]]:
    kotone, trails = load_task("kotone"), load_task(str(TRAILS / "task.toml"))
    reports = from_lines(TRAILS / "reports.jsonl", "report", "ratings")
    yield (
        "clauses that add up (made for this)",
        clause_task(),
        lambda s: (clause_rows(200, s), clause_rows(1000, 900 + s)),
    )
    yield "demo's train, taken as an import", kotone, demo("train")
    yield "demo's whole world, taken as an import", kotone, demo("gate")
    yield "examples/trails", trails, lambda seed: halves(reports, seed)
    if file:
        requests = from_lines(file, "request_text", "target_hidden_params.vector")
        yield file.name, kotone, lambda seed: halves(requests, seed)


def student_of(rows: Sequence[Example], task: Task) -> Student:
    targets = np.array([[row.target[name] for name in task.names] for row in rows])
    return Student.fit([row.text for row in rows], targets, task.names, task.scale.low, task.scale.high)


def error(student: Student, rows: Sequence[Example]) -> float:
    truth = np.array([[row.target[name] for name in student.names] for row in rows])
    return float(np.abs(student.predict([row.text for row in rows]) - truth).mean())


def measured(task: Task, train: list[Example], held: list[Example], seed: int) -> tuple[bool, float, float, float]:
    """Trusted or not; error of train alone, points; that with recombined rows less it; and with mean labels less it."""
    trust = trust_in_recombination(task, train, MORE_OF_THE_SAME, NEW_ROWS, seed, THRESHOLD)
    plain = student_of(train, task)
    drafts = RecombinationTeacher(task, reader_of(plain)).write(NEW_ROWS, MORE_OF_THE_SAME, seed, train)
    others = [row.text for row in (*train, *held)]
    copies = {i for i, _, _ in near_pairs([draft.text for draft in drafts], others, THRESHOLD)}
    by_id = {row.id: row.target for row in train}
    again, mean = [], []
    for k, draft in enumerate(drafts):
        if k in copies or not draft.agrees(task.scale):
            continue
        pair = [by_id[draft.made_from[part]] for part in ("first", "second")]
        halfway = {name: (pair[0][name] + pair[1][name]) / 2 for name in task.names}
        again.append(
            Example(id=f"n{k}", text=draft.text, target=draft.label(task.scale), source="teacher:recombination")
        )
        mean.append(again[-1].model_copy(update={"target": halfway}))
    before = error(plain, held)
    after, with_means = (error(student_of([*train, *new], task), held) for new in (again, mean))
    return trust.distrust is None, before, after - before, with_means - before


def main() -> int:
    print("| data | train rows | error before | labels estimated again | mean labels | trusted | if heeded |")
    print("|---|---|---|---|---|---|---|")
    for name, task, make in worlds(Path(sys.argv[1]) if sys.argv[1:] else None):
        found, sizes = [], []
        for seed in range(SEEDS):
            train, held = make(seed)
            sizes.append(len(train))
            found.append(measured(task, train, held, seed))
        trusted, before, again, mean = (np.array(column, dtype=float) for column in zip(*found, strict=True))
        spread = [column.std(ddof=1) / np.sqrt(SEEDS) for column in (again, mean)]
        cells = [
            name,
            f"{np.mean(sizes):.0f}",
            f"{before.mean():.2f}",
            f"{again.mean():+.3f} ± {spread[0]:.3f}",
            f"{mean.mean():+.3f} ± {spread[1]:.3f}",
            f"{trusted.sum():.0f} of {SEEDS}",
            f"{(again * trusted).mean():+.3f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
