"""Write reports.jsonl, the example's synthetic trail reports: two to four respects told, all four rated.

A trail has a truth in each dimension (what is usual for its kind, what the day adds, and its own character). The hiker
mentions some of it, in words that fit the truth, and rates everything with a hand that is not quite steady. What goes
unmentioned can be known only as far as the trail and the day tell. Needs nothing but Python.
"""

import argparse
import json
import math
import random
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SEED = 20
N_REPORTS = 700
DIMENSIONS = ("steepness", "exposure", "mud", "crowding")
TOP = 10.0
MENTION_WEIGHTS = {"steepness": 1.0, "exposure": 1.0, "mud": 1.0, "crowding": 0.4}  # few hikers count other hikers
CHARACTER = 2.0  # standard deviation of a trail's truth around what is usual for its kind and the day
LABEL_NOISE = 0.6  # standard deviation of a rating around the truth: 6 % of the scale
FIT = 1.1  # how far from the truth a hiker's words stray, as a standard deviation
HERE = Path(__file__).parent


def pick(rng: random.Random, items: Sequence[Any], weights: Sequence[float] | None = None) -> Any:
    """Draw one item. Uses random() only, whose sequence Python promises to keep."""
    weights = weights or [1.0] * len(items)
    left = rng.random() * sum(weights)
    for item, weight in zip(items, weights, strict=True):
        left -= weight
        if left < 0:
            return item
    return items[-1]


def bell(rng: random.Random, spread: float) -> float:
    """Draw from a bell curve around 0 with this standard deviation."""
    return spread * math.sqrt(-2 * math.log(1 - rng.random())) * math.cos(2 * math.pi * rng.random())


def rating(value: float) -> float:
    """Put a value on the scale: 0 to 10 in steps of 0.1."""
    return round(min(TOP, max(0.0, value)), 1)


def mentioned(rng: random.Random) -> list[str]:
    """Draw the 2 to 4 dimensions that a report speaks of, in the order it does."""
    left, drawn = list(DIMENSIONS), []
    for _ in range(pick(rng, (2, 3, 4), (0.55, 0.33, 0.12))):
        drawn.append(pick(rng, left, [MENTION_WEIGHTS[d] for d in left]))
        left.remove(drawn[-1])
    return drawn


def sentence(words: str) -> str:
    """Capitalise the first letter and close with a full stop."""
    return f"{words[0].upper()}{words[1:]}."


def make_report(rng: random.Random, bank: dict[str, Any]) -> tuple[str, dict[str, float]]:
    """Return one report and its ratings."""
    kind, when = pick(rng, bank["kind"]), pick(rng, bank["when"])
    truth = {d: kind[d] + when.get(d, 0.0) + bell(rng, CHARACTER) for d in DIMENSIONS}
    opening = pick(rng, bank["filler"]["openings"]).format(trail=pick(rng, kind["trails"]), when=when["words"])
    told = [opening[0].upper() + opening[1:]]
    for dimension in mentioned(rng):
        says = bank["says"][dimension]
        fits = [math.exp(-(((value - rating(truth[dimension])) / FIT) ** 2) / 2) for value, _ in says]
        told.append(sentence(pick(rng, says, fits)[1].format(part=pick(rng, bank["filler"]["parts"]))))
    if rng.random() < 0.5:
        told.append(pick(rng, bank["filler"]["closings"]))
    return " ".join(told), {d: rating(truth[d] + bell(rng, LABEL_NOISE)) for d in DIMENSIONS}


def make_reports() -> str:
    """Return the whole file: one JSON object a line, no report twice."""
    rng = random.Random(SEED)
    bank = tomllib.loads((HERE / "phrases.toml").read_text(encoding="utf-8"))
    rows: dict[str, dict[str, float]] = {}
    while len(rows) < N_REPORTS:
        report, ratings = make_report(rng, bank)
        rows.setdefault(report, ratings)
    lines = [
        json.dumps({"id": f"trail-{i:04d}", "report": report, "ratings": ratings})
        for i, (report, ratings) in enumerate(rows.items(), start=1)
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description="Write the example's synthetic trail reports as JSON lines.")
    parser.add_argument("output", nargs="?", type=Path, default=HERE / "reports.jsonl")
    parser.parse_args().output.write_text(make_reports(), encoding="utf-8")


if __name__ == "__main__":
    main()
