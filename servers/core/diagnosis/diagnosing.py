"""The diagnosis of one dataset version: what is looked at, in which rows, and what deserves a warning.

Rows that a teacher wrote are left out of the search for signal and for outliers, because they were made to have the one
and not to be the other.
"""

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np

from servers.core.dataset import Card, Example
from servers.core.diagnosis.copies import Copies, find_copies
from servers.core.diagnosis.findings import Diagnosis, SourceShift
from servers.core.diagnosis.labels import Readings, beyond_chance, readings, source_shift, split_shift
from servers.core.diagnosis.outliers import unusual_languages, unusual_lengths
from servers.core.diagnosis.signal import find_signal
from servers.core.diagnosis.verdicts import ENOUGH_TEXTS, Ceiling, dimension_diagnosis, whole_verdict
from servers.core.near_copies import THRESHOLD
from servers.core.progress import tell
from servers.core.source_splits import SourceSplits
from servers.core.task import Task

SHOWN_IDS = 5
STEPS = 6  # that are told of; the first three are the caller's: three comparisons with the sealed rows
WORDS_FOR_LEAKS = {
    "train_diagnose_exact": "stand in diagnose word for word",
    "train_diagnose_near": "are copies or near copies of diagnose rows",
    "train_gate_exact": "stand in the sealed split word for word",
    "train_gate_near": "are copies or near copies of sealed rows",
    "diagnose_gate_near": "are copies or near copies of sealed rows",
}


def diagnose(
    card: Card,
    task: Task,
    train: Sequence[Example],
    diagnose_rows: Sequence[Example],
    near_sealed: int,
    *,
    exact_sealed: int = 0,
    diagnose_near_sealed: int = 0,
    source_splits: SourceSplits | None = None,
) -> Diagnosis:
    """Diagnose one dataset version.

    Args:
        card: The version.
        task: Its task.
        train: Training rows.
        diagnose_rows: Diagnose rows.
        near_sealed: How many training rows are copies or near copies of sealed rows, counted by the judge.
        exact_sealed: How many of them are copies.
        diagnose_near_sealed: The same as `near_sealed`, of the diagnose rows.
        source_splits: What the import found in the splits that the data came with.

    Raises:
        ValueError: train or diagnose has no rows.
    """
    if not train or not diagnose_rows:
        raise ValueError(f"{len(train)} train and {len(diagnose_rows)} diagnose rows; both need some to be diagnosed")
    imported = [row for row in train if not row.source.startswith(("teacher:", "replay"))]
    original = [*imported, *diagnose_rows]
    tell(3, STEPS, f"looking for signal in {len(original)} rows")
    read = readings(original, task.names)
    texts = len(read.texts)
    dimensions = {
        name: dimension_diagnosis(found, texts, _ceiling(read, k))
        for k, (name, found) in enumerate(zip(task.names, find_signal(read.texts, read.means, task.scale), strict=True))
    }
    verdict, reason = whole_verdict(dimensions, texts, read.repeats, len(read.conflicts))
    tell(4, STEPS, f"looking for copies among {len(train) + len(diagnose_rows)} rows")
    copies = find_copies(train, diagnose_rows, task.names)
    leakage = {
        "train_diagnose_exact": len(copies.across_exact),
        "train_diagnose_near": len(copies.across_near),
        "train_gate_exact": exact_sealed,
        "train_gate_near": near_sealed,
        "diagnose_gate_near": diagnose_near_sealed,
    }
    sizes = {"train": len(train), "diagnose": len(diagnose_rows)}
    tell(5, STEPS, "looking for unusual texts and shifts")
    length = _ids(original, unusual_lengths([row.text for row in original]).tolist())
    language = _ids(original, unusual_languages([row.text for row in original]).tolist())
    shift = split_shift(train, diagnose_rows, task.names)
    sources = source_shift([*train, *diagnose_rows], task)
    return Diagnosis(
        dataset=card.name,
        dataset_version=card.fingerprint,
        verdict=verdict,
        reason=reason,
        rows=sizes | {"distinct_texts": texts},
        dimensions=dimensions,
        copies={
            "exact": len(copies.exact),
            "near_groups": copies.near_groups,
            "near_rows": copies.near_rows,
            "conflicting_texts": len(read.conflicts),
            "conflicting_rows": sum(map(len, read.conflicts)),
        },
        leakage=leakage,
        resemblance={
            "same_labels": copies.same_labels,
            "same_labels_alike": len(copies.same_labels_alike),
            "template_overlap": copies.template_overlap,
        },
        label_shift=dict(zip(task.names, shift.tolist(), strict=True)),
        source_shift=sources,
        outliers={"length": len(length), "language": len(language)},
        source_splits=source_splits,
        examples=_examples(copies, read, length, language),
        warnings=[
            *_about_leaks(leakage, copies, sizes, card, source_splits),
            *_about_labels(read, task),
            *_about_shift(imported, diagnose_rows, sources, len(original), task),
            *_about_outliers(len(length), len(language)),
            *_about_size(texts),
        ],
    )


