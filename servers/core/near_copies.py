"""Near copies: texts that say the same in almost the same words, and therefore count as one.

One definition everywhere. The similarity of two texts is the larger of two numbers: the Jaccard similarity (shared /
all) of their sets of 5-character shingles; and 1 - 1/n where they are one word apart and the longer one has n words.
0 = nothing shared, 1 = the same; from `THRESHOLD` on two texts are near copies, so one word of five or more may differ.
Both are defined in `likeness.py`. Paraphrases are not found, and are not meant to be.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from servers.core.likeness import hashed_shingles, normalised, remainders, shingles
from servers.core.set_join import ROUNDING, Floats, Ints, Matrix, candidates, incidence, verified

THRESHOLD = 0.8
TIGHTER = (0.85, 0.9, 0.95, 1.0)  # where `groups` goes when a group is too large
KEY_BYTES = 32
SKETCH_FILE = "sketch.npz"  # its name in a split's sealed folder

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Groups:
    """Which texts belong together."""

    labels: Ints
    """(n,) the group of each text, 0, 1, 2, … in order of first appearance."""
    threshold: float
    """The similarity that was used in the end."""

    def sizes(self) -> Ints:
        """(groups,) how many texts each group has."""
        return np.bincount(self.labels)


def near_pairs(texts_a: Sequence[str], texts_b: Sequence[str], threshold: float) -> list[tuple[int, int, float]]:
    """All pairs of a text here and a text there that are near copies. There may be as many as texts here times there.

    Args:
        texts_a: Here.
        texts_b: There.
        threshold: Smallest similarity, above 0, at most 1.

    Returns:
        (index in a, index in b, similarity), by index.
    """
    a, b = incidence(map(shingles, texts_a), map(shingles, texts_b))
    found = (verified(a, b, i, j, threshold) for i, j in candidates(a, b, threshold))
    pairs = {(i, j): s for ii, jj, ss in found for i, j, s in zip(ii.tolist(), jj.tolist(), ss.tolist(), strict=True)}
    holders: dict[int, list[int]] = {}
    for j, text in enumerate(texts_b):
        for value in remainders(text)[0]:
            holders.setdefault(value, []).append(j)
    for i, text in enumerate(texts_a):
        for value, similarity in zip(*remainders(text), strict=True):
            if similarity >= threshold - ROUNDING:
                pairs |= {(i, j): max(pairs.get((i, j), 0.0), similarity) for j in holders.get(value, ())}
    return sorted((i, j, similarity) for (i, j), similarity in pairs.items())


def near_any(texts: Sequence[str], others: Sequence[str], threshold: float = THRESHOLD) -> NDArray[np.bool_]:
    """(len(texts),) whether each text is a near copy of one of the others; in bounded memory, unlike all pairs."""
    return Sketch.build(others, b"").near(texts, threshold)


def groups(texts: Sequence[str], threshold: float = THRESHOLD, max_share: float = 0.10) -> Groups:
    """Put texts together that near copies connect, directly or over others.

    Args:
        texts: Any texts, in any order.
        threshold: Similarity to begin with; it is raised in steps up to 1 while a group is too large.
        max_share: Largest share of the texts that one group may have. Pairs are always allowed, and so are groups
            that are too large at similarity 1: exact copies share a group, however many they are.
    """
    index: dict[str, int] = {}
    distinct = np.array([index.setdefault(normalised(text), len(index)) for text in texts], dtype=np.int64)
    one_word = _Remainders(texts)
    matrix = incidence(map(shingles, index))[0]
    copies = np.bincount(distinct)
    allowed = max(2.0, max_share * len(texts))
    for step in (threshold, *(tighter for tighter in TIGHTER if tighter > threshold)):
        here, there = one_word.links(step)
        labels = _components(matrix, distinct[here], distinct[there], step, copies, allowed if step < 1 else math.inf)
        if labels is not None:
            return Groups(labels[distinct], step)
    raise AssertionError("unreachable: at similarity 1 a group of any size is allowed")


class Sketch:
    """Keyed hashes of held-out texts: enough to see whether a new text is a near copy of one.

    It holds no text, but whoever has the file can try texts against it, so it lies where the texts lie.
    """

    def __init__(self, key: bytes, hashes: Hashes, ends: Ints, rests: Hashes) -> None:
        self._key = key
        self._hashes = hashes  # of all texts' shingles, one text after the other, sorted within a text
        self._ends = ends  # (texts + 1,) where each text's hashes begin, and the end
        self._rests = rests  # of all texts' remainders, sorted

    def __len__(self) -> int:
        """How many texts are held out."""
        return len(self._ends) - 1

    @classmethod
    def build(cls, texts: Sequence[str], key: bytes) -> "Sketch":
        """Hash the texts.

        Args:
            texts: The held-out texts.
            key: 16 to 64 random bytes.
        """
        rows = [sorted(hashed_shingles(text, key)) for text in texts]
        ends = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        hashes = np.array([value for row in rows for value in row], dtype=np.uint64)
        return cls(key, hashes, ends, np.unique(_Remainders(texts, key).hashes))

    def save(self, path: Path) -> None:
        """Write the sketch, readable by the owner only."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            key = np.frombuffer(self._key, dtype=np.uint8)
            np.savez_compressed(file, key=key, hashes=self._hashes, ends=self._ends, rests=self._rests)

    @classmethod
    def load(cls, path: Path) -> "Sketch":
        """Read a sketch.

        Raises:
            ValueError: there is none, or the file is something else.
        """
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                return cls(file["key"].tobytes(), file["hashes"], file["ends"], file["rests"])
        except Exception as error:  # of a damaged archive: zip, zlib and numpy's header each fail in their own ways
            raise ValueError(f"cannot read the sketch of held-out texts {str(path)!r}: {error}") from error

    def near(self, texts: Sequence[str], threshold: float = THRESHOLD) -> NDArray[np.bool_]:
        """(len(texts),) whether each text is a near copy of a held-out one; which one is not told."""
        near = np.zeros(len(texts), dtype=bool)
        rests = _Remainders(texts, self._key)
        shared = np.isin(rests.hashes, self._rests) & (rests.similarities >= threshold - ROUNDING)
        near[rests.owners[shared]] = True
        # What one changed word explains needs no comparison of shingles, of which templates have very many alike.
        left = np.flatnonzero(~near)
        held_out = (set(row.tolist()) for row in np.split(self._hashes, self._ends[1:-1])) if len(self) else iter(())
        asked, known = incidence((hashed_shingles(texts[k], self._key) for k in left.tolist()), held_out)
        for i, j in candidates(asked, known, threshold):
            unknown = ~near[left[i]]
            near[left[verified(asked, known, i[unknown], j[unknown], threshold)[0]]] = True
        return near


