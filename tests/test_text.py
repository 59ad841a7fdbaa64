from __future__ import annotations

import re
import unicodedata
from itertools import combinations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scalekit.text import ShingleIndex, Word, fold, folded_words, jaccard_pairs, shingles, words

quick = settings(deadline=None, max_examples=300)
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
INVISIBLE = "\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2060\u2064\u2066\u2069\ufeff"
# Letters whose folding has no trap of compatibility forms: one sign never becomes two words.
SCRIPTS = "abz ABZ äéñßÅ ąłż ΑΣσς жЯё אב مر한국ᄒ\u1161\u11ab 中文 かガ \u0301\u0308\u0323 09_"
plain = st.text(st.sampled_from(SCRIPTS + INVISIBLE), max_size=30)


def folded(text: str) -> list[str]:
    return [w.folded for w in words(text)]


@quick
@example("e\u200b\u0301")
@example("\u0345\u0301")
@given(anything | plain)
def test_folding_twice_changes_nothing_more(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@quick
@given(anything | plain, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_unicode_forms_fold_to_the_same(text: str, form: str) -> None:
    assert fold(unicodedata.normalize(form, text)) == fold(text)


@quick
@given(anything | plain)
def test_the_words_are_those_of_the_folded_text(text: str) -> None:
    # The slow reference: fold the whole first, then read off letters, digits and their marks.
    expected, word = [], ""
    for c in [*fold(text), " "]:
        if re.match(r"\w", c) or (word and unicodedata.category(c)[0] == "M"):
            word += c
        elif word:
            expected, word = [*expected, word], ""
    assert folded(text) == expected
    assert folded_words(text) == expected


@quick
@given(anything)
def test_every_span_holds_its_word(text: str) -> None:
    at = 0
    for word in words(text):
        assert 0 <= word.start < word.end <= len(text)
        assert word.start >= at, "words come in the order of the text"
        at = word.start
        # One sign may fold to several words (½ to 1⁄2), so the span may hold more than its word.
        assert word.folded in fold(text[word.start : word.end])


@quick
@example("\u0301\u1112\u200b\u1161")
@given(plain)
def test_a_span_points_at_its_word_in_the_original(text: str) -> None:
    for word in words(text):
        assert fold(text[word.start : word.end]) == word.folded


@quick
@given(plain, st.data())
def test_invisible_characters_hide_nothing(text: str, choose: st.DataObject) -> None:
    place = choose.draw(st.integers(0, len(text)))
    hidden = text[:place] + choose.draw(st.sampled_from(INVISIBLE)) + text[place:]
    assert fold(hidden) == fold(text)
    assert folded(hidden) == folded(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("…!? 🙂", []),
        ("Don't re-open #42_b", ["don", "t", "re", "open", "42_b"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("ΣΊΣΥΦΟΣ σίσυφος", ["σίσυφοσ", "σίσυφοσ"]),
        ("pass\u200bword", ["password"]),
        ("ｆｕｌｌ ﬁne", ["full", "fine"]),
        ("cafe\u0301 caf\u00e9", ["café", "café"]),
        ("cafe\u200b\u0301", ["café"]),
        ("ｶﾞｲﾄﾞ", ["ガイド"]),
        ("İstanbul", [fold("İstanbul")]),
        ("हिन्दी किताब", ["हिन्दी", "किताब"]),
        ("สวัสดี", [fold("สวัสดี")]),
        ("العَرَبِيَّة", ["العَرَبِيَّة"]),
    ],
)
def test_words_by_hand(text: str, expected: list[str]) -> None:
    got = folded(text)
    assert [unicodedata.normalize("NFC", w) for w in got] == [
        unicodedata.normalize("NFC", w) for w in expected
    ]


@pytest.mark.parametrize("text", ["한국어 번역 품질", "தமிழ் கொடு போ", "বাংলা কো", "Việt Nam ắ"])
def test_a_text_from_a_mac_has_the_same_words(text: str) -> None:
    # File systems of macOS hand out decomposed text; it must not hide a copy or a test item.
    apart = unicodedata.normalize("NFD", text)
    assert apart != text
    assert folded(apart) == folded(text)


@pytest.mark.parametrize(("one", "other"), [("की", "का"), ("ที่", "ทั้"), ("קָם", "קֻם")])
def test_words_that_differ_only_in_their_vowel_signs_differ(one: str, other: str) -> None:
    assert folded(one) != folded(other)


def test_spans_by_hand() -> None:
    assert words("Zoë e\u0301t\u200bé!") == [Word("zoë", 0, 3), Word("été", 4, 9)]
    assert words("To be") == [Word("to", 0, 2), Word("be", 3, 5)]


@given(st.lists(st.sampled_from("abc"), max_size=8), st.integers(1, 5))
def test_shingles_are_the_windows(given_words: list[str], n: int) -> None:
    size = len(given_words)
    if size <= n:
        expected = [" ".join(given_words)] if given_words else []
    else:
        expected = [" ".join(given_words[i : i + n]) for i in range(size) if i + n <= size]
    assert shingles(given_words, n) == expected


def test_the_matrix_has_a_one_for_each_shingle_once() -> None:
    index = ShingleIndex()
    matrix = index.matrix(["a b a b", "", "b a"], 2).toarray()
    # Shingles in order: "a b", "b a"; "a b" stands twice in the first text and counts once.
    assert matrix.tolist() == [[1, 1], [0, 0], [0, 1]]


small = st.lists(st.text(st.sampled_from("ab é"), max_size=10), max_size=14)


@settings(deadline=None, max_examples=200)
@given(
    small, st.integers(1, 3), st.sampled_from([0.01, 0.2, 1 / 3, 0.5, 0.7, 1.0]), st.integers(1, 5)
)
def test_jaccard_pairs_equal_brute_force(
    texts: list[str], n: int, threshold: float, block: int
) -> None:
    sets = [set(shingles(folded(t), n)) for t in texts]
    expected = {}
    for (i, one), (j, other) in combinations(enumerate(sets), 2):
        if one and other and len(one & other) / len(one | other) >= threshold:
            expected[i, j] = len(one & other) / len(one | other)
    found = jaccard_pairs(texts, n, threshold, block)
    rows = zip(found.left.tolist(), found.right.tolist(), found.score.tolist(), strict=True)
    got = {(left, right): score for left, right, score in rows}
    assert list(got) == sorted(expected), "in order, none missing, none twice"
    assert got == expected


def test_a_pair_exactly_at_the_threshold_counts() -> None:
    # Words a..g and a..j: 7 of 10 shared, 0.7 to the bit.
    found = jaccard_pairs(["a b c d e f g", "a b c d e f g h i j"], 1, 0.7)
    assert found.score.tolist() == [0.7]


@pytest.mark.parametrize("threshold", [0, -0.1, 1.1, float("nan")])
def test_a_threshold_outside_its_range_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match=r"threshold must be in \(0, 1\]"):
        jaccard_pairs(["a"], 1, threshold)


def test_pairs_of_many_copies_are_all_there() -> None:
    found = jaccard_pairs(["the same words"] * 40, 3, 1.0, block=7)
    assert len(found.left) == 40 * 39 // 2
    assert np.all(found.score == 1)
