"""The phrase bank, read from bank.toml: what a requester can say and what it does to the hidden parameters."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

DIMENSIONS: tuple[str, ...] = ("energy", "warmth", "brightness", "acousticness", "complexity", "nostalgia")
"""The six hidden parameters, in the order of every vector of this world."""

Form = Literal["adjective", "feature", "clause"]
FORMS: tuple[Form, ...] = ("adjective", "feature", "clause")


@dataclass(frozen=True)
class Phrase:
    """Words a requester may use."""

    words: str
    form: Form
    effects: tuple[float, ...]
    """One entry per dimension, in units."""
    fixed: bool
    """True where no modifier fits."""


@dataclass(frozen=True)
class Modifier:
    """Words that strengthen, weaken or turn round the phrase they precede; empty words leave it as it is."""

    words: str
    factor: float
    share: float
    """How often it is chosen where a modifier fits, 0 to 1."""


@dataclass(frozen=True)
class Scene:
    """What the music is for."""

    words: str
    effects: tuple[float, ...]
    """One entry per dimension, in units."""


@dataclass(frozen=True)
class Bank:
    """Everything that can be said."""

    everyday: dict[tuple[str, str], tuple[Phrase, ...]]
    """The common half of each pole, by (dimension, "high" or "low"), commonest first."""
    long_tail: dict[tuple[str, str], tuple[Phrase, ...]]
    """The rare half of each pole, likewise."""
    modifiers: dict[Form, tuple[Modifier, ...]]
    scenes: tuple[Scene, ...]
    nouns: tuple[str, ...]


def _effects(entry: dict[str, Any]) -> tuple[float, ...]:
    return tuple(float(entry.get(dimension, 0)) for dimension in DIMENSIONS)


def _phrase(entry: dict[str, Any]) -> Phrase:
    form = next(form for form in FORMS if form in entry)
    return Phrase(entry[form], form, _effects(entry), entry.get("fixed", False) or form == "clause")


@cache
def load_bank() -> Bank:
    """Read the bank that lies beside this module."""
    raw = tomllib.loads(Path(__file__).with_name("bank.toml").read_text(encoding="utf-8"))
    poles = {(pole["dimension"], pole["side"]): pole for pole in raw["pole"]}
    return Bank(
        everyday={key: tuple(map(_phrase, pole["everyday"])) for key, pole in poles.items()},
        long_tail={key: tuple(map(_phrase, pole["long_tail"])) for key, pole in poles.items()},
        modifiers={form: tuple(Modifier(**m) for m in entries) for form, entries in raw["modifiers"].items()},
        scenes=tuple(Scene(scene["words"], _effects(scene)) for scene in raw["scenes"]),
        nouns=tuple(raw["nouns"]),
    )
