"""Slices: statistics against hand-made counts and formulas, the book, what a slice is good for."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.audit import SliceBook, slice_statistics
from scalekit.audit.slices import WordCounts
from scalekit.frames import FrameError
from scalekit.intervals import wilson
from scalekit.journal import read, verify


def items() -> pl.DataFrame:
    rows = [
        {
            "item_id": f"i{n}",
            "text": f"{'parcel late courier' if n < 20 else 'invoice wrong amount'} no {n}",
            "category": "delivery" if n < 20 else "billing",
            "tier": "first-party" if n % 2 else None,
        }
        for n in range(60)
    ]
    return pl.DataFrame(rows)


def test_shares_are_counted_with_wilsons_interval() -> None:
    marks = [{"item_id": f"i{n}", "rule": "personal-data"} for n in (0, 1, 2, 3, 30)] * 2
    ids = [f"i{n}" for n in range(10)]
    found = slice_statistics(items(), ids, marks=marks)
    assert (found.items, found.whole) == (10, 60)
    rows = {(r["column"], r["value"]): r for r in found.table.to_dicts()}
    assert rows["category", "delivery"]["items"] == 10
    assert rows["category", "delivery"]["whole"] == pytest.approx(1 / 3)
    assert rows["category", "delivery"]["says"] == "more"
    assert rows["category", "billing"]["says"] == "fewer"
    assert rows["tier", "(none)"]["says"] == ""
    marked = rows["marked", "personal-data"]
    assert (marked["items"], marked["share"], marked["whole"]) == (4, 0.4, pytest.approx(5 / 60))
    assert (marked["from"], marked["to"]) == pytest.approx(wilson(4, 10))
    assert marked["says"] == "more"
    assert found.words["word"].to_list()[:3] == ["courier", "late", "parcel"]


def test_lengths_are_quartiles_of_words() -> None:
    texts = ["a", "a b", "a b c", "a b c d", "a b c d e", "x " * 50]
    given = pl.DataFrame({"item_id": list("abcdef"), "text": texts})
    found = slice_statistics(given, "abcde").lengths
    assert found.row(0) == ("slice", 1, 2, 3, 4, 5)
    assert found["longest"].to_list() == [5, 50]


WORDS = st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta"]), max_size=6).map(" ".join)


@given(inside=st.lists(WORDS, min_size=1, max_size=8), outside=st.lists(WORDS, max_size=8))
def test_typical_words_follow_the_formula(inside: list[str], outside: list[str]) -> None:
    texts = [*inside, *outside]
    counts = WordCounts(pl.Series(texts, dtype=pl.String))
    rows = pl.Series([True] * len(inside) + [False] * len(outside)).to_numpy()
    got = {r["word"]: r["z"] for r in counts.typical(rows, 99).to_dicts()}

    own, rest = (Counter(" ".join(part).split()) for part in (inside, outside))
    every = own + rest
    weight = max(1, min(own.total(), rest.total()))
    expected = {}
    for word in every:
        prior = weight * every[word] / every.total()

        def odds(count: Counter[str], word: str = word, prior: float = prior) -> float:
            other = count.total() + weight - count[word] - prior
            return math.log((count[word] + prior) / other) if other > 1e-9 else math.inf

        if odds(own) == math.inf:
            continue  # the only word there is
        spread = math.sqrt(1 / (own[word] + prior) + 1 / (rest[word] + prior))
        z = (odds(own) - odds(rest)) / spread
        if z >= 1.96 and own[word] > 1:
            expected[word] = z
    assert got == pytest.approx(expected)


def test_words_are_split_in_any_script_and_counted_without_case() -> None:
    counts = WordCounts(pl.Series(["Don't PANIC, panic!", "ÉTÉ été naïve", "", None, "价格 x"]))
    found = dict(zip(counts.words, counts.of(), strict=True))
    assert found == {"don't": 1, "panic": 2, "été": 2, "naïve": 1, "价格": 1}


@pytest.mark.parametrize(
    ("ids", "reason"),
    [([], "holds no item"), (["i1", "zz"], "1 items of the slice are not among the items")],
)
def test_a_slice_that_is_none_is_refused(ids: list[str], reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        slice_statistics(items(), ids)


def test_the_static_view_escapes() -> None:
    attack = "<script>alert(1)</script>"
    given = items().with_columns(pl.lit(attack).alias("category"))
    found = slice_statistics(given, ["i1", "i2"])
    assert "<script" not in found.to_html()
    assert "2 items of 60 (3.3%)" in found.to_html()


# --- the book ------------------------------------------------------------------------------------


def test_a_slice_is_on_disk_and_the_last_of_a_name_counts(tmp_path: Path) -> None:
    book = SliceBook(tmp_path / "audit" / "slices.jsonl")
    assert book.ids() == {}
    book.save("odd ones", ["i1", "i2", "i1"], by="ana", act="a1")
    book.save("odd ones", ["i1", "i2"], by="ana", act="a1")
    book.save("  late \n ones", ["i3"])
    book.save("odd ones", ["i4"], act="a2")
    assert SliceBook(book.path).ids() == {"odd ones": ["i4"], "late ones": ["i3"]}
    events = read(book.path)
    assert [e.data["item_ids"] for e in events] == [["i1", "i2"], ["i3"], ["i4"]]
    assert events[0].data["by"] == "ana"
    assert verify(book.path)


@pytest.mark.parametrize(
    ("name", "ids", "reason"),
    [("  ", ["i1"], "needs a name"), ("x", [], "holds no item"), ("x" * 81, ["i1"], "at most 80")],
)
def test_what_is_no_slice_is_not_kept(
    tmp_path: Path, name: str, ids: list[str], reason: str
) -> None:
    book = SliceBook(tmp_path / "slices.jsonl")
    with pytest.raises(ValueError, match=reason):
        book.save(name, ids)
    assert not book.path.exists()


@pytest.fixture
def book(tmp_path: Path) -> SliceBook:
    made = SliceBook(tmp_path / "slices.jsonl")
    made.save("parcels", [*(f"i{n}" for n in range(8)), "i30", "i31", "gone"])
    made.save("lost", ["gone"])
    return made


def test_a_slice_knows_its_items_and_what_went_out_since(book: SliceBook) -> None:
    found = book.slice("parcels", items())
    assert found.item_ids == [*(f"i{n}" for n in range(8)), "i30", "i31"]
    assert found.missing == 1
    assert "1 item of it went out" in found.to_html()
    assert found.table.equals(found.statistics.table)
    with pytest.raises(FrameError, match="no slice 'parcel'; there are 'parcels', 'lost'"):
        book.slice("parcel", items())
    with pytest.raises(FrameError, match="no item of the slice 'lost'"):
        book.slice("lost", items())


def test_a_review_list_is_the_items_or_a_draw_of_them(book: SliceBook) -> None:
    found = book.slice("parcels", items())
    whole = found.review()
    assert whole.columns == [
        "slice", "item_id", "text", "category", "tier", "verdict", "note",
    ]  # fmt: skip
    assert whole["verdict"].null_count() == 10
    assert whole["slice"].unique().to_list() == ["parcels"]
    drawn = found.review(3)
    assert len(drawn) == 3
    assert drawn.equals(found.review(3))
    assert set(drawn["item_id"]) <= set(found.item_ids)


@pytest.mark.parametrize("share", [0.17, 0.25, 0.5, 0.9])
def test_a_request_brings_the_slice_to_its_share(book: SliceBook, share: float) -> None:
    found = book.slice("parcels", items()).request(share)
    need = found["still needed"].sum()
    assert (10 + need) / (60 + need) >= share
    assert (10 + need - 1) / (60 + need - 1) < share
    assert found["category"].to_list() == ["delivery", "billing"]
    assert found["items"].to_list() == [8, 2]
    exact: Any = pl.Series([need * 0.8, need * 0.2])
    assert (found["still needed"] - exact).abs().max() < 1
    assert re.search("parcel", found["like"][0])


def test_a_request_for_what_is_there_asks_for_nothing(book: SliceBook) -> None:
    found = book.slice("parcels", items())
    assert found.request(0.1)["still needed"].to_list() == [0, 0]
    for share in (0, 1, -1, 2):
        with pytest.raises(ValueError, match="between 0 and 1"):
            found.request(share)
