"""Can these data teach the task at all? Signal by dimension, conflicts, copies, leaks, and a verdict in words.

Signal: a ridge model on text features, each row predicted from the others (exact leave-one-out), its regularisation
chosen on the same rows; the same is done for permuted targets, so choosing costs nothing. The p-value is family-wise: a
dimension has to beat the best of all dimensions under permutation (Westfall & Young 1993). Texts count once, with the
mean of their targets, because copies would vote for themselves. From about 200 rows on this dependably finds an R² of
0.15; with fewer, "none" means that nothing was found.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from servers.core.dataset import Card, Example
from servers.core.medians import left_out_median
from servers.core.near_copies import groups, near_pairs
from servers.core.statistics import Floats
from servers.core.task import Task
from servers.core.text_features import TextFeatures, normalised
from servers.core.wire import Wire

MAX_ROWS = 600  # distinct texts looked at; more are sampled, since the time grows with the cube
PERMUTATIONS = 199
WORD_RUN, CHAR_RUN = 2, 5  # longest runs of words and characters that are features
REGULARISATION = np.logspace(-1, 3, 13)  # in units of the mean eigenvalue
FAMILY_LEVEL = 0.05
WEAK_R2, LEARNABLE_R2 = 0.02, 0.10
ENOUGH_TEXTS = 200  # below this, no signal means that none was found
FEW_TEXTS = 40
CONFLICT_SHARE = 0.5  # of the spread of the targets; beyond it the labels say more about the labellers than the texts

Signal = Literal["learnable", "weak", "none"]
Verdict = Literal["train", "relabel", "collect more", "stop"]


class DimensionDiagnosis(Wire):
    """What the text says about one dimension."""

    signal: Signal
    r2: float
    """Leave-one-out; 0 and below is no better than the mean."""
    p_family: float
    """Family-wise permutation p-value."""
    text_model_mae: float
    constant_mae: float
    """Points; leave-one-out median."""
    ratio: float | None
    """text_model_mae / constant_mae; null where the targets are all equal."""
    verdict: str


class Diagnosis(Wire):
    """What a dataset version can teach."""

    schema_version: int = Field(1, alias="schema", serialization_alias="schema")
    dataset: str
    dataset_version: str
    verdict: Verdict
    reason: str
    rows: dict[str, int]
    dimensions: dict[str, DimensionDiagnosis]
    copies: dict[str, int]
    """exact: rows whose text stands elsewhere too; near_groups; conflicting_texts: texts with unequal targets."""
    leakage: dict[str, int]
    """Training rows with an exact or near copy in diagnose, or a near copy in the sealed split."""
    label_shift: dict[str, float]
    """Mean of train less mean of diagnose, in standard deviations of diagnose; 0 where diagnose has no spread."""
    warnings: list[str]


def diagnose(
    card: Card,
    task: Task,
    train: Sequence[Example],
    diagnose_rows: Sequence[Example],
    near_sealed: int,
) -> Diagnosis:
    """Diagnose one dataset version.

    Args:
        card: The version.
        task: Its task.
        train: Training rows; those that a teacher wrote are left out of the search for signal, because they were made
            to have it.
        diagnose_rows: Diagnose rows.
        near_sealed: How many training rows are near-copies of sealed rows, counted by the judge.

    Raises:
        ValueError: train or diagnose has no rows.
    """
    if not train or not diagnose_rows:
        raise ValueError(f"{len(train)} train and {len(diagnose_rows)} diagnose rows; both need some to be diagnosed")
    original = [row for row in train if not row.source.startswith(("teacher:", "replay"))]
    texts, targets, conflict = _distinct([*original, *diagnose_rows], task)
    dimensions = _signal(texts, targets, task)
    leaks = _leakage(train, diagnose_rows, near_sealed)
    verdict, reason = _verdict(dimensions, len(texts), conflict)
    train_texts = [row.text for row in train]
    return Diagnosis(
        dataset=card.name,
        dataset_version=card.fingerprint,
        verdict=verdict,
        reason=reason,
        rows={"train": len(train), "diagnose": len(diagnose_rows), "distinct_texts": len(texts)},
        dimensions=dimensions,
        copies={
            "exact": len(train_texts) - len({normalised(text) for text in train_texts}),
            "near_groups": int(np.sum(np.bincount(groups(train_texts).labels) > 1)),
            "conflicting_texts": conflict.texts,
        },
        leakage=leaks,
        label_shift=_shift(train, diagnose_rows, task),
        warnings=_warnings(leaks, conflict, len(texts)),
    )


class _Conflict(Wire):
    texts: int
    share: float
    """Of the targets' sum of squares, what lies between rows with equal texts: no reader of the text can explain it."""


