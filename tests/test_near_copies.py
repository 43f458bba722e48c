"""What counts as a near copy, and how copies are found."""

import random
import stat
from pathlib import Path

import numpy as np
import pytest

from servers.core.demo_world.world import World
from servers.core.likeness import MOST_WORDS, shingles, words
from servers.core.near_copies import Sketch, groups, near_any, near_pairs

KEY = b"0123456789abcdef"


def templated(n: int, seed: int = 0) -> list[str]:
    """Texts of one mould, so that many pairs lie near every threshold."""
    draw = random.Random(seed)
    words = [begin + end for begin in ("mel", "tor", "gan", "sil", "vex") for end in ("low", "ish", "ous", "ward")]
    return [
        f"Please compose a {draw.choice(words)} piece for {draw.choice(words)} {draw.choice(words)}, "
        f"with {' and '.join(draw.choices(words, k=draw.randint(1, 3)))} feeling."
        for _ in range(n)
    ]


@pytest.mark.parametrize(
    "copy", ["a WARM tune, for rain!", "A  warm\ttune for rain", "\uff21 warm tune \u2014 for rain\u2026"]
)
def test_case_punctuation_space_and_width_do_not_make_another_text(copy: str):
    """Ours: what a reader takes for the same text is the same text."""
    assert near_pairs(["a warm tune for rain"], [copy], 1.0) == [(0, 0, 1.0)]


def test_short_texts_and_texts_of_punctuation_are_compared_whole():
    """Ours: a text with less than a shingle is not near everything, nor near nothing."""
    texts = ["ok", "no", "OK", "!!!", "???", "!!!"]
    assert groups(texts, max_share=1.0).labels.tolist() == [0, 1, 0, 2, 3, 2]


def rewritten(text: str, kind: str, draw: random.Random) -> str:
    """A light rewrite of a text."""
    if kind == "case and punctuation":
        return text.upper().replace(",", "").replace(".", "!") + " ..."
    written = text.split()
    place = draw.randrange(len(written))
    with_it = {"replaced": ["something"], "inserted": ["something", written[place]], "removed": []}[kind]
    return " ".join([*written[:place], *with_it, *written[place + 1 :]])


def compared(here: str, there: str) -> float:
    """The similarity of two texts, by its definition."""
    a, b = shingles(here), shingles(there)
    jaccard = len(a & b) / len(a | b)
    first, second = sorted((words(here), words(there)), key=len)

    def without(text: list[str]) -> list[list[str]]:
        return [text, *(text[:k] + text[k + 1 :] for k in range(len(text)))] if len(text) > 1 else []

    shared = [len(rest) for rest in without(first) if rest in without(second)]
    return max(jaccard, 1 - 1 / (max(shared) + 1) if shared else 0.0)


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.75, 0.8, 0.95, 1.0])
def test_every_pair_that_comparing_all_with_all_finds_is_found(threshold: float):
    """Ours: the short cut is exact. No pair is missed, none is added, and similarities agree."""
    draw = random.Random(3)
    here, there = templated(120), [*templated(60, seed=1), "", "x", "Please compose"]
    there += [rewritten(text, draw.choice(["replaced", "inserted", "removed"]), draw) for text in here[:30]]
    all_pairs = [(i, j, compared(x, y)) for i, x in enumerate(here) for j, y in enumerate(there)]
    expected = [pair for pair in all_pairs if pair[2] >= threshold]
    found = near_pairs(here, there, threshold)

    assert [pair[:2] for pair in found] == [pair[:2] for pair in expected]
    assert np.allclose([pair[2] for pair in found], [pair[2] for pair in expected])


@pytest.mark.parametrize("kind", ["case and punctuation", "replaced", "inserted", "removed"])
def test_light_rewrites_are_near_copies_in_the_first_tasks_kind_of_texts_and_the_demo_s(kind: str):
    """Ours: at least 95 of 100, whichever word was changed; pairs, groups and sketch find the same ones."""
    draw = random.Random(5)
    for texts in (templated(200), [request.text for request in World(3).splits()["diagnose"]]):
        rewrites = [rewritten(text, kind, draw) for text in texts]
        pairs = {(i, j) for i, j, _ in near_pairs(rewrites, texts, 0.8)}
        found = [(i, i) in pairs for i in range(len(texts))]
        both = groups(texts + rewrites, 0.8, max_share=1.0).labels.reshape(2, -1)

        assert np.mean(found) >= 0.95
        assert np.all(np.equal(*both)[found])
        assert np.all(Sketch.build(texts, KEY).near(rewrites)[found])


