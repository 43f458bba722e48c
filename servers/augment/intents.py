"""What a language model that teaches is asked to write about: drawn from the aim, spread over its ranges.

Where the aim is at dimensions, each text speaks of one of them. Its values are spread over what occurs in train, and
half of them over the ranges that train covers thinly: values that occur nowhere would make rows that look like no row
that is there. Beside it stand values of a train row, as they occur together. Without an aim a text is to say what a
train row says. Only train rows are shown, as examples of the style.
"""

from collections.abc import Sequence

import numpy as np

from servers.augment.aim import Aim
from servers.core.dataset import Example
from servers.core.task import Task
from servers.core.teaching import Intent

SHOWN = 3  # train texts in one request
SHOWN_CHARS = 1500  # of a text: longer ones would cost more than they show
BESIDE = (1, 2)  # other dimensions that a text speaks of
WITHOUT_AIM = 3  # dimensions of a train row that a text is about: those farthest from the middle
OCCURS = (5, 95)  # percentiles of train, between which the values are spread
THIN_SHARE = 0.5  # of the values of a dimension with thin ranges
WORDS_SHARE, WORDS = 0.5, 3  # how often thin words are offered, and how many


def draw_intents(n: int, aim: Aim, task: Task, train: Sequence[Example], seed: int) -> list[Intent]:
    """What n texts are to say; the same for the same arguments."""
    random = np.random.default_rng([seed, n])
    places = _spread(n, len(aim.focus_dimensions), random)
    short = [row.text for row in train if len(row.text) <= SHOWN_CHARS] or [row.text[:SHOWN_CHARS] for row in train]
    intents = []
    for number, place in enumerate(places):
        model = train[int(random.integers(len(train)))]
        if aim.focus_dimensions:
            name = aim.focus_dimensions[number % len(aim.focus_dimensions)]
            about = {name: _value(name, place, aim, train, random)} | _beside(name, model, task, random)
        else:
            about = _as_said(model, task)
        offered = [thin.word for thin in aim.thin_words] if random.random() < WORDS_SHARE else []
        words = [str(word) for word in random.permutation(offered)[:WORDS]]
        shown = [short[int(k)] for k in random.choice(len(short), min(SHOWN, len(short)), replace=False)]
        intents.append(Intent(id=f"t{number + 1:04d}", about=about, words=words, shown=shown))
    return intents


def _spread(n: int, dimensions: int, random: np.random.Generator) -> list[float]:
    """A place on the scale for each text, 0 to 1: even over the texts of one dimension, in a random order."""
    each = max(1, dimensions)
    places = np.zeros(n)
    for first in range(each):
        count = len(places[first::each])
        places[first::each] = random.permutation((np.arange(count) + random.random(count)) / max(1, count))
    return [float(place) for place in places]


def _value(name: str, place: float, aim: Aim, train: Sequence[Example], random: np.random.Generator) -> float:
    thin = [one for one in aim.thin_ranges if one.dimension == name]
    low, high = np.percentile([row.target[name] for row in train], OCCURS)
    if thin and random.random() < THIN_SHARE:
        chosen = thin[int(random.integers(len(thin)))]
        low, high = chosen.low, chosen.high
    return round(float(low + place * (high - low)), 1)


def _beside(name: str, model: Example, task: Task, random: np.random.Generator) -> dict[str, float]:
    others = [other for other in task.names if other != name]
    count = min(len(others), int(random.integers(BESIDE[0], BESIDE[1] + 1)))
    chosen = {others[int(k)] for k in random.choice(len(others), count, replace=False)} if count else set()
    return {other: model.target[other] for other in others if other in chosen}


def _as_said(model: Example, task: Task) -> dict[str, float]:
    farthest = sorted(task.names, key=lambda name: -abs(model.target[name] - task.scale.middle))[:WITHOUT_AIM]
    return {name: model.target[name] for name in task.names if name in farthest}
