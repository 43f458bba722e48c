"""Rows whose text is unlike the others': far longer or shorter, or in another script or language."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from servers.core.languages import language

MIN_TEXTS = 20  # fewer have no usual length and no usual language
LENGTH_Z = 5.0  # robust: of the logarithm of the length, in 1.4826 median absolute deviations
LENGTH_FACTOR = 3.0  # and so many times the median, because lengths may hardly vary
USUAL_SHARE = 0.9  # of the texts whose language is clear; below it the data have several languages


def unusual_lengths(texts: Sequence[str]) -> NDArray[np.bool_]:
    """(texts,): far longer or shorter than the others."""
    if len(texts) < MIN_TEXTS:
        return np.zeros(len(texts), dtype=bool)
    lengths = np.log([max(1, len(text)) for text in texts])
    distance = np.abs(lengths - np.median(lengths))
    found: NDArray[np.bool_] = distance > max(LENGTH_Z * 1.4826 * float(np.median(distance)), np.log(LENGTH_FACTOR))
    return found


def unusual_languages(texts: Sequence[str]) -> NDArray[np.bool_]:
    """(texts,): clearly in another script or language than nearly all others; none where several are usual."""
    found = [language(text) for text in texts]
    clear = Counter(name for name in found if name is not None)
    if clear.total() < MIN_TEXTS or clear.most_common(1)[0][1] < USUAL_SHARE * clear.total():
        return np.zeros(len(texts), dtype=bool)
    usual = clear.most_common(1)[0][0]
    return np.array([name is not None and name != usual for name in found])
