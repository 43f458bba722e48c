"""Which sets have much in common: all pairs of a given Jaccard similarity, found exactly and in bounded memory.

If two sets reach a similarity t, the rarest |set| - ceil(t |set|) + 1 members of each have one in common (prefix
filtering, Bayardo et al. 2007, "Scaling up all pairs similarity search"). Only pairs that share such a member are
compared, block by block, so memory stays bounded by the block.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

BLOCK_CELLS = 4_000_000  # of candidates looked at together, about 50 MB
PAIRS_AT_ONCE = 20_000
ROUNDING = 1e-9  # similarities are quotients of whole numbers below 2**31; this is far below their distances

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Pairs = tuple[Ints, Ints, Floats]
Token = str | int
Matrix: TypeAlias = "sparse.csr_array"


def incidence(*sides: Iterable[set[str]] | Iterable[set[int]]) -> list[Matrix]:
    """For each side a matrix (sets, tokens) of ones, columns from the rarest token to the most frequent."""
    vocabulary: dict[Token, int] = {}
    columns: list[Ints] = []
    starts: list[Ints] = []
    for side in sides:
        rows = [np.array([vocabulary.setdefault(token, len(vocabulary)) for token in row]) for row in side]
        columns.append(np.concatenate([np.empty(0, dtype=np.int64), *rows]).astype(np.int64))
        starts.append(np.cumsum([0, *map(len, rows)], dtype=np.int64))
    frequency = np.bincount(np.concatenate(columns), minlength=len(vocabulary))
    rank = np.empty(len(vocabulary), dtype=np.int64)
    rank[np.argsort(frequency, kind="stable")] = np.arange(len(vocabulary))
    matrices = []
    for column, start in zip(columns, starts, strict=True):
        ones = np.ones(len(column), dtype=np.int32)
        matrix = sparse.csr_array((ones, rank[column], start), shape=(len(start) - 1, len(vocabulary)))
        matrix.sort_indices()
        matrices.append(matrix)
    return matrices


def candidates(a: Matrix, b: Matrix, threshold: float) -> Iterator[tuple[Ints, Ints]]:
    """Pairs (row of a, row of b) that may be similar, in bounded portions; every similar pair comes once."""
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold!r} is no similarity; give a number above 0, at most 1")
    if a.shape[0] == 0 or b.shape[0] == 0:
        return
    sizes_a, sizes_b = np.diff(a.indptr), np.diff(b.indptr)
    prefix_a, prefix_b = _rarest(a, threshold), _rarest(b, threshold)
    rest_a, rest_b = sizes_a - np.diff(prefix_a.indptr), sizes_b - np.diff(prefix_b.indptr)
    columns_b = prefix_b.T.tocsr()
    # A row of a meets at most so many rows of b; blocks are cut so that together they meet a bounded number.
    meetings = np.cumsum(prefix_a @ np.diff(columns_b.indptr))
    cuts: list[int] = np.flatnonzero(np.diff(meetings // BLOCK_CELLS, prepend=0)).tolist()
    for start, end in pairwise([0, *cuts, a.shape[0]]):
        meeting = (prefix_a[start:end] @ columns_b).tocoo()
        i, j = meeting.coords[0].astype(np.int64) + start, meeting.coords[1].astype(np.int64)
        needed = threshold / (1 + threshold) * (sizes_a[i] + sizes_b[j]) - ROUNDING
        # What the prefixes do not share can only be shared by the rest of the row whose prefix ends earlier.
        possible = meeting.data + np.maximum(rest_a[i], rest_b[j])
        enough = (possible >= needed) & (np.minimum(sizes_a[i], sizes_b[j]) >= needed)
        i, j = i[enough], j[enough]
        for k in range(0, len(i), PAIRS_AT_ONCE):
            yield i[k : k + PAIRS_AT_ONCE], j[k : k + PAIRS_AT_ONCE]


def _rarest(matrix: Matrix, threshold: float) -> Matrix:
    """Only the rarest tokens of each row, of which two similar rows must share one."""
    sizes = np.diff(matrix.indptr)
    keep = np.minimum(sizes, sizes - np.ceil(threshold * sizes - ROUNDING).astype(np.int64) + 1)
    place = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], sizes)
    kept = place < np.repeat(keep, sizes)
    starts = np.concatenate([[0], np.cumsum(keep)])
    return sparse.csr_array((matrix.data[kept], matrix.indices[kept], starts), shape=matrix.shape)


def verified(a: Matrix, b: Matrix, i: Ints, j: Ints, threshold: float) -> Pairs:
    """The pairs among (i, j) that are similar, with their similarity."""
    shared = a[i].multiply(b[j]).sum(axis=1)
    similarity = shared / (np.diff(a.indptr)[i] + np.diff(b.indptr)[j] - shared)
    near = similarity >= threshold - ROUNDING
    return i[near], j[near], similarity[near]
