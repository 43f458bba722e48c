"""What stands twice: within train, and on two sides that should not know each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from servers.core.dataset import Example
from servers.core.likeness import normalised, shingles, words
from servers.core.near_copies import THRESHOLD, groups, near_any

MAX_GROUPED_ROWS = 20_000  # of train that are put into groups; more are sampled
RUN_WORDS = 4
ALIKE = 0.5  # Jaccard similarity of shingles from which an equal label vector is no chance


@dataclass(frozen=True)
class Copies:
    """Rows of train and diagnose that repeat each other."""

    exact: list[str]
    """Ids of train rows whose text an earlier row has."""
    near_groups: int
    near_rows: int
    """Train rows in groups of more than one."""
    across_exact: list[str]
    """Ids of train rows whose text stands in diagnose."""
    across_near: list[str]
    """Ids of train rows with an exact or near copy in diagnose."""
    same_labels: int
    same_labels_alike: list[str]
    template_overlap: float


def find_copies(train: Sequence[Example], others: Sequence[Example], names: Sequence[str]) -> Copies:
    """Look for copies in train, and between train and the diagnose rows."""
    first: dict[str, str] = {}
    texts = [normalised(row.text) for row in train]
    exact = [row.id for row, text in zip(train, texts, strict=True) if first.setdefault(text, row.id) != row.id]
    sizes = groups([row.text for row in _sampled(train)]).sizes()
    there = {normalised(row.text) for row in others}
    near = near_any([row.text for row in train], [row.text for row in others], THRESHOLD)
    same, alike = _same_labels(train, others, names)
    return Copies(
        exact=exact,
        near_groups=int((sizes > 1).sum()),
        near_rows=int(sizes[sizes > 1].sum()),
        across_exact=[row.id for row, text in zip(train, texts, strict=True) if text in there],
        across_near=[row.id for row, is_near in zip(train, near.tolist(), strict=True) if is_near],
        same_labels=same,
        same_labels_alike=alike,
        template_overlap=_overlap(train, others),
    )


def _sampled(rows: Sequence[Example]) -> Sequence[Example]:
    if len(rows) <= MAX_GROUPED_ROWS:
        return rows
    chosen = np.random.default_rng(0).choice(len(rows), MAX_GROUPED_ROWS, replace=False)
    return [rows[k] for k in sorted(chosen.tolist())]


def _same_labels(train: Sequence[Example], others: Sequence[Example], names: Sequence[str]) -> tuple[int, list[str]]:
    """How many train rows have the whole label vector of a diagnose row, and the ids of those with half of its text."""
    labelled: dict[tuple[float, ...], str] = {}
    for row in others:
        labelled.setdefault(tuple(row.target[name] for name in names), row.text)
    pairs = [(row, labelled.get(tuple(row.target[name] for name in names))) for row in train]
    same = [(row, text) for row, text in pairs if text is not None]
    alike = [row.id for row, text in same if _jaccard(row.text, text) >= ALIKE]
    return len(same), alike


def _jaccard(here: str, there: str) -> float:
    a, b = shingles(here), shingles(there)
    return len(a & b) / len(a | b)


def _overlap(train: Sequence[Example], others: Sequence[Example]) -> float:
    """Share of the other texts' runs of RUN_WORDS words that stand in a train text, mean over texts."""
    known = {run for row in train for run in _runs(row.text)}
    return float(np.mean([np.mean([run in known for run in _runs(row.text)]) for row in others]))


def _runs(text: str) -> list[str]:
    """At least one; a shorter text is its own only run."""
    said = words(text)
    return [" ".join(said[k : k + RUN_WORDS]) for k in range(max(1, len(said) - RUN_WORDS + 1))]
