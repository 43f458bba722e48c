"""Which script a text is written in, and for Latin script which of a few languages; no model, no download.

The language is told by its most frequent function words, as the languages' grammars list them. A text that holds too
few of them has none, which is no finding: names, titles and lists of words look like that in every language.
"""

import unicodedata
from collections import Counter
from functools import lru_cache

MAX_CHARS = 5_000  # of one text that are looked at
MIN_LETTERS = 4
MIN_FUNCTION_WORDS = 2  # that a language must be ahead of any other

# Words that are frequent in one language and rare in the others here.
FUNCTION_WORDS = {
    "English": "the and of to with that this for you is are was it be have not but what can some which would please",
    "French": "le les des et est une dans pour que qui avec sur pas plus cette sont du au je vous mais ou par nous",
    "German": "der die das und ist nicht mit ein eine einen für auf zu den dem sich auch von wie im ich sie wir aber",
    "Spanish": "el los las y es una que con para por del se su más pero como muy sin sobre este esta al hay",
    "Italian": "il gli che di è una per con non sono del della più anche come questo nel alla dei ma un lo",
    "Portuguese": "os as um uma que não com para por mais como mas dos das ao seu sua é em muito uma isso",
    "Dutch": "de het een en van is niet met voor op dat zijn aan er maar ook te deze wordt naar ik je we",
    "Swedish": "och att det som en är för på med av till den inte om ett har jag vi men från ska",
}
LANGUAGES = {language: frozenset(listed.split()) for language, listed in FUNCTION_WORDS.items()}
# One script for each of these families: Japanese mixes three, and half of them stand in Chinese as well.
FAMILIES = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "KATAKANA-HIRAGANA": "CJK", "HALFWIDTH": "CJK", "FULLWIDTH": "LATIN"}


def script(text: str) -> str | None:
    """The script of most letters, such as LATIN, CYRILLIC or CJK; None with fewer than MIN_LETTERS letters."""
    counts = Counter(_script(char) for char in text[:MAX_CHARS] if char.isalpha())
    return counts.most_common(1)[0][0] if counts.total() >= MIN_LETTERS else None


def language(text: str) -> str | None:
    """For Latin script the language whose function words are clearly ahead, else the script; None if unclear."""
    written = script(text)
    if written != "LATIN":
        return written
    found = Counter(text[:MAX_CHARS].casefold().replace("'", " ").replace("\u2019", " ").split())
    hits = Counter({name: sum(found[word] for word in listed) for name, listed in LANGUAGES.items()})
    (first, most), (_, second) = hits.most_common(2)
    return first if most - second >= MIN_FUNCTION_WORDS else None


@lru_cache(maxsize=10_000)
def _script(char: str) -> str:
    name = unicodedata.name(char, "UNKNOWN").split()[0]
    return FAMILIES.get(name, name)