class _Remainders:
    """The remainders of several texts, one after the other."""

    def __init__(self, texts: Sequence[str], key: bytes = b"") -> None:
        found = [remainders(text, key) for text in texts]
        self.hashes: Hashes = np.array([value for hashes, _ in found for value in hashes], dtype=np.uint64)
        self.similarities: Floats = np.array([value for _, similarities in found for value in similarities])
        self.owners: Ints = np.repeat(np.arange(len(found)), [len(hashes) for hashes, _ in found])

    def links(self, threshold: float) -> tuple[Ints, Ints]:
        """Pairs of texts that connect all those that share a remainder: each to the next, not each to each."""
        enough = np.flatnonzero(self.similarities >= threshold - ROUNDING)
        order = enough[np.argsort(self.hashes[enough], kind="stable")]
        same = self.hashes[order[1:]] == self.hashes[order[:-1]]
        return self.owners[order[:-1][same]], self.owners[order[1:][same]]


def _components(matrix: Matrix, here: Ints, there: Ints, threshold: float, copies: Ints, allowed: float) -> Ints | None:
    """(n,) the component of each row, or None as soon as one holds more than `allowed` texts, copies counted.

    Args:
        matrix: (n, shingles).
        here: Rows that are linked already, each to the row at its place in `there`.
        there: The other ends.
        threshold: Similarity from which two rows are linked.
        copies: (n,) texts that a row stands for.
        allowed: The most texts in one component.
    """
    labels: Ints = np.arange(matrix.shape[0])
    if labels.size and copies.max() > allowed:
        return None
    # Lazily: `labels` grow together meanwhile, and pairs that are joined by then need no comparison.
    shingled = (
        verified(matrix, matrix, i[apart], j[apart], threshold)[:2]
        for i, j in candidates(matrix, matrix, threshold)
        if (apart := (i < j) & (labels[i] != labels[j])).any()
    )
    for i, j in chain([(here, there)], shingled):
        labels = _joined(labels, i, j)
        if labels.size and np.bincount(labels, weights=copies).max() > allowed:
            return None
    return np.unique(labels, return_inverse=True)[1]


def _joined(labels: Ints, i: Ints, j: Ints) -> Ints:
    """The labels after the components of i and j, pair by pair, became one."""
    from scipy.sparse import csgraph  # 0.3 s, which a server would pay at its start

    edges = sparse.csr_array((np.ones(len(i)), (labels[i], labels[j])), shape=(len(labels),) * 2)
    components: Ints = csgraph.connected_components(edges, directed=False)[1].astype(np.int64)
    return components[labels]
