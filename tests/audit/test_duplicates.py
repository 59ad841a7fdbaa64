from __future__ import annotations

from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.audit import exact_duplicates, near_duplicates
from scalekit.audit.duplicates import keep_order, resolved, similar_pairs
from scalekit.frames import TIERS, FrameError

word = st.sampled_from(["a", "b", "c", "É", "d!"])
texts = st.lists(st.lists(word, max_size=6).map(" ".join), max_size=14)
tiers = st.lists(st.sampled_from([*TIERS, "unheard of"]), min_size=14, max_size=14)


def items(given_texts: list[str], given_tiers: list[str] | None = None) -> pl.DataFrame:
    ids = [f"i{n}" for n in range(len(given_texts))]
    columns: dict[str, Any] = {"item_id": ids, "text": given_texts}
    if given_tiers is not None:
        columns["tier"] = given_tiers[: len(ids)]
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def grams(text: str, n: int) -> set[tuple[str, ...]]:
    found = text.replace("!", "").casefold().split()
    n = min(n, len(found))
    return {tuple(found[i : i + n]) for i in range(len(found) - n + 1)} if found else set()


def alike(one: str, other: str, n: int) -> float:
    a, b = grams(one, n), grams(other, n)
    return len(a & b) / len(a | b) if a and b else 0.0


def rank(table: pl.DataFrame, item: str) -> tuple[int, int, str]:
    """The order in which copies are kept: best source, then more words, then the id."""
    place = table["item_id"].to_list().index(item)
    tier = table["tier"][place] if "tier" in table.columns else ""
    return (
        TIERS.index(tier) if tier in TIERS else len(TIERS),
        -len(table["text"][place].split()),
        item,
    )


@settings(deadline=None, max_examples=150)
@given(texts, st.none() | tiers, st.sampled_from([0.3, 0.5, 0.7, 1.0]), st.integers(1, 3))
def test_near_duplicates_keep_one_of_each_and_chain_nothing(
    given_texts: list[str], given_tiers: list[str] | None, threshold: float, n: int
) -> None:
    table = items(given_texts, given_tiers)
    text = dict(table.select("item_id", "text").iter_rows())
    found = near_duplicates(table, threshold=threshold, n=n)
    gone = set(found["item_id"])
    kept = [i for i in text if i not in gone]
    assert len(gone) == len(found), "an item goes once"
    for item, partner, score in found.rows():
        assert partner in kept, "what goes is like one that stays"
        assert score == pytest.approx(alike(text[item], text[partner], n), abs=1e-12)
        assert score >= threshold
        assert rank(table, partner) < rank(table, item), "the better source stays, else the first"
        others = [alike(text[item], text[k], n) for k in kept if rank(table, k) < rank(table, item)]
        assert score == pytest.approx(max(others), abs=1e-12), "the most alike is named"
    for i, one in enumerate(kept):
        for other in kept[i + 1 :]:
            assert alike(text[one], text[other], n) < threshold, "no two that stay are alike"


@settings(deadline=None, max_examples=150)
@given(texts, st.none() | tiers)
def test_exact_duplicates_keep_the_best_of_each_content(
    given_texts: list[str], given_tiers: list[str] | None
) -> None:
    table = items(given_texts, given_tiers)
    contents: dict[tuple[str, ...], list[str]] = {}
    for item, text in table.select("item_id", "text").iter_rows():
        contents.setdefault(tuple(text.replace("!", "").casefold().split()), []).append(item)
    expected = set()
    for group in contents.values():
        best, *rest = sorted(group, key=lambda i: rank(table, i))
        expected |= {(item, best, 1.0) for item in rest}
    assert set(exact_duplicates(table).rows()) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Where is it?", "WHERE  is\nit"),
        ("caf\u00e9", "cafe\u0301"),
        ("pass\u200bword here", "password here"),
        ("\u202eabc def", "abc def"),
        ("ﬁne", "fine"),
        (
            "한국어 번역",
            "\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165 \u1107\u1165\u11ab\u110b\u1167\u11a8",
        ),
    ],
)
def test_case_signs_spacing_and_hidden_characters_hide_no_copy(one: str, other: str) -> None:
    assert exact_duplicates(items([one, other])).rows() == [("i1", "i0", 1.0)]
    assert near_duplicates(items([one, other])).rows() == [("i1", "i0", 1.0)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("यह की है", "यह का है"),
        ("ฉันมา", "ฉันมี"),
        ("Great service 😀", "Great service 😡"),
        ("It costs 5 €", "It costs 5 $"),
        ("Is 3 < 4", "Is 3 > 4"),
        ("👍", "👎"),
        ("2.5 kg", "25 kg"),
    ],
)
def test_texts_of_other_meaning_are_no_copies(one: str, other: str) -> None:
    # Only case, punctuation, spacing and invisible characters are ignored; these are none of them.
    assert exact_duplicates(items([one, other])).is_empty()


