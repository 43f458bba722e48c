"""Ridge regression of several targets on sparse features, each with the penalty that predicts left-out rows best.

A row is left out together with its group of near copies, which would vote for it. Errors of left-out rows are exact
for given features (by blocks of the hat matrix, weighted, intercept not penalised), one eigendecomposition for all
penalties. Above EXACT_ROWS rows the penalty comes from a fixed sample of them and the weights from conjugate gradients.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
EXACT_ROWS = 2_000  # the eigendecomposition takes 3 s on one core at 2,000 rows and grows with the cube
CG_TOLERANCE = 1e-6
CG_MAX_STEPS = 500


@dataclass(frozen=True)
class LinearFit:
    """What was learned for d targets from v features."""

    coefficients: Floats  # (v, d)
    intercepts: Floats  # (d,)
    penalties: Floats
    """(d,), relative to the mean eigenvalue of the centred kernel."""
    left_out: Floats
    """(m, d), prediction for each of `rows` by the fit without it, clipped."""
    rows: NDArray[np.int64]
    """int (m,), the rows that `left_out` speaks of: all, or the sample."""


def rows_left_out(n: int, exact_rows: int = EXACT_ROWS) -> NDArray[np.int64]:
    """Which of n rows are predicted without themselves: all, or a fixed sample, in order."""
    rows = np.arange(n)
    return rows if n <= exact_rows else np.sort(np.random.default_rng(0).permutation(n)[:exact_rows])


def fit_ridge(
    features: sparse.csr_matrix,
    targets: Floats,
    weights: Floats,
    penalties: Sequence[float],
    low: float,
    high: float,
    groups: NDArray[np.int64] | None = None,
    exact_rows: int = EXACT_ROWS,
) -> LinearFit:
    """Fit every target with the penalty of least mean absolute error on left-out rows.

    Args:
        features: (n, v), rows distinct.
        targets: (n, d).
        weights: (n,), positive; how much a row counts in the fit. Every left-out row counts once in the choice.
        penalties: Candidates, relative to the mean eigenvalue, ascending; the larger one wins a tie.
        low: Predictions below are clipped to it.
        high: Predictions above are clipped to it.
        groups: Near-copy group of each of `rows_left_out`; every row by itself where not given.
        exact_rows: The most rows whose kernel is decomposed; of more than these a sample chooses the penalty.
    """
    rows = rows_left_out(len(targets), exact_rows)
    kernel = _Kernel(features[rows], targets[rows], weights[rows], np.arange(len(rows)) if groups is None else groups)
    left_out = np.stack([np.clip(kernel.left_out(penalty), low, high) for penalty in penalties])  # (penalty, m, d)
    errors = np.abs(left_out - kernel.targets).mean(axis=1)
    # Rounded, so that the last bits of a linear algebra library cannot choose.
    ranked = np.round(errors / (high - low), 9)[::-1]
    best = len(penalties) - 1 - ranked.argmin(axis=0)
    chosen = np.asarray(penalties)[best]
    if len(rows) == len(targets):
        coefficients, intercepts = kernel.solution(features, chosen)
    else:
        # The best absolute penalty is noise over prior variance, whatever the number of rows.
        coefficients, intercepts = _by_conjugate_gradients(features, targets, weights, chosen * kernel.scale)
    return LinearFit(coefficients, intercepts, chosen, left_out[best, :, np.arange(len(best))].T, rows)


class _Kernel:
    """The centred, weighted kernel of some rows, and its eigendecomposition."""

    def __init__(
        self, features: sparse.csr_matrix, targets: Floats, weights: Floats, groups: NDArray[np.int64]
    ) -> None:
        n = len(targets)
        sizes = np.bincount(groups)
        self._blocks = [np.flatnonzero(groups == group) for group in np.flatnonzero(sizes > 1)]
        self.targets = targets
        self._share = weights / weights.sum()
        self._root = np.sqrt(self._share * n)  # weights of mean one
        self._mean_target = self._share @ targets
        self._mean_feature = features.T @ self._share
        self._residual = (targets - self._mean_target) * self._root[:, None]
        gram = (features @ features.T).toarray()
        mean = gram @ self._share
        centred = gram - mean - mean[:, None] + self._share @ mean
        values, self._vectors = np.linalg.eigh(centred * self._root * self._root[:, None])
        self._values = np.maximum(values, 0.0)
        self.scale = max(float(self._values.mean()), 1e-12)
        self._squares = self._vectors**2
        self._projected = self._vectors.T @ self._residual

    def left_out(self, penalty: float) -> Floats:
        """Prediction for every row by the fit without its group, (n, d)."""
        shrink = self._values / (self._values + penalty * self.scale)
        leverage = self._squares @ shrink + self._share
        unexplained = self._residual - self._vectors @ (shrink[:, None] * self._projected)
        # A row of leverage one has no error without itself; then the fit says nothing and the mean is as good.
        errors = unexplained / np.maximum(1 - leverage, 1e-9)[:, None]
        for block in self._blocks:
            vectors, root_share = self._vectors[block], np.sqrt(self._share[block])
            influence = (vectors * shrink) @ vectors.T + np.outer(root_share, root_share)
            # A group of all rows leaves nothing to predict from, hence a little more than one on the diagonal.
            errors[block] = np.linalg.solve((1 + 1e-9) * np.eye(len(block)) - influence, unexplained[block])
        left_out: Floats = self.targets - errors / self._root[:, None]
        return left_out

    def solution(self, features: sparse.csr_matrix, penalties: Floats) -> tuple[Floats, Floats]:
        """Coefficients (v, d) and intercepts (d,) for one penalty a target."""
        dual = self._vectors @ (self._projected / (self._values[:, None] + penalties * self.scale))
        coefficients = features.T @ (dual * self._root[:, None])
        return coefficients, self._mean_target - self._mean_feature @ coefficients


def _by_conjugate_gradients(
    features: sparse.csr_matrix, targets: Floats, weights: Floats, penalties: Floats
) -> tuple[Floats, Floats]:
    """The same solution without an n by n matrix; one system a target, solved side by side."""
    share = weights / weights.sum()
    root = np.sqrt(share * len(weights))[:, None]
    mean_target, mean_feature = share @ targets, features.T @ share
    residual = (targets - mean_target) * root
    dual = np.zeros_like(residual)
    direction = residual.copy()
    size = goal = (residual**2).sum(axis=0)
    for _ in range(CG_MAX_STEPS):
        if np.all(size <= CG_TOLERANCE**2 * goal):
            break
        spread = features.T @ (direction * root)  # needs no centring: the weighted sum of `direction` is nought
        image = (features @ spread - mean_feature @ spread) * root + penalties * direction
        step = size / np.maximum((direction * image).sum(axis=0), 1e-300)
        dual += step * direction
        residual = residual - step * image
        previous, size = size, (residual**2).sum(axis=0)
        direction = residual + size / np.maximum(previous, 1e-300) * direction
    coefficients = features.T @ (dual * root)
    return coefficients, mean_target - mean_feature @ coefficients
