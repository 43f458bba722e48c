"""What a diagnosis costs, how often it finds signal where there is none, and how often it finds what is there.

    python -m tests.bench.diagnosing [SEEDS]      # 40 unless told; OPENBLAS_NUM_THREADS=1 where others work as well

Texts are the demo world's, and a template's: one mould with words put in, as in the first task's data, where most rows
have near copies. Labels are drawn so that the words explain a given share of their variance in one dimension of six;
what a text model finds of it in so many rows (R² found) is less, the more different words there are.
"""

import resource
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from servers.core.dataset import Card, Example, SplitSizes
from servers.core.demo_world.world import World
from servers.core.diagnosis import Diagnosis, diagnose
from servers.core.task import load_task

TASK = load_task("kotone")
MOODS = ("calm", "urban", "bright", "warm", "nostalgic", "hopeful", "restless", "gloomy")
PLACES = ("sunset", "rainy evening", "old town", "small cafe", "night drive", "empty beach", "first snow", "long train")
ENDS = (
    "with balanced feeling",
    "that feels like an old memory",
    "with a bit more drive",
    "in a subdued, darker tone",
    "and warm emotional texture",
    "with organic acoustic color",
)


def demo_texts(n: int, seed: int) -> list[str]:
    worlds = range(1000 * seed, 1000 * seed + n // 2000 + 1)
    return [request.text for world in worlds for rows in World(world).splits().values() for request in rows][:n]


def template_texts(n: int, seed: int) -> list[str]:
    """Different ones as long as the mould allows."""
    draw = np.random.default_rng(seed)
    texts: dict[str, None] = {}
    while len(texts) < n:
        ends = draw.choice(ENDS, size=draw.integers(1, 4), replace=False)
        count = "" if n <= 1000 else f" number {draw.integers(n)}"
        texts[f"Please compose a {draw.choice(MOODS)} piece{count} for {draw.choice(PLACES)}, {', '.join(ends)}."] = (
            None
        )
    return list(texts)


def rows_of(texts: Sequence[str], explained: float, seed: int) -> list[Example]:
    """Rows whose text explains a share of the variance of the first dimension, and nothing of the others."""
    draw = np.random.default_rng([seed, 1])
    words = sorted({word for text in texts for word in text.split()})
    effect = dict(zip(words, draw.normal(size=len(words)), strict=True))
    said = np.array([sum(effect[word] for word in set(text.split())) for text in texts])
    said = (said - said.mean()) / said.std()
    noise = draw.normal(size=(len(texts), len(TASK.names)))
    noise[:, 0] = np.sqrt(explained) * said + np.sqrt(1 - explained) * noise[:, 0]
    targets = np.clip(np.round(50 + 18 * noise), 0, 100)
    return [
        Example(id=str(i), text=text, target=dict(zip(TASK.names, target.tolist(), strict=True)), source="import")
        for i, (text, target) in enumerate(zip(texts, targets, strict=True))
    ]


def diagnosed(rows: Sequence[Example]) -> Diagnosis:
    cut = 5 * len(rows) // 7
    card = Card(
        name="bench", fingerprint="0" * 16, parent=None, root="0" * 16, task=TASK.name,
        created_at="2020-01-01T00:00:00.000Z", rows=SplitSizes(train=cut, diagnose=len(rows) - cut, gate=0),
        diagnose_fingerprint="1" * 16, gate_fingerprint="2" * 16, recipe={}, synthetic=False, near_copy_threshold=0.8,
    )  # fmt: skip
    return diagnose(card, TASK, rows[:cut], rows[cut:], 0)


def main() -> int:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    worlds: dict[str, Callable[[int, int], list[str]]] = {"demo": demo_texts, "template": template_texts}
    print("| texts | rows | R² of the labels | R² found | finds the dimension | finds others | says train |")
    print("|---|---|---|---|---|---|---|")
    for world, texts in worlds.items():
        for n, explained in ((450, 0.0), (200, 0.0), (200, 0.15), (300, 0.15), (450, 0.15), (200, 0.3), (300, 0.5)):
            found = [diagnosed(rows_of(texts(n, seed), explained, seed)) for seed in range(seeds)]
            first = [d.dimensions[TASK.names[0]].signal != "none" for d in found]
            other = [any(d.dimensions[name].signal != "none" for name in TASK.names[1:]) for d in found]
            r2 = np.mean([d.dimensions[TASK.names[0]].r2 for d in found])
            train = np.mean([d.verdict == "train" for d in found])
            shares = f"{np.mean(first):.0%} | {np.mean(other):.0%} | {train:.0%}"
            print(f"| {world} | {n} | {explained} | {r2:.2f} | {shares} |", flush=True)
    print("\n| texts | rows | seconds of CPU | MB at the peak |\n|---|---|---|---|")
    for world, texts in worlds.items():
        for n in (500, 20_000, 100_000):
            rows = rows_of(texts(n, 1), 0.3, 1)
            started = time.process_time()
            diagnosed(rows)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"| {world} | {n} | {time.process_time() - started:.1f} | {peak} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
