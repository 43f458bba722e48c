"""What two texts have in common, in two measures that say how much alike they are.

Shingles: the pieces of five characters, taken after Unicode NFKC, case folding, and with punctuation and repeated space
as single spaces. One word apart: what is left when a word is taken out of either text, or of one, is the same, so a
word was replaced, put in, taken out or moved; in a short text that changes many shingles. Words are what space
separates, without case and punctuation; a script that writes without spaces has few, and only its shingles count.
"""

import unicodedata
from functools import lru_cache
from hashlib import blake2b

SHINGLE_CHARS = 5
MOST_WORDS = 64  # in a longer text one word changes less than a fifth of the shingles, which are enough to see it


class _WordCharacters(dict[int, str]):
    """For `str.translate`: punctuation, separators and control characters become spaces. Filled as they are met."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        return self.setdefault(code, " " if unicodedata.category(char)[0] in "PZC" else char)


class _WithinWords(dict[int, str]):
    """The same characters become nothing; spaces stay."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        return self.setdefault(code, char if char.isspace() else WORD_CHARACTERS[code].strip())


WORD_CHARACTERS = _WordCharacters()
WITHIN_WORDS = _WithinWords()


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


def words(text: str) -> list[str]:
    """What space separates, case folded, without punctuation."""
    return unicodedata.normalize("NFKC", text).casefold().translate(WITHIN_WORDS).split()


def remainders(text: str, key: bytes = b"") -> tuple[list[int], list[float]]:
    """What is left of the text without any one word, and the text itself: two texts one word apart share a remainder.

    Args:
        text: Any text; of over MOST_WORDS words it has no remainders.
        key: Of the hash, up to 64 bytes.

    Returns:
        64-bit hashes, and for each the similarity of two texts that share it: 1 - 1/n, where n is one more word than
        the remainder has.
    """
    all_words = words(text)
    n = len(all_words)
    if not 1 < n <= MOST_WORDS:
        return [], []
    rests = [" ".join(all_words), *(" ".join(all_words[:k] + all_words[k + 1 :]) for k in range(n))]
    return [_hash(rest, key, b"remainder") for rest in rests], [1 - 1 / (n + 1)] + [1 - 1 / n] * n


def hashed_shingles(text: str, key: bytes) -> set[int]:
    """64-bit keyed hashes of the shingles."""
    return {_shingle_hash(piece, key) for piece in shingles(text)}


@lru_cache(maxsize=500_000)
def _shingle_hash(piece: str, key: bytes) -> int:
    return _hash(piece, key, b"")


def _hash(piece: str, key: bytes, purpose: bytes) -> int:
    raw = piece.encode(errors="surrogatepass")
    return int.from_bytes(blake2b(raw, digest_size=8, key=key, person=purpose).digest())
