"""Near copies: texts that say the same in almost the same characters, and therefore count as one.

One definition everywhere: the Jaccard similarity (shared / all) of the two texts' sets of 5-character shingles, taken
after Unicode NFKC, case folding, and with punctuation and repeated space as single spaces. 0 = nothing shared, 1 = the
same set; from `THRESHOLD` on two texts are near copies. Paraphrases are not found, and are not meant to be.

Pairs are found exactly, not by sampling: if two sets reach a similarity t, the rarest |set| - ceil(t |set|) + 1
shingles of each have one in common (prefix filtering, Bayardo et al. 2007, "Scaling up all pairs similarity search").
Only pairs that share such a shingle are compared, block by block, so memory stays bounded by the block.
"""

import math
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

THRESHOLD = 0.8
TIGHTER = (0.85, 0.9, 0.95, 1.0)  # where `groups` goes when a group is too large
SHINGLE_CHARS = 5
KEY_BYTES = 32
SKETCH_FILE = "sketch.npz"  # its name in a split's sealed folder
BLOCK_CELLS = 4_000_000  # of candidates looked at together, about 50 MB
PAIRS_AT_ONCE = 20_000
ROUNDING = 1e-9  # similarities are quotients of whole numbers below 2**31; this is far below their distances

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Pairs = tuple[Ints, Ints, Floats]
Token = str | int
Matrix: TypeAlias = "sparse.csr_array"


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


class _WordCharacters(dict[int, str]):
    """For `str.translate`: punctuation, separators and control characters become spaces. Filled as they are met."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        return self.setdefault(code, " " if unicodedata.category(char)[0] in "PZC" else char)


WORD_CHARACTERS = _WordCharacters()


def normalised(text: str) -> str:
    """The text as it is compared: NFKC, case folded, punctuation and repeated space as single spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = folded.translate(WORD_CHARACTERS).split()
    # A text of punctuation alone is compared as it stands, lest all such texts be the same.
    return " ".join(words or folded.split())


def shingles(text: str) -> set[str]:
    """The 5-character pieces of the normalised text; a shorter text is its own only piece."""
    clean = normalised(text)
    return {clean[i : i + SHINGLE_CHARS] for i in range(max(1, len(clean) - SHINGLE_CHARS + 1))}


def near_pairs(texts_a: Sequence[str], texts_b: Sequence[str], threshold: float) -> list[tuple[int, int, float]]:
    """All pairs of a text here and a text there that are near copies.

    Args:
        texts_a: Here.
        texts_b: There.
        threshold: Smallest similarity, above 0, at most 1.

    Returns:
        (index in a, index in b, similarity), by index.
    """
    a, b = _incidence(map(shingles, texts_a), map(shingles, texts_b))
    found = (_verified(a, b, i, j, threshold) for i, j in _candidates(a, b, threshold))
    return sorted(pair for i, j, s in found for pair in zip(i.tolist(), j.tolist(), s.tolist(), strict=True))


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
    matrix = _incidence(map(shingles, index))[0]
    copies = np.bincount(distinct)
    allowed = max(2.0, max_share * len(texts))
    for step in (threshold, *(tighter for tighter in TIGHTER if tighter > threshold)):
        labels = _components(matrix, step, copies, allowed if step < 1 else math.inf)
        if labels is not None:
            return Groups(labels[distinct], step)
    raise AssertionError("unreachable: at similarity 1 a group of any size is allowed")