def _distinct(rows: Sequence[Example], task: Task) -> tuple[list[str], Floats, _Conflict]:
    """Distinct texts, the mean target of each, shape (texts, dimensions), and how much equal texts disagree."""
    by_text: dict[str, list[list[float]]] = {}
    for row in rows:
        by_text.setdefault(normalised(row.text), []).append([row.target[name] for name in task.names])
    stacks = [np.array(values, dtype=float) for values in by_text.values()]
    means = np.array([stack.mean(axis=0) for stack in stacks]).reshape(len(stacks), len(task.names))
    repeated = [stack for stack in stacks if len(stack) > 1]
    everything = np.vstack(stacks)
    total = float(np.square(everything - everything.mean(axis=0)).sum())
    within = sum(float(np.square(stack - stack.mean(axis=0)).sum()) for stack in repeated)
    return (
        list(by_text),
        means,
        _Conflict(
            texts=sum(bool(np.ptp(stack, axis=0).any()) for stack in repeated),
            share=within / total if total else 0.0,
        ),
    )


def _signal(texts: list[str], targets: Floats, task: Task) -> dict[str, DimensionDiagnosis]:
    random = np.random.default_rng(0)
    if len(texts) > MAX_ROWS:
        chosen = np.sort(random.choice(len(texts), MAX_ROWS, replace=False))
        texts, targets = [texts[i] for i in chosen], targets[chosen]
    left_out = _LeaveOneOut(_centred_kernel(texts))
    r2, regularisation = left_out.best(targets)
    permuted = np.hstack([targets[random.permutation(len(texts))] for _ in range(PERMUTATIONS)])
    best = left_out.best(permuted)[0].reshape(PERMUTATIONS, len(task.names)).max(axis=1)
    constant = np.abs(left_out_median(targets) - targets).mean(axis=0)
    return {
        name: _dimension(
            r2=float(r2[k]),
            p_family=float((1 + np.sum(best >= r2[k])) / (1 + PERMUTATIONS)),
            text_model_mae=_text_model_error(left_out, targets[:, [k]], regularisation[[k]], task),
            constant_mae=float(constant[k]),
        )
        for k, name in enumerate(task.names)
    }


def _dimension(r2: float, p_family: float, text_model_mae: float, constant_mae: float) -> DimensionDiagnosis:
    signal: Signal = "none"
    if p_family <= FAMILY_LEVEL and r2 >= WEAK_R2:
        signal = "learnable" if r2 >= LEARNABLE_R2 else "weak"
    words = {
        "learnable": "the text says enough to train on",
        "weak": "the text says a little; expect small gains",
        "none": "no signal was found in the text; more training cannot mend this",
    }
    return DimensionDiagnosis(
        signal=signal,
        r2=r2,
        p_family=p_family,
        text_model_mae=text_model_mae,
        constant_mae=constant_mae,
        ratio=text_model_mae / constant_mae if constant_mae > 0 else None,
        verdict=words[signal],
    )


def _centred_kernel(texts: list[str]) -> Floats:
    matrix = TextFeatures.fit(texts, WORD_RUN, CHAR_RUN, min_texts=1).matrix(texts)
    kernel: Floats = (matrix @ matrix.T).toarray().astype(float)
    means = kernel.mean(axis=0)
    centred: Floats = kernel - means[:, None] - means[None, :] + kernel.mean()
    return centred


