"""What the text says about each dimension: a linear model on text features, tried on texts that were left out.

Kernel ridge; every text is predicted from the others without its near copies (exact, by blocks of the hat matrix),
because copies would vote for one another. The regularisation is the one that suits a dimension best; the same choice is
made for targets that cannot be predicted, so choosing costs nothing. Those are the real ones with the sign of their
deviation from the mean turned at random, group by group, all dimensions alike (wild cluster bootstrap with Rademacher
weights, Cameron, Gelbach & Miller 2008). The p-value is family-wise: a dimension has to beat the best of all dimensions
under these (Westfall & Young 1993). Texts count once, with the mean of their targets. From about 200 texts on this
dependably finds an R² of 0.15; with fewer, "none" means that nothing was found.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from servers.core.diagnosis.findings import Signal
from servers.core.medians import left_out_median
from servers.core.near_copies import groups
from servers.core.set_join import Ints
from servers.core.statistics import Floats
from servers.core.task import Scale
from servers.core.text_features import TextFeatures

MAX_TEXTS = 600  # looked at; more are sampled, since the time grows with the cube
TURNS = 199
WORD_RUN, CHAR_RUN = 2, 5  # longest runs of words and characters that are features
REGULARISATION = np.logspace(-1, 3, 13)  # in units of the mean eigenvalue
FAMILY_LEVEL = 0.05
WEAK_R2, LEARNABLE_R2 = 0.02, 0.10


@dataclass(frozen=True)
class SignalFound:
    """What the text says about one dimension."""

    signal: Signal
    r2: float
    p_family: float
    text_model_mae: float
    constant_mae: float


def find_signal(texts: Sequence[str], targets: Floats, scale: Scale) -> list[SignalFound]:
    """Look for signal in each dimension.

    Args:
        texts: Distinct, normalised as `text_features` does.
        targets: (texts, dimensions), points.
        scale: Predictions are clipped to it.
    """
    random = np.random.default_rng(0)
    if len(texts) > MAX_TEXTS:
        chosen = np.sort(random.choice(len(texts), MAX_TEXTS, replace=False))
        texts, targets = [texts[i] for i in chosen], targets[chosen]
    together = groups(texts)
    left_out = _LeftOut(_centred_kernel(texts), together.labels)
    r2, regularisation = left_out.best(targets)
    signs = random.choice([-1.0, 1.0], size=(len(together.sizes()), TURNS))[together.labels]  # (texts, turns)
    deviations = targets - targets.mean(axis=0)
    turned = (signs[:, :, None] * deviations[:, None, :]).reshape(len(texts), -1)
    best = left_out.best(turned)[0].reshape(TURNS, -1).max(axis=1)
    constant = np.abs(left_out_median(targets) - targets).mean(axis=0)
    model = [left_out.error(targets[:, [k]], regularisation[[k]], scale) for k in range(targets.shape[1])]
    p_family = (1 + (best[:, None] >= r2).sum(axis=0)) / (1 + TURNS)
    return [
        SignalFound(_strength(float(r2[k]), float(p_family[k])), float(r2[k]), float(p_family[k]), model[k], constant_k)
        for k, constant_k in enumerate(constant.tolist())
    ]


def _strength(r2: float, p_family: float) -> Signal:
    if p_family > FAMILY_LEVEL or r2 < WEAK_R2:
        return "none"
    return "learnable" if r2 >= LEARNABLE_R2 else "weak"


def _centred_kernel(texts: Sequence[str]) -> Floats:
    matrix = TextFeatures.fit(texts, WORD_RUN, CHAR_RUN, min_texts=1).matrix(texts)
    kernel: Floats = (matrix @ matrix.T).toarray().astype(float)
    means = kernel.mean(axis=0)
    centred: Floats = kernel - means[:, None] - means[None, :] + kernel.mean()
    return centred


class _LeftOut:
    """Kernel ridge on fixed texts: what each target is predicted to be without its text's group, for any targets."""

    def __init__(self, kernel: Floats, labels: Ints) -> None:
        eigenvalues, self._vectors = np.linalg.eigh(kernel)
        self._eigenvalues = np.maximum(eigenvalues, 0)
        self._unit = float(self._eigenvalues.mean()) or 1.0
        self._square = np.square(self._vectors)
        sizes = np.bincount(labels)
        self._alone = sizes[labels] == 1
        self._blocks = [np.flatnonzero(labels == label) for label in np.flatnonzero(sizes > 1)]

    def errors(self, targets: Floats, strengths: Floats) -> Iterator[Floats]:
        """For each strength of regularisation, target minus its left-out prediction, shape (texts, columns)."""
        n = len(targets)
        residuals = targets - targets.mean(axis=0)
        rotated = self._vectors.T @ residuals
        for strength in strengths:
            shrink = self._eigenvalues / (self._eigenvalues + strength * self._unit)
            errors = residuals - self._vectors @ (shrink[:, None] * rotated)
            free = np.maximum(1 - self._square @ shrink - 1 / n, 1e-6)
            errors[self._alone] /= free[self._alone, None]
            for block in self._blocks:
                vectors = self._vectors[block]
                influence = (vectors * shrink) @ vectors.T + 1 / n
                # A group of all texts leaves nothing to predict from, hence a little more than one on the diagonal.
                errors[block] = np.linalg.solve((1 + 1e-6) * np.eye(len(block)) - influence, errors[block])
            yield errors

    def best(self, targets: Floats) -> tuple[Floats, Floats]:
        """R² of each column with the regularisation that suits it best, and that regularisation, shape (columns,)."""
        squares = np.array([np.square(errors).mean(axis=0) for errors in self.errors(targets, REGULARISATION)])
        n = len(targets)
        spread = np.square((targets - targets.mean(axis=0)) * n / max(1, n - 1)).mean(axis=0)
        varied = np.ptp(targets, axis=0) > 0  # the spread of equal targets may be a rounding error instead of 0
        r2 = np.where(varied, 1 - squares.min(axis=0) / np.where(varied, spread, 1), 0.0)
        return r2, REGULARISATION[squares.argmin(axis=0)]

    def error(self, target: Floats, regularisation: Floats, scale: Scale) -> float:
        """Mean absolute error of one dimension (texts, 1), predictions clipped to the scale."""
        (errors,) = self.errors(target, regularisation)
        predicted = np.clip(target - errors, scale.low, scale.high)
        return float(np.abs(predicted - target).mean())
