"""The demo's synthetic world: requests for music with six hidden parameters, and a teacher that writes more of them.

A request says something about two to four dimensions; the rest stays near 50. Its target is
clip(50 + UNIT * sum of effects + bell curve of NOISE, 0, 100), rounded. The blind spot: the requester who wrote the
train split seldom speaks of BLIND, and then in everyday words only; the world speaks of them as of all else, mostly in
the long tail. Nobody asked for this music: text and numbers are synthetic.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate

from servers.core.demo_world.bank import DIMENSIONS, FORMS, Form, Phrase, Scene, load_bank
from servers.core.demo_world.draws import Draws
from servers.core.demo_world.prose import REGISTERS, Parts

__all__ = ["BLIND", "DIMENSIONS", "NOISE", "SPLIT_SIZES", "UNIT", "Request", "World"]

SPLIT_SIZES = {"train": 280, "diagnose": 120, "gate": 600, "holdout": 1000}
BLIND = ("acousticness", "nostalgia")
"""Dimensions that the default requester seldom speaks of."""

UNIT = 9.0  # points: a phrase of 3 units moves its dimension by 27
NOISE = 6.5  # points, standard deviation: what no reader of the text can know
SCENE_FACTOR = 0.8  # a scene hints, a phrase says
SCENE_SHARE = 0.7
MENTIONS_CUMULATIVE = (0.35, 0.75, 1.0)  # two, three or four dimensions
ZIPF = 1.15  # the n-th phrase of a list is drawn with weight 1 / n ** ZIPF
BLIND_WEIGHT = 0.05  # against 1 for every other dimension, in the default requester's mind
TAIL_SHARE = 0.25  # of the mentions, in long-tail words
BLIND_TAIL_SHARE = 0.7  # the same for BLIND, in the world at large

SPLIT_STREAMS = {"holdout": 0, "gate": 1, "diagnose": 2, "train": 3}  # also the order in which texts are reserved
TEACHER_STREAM = 4


@dataclass(frozen=True)
class Request:
    """One request and what its writer meant by it."""

    text: str
    target: dict[str, int]
    """The label, 0 to 100, by dimension."""
    clean: dict[str, float]
    """What the text says, before noise and rounding: the best any reader could do. 0 to 100, by dimension."""
    mentions: tuple[str, ...]
    """Dimensions that it speaks of on purpose; others move by side effects only."""
    register: str
    careless: bool
    """True where the label answers the instruction instead of the text."""


@dataclass(frozen=True)
class _Voice:
    """Who speaks: how often of which dimension, in which words, in which registers."""

    weights: dict[str, float]
    tail_share: dict[str, float]
    registers: tuple[str, ...]


WHOLE_WORLD = _Voice(
    weights=dict.fromkeys(DIMENSIONS, 1.0),
    tail_share={d: BLIND_TAIL_SHARE if d in BLIND else TAIL_SHARE for d in DIMENSIONS},
    registers=tuple(REGISTERS),
)
DEFAULT_REQUESTER = _Voice(
    weights={d: BLIND_WEIGHT if d in BLIND else 1.0 for d in DIMENSIONS},
    tail_share={d: 0.0 if d in BLIND else TAIL_SHARE for d in DIMENSIONS},
    registers=tuple(REGISTERS)[:4],
)


@cache
def _zipf_cumulative(n: int) -> tuple[float, ...]:
    return tuple(accumulate(rank**-ZIPF for rank in range(1, n + 1)))


def _clip(value: float) -> float:
    return min(100.0, max(0.0, value))


def _instructed(dimension: str) -> list[float]:
    """Return what a careless writer puts down: the dimension that was asked for is high, nothing else was looked at."""
    return [90.0 if d == dimension else 50.0 for d in DIMENSIONS]


class World:
    """Everything follows from the seed: the same seed gives the same rows, whatever was asked for before."""

    def __init__(self, seed: int = 0) -> None:
        """Open the world of this seed, 0 or more.

        Raises:
            ValueError: for a negative seed.
        """
        if seed < 0:
            raise ValueError(f"seed {seed!r} is negative; give 0 or more")
        self.seed = seed
        self._bank = load_bank()
        self._modifier_cumulative = {
            form: list(accumulate(m.share for m in modifiers)) for form, modifiers in self._bank.modifiers.items()
        }

    def splits(self) -> dict[str, list[Request]]:
        """Return train, diagnose, gate and holdout; no text stands in two of them.

        train comes from the default requester, who has the blind spot and four of the six registers; the others come
        from the whole world. The holdout is for measuring the loop from outside: nothing in the loop reads it.
        """
        return {name: list(self._splits[name]) for name in SPLIT_SIZES}

    def teach(
        self,
        n: int,
        focus: Sequence[str],
        seed: int,
        avoid: Collection[str] = (),
        careless_share: float = 0.10,
    ) -> list[Request]:
        """Write n new requests that each speak of at least one focus dimension, in the words of the whole world.

        Careless rows put the focus dimension near 90 and the others near 50, whatever their text says. No text of this
        world's own splits is written, so that a taught row never leaks into what judges it.

        Args:
            n: Rows to write.
            focus: Dimensions to speak of; empty for more of the default requester's kind.
            seed: Another seed gives other rows.
            avoid: Texts not to write.
            careless_share: Share of careless rows, 0 to 1, at random places; a fraction of a row is settled by lot.

        Raises:
            ValueError: for an argument outside its range.
        """
        unknown = [d for d in focus if d not in DIMENSIONS]
        if unknown:
            raise ValueError(f"unknown focus dimension {unknown[0]!r}; known: {', '.join(DIMENSIONS)}")
        if n < 0 or seed < 0:
            raise ValueError(f"n {n!r} and seed {seed!r} must be 0 or more")
        if not 0 <= careless_share <= 1:
            raise ValueError(f"careless_share {careless_share!r} is outside 0 to 1")
        draws = Draws(self.seed, TEACHER_STREAM, seed)
        taken = {row.text for rows in self._splits.values() for row in rows} | set(avoid)
        return self._fresh(n, draws, WHOLE_WORLD if focus else DEFAULT_REQUESTER, taken, focus, careless_share)

    @cached_property
    def _splits(self) -> dict[str, list[Request]]:
        rows: dict[str, list[Request]] = {}
        taken: set[str] = set()
        for name, stream in SPLIT_STREAMS.items():
            voice = DEFAULT_REQUESTER if name == "train" else WHOLE_WORLD
            rows[name] = self._fresh(SPLIT_SIZES[name], Draws(self.seed, stream), voice, taken)
        return rows

    def _fresh(
        self,
        n: int,
        draws: Draws,
        voice: _Voice,
        taken: set[str],
        focus: Sequence[str] = (),
        careless_share: float = 0.0,
    ) -> list[Request]:
        """Write n requests whose texts are not taken yet, and take them."""
        rows: list[Request] = []
        careless = draws.flags(n, careless_share)
        while len(rows) < n:
            row = self._request(draws, voice, draws.pick(focus) if focus else None, careless[len(rows)])
            if row.text not in taken:
                taken.add(row.text)
                rows.append(row)
        return rows

    def _request(self, draws: Draws, voice: _Voice, focus: str | None, careless: bool) -> Request:
        mentions = self._mentions(draws, voice, focus)
        units = [0.0] * len(DIMENSIONS)
        said: dict[Form, list[str]] = {form: [] for form in FORMS}
        for dimension in mentions:
            phrase = self._phrase(draws, dimension, voice.tail_share[dimension])
            words, factor = self._modified(draws, phrase)
            said[phrase.form].append(words)
            units = [u + factor * e for u, e in zip(units, phrase.effects, strict=True)]
        scene = draws.pick(self._bank.scenes) if draws.chance(SCENE_SHARE) else Scene("", (0.0,) * len(DIMENSIONS))
        units = [u + SCENE_FACTOR * e for u, e in zip(units, scene.effects, strict=True)]
        clean = [_clip(50 + UNIT * u) for u in units]
        meant = _instructed(focus or mentions[0]) if careless else clean
        target = [round(_clip(m + e)) for m, e in zip(meant, draws.normals(len(meant), NOISE), strict=True)]
        register = draws.pick(voice.registers)
        parts = Parts(
            adjectives=draws.shuffled(said["adjective"]),
            features=draws.shuffled(said["feature"]),
            clauses=draws.shuffled(said["clause"]),
            scene=scene.words,
            noun=draws.pick(self._bank.nouns),
        )
        return Request(
            text=REGISTERS[register](parts, draws),
            target=dict(zip(DIMENSIONS, target, strict=True)),
            clean=dict(zip(DIMENSIONS, clean, strict=True)),
            mentions=mentions,
            register=register,
            careless=careless,
        )

    def _mentions(self, draws: Draws, voice: _Voice, focus: str | None) -> tuple[str, ...]:
        """Draw the dimensions to speak of, without repeats; the focus takes the first place where it was not drawn."""
        left, mentions = list(DIMENSIONS), []
        for _ in range(2 + draws.weighted(MENTIONS_CUMULATIVE)):
            mentions.append(left.pop(draws.weighted(list(accumulate(voice.weights[d] for d in left)))))
        if focus is not None and focus not in mentions:
            mentions[0] = focus
        return tuple(mentions)

    def _phrase(self, draws: Draws, dimension: str, tail_share: float) -> Phrase:
        half = self._bank.long_tail if draws.chance(tail_share) else self._bank.everyday
        phrases = half[dimension, draws.pick(("high", "low"))]
        return phrases[draws.weighted(_zipf_cumulative(len(phrases)))]

    def _modified(self, draws: Draws, phrase: Phrase) -> tuple[str, float]:
        """Return the phrase's words and the factor on its effects."""
        if phrase.fixed:
            return phrase.words, 1.0
        modifier = self._bank.modifiers[phrase.form][draws.weighted(self._modifier_cumulative[phrase.form])]
        bare = phrase.words.removeprefix("an ").removeprefix("a ")
        return (f"{modifier.words} {bare}" if modifier.words else phrase.words), modifier.factor
