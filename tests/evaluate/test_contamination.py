"""Contamination against a naive search, and what must not hide a copy."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.evaluate import contamination
from scalekit.frames import FrameError

LONGER = st.lists(st.sampled_from("abcde"), max_size=30).map(" ".join)
TEXT = st.lists(st.sampled_from("abc"), max_size=24).map(" ".join)


def rows(*texts: str, name: str = "t") -> pl.DataFrame:
    ids = [f"{name}{n}" for n in range(len(texts))]
    return pl.DataFrame({"item_id": ids, "text": list(texts)}, schema_overrides={"text": pl.String})


def tier(test: str, *train: str) -> str:
    found = contamination(rows(test), rows(*train, name="r")).table
    return str(found["tier"][0])


def numbered(start: int, end: int) -> str:
    return " ".join(f"w{n}" for n in range(start, end))


def naive(test: str, train: str) -> tuple[float, int]:
    """Share of the test's words in windows that train has, and the longest shared run."""
    a, b = test.split(), train.split()
    n = min(8, len(a))
    if not n:
        return 0.0, 0
    if n < 8 and len(b) > n and len(set(a)) < 4:
        return 0.0, 0
    inside = {tuple(b[i : i + n]) for i in range(len(b) - n + 1)}
    covered: set[int] = set()
    for i in range(len(a) - n + 1):
        if tuple(a[i : i + n]) in inside:
            covered |= set(range(i, i + n))
    run = max(
        (k for i in range(len(a)) for j in range(len(b)) for k in [_common(a[i:], b[j:])]),
        default=0,
    )
    return len(covered) / len(a), run if run >= n else 0


def _common(a: list[str], b: list[str]) -> int:
    k = 0
    while k < min(len(a), len(b)) and a[k] == b[k]:
        k += 1
    return k


@settings(max_examples=150)
@given(test=TEXT, train=st.lists(TEXT, max_size=4))
def test_cover_is_that_of_a_naive_search(test: str, train: list[str]) -> None:
    found = contamination(rows(test), rows(*train, name="r")).table.row(0, named=True)
    best = max((naive(test, t)[0] for t in train), default=0.0)
    assert found["cover"] == pytest.approx(best)
    assert (found["tier"] == "LEAK") == (best >= 0.5)


@settings(max_examples=150)
@given(test=TEXT, train=TEXT)
def test_run_is_the_longest_run_that_really_is_shared(test: str, train: str) -> None:
    found = contamination(rows(test), rows(train, name="r")).table.row(0, named=True)
    assert found["run"] == naive(test, train)[1]


@settings(max_examples=60)
@given(test=TEXT, train=st.lists(TEXT, min_size=1, max_size=3))
def test_marked_spans_cover_the_share_of_words_that_is_claimed(test: str, train: list[str]) -> None:
    found = contamination(rows(test), rows(*train, name="r")).table.row(0, named=True)
    marked = sum(len(test[a:b].split()) for a, b in found["spans"] or [])
    words = len(test.split())
    shares = {"CLEAN": 0.0, "REVIEW": found["rare"]}
    claimed = shares.get(found["tier"], found["cover"])
    assert marked == pytest.approx(claimed * words)


def rare_cover(test: str, train: list[str]) -> list[float]:
    """By hand: the share of words in 4-word windows that at most two of the rows have."""
    a = test.split()
    grams = [{tuple(t.split()[i : i + 4]) for i in range(len(t.split()) - 3)} for t in train]
    found = []
    for own in grams:
        covered: set[int] = set()
        for i in range(len(a) - 3) if len(a) >= 8 else ():
            gram = tuple(a[i : i + 4])
            if gram in own and sum(gram in other for other in grams) <= 2:
                covered |= set(range(i, i + 4))
        found.append(len(covered) / max(1, len(a)))
    return found


@settings(max_examples=150, deadline=None)
@given(tests=st.lists(LONGER, min_size=1, max_size=4), train=st.lists(LONGER, max_size=5))
def test_every_item_gets_the_tier_and_row_of_a_naive_search(
    tests: list[str], train: list[str]
) -> None:
    found = contamination(rows(*tests), rows(*train, name="r"))
    leaking = set()
    for text, got in zip(tests, found.table.to_dicts(), strict=True):
        pairs = [naive(text, t) for t in train]
        rare = rare_cover(text, train)
        tiers = ["LEAK" if c >= 0.5 else "SPAN" if r >= 13 else "CLEAN" for c, r in pairs]
        leaking |= {f"r{n}" for n, t in enumerate(tiers) if t == "LEAK"}
        tier = min([*tiers, "CLEAN"], key=["LEAK", "SPAN", "CLEAN"].index)
        most = max(rare, default=0.0)
        tier = "REVIEW" if tier == "CLEAN" and most >= 0.15 else tier
        assert (got["tier"], got["rare"]) == (tier, pytest.approx(most))
        assert got["rows"] == sum(t != "CLEAN" for t in tiers)
        if tier == "REVIEW":
            assert got["train_id"] == f"r{rare.index(most)}"
        elif tier != "CLEAN":
            best = max(range(len(train)), key=lambda n: (tiers[n] == tier, pairs[n], -n))
            assert got["train_id"] == f"r{best}"
            assert (got["cover"], got["run"]) == (pytest.approx(pairs[best][0]), pairs[best][1])
    assert set(found.leaking) == leaking