class Sketch:
    """Keyed hashes of the shingles of held-out texts: enough to see whether a new text is a near copy of one.

    It holds no text, but whoever has the file can try texts against it, so it lies where the texts lie.
    """

    def __init__(self, key: bytes, hashes: NDArray[np.uint64], ends: Ints) -> None:
        self._key = key
        self._hashes = hashes  # of all texts, one after the other, sorted within a text
        self._ends = ends  # (texts + 1,) where each text's hashes begin, and the end

    def __len__(self) -> int:
        """How many texts are held out."""
        return len(self._ends) - 1

    @classmethod
    def build(cls, texts: Sequence[str], key: bytes) -> "Sketch":
        """Hash the texts' shingles.

        Args:
            texts: The held-out texts.
            key: 16 to 64 random bytes.
        """
        rows = [sorted(_hashed(text, key)) for text in texts]
        ends = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        return cls(key, np.array([value for row in rows for value in row], dtype=np.uint64), ends)

    def save(self, path: Path) -> None:
        """Write the sketch, readable by the owner only."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(
                file, key=np.frombuffer(self._key, dtype=np.uint8), hashes=self._hashes, ends=self._ends
            )

    @classmethod
    def load(cls, path: Path) -> "Sketch":
        """Read a sketch.

        Raises:
            ValueError: there is none, or the file is something else.
        """
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                return cls(file["key"].tobytes(), file["hashes"], file["ends"])
        except Exception as error:  # of a damaged archive: zip, zlib and numpy's header each fail in their own ways
            raise ValueError(f"cannot read the sketch of held-out texts {str(path)!r}: {error}") from error

    def near(self, texts: Sequence[str], threshold: float = THRESHOLD) -> NDArray[np.bool_]:
        """(len(texts),) whether each text is a near copy of a held-out one; which one is not told."""
        held_out = (set(row.tolist()) for row in np.split(self._hashes, self._ends[1:-1])) if len(self) else iter(())
        asked, known = _incidence((_hashed(text, self._key) for text in texts), held_out)
        near = np.zeros(len(texts), dtype=bool)
        for i, j in _candidates(asked, known, threshold):
            near[_verified(asked, known, i, j, threshold)[0]] = True
        return near


def _hashed(text: str, key: bytes) -> set[int]:
    return {_keyed_hash(piece, key) for piece in shingles(text)}


@lru_cache(maxsize=500_000)
def _keyed_hash(piece: str, key: bytes) -> int:
    return int.from_bytes(blake2b(piece.encode(errors="surrogatepass"), digest_size=8, key=key).digest())


def _incidence(*sides: Iterable[set[str]] | Iterable[set[int]]) -> list[Matrix]:
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


def _candidates(a: Matrix, b: Matrix, threshold: float) -> Iterator[tuple[Ints, Ints]]:
    """Pairs (row of a, row of b) that may be similar, in bounded portions; every similar pair comes once."""
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold!r} is no similarity; give a number above 0, at most 1")
    if a.shape[0] == 0 or b.shape[0] == 0:
        return
    sizes_a, sizes_b = np.diff(a.indptr), np.diff(b.indptr)
    prefix_a, prefix_b = _rarest(a, threshold), _rarest(b, threshold)
    rest_a, rest_b = sizes_a - np.diff(prefix_a.indptr), sizes_b - np.diff(prefix_b.indptr)
    columns_b = prefix_b.T.tocsr()
    block = max(1, BLOCK_CELLS // b.shape[0])
    for start in range(0, a.shape[0], block):
        meeting = (prefix_a[start : start + block] @ columns_b).tocoo()
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


def _verified(a: Matrix, b: Matrix, i: Ints, j: Ints, threshold: float) -> Pairs:
    """The pairs among (i, j) that are similar, with their similarity."""
    shared = a[i].multiply(b[j]).sum(axis=1)
    similarity = shared / (np.diff(a.indptr)[i] + np.diff(b.indptr)[j] - shared)
    near = similarity >= threshold - ROUNDING
    return i[near], j[near], similarity[near]


def _components(matrix: Matrix, threshold: float, copies: Ints, allowed: float) -> Ints | None:
    """(n,) the component of each row, or None as soon as one holds more than `allowed` texts, copies counted."""
    from scipy.sparse import csgraph  # 0.3 s, which a server would pay at its start

    labels: Ints = np.arange(matrix.shape[0])
    if labels.size and copies.max() > allowed:
        return None
    for i, j in _candidates(matrix, matrix, threshold):
        apart = labels[i] != labels[j]
        i, j, _ = _verified(matrix, matrix, i[apart], j[apart], threshold)
        if i.size == 0:
            continue
        edges = sparse.csr_array((np.ones(len(i)), (labels[i], labels[j])), shape=matrix.shape[:1] * 2)
        labels = csgraph.connected_components(edges, directed=False)[1].astype(np.int64)[labels]
        if np.bincount(labels, weights=copies).max() > allowed:
            return None
    return np.unique(labels, return_inverse=True)[1]