def test_short_requests_that_differ_in_a_word_stay_different():
    """Ours: one word of four is a quarter of what was asked for; one of five may differ."""
    assert groups(["a fast happy song", "a slow happy song"], max_share=1.0).labels.tolist() == [0, 1]
    assert groups(["a fast and happy song", "a slow and happy song"], max_share=1.0).labels.tolist() == [0, 0]


def test_a_hyphen_does_not_make_two_words():
    """Ours: what space separates is replaced as one."""
    texts = ["a half-lit song for two empty rooms", "a well-tempered song for two empty rooms"]
    assert near_any(texts[:1], texts[1:]).tolist() == [True]


def test_a_book_in_one_row_is_compared_by_its_shingles_alone():
    """Ours: a text without end must not cost the square of its words; in a long one shingles see a changed word."""
    book = [str(number) for number in range(100_000)]
    changed = [*book[:500], "something", *book[501:]]

    assert near_any([" ".join(book)], [" ".join(changed)]).tolist() == [True]
    assert near_any([" ".join(book[:MOST_WORDS])], [" ".join(changed[: MOST_WORDS + 1])]).tolist() == [True]


def test_groups_are_the_connected_components_of_the_pairs():
    """Ours: a chain of near copies is one group, although its ends differ."""
    texts = templated(300)
    found = groups(texts, threshold=0.7, max_share=1.0)

    reached = list(range(len(texts)))
    for i, j, _ in near_pairs(texts, texts, 0.7):
        old, new = reached[j], reached[i]
        reached = [new if label == old else label for label in reached]
    assert found.threshold == 0.7
    assert len(set(zip(found.labels.tolist(), reached, strict=True))) == len(set(reached)) == len(found.sizes())
    assert 1 < found.sizes().max() < len(texts)


def test_the_threshold_is_tightened_and_reported_when_one_group_is_too_large():
    """Ours: one mould with another number in each row must not make all rows one group."""
    texts = [f"Item number {i} of the same long mould, which hardly differs from row to row at all" for i in range(200)]
    found = groups(texts)

    assert groups(texts, max_share=1.0).sizes().max() == 200
    assert found.threshold > 0.8
    assert found.sizes().max() <= 20
    assert near_any(["Item number 7 of the same long mould"], texts, found.threshold).tolist() == [False]


def test_exact_copies_share_a_group_however_many_they_are():
    """Ours: no threshold parts two equal texts."""
    texts = ["the same text again and again", *templated(9)] * 3
    texts += ["The same text, again and again!"] * 10
    found = groups(texts)

    same = {label for label, text in zip(found.labels.tolist(), texts, strict=True) if text.lower().startswith("the")}
    assert len(same) == 1
    assert found.sizes().max() == 13
    assert found.threshold == 1.0


def test_nothing_has_no_groups_and_no_pairs():
    """Ours: an empty side is an answer, not a crash."""
    assert groups([]).labels.tolist() == []
    assert near_pairs([], ["a"], 0.8) == near_pairs(["a"], [], 0.8) == []
    assert Sketch.build([], KEY).near(["a"]).tolist() == [False]
    assert Sketch.build(["a"], KEY).near([]).tolist() == []


def test_a_threshold_that_is_no_similarity_is_refused():
    """Ours: 80 is not 0.8."""
    with pytest.raises(ValueError, match="threshold 80 is no similarity"):
        near_pairs(["a"], ["b"], 80)


def test_a_sketch_knows_near_copies_without_knowing_the_texts(tmp_path: Path):
    """Ours: the sketch agrees with the comparison of the texts; its file holds hashes and is its owner's alone."""
    held_out, asked = templated(80), templated(100, seed=1) + templated(5)
    file = tmp_path / "sketch.npz"
    Sketch.build(held_out, KEY).save(file)
    sketch = Sketch.load(file)

    near = {i for i, _, _ in near_pairs(asked, held_out, 0.8)}
    assert near_any(asked, held_out, 0.8).tolist() == [i in near for i in range(len(asked))]
    assert sketch.near(asked, 0.8).tolist() == [i in near for i in range(len(asked))]
    assert len(sketch) == 80
    assert 5 <= len(near) < 100
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with np.load(file) as content:
        assert {name: content[name].dtype.kind for name in content.files} == {
            "key": "u",
            "hashes": "u",
            "ends": "i",
            "rests": "u",
        }


@pytest.mark.parametrize("content", [None, b"", b"not a sketch", b"PK\x03\x04 broken"])
def test_a_missing_or_broken_sketch_is_one_clear_error(tmp_path: Path, content: bytes | None):
    """Ours: nobody takes an unreadable sketch for one that knows no copies."""
    file = tmp_path / "sketch.npz"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match="cannot read the sketch of held-out texts"):
        Sketch.load(file)