def test_a_reworded_copy_is_to_be_reviewed_with_its_rare_words_marked() -> None:
    words = numbered(0, 50).split()
    reworded = " ".join("z" if n % 5 == 4 else w for n, w in enumerate(words))
    found = contamination(rows(" ".join(words)), rows("other", reworded, name="r"))
    hit = found.table.row(0, named=True)
    assert (hit["tier"], hit["train_id"], hit["cover"], hit["run"]) == ("REVIEW", "r1", 0.0, 0)
    assert hit["rare"] == pytest.approx(0.8)
    assert "<mark>" in found.to_html()
    # The same words in three rows are a common phrase.
    assert tier(" ".join(words), *[f"{reworded} {n}" for n in range(3)]) == "CLEAN"


def test_training_rows_in_files_give_the_same_as_in_a_table(tmp_path: Path) -> None:
    texts = [numbered(n, n + 30) for n in range(0, 300, 7)]
    train = rows(*texts, name="r").with_columns(pl.lit("b1").alias("batch_id"))
    paths = []
    for n, part in enumerate(train.iter_slices(10)):
        paths.append(tmp_path / f"{n}.parquet")
        part.write_parquet(paths[-1])
    test = rows(numbered(3, 20), numbered(400, 420), numbered(50, 55))
    whole, parts = contamination(test, train), contamination(test, paths)
    assert whole.table.equals(parts.table)
    assert (whole.leaking, whole.train_rows) == (parts.leaking, parts.train_rows)
    train.drop("text").write_parquet(paths[0])
    with pytest.raises(FrameError, match=r"0\.parquet.*text"):
        contamination(test, paths)


def test_scripts_that_fold_otherwise_are_compared_word_by_word() -> None:
    cherokee = " ".join(chr(0x13A0 + n) + chr(0xAB70 + n) for n in range(10))
    assert tier(cherokee, "other words", f"so {cherokee.lower()} then") == "LEAK"
    assert tier(f"{numbered(0, 9)} {cherokee}", cherokee.upper()) == "LEAK"


def test_a_whole_copy_inside_a_longer_row_is_a_leak_with_its_place() -> None:
    test = "Where is my parcel? It was due on Monday, and nobody answers the phone."
    train = f"Hello! {test.upper()} Thanks."
    table = contamination(rows(test), rows("other words", train, name="r")).table
    hit = table.row(0, named=True)
    assert (hit["tier"], hit["train_id"], hit["cover"]) == ("LEAK", "r1", 1.0)
    assert hit["run"] == 14
    assert hit["spans"] == [[0, len(test) - 1]]


@pytest.mark.parametrize(
    "disguise",
    [
        str.upper,
        lambda t: t.replace(" ", ",  "),
        lambda t: t.replace("e", "e\u200b"),
        lambda t: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in t),
    ],
)
def test_case_signs_width_and_invisible_characters_hide_no_copy(disguise: object) -> None:
    test = "please cancel my bean plan before the next box ships out"
    assert tier(test, disguise(test)) == "LEAK"  # type: ignore[operator]


def test_half_the_words_is_a_leak_and_less_is_not() -> None:
    test = numbered(0, 16)
    assert tier(test, numbered(0, 8) + " z") == "LEAK"  # 8 of 16
    assert tier(numbered(0, 17), numbered(0, 8)) == "REVIEW"  # 8 of 17, run 8


def test_thirteen_words_in_a_row_are_a_span() -> None:
    test = numbered(0, 40)
    assert tier(test, numbered(5, 18)) == "SPAN"
    assert tier(test, numbered(5, 17)) == "REVIEW"


def test_a_span_in_one_row_is_not_hidden_by_more_scattered_words_in_another() -> None:
    test = numbered(0, 60)
    scattered = f"{numbered(0, 8)} z {numbered(20, 28)} z {numbered(40, 48)}"  # 24 of 60, run 8
    assert tier(test, numbered(5, 18)) == "SPAN"
    assert tier(test, scattered) == "REVIEW"
    assert tier(test, numbered(5, 18), scattered) == "SPAN"


def test_two_runs_apart_in_training_are_not_one_span() -> None:
    # Words 0-7 and 8-15 stand in the row, but 20 other words lie between them.
    train = f"{numbered(0, 8)} {' '.join('z' * 20)} {numbered(8, 16)}"
    found = contamination(rows(numbered(0, 40)), rows(train, name="r")).table.row(0, named=True)
    assert (found["run"], found["tier"]) == (8, "REVIEW")


def test_a_stub_is_spared_inside_a_row_but_not_alone() -> None:
    assert tier("thank you", "thank you very much for the parcel") == "CLEAN"
    assert tier("thank you", "Thank you!") == "LEAK"
    assert tier("where is my order", "so where is my order then") == "LEAK"  # 4 words


@pytest.mark.parametrize("empty", ["", "   ", "!!! ???"])
def test_a_text_without_words_matches_nothing(empty: str) -> None:
    assert tier(empty, "some words here", empty) == "CLEAN"
    assert tier("some words here now", empty) == "CLEAN"


def test_every_test_item_has_one_row_even_against_nothing() -> None:
    found = contamination(rows("a b c d", "e f g h"), rows(name="r"))
    assert found.table["tier"].to_list() == ["CLEAN", "CLEAN"]
    assert found.leaks.is_empty()
    assert "No test item" in found.to_html()


def test_the_hit_is_shown_escaped() -> None:
    test = "<script>alert(1)</script> where is my order number five"
    assert "<script>" not in contamination(rows(test), rows(test, name="r")).to_html()


def test_missing_columns_are_named() -> None:
    with pytest.raises(FrameError, match="text"):
        contamination(rows("a").drop("text"), rows("a"))
    with pytest.raises(FrameError, match="item_id"):
        contamination(rows("a"), rows("a").drop("item_id"))
