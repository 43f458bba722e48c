"""Text as numbers: how often runs of words and runs of characters occur, weighted by how rare they are (TF-IDF).

Two halves, one of words and one of characters within words, each at most one long, so a text weighs the same however
long it is. Runs that the vocabulary does not hold count towards that length: a text of unknown words lies near the
origin, where a linear model answers its average, and is not judged by the one word it shares with the training texts.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
MAX_CHARS = 5_000  # of one text; the rest is not read, so that one pasted book cannot stall a prediction
MAX_TOTAL_CHARS = 10_000_000  # of all training texts together; takes about 2 GB
SHORTEST_CHAR_RUN = 2  # 3 gives the same error on English; scripts without spaces need 2
WORD = re.compile(r"\w+")


def normalised(text: str) -> str:
    """The text as features see it: NFKC, case folded, single spaces, at most MAX_CHARS; half surrogates become '?'."""
    readable = text[:MAX_CHARS].encode("utf-8", "replace").decode("utf-8")
    return " ".join(unicodedata.normalize("NFKC", readable).casefold().split())[:MAX_CHARS]


def word_runs(text: str, longest: int) -> Counter[str]:
    """How often each run of one to `longest` words occurs in a normalised text."""
    words = WORD.findall(text)
    return Counter([" ".join(words[i : i + n]) for n in range(1, longest + 1) for i in range(len(words) - n + 1)])


def char_runs(text: str, longest: int) -> Counter[str]:
    """How often each run of SHORTEST_CHAR_RUN to `longest` characters occurs in the words, each padded by a space."""
    padded = [f" {word} " for word in text.split()]
    sizes = range(SHORTEST_CHAR_RUN, longest + 1)
    return Counter([word[i : i + n] for word in padded for n in sizes for i in range(len(word) - n + 1)])


def _damped(counts: Sequence[int]) -> Floats:
    return np.asarray(1 + np.log(np.array(counts, dtype=float)))


def _rarity(document_counts: NDArray[Any], n_documents: int) -> Floats:
    return np.asarray(1 + np.log((1 + n_documents) / (1.0 + document_counts)))


@dataclass(frozen=True)
class Vocabulary:
    """The runs of one half that training texts hold, and in how many of them."""

    runs: Sequence[str]
    document_counts: NDArray[np.int32]
    """int32 (v,), in the order of `runs`."""
    n_documents: int

    @classmethod
    def of(cls, documents: Sequence[Counter[str]], min_documents: int) -> Self:
        """The runs that stand in at least `min_documents` of the documents, in code point order."""
        counts = Counter(run for document in documents for run in document)
        runs = sorted(run for run, count in counts.items() if count >= min_documents)
        return cls(runs, np.array([counts[run] for run in runs], dtype=np.int32), len(documents))

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {run: column for column, run in enumerate(self.runs)}

    @cached_property
    def _rarity(self) -> Floats:
        return _rarity(self.document_counts, self.n_documents)

    def matrix(self, documents: Iterable[Counter[str]]) -> sparse.csr_matrix:
        """The documents as rows, (n, v), each at most one long."""
        ends, columns, values = [0], [np.empty(0, dtype=np.int64)], [np.empty(0)]
        for document in documents:
            known = [(self._columns[run], count) for run, count in document.items() if run in self._columns]
            unknown = [count for run, count in document.items() if run not in self._columns]
            ends.append(ends[-1] + len(known))
            if known:
                column = np.array([place for place, _ in known])
                value = _damped([count for _, count in known]) * self._rarity[column]
                strange = _damped(unknown) * _rarity(np.zeros(1), self.n_documents)
                columns.append(column)
                values.append(value / np.sqrt(value @ value + strange @ strange))
        shape = (len(ends) - 1, len(self.runs))
        return sparse.csr_matrix((np.concatenate(values), np.concatenate(columns), ends), shape=shape)


@dataclass(frozen=True)
class TextFeatures:
    """Both halves: words first, characters after them."""

    words: Vocabulary
    chars: Vocabulary
    word_run: int
    """Longest run of words; 0 leaves words out."""
    char_run: int
    """Longest run of characters; 0 leaves characters out."""

    @classmethod
    def fit(cls, texts: Sequence[str], word_run: int, char_run: int, min_texts: int) -> Self:
        """Collect the runs that stand in at least `min_texts` of the normalised texts.

        Raises:
            ValueError: the texts hold more than MAX_TOTAL_CHARS characters.
        """
        if (total := sum(map(len, texts))) > MAX_TOTAL_CHARS:
            raise ValueError(f"the texts hold {total} characters, over {MAX_TOTAL_CHARS}; import fewer or shorter rows")
        words = Vocabulary.of([word_runs(text, word_run) for text in texts], min_texts)
        chars = Vocabulary.of([char_runs(text, char_run) for text in texts], min_texts)
        return cls(words, chars, word_run, char_run)

    def matrix(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """Normalised texts as rows, float (n, v)."""
        words = self.words.matrix(word_runs(text, self.word_run) for text in texts)
        chars = self.chars.matrix(char_runs(text, self.char_run) for text in texts)
        return sparse.hstack([words, chars], format="csr")
