"""Short requests filled into templates, 11 to 22 words, of the kind that the first task's texts are."""

import numpy as np

from servers.core.dataset import Example
from servers.core.demo_world.bank import DIMENSIONS

MOODS = (
    "gentle", "restless", "solemn", "playful", "tender", "stormy", "dreamy", "stubborn", "hopeful", "weary", "proud",
    "shy", "festive", "lonely", "radiant", "sleepy", "fierce", "tidy", "wistful", "bold", "humble", "jolly", "grave",
    "airy",
)  # fmt: skip
PLACES = (
    "the harbour", "a night train", "the bakery", "an empty museum", "the school yard", "a mountain hut", "the ferry",
    "a rooftop garden", "the old cinema", "a winter market", "the city archive", "a quiet library", "the tram depot",
    "a border crossing", "the rose garden", "a flooded meadow", "the village fair", "a late office", "the lighthouse",
    "a desert road",
)  # fmt: skip
HOURS = (
    "at dawn",
    "at noon",
    "before supper",
    "after midnight",
    "in early spring",
    "on a grey sunday",
    "at closing time",
)
COLOURS = ("brittle", "velvet", "hollow", "silver", "dusty", "glassy", "wooden", "muted", "glowing", "raspy", "plain")
VOICES = (
    "marimba",
    "strings",
    "trumpets",
    "organ",
    "clarinets",
    "harp",
    "drums",
    "voices",
    "bells",
    "cellos",
    "flutes",
)
MOVES = ("moves", "breathes", "hurries", "wanders", "glides", "stumbles", "circles", "rises", "drifts", "waits")
THINGS = ("slow water", "a worn coin", "paper boats", "cold smoke", "old friends", "falling leaves", "a kite", "clouds")


def template_rows(n: int, seed: int, prefix: str) -> list[Example]:
    """n rows with distinct texts; their labels are drawn and say nothing.

    Args:
        n: How many.
        seed: Another seed gives other rows.
        prefix: Beginning of their ids.
    """
    random = np.random.default_rng(seed)
    texts: dict[str, None] = {}
    while len(texts) < n:
        texts[_text(random)] = None
    return [
        Example(
            id=f"{prefix}-{number}",
            text=text,
            target={name: float(random.integers(0, 101)) for name in DIMENSIONS},
            source="import",
        )
        for number, text in enumerate(texts)
    ]


def _text(random: np.random.Generator) -> str:
    def pick(words: tuple[str, ...]) -> str:
        return words[int(random.integers(len(words)))]

    parts = [f"Please write a {pick(MOODS)} tune for {pick(PLACES)}"]
    if random.random() < 0.5:
        parts[0] += f" {pick(HOURS)}"
    parts.append(f"with {pick(COLOURS)} {pick(VOICES)}")
    if random.random() < 0.6:
        parts.append(f"that {pick(MOVES)} like {pick(THINGS)}")
    return ", ".join(parts) + "."