class _LeaveOneOut:
    """Kernel ridge on fixed texts: what each row's target is predicted to be from the others, for any targets."""

    def __init__(self, kernel: Floats) -> None:
        eigenvalues, self._vectors = np.linalg.eigh(kernel)
        self._eigenvalues = np.maximum(eigenvalues, 0)
        self._unit = float(self._eigenvalues.mean()) or 1.0
        self._square = np.square(self._vectors)

    def errors(self, targets: Floats, strengths: Floats) -> Iterator[Floats]:
        """For each strength of regularisation, target minus its leave-one-out prediction, shape (texts, columns)."""
        residuals = targets - targets.mean(axis=0)
        rotated = self._vectors.T @ residuals
        for strength in strengths:
            shrink = self._eigenvalues / (self._eigenvalues + strength * self._unit)
            leverage = self._square @ shrink + 1 / len(targets)
            yield (residuals - self._vectors @ (shrink[:, None] * rotated)) / np.maximum(1 - leverage, 1e-6)[:, None]

    def best(self, targets: Floats) -> tuple[Floats, Floats]:
        """R² of each column with the regularisation that suits it best, and that regularisation, shape (columns,)."""
        squares = np.array([np.square(errors).mean(axis=0) for errors in self.errors(targets, REGULARISATION)])
        n = len(targets)
        spread = np.square((targets - targets.mean(axis=0)) * n / max(1, n - 1)).mean(axis=0)
        varied = np.ptp(targets, axis=0) > 0  # the spread of equal targets may be a rounding error instead of 0
        r2 = np.where(varied, 1 - squares.min(axis=0) / np.where(varied, spread, 1), 0.0)
        return r2, REGULARISATION[squares.argmin(axis=0)]


def _text_model_error(left_out: _LeaveOneOut, targets: Floats, regularisation: Floats, task: Task) -> float:
    (errors,) = left_out.errors(targets, regularisation)
    predicted = np.clip(targets - errors, task.scale.low, task.scale.high)
    return float(np.abs(predicted - targets).mean())


def _leakage(train: Sequence[Example], diagnose_rows: Sequence[Example], near_sealed: int) -> dict[str, int]:
    train_texts, other_texts = [row.text for row in train], [row.text for row in diagnose_rows]
    others = {normalised(text) for text in other_texts}
    return {
        "train_diagnose_exact": sum(normalised(text) in others for text in train_texts),
        "train_diagnose_near": len({i for i, _, _ in near_pairs(train_texts, other_texts, 0.8)}),
        "train_gate_near": near_sealed,
    }


def _shift(train: Sequence[Example], diagnose_rows: Sequence[Example], task: Task) -> dict[str, float]:
    def column(rows: Sequence[Example], name: str) -> Floats:
        return np.array([row.target[name] for row in rows], dtype=float)

    def shift(name: str) -> float:
        here, there = column(train, name), column(diagnose_rows, name)
        return float((here.mean() - there.mean()) / there.std()) if np.ptp(there) else 0.0

    return {name: shift(name) for name in task.names}


def _verdict(dimensions: dict[str, DimensionDiagnosis], texts: int, conflict: _Conflict) -> tuple[Verdict, str]:
    found = [name for name, dimension in dimensions.items() if dimension.signal != "none"]
    silent = [name for name in dimensions if name not in found]
    if texts < FEW_TEXTS:
        return "collect more", f"{texts} distinct texts are too few to find anything; collect at least {ENOUGH_TEXTS}"
    if conflict.share > CONFLICT_SHARE:
        return "relabel", (
            f"{conflict.share:.0%} of the targets' spread is disagreement between rows with equal texts, which no "
            f"reader of the text can explain; label them again"
        )
    if not found and texts < ENOUGH_TEXTS:
        return "collect more", f"no signal was found, but {texts} distinct texts are too few to say that there is none"
    if not found:
        return (
            "stop",
            f"{texts} distinct texts say nothing about any dimension; the labels were made from something else",
        )
    if silent:
        return "train", f"there is signal for {', '.join(found)}; none was found for {', '.join(silent)}"
    return "train", f"there is signal for all {len(found)} dimensions"


def _warnings(leaks: dict[str, int], conflict: _Conflict, texts: int) -> list[str]:
    notes = [f"{count} training rows: {name}" for name, count in leaks.items() if count]
    if conflict.texts:
        notes.append(f"{conflict.texts} texts stand more than once with unequal targets")
    if texts < ENOUGH_TEXTS:
        notes.append(f"with {texts} distinct texts, a dimension without signal means that none was found")
    return notes
