"""Rows whose text is unlike the others': far longer or shorter, or in another language."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from servers.core.language import is_foreign, languages_of

MIN_TEXTS = 20  # fewer have no usual length and no usual language
LENGTH_Z = 5.0  # robust: of the logarithm of the length, in 1.4826 median absolute deviations
LENGTH_FACTOR = 3.0  # and so many times the median, because lengths may hardly vary
SURE = 0.95  # a row that is somebody's own is called a stray only on better grounds than a teacher's draft
MAX_TEXTS = 2_000  # whose language is looked at, evenly spaced: half a millisecond each


def unusual_lengths(texts: Sequence[str]) -> NDArray[np.bool_]:
    """(texts,): far longer or shorter than the others."""
    if len(texts) < MIN_TEXTS:
        return np.zeros(len(texts), dtype=bool)
    lengths = np.log([max(1, len(text)) for text in texts])
    distance = np.abs(lengths - np.median(lengths))
    found: NDArray[np.bool_] = distance > max(LENGTH_Z * 1.4826 * float(np.median(distance)), np.log(LENGTH_FACTOR))
    return found


def unusual_languages(texts: Sequence[str]) -> NDArray[np.bool_]:
    """(texts,): clearly in a language that hardly any other is in, among MAX_TEXTS that are looked at."""
    found = np.zeros(len(texts), dtype=bool)
    if len(texts) >= MIN_TEXTS:
        usual = languages_of(texts)
        for index in np.unique(np.linspace(0, len(texts) - 1, MAX_TEXTS, dtype=int)):
            found[index] = is_foreign(texts[index], usual, SURE)
    return found
