"""Planted leaks: rows of the diagnose and the sealed split put among the training rows, and what finds them.

    python -m tests.proof.leaks

In the demo world and in texts filled into templates (11 to 22 words). Looked for by the product's own ways: the counts
of `diagnose_dataset`, the judge's count, the filter of `augment_dataset`. Exit code 1 when one way misses an exact leak
or over 5 % of the light rewrites (case and punctuation changed; one word changed).
"""

import re
import string
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import anyio
import numpy as np

from servers.augment.filters import SEALED, sift
from servers.augment.teachers import Draft
from servers.core.dataset import Card, DatasetStore, Example
from servers.core.near_copies import SKETCH_FILE, Sketch
from servers.core.task import load_task
from servers.core.workspace import Workspace
from servers.eval.custody import Custody
from servers.eval.splits import Side
from tests.proof.section import print_section, table
from tests.proof.templates import template_rows
from tests.proof.world_rows import world_rows
from tests.workshop import Workshop

TASK = load_task("kotone")
PLANTED = 100  # of each split, and of each kind
SEED = 5
SIZES: dict[Side, int] = {"train": 280, "diagnose": 120, "gate": 600}
HONEST = 1000
FOUND = {"exact": 1.0, "case and punctuation changed": 0.95, "one word changed": 0.95}
WORD = re.compile(r"[^\W\d_]+")


def exact(text: str, words: Sequence[str], random: np.random.Generator) -> str:
    return text


def case_and_punctuation(text: str, words: Sequence[str], random: np.random.Generator) -> str:
    """Another case throughout, other marks between and behind the words."""
    changed = (str.upper, str.title, str.lower, str.swapcase)[int(random.integers(4))](text)
    marks = {ord(mark): (" ", "", "!", " - ")[int(random.integers(4))] for mark in ",;:" if mark in changed}
    return changed.translate(marks).rstrip(string.punctuation) + ("", "!", "...", " ?")[int(random.integers(4))]


def one_word(text: str, words: Sequence[str], random: np.random.Generator) -> str:
    """One word, wherever it stands, by another that these texts use."""
    places = list(WORD.finditer(text))
    place = places[int(random.integers(len(places)))]
    others = [word for word in words if word.casefold() != place[0].casefold()]
    return text[: place.start()] + others[int(random.integers(len(others)))] + text[place.end() :]


REWRITES: dict[str, Callable[[str, Sequence[str], np.random.Generator], str]] = dict(
    zip(FOUND, (exact, case_and_punctuation, one_word), strict=True)
)
HELD_OUT: tuple[Side, ...] = ("diagnose", "gate")


@dataclass(frozen=True)
class World:
    """Rows of one world, as they would be imported."""

    sides: dict[Side, list[Example]]
    honest: list[Example]
    """Written by the same world, and held out nowhere."""


def looked_for(world: World, texts: Sequence[str], side: Side) -> dict[str, int]:
    """Put texts among the training rows, and count how many each way finds to be copies of a split's rows.

    Args:
        world: What is imported before.
        texts: What is planted.
        side: The split that they are compared with.
    """
    new = [
        Example(id=f"planted-{k}", text=text, target=world.sides["train"][0].target, source="import")
        for k, text in enumerate(texts)
    ]
    with tempfile.TemporaryDirectory() as folder:
        custody, store, card = imported(world, Path(folder))
        train, diagnose = store.train(card.name, card.fingerprint), store.diagnose(card.name, card.fingerprint)
        store.save_child(card, [*train, *new], {"kind": "proof"})
        leakage = anyio.run(_diagnosed, Path(folder))
        sealed = Sketch.load(Workspace(Path(folder)).sealed_dir(card.name, card.gate_fingerprint) / SKETCH_FILE)
        drafts = [Draft(text=row.text, readings=(row.target,), check=None, made_from={}) for row in new]
        dropped = sift(drafts, TASK, train, diagnose, sealed, card.near_copy_threshold).dropped
        if side == "diagnose":
            return {
                "diagnose_dataset": leakage["train_diagnose_near"],
                "augment_dataset": dropped.get("near a diagnose row", 0),
            }
        return {
            "diagnose_dataset": leakage["train_gate_near"],
            "the judge": custody.count_near(card, texts),
            "augment_dataset": dropped.get(SEALED, 0),
        }


def imported(world: World, folder: Path) -> tuple[Custody, DatasetStore, Card]:
    """The world's rows as a dataset with these sides; near copies on two sides are left out, as always."""
    custody = Custody(Workspace(folder), TASK)
    examples, sides = zip(*((row, side) for side in SIZES for row in world.sides[side]), strict=True)
    card = custody.create("leaking", examples, splits=sides, recipe={"kind": "proof"})
    return custody, DatasetStore(Workspace(folder)), card


async def _diagnosed(folder: Path) -> dict[str, int]:
    """The leakage counts that the tool tells."""
    async with Workshop(folder) as shop:
        cycle = (await shop.call("open_cycle", dataset="leaking"))["cycle"]
        leakage: dict[str, int] = (await shop.call("diagnose_dataset", cycle=cycle))["leakage"]
    return leakage


def rewritten(world: World, kind: str, side: Side) -> list[str]:
    """PLANTED texts of a held-out split, changed."""
    random = np.random.default_rng([list(REWRITES).index(kind), HELD_OUT.index(side)])
    words = sorted({word for row in world.sides["train"] for word in WORD.findall(row.text)})
    with tempfile.TemporaryDirectory() as folder:
        custody, store, card = imported(world, Path(folder))
        rows = custody.gate(card) if side == "gate" else store.diagnose(card.name, card.fingerprint)
    chosen = random.choice(len(rows), PLANTED, replace=False)
    return [REWRITES[kind](rows[k].text, words, random) for k in chosen]


def worlds() -> dict[str, World]:
    """The demo world, and texts filled into templates."""
    demo = world_rows(SEED)
    filled = template_rows(sum(SIZES.values()) + HONEST, seed=1, prefix="template")
    ends = np.cumsum([0, *SIZES.values(), HONEST])
    train, diagnose, gate, honest = (filled[a:b] for a, b in pairwise(ends))
    return {
        "the demo world": World({side: demo[side] for side in SIZES}, demo["holdout"]),
        "templates": World({"train": train, "diagnose": diagnose, "gate": gate}, honest),
    }


def main() -> int:
    lines, head, kept = [], [], True
    for name, world in worlds().items():
        for kind, bound in FOUND.items():
            found = {
                f"{way}, rows of {side}": count / PLANTED
                for side in HELD_OUT
                for way, count in looked_for(world, rewritten(world, kind, side), side).items()
            }
            enough = min(found.values()) >= bound
            kept, head = kept and enough, list(found)
            shares = [f"{value:.0%}" for value in found.values()]
            lines.append([name, kind, *shares, f"{bound:.0%}: {'kept' if enough else 'BROKEN'}"])
        honest = [row.text for row in world.honest]
        alarms = [count / HONEST for side in HELD_OUT for count in looked_for(world, honest, side).values()]
        lines.append([name, f"nothing: {HONEST:,} honest rows", *(f"{value:.1%}" for value in alarms), ""])
    print_section(
        "Leaks",
        "leaks",
        f"{PLANTED} rows of diagnose, then {PLANTED} of gate, put among the training rows, changed as the second "
        f"column says; what share of them each way counts or drops. The texts are the demo world's (seed {SEED}), and "
        f"short requests of 11 to 22 words filled into templates. The last row of each says how many honest rows, "
        f"written by the same world and held out nowhere, are taken for copies.",
        table(["texts", "planted", *head, "bound"], lines),
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