def test_no_chain_of_small_steps_takes_all() -> None:
    # Each is 0.6 like its neighbour (words: 3 of 5 shared), the ends only 1/3 (2 of 6).
    steps = ["a b c d", "b c d e", "c d e f"]
    found = near_duplicates(items(steps), threshold=0.6, n=1)
    assert [r[:2] for r in found.rows()] == [("i1", "i0")]


def test_of_copies_the_better_source_then_batch_quality_words_and_id_stays() -> None:
    rows = [
        ("a", "public-web", "new", 9.0, "one two three four"),
        ("b", "first-party", "old", 1.0, "one two three"),
        ("c", "first-party", "old", 2.0, "one two three"),
        ("d", "first-party", "late", 9.0, "one two three four"),
        ("f", "first-party", "old", 2.0, "one two three four"),
        ("e", "first-party", "old", 2.0, "one two three four"),
    ]
    table = pl.DataFrame(
        rows, schema=["item_id", "tier", "batch_id", "quality", "text"], orient="row"
    )
    assert keep_order(table)["item_id"].to_list() == ["e", "f", "c", "b", "d", "a"]
    found = near_duplicates(table, threshold=0.3, n=1)
    assert set(found["kept_id"]) == {"e"}


@settings(deadline=None, max_examples=60)
@given(texts, st.sampled_from([0.5, 0.6, 0.7, 0.9, 1.0]))
def test_pairs_kept_once_serve_every_higher_threshold(
    given_texts: list[str], threshold: float
) -> None:
    table = items(given_texts)
    pairs = similar_pairs(table, lowest=0.5, n=2)
    assert resolved(table, pairs, threshold).equals(
        near_duplicates(table, threshold=threshold, n=2)
    )


@pytest.mark.parametrize("find", [exact_duplicates, near_duplicates])
def test_a_tier_that_nobody_knows_is_no_crash(find: Any) -> None:
    rows = [{"item_id": i, "text": "same words here", "tier": None} for i in ("a", "b")]
    assert find(rows).rows() == [("b", "a", 1.0)]


@pytest.mark.parametrize("find", [exact_duplicates, near_duplicates])
def test_any_frame_and_whole_number_ids_are_taken(find: Any) -> None:
    frame = pd.DataFrame({"item_id": [7, 8], "text": ["same words here", "Same words here"]})
    assert [tuple(map(str, r[:2])) for r in find(frame).rows()] == [("8", "7")]
    assert find(items([])).is_empty()


@pytest.mark.parametrize("find", [exact_duplicates, near_duplicates])
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"item_id": "a"}], "'text'"),
        (
            [{"item_id": "a", "text": "x y"}, {"item_id": "a", "text": "x y"}],
            "'item_id' repeat: 'a'",
        ),
        ([{"item_id": "a", "text": None}, {"item_id": "b", "text": "x"}], "text"),
    ],
    ids=["no text column", "an id twice", "no text in a row"],
)
def test_bad_tables_are_refused_by_column(find: Any, rows: list[Any], said: str) -> None:
    with pytest.raises(FrameError, match=said):
        find(rows)
