"""Which language a text is written in, as far as a whole dataset can tell: of a new text, whether it is another one.

Detection is py3langid's (97 languages, runs of characters, on this machine). Of 4,109 short English texts (demo,
trails, first task) it takes one for another language at these bounds. A dataset has the languages that a twentieth of
its rows are written in, so rows in a tongue that the detector does not know make it lenient, not wrong.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

MAX_TEXTS = 500  # looked at to learn a dataset's languages, evenly spaced
MIN_SHARE = 0.05
# A text is foreign when the known languages together are as unlikely as this, and another is as likely as that: of a
# single word or a row of digits the detector knows nothing, and says so with many small probabilities.
UNLIKELY, LIKELY = 0.05, 0.3
READ_CHARS = 1_000  # of one text


def languages_of(texts: Sequence[str]) -> frozenset[str]:
    """The languages (ISO 639-1) that at least a twentieth of the texts are written in; never none for any texts."""
    looked_at = texts[:: max(1, len(texts) // MAX_TEXTS)]
    counts = Counter(_identifier().classify(text[:READ_CHARS])[0] for text in looked_at)
    needed = min(MIN_SHARE * len(looked_at), max(counts.values(), default=0))
    return frozenset(language for language, count in counts.items() if count >= needed)


def is_foreign(text: str, known: Collection[str], likely: float = LIKELY) -> bool:
    """Whether a text is in another language than the known ones, as good as certainly.

    Args:
        text: Any text.
        known: ISO 639-1 codes of the languages that it may be in.
        likely: From which probability another language is believed; the higher, the fewer texts are called foreign.
    """
    shares: dict[str, float] = dict(_identifier().rank(text[:READ_CHARS]))
    return max(shares.values()) > likely and sum(shares.get(language, 0.0) for language in known) < UNLIKELY


@cache
def _identifier() -> Any:
    from py3langid import langid  # half a second, which a server would pay at its start

    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
