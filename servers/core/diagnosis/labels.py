"""What labels say of themselves: how far rows with equal texts disagree, and who labels differently from whom."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from servers.core.dataset import Example
from servers.core.diagnosis.findings import SourceShift
from servers.core.statistics import Floats
from servers.core.task import Task
from servers.core.text_features import normalised

MIN_REPEATS = 10  # repeated labels below which disagreement is told and decides nothing
LOW_CEILING = 0.5  # R² of a perfect reader below which new labels help more than new rows
MIN_SOURCE_ROWS = 20
MAX_SOURCES = 8
SHIFT_Z, SHIFT_SD = 4.0, 0.25  # a shift is told from here on: beyond chance for any number of sources, and not tiny


@dataclass(frozen=True)
class Readings:
    """Rows by distinct text."""

    texts: list[str]
    """Normalised, in order of appearance."""
    means: Floats
    """(texts, dimensions), mean target."""
    conflicts: list[list[str]]
    """Ids of the rows of each text with unequal targets."""
    repeats: int
    """Labels beyond the first of each text: how many times somebody labelled a text again."""
    ceiling_r2: Floats | None
    """(dimensions,), at most 1; the share of the targets' variance that differs between texts. None without repeats.
    Within texts it is pooled over repeated ones, without bias: squares over labels less texts."""
    ceiling_mae: Floats | None
    """(dimensions,), points: mean distance of repeated labels from their text's mean, times the root of k / (k - 1) for
    k labels, because that mean leans towards each of them."""


def readings(rows: Sequence[Example], names: Sequence[str]) -> Readings:
    """Put rows with equal texts together.

    Args:
        rows: At least one.
        names: Dimensions.
    """
    places: dict[str, int] = {}
    place = np.array([places.setdefault(normalised(row.text), len(places)) for row in rows])
    targets = _targets(rows, names)
    counts = np.bincount(place)
    means = np.stack([np.bincount(place, column) for column in targets.T], axis=1) / counts[:, None]
    lowest, highest = np.full(means.shape, np.inf), np.full(means.shape, -np.inf)
    np.minimum.at(lowest, place, targets)
    np.maximum.at(highest, place, targets)
    unequal = (lowest < highest).any(axis=1)
    conflicts: dict[int, list[str]] = {k: [] for k in np.flatnonzero(unequal).tolist()}
    for row, k in zip(rows, place.tolist(), strict=True):
        if k in conflicts:
            conflicts[k].append(row.id)
    ceiling = _ceiling(targets, means[place], counts[place]) if len(rows) > len(counts) else (None, None)
    return Readings(list(places), means, list(conflicts.values()), len(rows) - len(counts), *ceiling)


def _ceiling(targets: Floats, own_mean: Floats, copies: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """R² and mean error of a perfect reader, by dimension; some text has more than one label."""
    again = copies > 1
    k = copies[again][:, None]
    distance = targets[again] - own_mean[again]
    within = np.square(distance).sum(axis=0) / (1 - 1 / k).sum()  # the sum over k labels of 1 - 1/k is k - 1
    variance = targets.var(axis=0, ddof=1)
    r2 = 1 - within / np.where(variance > 0, variance, 1)
    return np.where(variance > 0, r2, 0.0), np.abs(distance * np.sqrt(k / (k - 1))).mean(axis=0)


def split_shift(train: Sequence[Example], others: Sequence[Example], names: Sequence[str]) -> Floats:
    """(dimensions,): mean of train less mean of the others, in standard deviations of the others."""
    return _shift(_targets(train, names), _targets(others, names))


def beyond_chance(shift: Floats, rows: int, others: int) -> NDArray[np.bool_]:
    """(dimensions,): whether a shift is more than so many rows on either side show by chance, and not tiny."""
    found: NDArray[np.bool_] = (np.abs(shift) >= SHIFT_SD) & (np.abs(shift) >= SHIFT_Z * np.sqrt(1 / rows + 1 / others))
    return found


def source_shift(rows: Sequence[Example], task: Task) -> list[SourceShift]:
    """How the labels of each source with enough rows differ from all others'; none where there is one source."""
    labels = np.array([source_of(row) for row in rows])
    targets = _targets(rows, task.names)
    found = []
    for source, count in Counter(labels.tolist()).most_common(MAX_SOURCES):
        if min(count, len(rows) - count) >= MIN_SOURCE_ROWS:
            shift = _shift(targets[labels == source], targets[labels != source])
            found.append(
                SourceShift(source=source, rows=count, shift=dict(zip(task.names, shift.tolist(), strict=True)))
            )
    return found


def source_of(row: Example) -> str:
    """Where a row comes from: what its file says of it (source, split), or how it got here."""
    said = [f"{name} {row.provenance[name]}" for name in ("source", "split") if name in row.provenance]
    return ", ".join(said) if said and row.source == "import" else row.source


def _shift(here: Floats, there: Floats) -> Floats:
    varied = np.ptp(there, axis=0) > 0
    difference = here.mean(axis=0) - there.mean(axis=0)
    shift: Floats = np.where(varied, difference / np.where(varied, there.std(axis=0), 1), 0.0)
    return shift


def _targets(rows: Sequence[Example], names: Sequence[str]) -> Floats:
    return np.array([[row.target[name] for name in names] for row in rows], dtype=float).reshape(-1, len(names))
