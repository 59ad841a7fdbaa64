"""The split: whole groups, everything once, the same whatever the order."""

from __future__ import annotations

from collections import Counter, defaultdict

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.evaluate import groups, split
from scalekit.frames import FrameError

WORDS = ["late", "parcel", "refund", "broken", "machine", "login"]
ROWS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(WORDS), min_size=0, max_size=6).map(" ".join),
        st.sampled_from(["a", "b", "c", None]),
        st.sampled_from(["t1", "t2", "t3", None]),
    ),
    min_size=1,
    max_size=40,
)


def table(rows: list[tuple[str, str | None, str | None]]) -> pl.DataFrame:
    return pl.DataFrame(
        [(f"i{n:02d}", *row) for n, row in enumerate(rows)],
        schema=dict.fromkeys(["item_id", "text", "category", "thread"], pl.String),
        orient="row",
    )


def trigrams(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    n = min(3, len(words))
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)} if n else set()


def alike(one: str, other: str) -> bool:
    a, b = trigrams(one), trigrams(other)
    return bool(a | b) and len(a & b) / len(a | b) >= 0.5


def naive_groups(rows: list[tuple[str, str | None, str | None]]) -> list[set[int]]:
    found: list[set[int]] = [{n} for n in range(len(rows))]
    for i, (text, _, thread) in enumerate(rows):
        for j, (other, _, others) in enumerate(rows[:i]):
            if alike(text, other) or (thread is not None and thread == others):
                one = next(g for g in found if i in g)
                two = next(g for g in found if j in g)
                if one is not two:
                    one |= two
                    found.remove(two)
    return found


@settings(max_examples=60)
@given(rows=ROWS)
def test_groups_are_those_of_a_naive_search(rows: list[tuple[str, str | None, str | None]]) -> None:
    number = groups(table(rows), together=["thread"]).to_list()
    gathered = defaultdict(set)
    for row, group in enumerate(number):
        gathered[group].add(row)
    assert sorted(map(sorted, gathered.values())) == sorted(map(sorted, naive_groups(rows)))


@settings(max_examples=60)
@given(rows=ROWS, seed=st.integers(0, 9), shuffle=st.integers(0, 9))
def test_no_group_is_parted_everything_covered_once_whatever_the_order(
    rows: list[tuple[str, str | None, str | None]], seed: int, shuffle: int
) -> None:
    items = table(rows)
    found = split(items, together=["thread"], seed=seed)
    assert sorted(found["item_id"]) == items["item_id"].to_list()
    assert set(found["set"]) <= {"train", "dev", "sealed"}
    sets = dict(found.select("item_id", "set").iter_rows())
    for group in naive_groups(rows):
        assert len({sets[f"i{n:02d}"] for n in group}) == 1
    mixed = items.sample(fraction=1, shuffle=True, seed=shuffle)
    assert split(mixed, together=["thread"], seed=seed).equals(found)


def many(n: int = 600) -> pl.DataFrame:
    kinds = ["common"] * (n // 2) + ["usual"] * (n // 3) + ["rare"] * (n - n // 2 - n // 3)
    rows = [
        {"item_id": f"i{i}", "text": f"w{i} x{i} y{i}", "category": k} for i, k in enumerate(kinds)
    ]
    return pl.DataFrame(rows)


def test_shares_hold_in_whole_and_in_every_category() -> None:
    items = many()
    found = split(items).join(items, on="item_id")
    counts = Counter(found["set"])
    # 600 items of 0.7, 0.15, 0.15: 420, 90, 90; each category to within one item.
    assert counts["train"] == pytest.approx(420, abs=3)
    assert counts["dev"] == pytest.approx(90, abs=3)
    for kind, size in Counter(items["category"]).items():
        own = Counter(found.filter(pl.col("category") == kind)["set"])
        for name, share in (("train", 0.7), ("dev", 0.15), ("sealed", 0.15)):
            assert abs(own[name] - share * size) <= 1.01, (kind, name)


def test_another_seed_is_another_split() -> None:
    assert not split(many(), seed=0).equals(split(many(), seed=1))


def test_a_set_of_share_zero_stays_empty() -> None:
    found = split(many(60), shares={"train": 0.8, "dev": 0.0, "sealed": 0.2})
    assert "dev" not in set(found["set"])


@pytest.mark.parametrize(
    "shares", [{"train": 0.7, "dev": 0.2}, {"train": 1.2, "dev": -0.2}, {"train": 0.0}]
)
def test_shares_that_do_not_make_one_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="shares must make 1"):
        split(many(10), shares=shares)


def test_a_repeated_id_and_a_missing_column_are_named() -> None:
    twice = pl.concat([many(3), many(3)])
    with pytest.raises(FrameError, match="repeat"):
        split(twice)
    with pytest.raises(FrameError, match="text"):
        split(many(3).drop("text"))
    with pytest.raises(FrameError, match="thread"):
        split(many(3), together=["thread"])


def test_numbers_as_ids_are_taken_or_refused_in_words() -> None:
    items = many(10).with_columns(pl.int_range(10).alias("item_id"))
    try:
        found, said = len(split(items)), ""
    except FrameError as refused:
        found, said = 0, str(refused)
    assert found == 10 or "item_id" in said
