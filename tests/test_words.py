"""Words from outside: on one line, bounded, with nothing in them unseen."""

import json

import pytest

from servers.core.words import REFUSAL_CHARS, cleaned, escaped_unseen, is_seen, refusal

UNSEEN = {
    "a control": "\x07",
    "delete": "\x7f",
    "a C1 control": "\x9f",
    "a soft hyphen": "\u00ad",
    "a grapheme joiner": "\u034f",
    "a zero-width space": "\u200b",
    "a zero-width joiner": "\u200d",
    "a mark that turns words around": "\u202e",
    "an isolate": "\u2066",
    "a byte order mark": "\ufeff",
    "a variation selector": "\ufe0f",
    "a filler": "\u3164",
    "private use": "\ue000",
    "half a surrogate pair": "\ud800",
    "a tag": "\U000e0041",
    "a variation selector of the tags' plane": "\U000e0100",
    "private use far out": "\U0010fffd",
}
BREAKS = {
    "a line": "\n",
    "a carriage return": "\r\n",
    "a line separator": "\u2028",
    "a paragraph": "\u2029",
    "a next line": "\x85",
}


@pytest.mark.parametrize("char", UNSEEN.values(), ids=UNSEEN.keys())
def test_what_no_font_draws_is_taken_out_of_words_and_escaped_in_json(char: str):
    """Ours: a text cannot carry words that only a language model reads, nor look like another text."""
    text = json.dumps({"text": f"wa{char}rm"}, ensure_ascii=False, indent=1)

    assert cleaned(f"wa{char}rm") == refusal(f"wa{char}rm") == "warm"
    assert json.loads(escaped_unseen(text)) == {"text": f"wa{char}rm"}
    assert all(is_seen(shown) for shown in escaped_unseen(text).replace("\n", ""))


@pytest.mark.parametrize("end", BREAKS.values(), ids=BREAKS.keys())
def test_words_stand_on_one_line(end: str):
    """Ours: a line of a log or a list holds one thing."""
    assert cleaned(f" one{end}{end} two\t") == refusal(f"one{end}two") == "one two"
    assert len(escaped_unseen(json.dumps(f"one{end}two", ensure_ascii=False)).splitlines()) == 1


@pytest.mark.parametrize("text", ["naïve café", "日本語", "한국어", "emoji 🎹 and ½", "e\u0301"])
def test_what_people_write_stays_as_it_is(text: str):
    """Ours: data in any language are welcome."""
    assert cleaned(text) == refusal(text) == text
    assert escaped_unseen(json.dumps(text, ensure_ascii=False)) == json.dumps(text, ensure_ascii=False)


def test_a_text_of_any_length_is_cut_and_says_so():
    """Ours: small answers."""
    assert cleaned("x" * 300, 300) == "x" * 300
    assert cleaned("x" * 301, 300) == "x" * 299 + "…" == cleaned("x" * 10_000_000, 300)
    assert cleaned("\u200b" * 2990 + "unseen first", 300) == "unseen fir…"


def test_a_long_refusal_keeps_what_is_wrong_and_what_to_do():
    """Ours: it names the next valid step, however long the argument is that it echoes."""
    words = refusal(f"no cycle {'x' * 1_000_000!r}; known: none; call open_cycle first")

    assert len(words) <= REFUSAL_CHARS
    assert words.startswith("no cycle 'xxx") and words.endswith("xxx'; known: none; call open_cycle first")
    assert "x … x" in words