def _ceiling(read: Readings, k: int) -> Ceiling | None:
    if read.ceiling_r2 is None or read.ceiling_mae is None:
        return None
    return Ceiling(float(read.ceiling_r2[k]), float(read.ceiling_mae[k]), read.repeats)


def _ids(rows: Sequence[Example], found: Sequence[bool]) -> list[str]:
    return [row.id for row, is_found in zip(rows, found, strict=True) if is_found]


def _examples(copies: Copies, read: Readings, length: list[str], language: list[str]) -> dict[str, list[str]]:
    found = {
        "exact": copies.exact,
        "conflicting_texts": [ids[0] for ids in islice(read.conflicts, SHOWN_IDS)],
        "train_diagnose_near": copies.across_near,
        "same_labels_alike": copies.same_labels_alike,
        "length": length,
        "language": language,
    }
    return {what: ids[:SHOWN_IDS] for what, ids in found.items() if ids}


def _about_leaks(
    leakage: Mapping[str, int],
    copies: Copies,
    sizes: Mapping[str, int],
    card: Card,
    source_splits: SourceSplits | None,
) -> list[str]:
    notes = []
    for name, count in leakage.items():
        side = name.partition("_")[0]
        if count:
            notes.append(f"{count} of {sizes[side]} {side} rows {WORDS_FOR_LEAKS[name]}")
    if alike := len(copies.same_labels_alike):
        notes.append(f"{alike} of {sizes['train']} train rows have all labels and half of the text of a diagnose row")
    if card.near_copy_threshold > THRESHOLD:
        notes.append(
            f"so many rows are alike that near copies were kept together from similarity {card.near_copy_threshold:g} "
            f"on, not from {THRESHOLD:g}"
        )
    if source_splits is not None and source_splits.words:
        notes.append(source_splits.words)
    return notes


def _about_labels(read: Readings, task: Task) -> list[str]:
    if not read.conflicts or read.ceiling_mae is None:
        return []
    return [
        f"{len(read.conflicts)} texts stand more than once with unequal targets; by these, a perfect reader would err "
        f"by {np.mean(read.ceiling_mae):.{2 if task.scale.width >= 10 else 3}f} on average"
    ]


def _about_shift(
    train: Sequence[Example],
    diagnose_rows: Sequence[Example],
    sources: Sequence[SourceShift],
    rows: int,
    task: Task,
) -> list[str]:
    found = []
    if train:
        shift = split_shift(train, diagnose_rows, task.names)
        far = beyond_chance(shift, len(train), len(diagnose_rows))
        found += [("train, against diagnose,", task.names[k], shift[k]) for k in np.flatnonzero(far)]
    for source in sources:
        if source.source.startswith("teacher:"):
            continue  # aimed on purpose; the augmentation's own report compares them
        shift = np.array(list(source.shift.values()))
        far = beyond_chance(shift, source.rows, rows - source.rows) if rows > source.rows else shift < shift
        found += [(f"rows of {source.source!r}", task.names[k], shift[k]) for k in np.flatnonzero(far)]
    return [f"{who} are labelled {by:+.2f} standard deviations apart on {name}" for who, name, by in found]


def _about_outliers(length: int, language: int) -> list[str]:
    notes = [f"far longer or shorter than the other texts: {length}"] if length else []
    return notes + ([f"in another language or script than the other texts: {language}"] if language else [])


def _about_size(texts: int) -> list[str]:
    if texts >= ENOUGH_TEXTS:
        return []
    return [f"with {texts} distinct texts, a dimension without signal means that none was found"]
