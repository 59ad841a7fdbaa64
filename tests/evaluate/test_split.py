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


@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_groups_are_those_of_a_naive_search(rows: list[tuple[str, str | None, str | None]]) -> None:
    number = groups(table(rows), together=["thread"]).to_list()
    gathered = defaultdict(set)
    for row, group in enumerate(number):
        gathered[group].add(row)
    assert sorted(map(sorted, gathered.values())) == sorted(map(sorted, naive_groups(rows)))


@settings(max_examples=60, deadline=None)
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


def test_an_unknown_set_is_named() -> None:
    with pytest.raises(ValueError, match=r"no set 'test'; there are train, dev, sealed, vault"):
        split(many(10), shares={"train": 0.7, "test": 0.3})


def test_a_vault_is_one_more_set_and_leaves_the_others_their_shares() -> None:
    shares = {"train": 0.6, "dev": 0.15, "sealed": 0.15, "vault": 0.1}
    found = Counter(split(many(), shares=shares)["set"])
    assert found == pytest.approx({"train": 360, "dev": 90, "sealed": 90, "vault": 60}, abs=3)


def test_what_is_settled_stays_where_it_is_though_its_set_has_no_share() -> None:
    found = split(
        many(60), shares={"train": 0.5, "sealed": 0.5}, pinned={"i3": "dev", "i4": "train"}
    )
    sets = dict(found.select("item_id", "set").iter_rows())
    assert (sets["i3"], sets["i4"]) == ("dev", "train")
    assert Counter(found["set"])["dev"] == 1


DAYS = st.integers(0, 6)


@settings(max_examples=60, deadline=None)
@given(
    rows=ROWS,
    days=st.lists(DAYS, min_size=40, max_size=40),
    train=st.sampled_from([0.0, 0.4, 0.7, 1.0]),
    pinned=st.dictionaries(st.integers(0, 5), st.sampled_from(["train", "dev"]), max_size=2),
)
def test_no_training_group_is_later_than_a_test_group_and_groups_stay_whole(
    rows: list[tuple[str, str | None, str | None]],
    days: list[int],
    train: float,
    pinned: dict[int, str],
) -> None:
    own = days[: len(rows)]
    items = table(rows).with_columns(pl.Series("day", [f"2026-10-{d + 1:02d}" for d in own]))
    shares = {"train": train, "dev": (1 - train) / 2, "sealed": (1 - train) / 2}
    settled = {f"i{n:02d}": name for n, name in pinned.items() if n < len(rows)}
    found = split(items, together=["thread"], by="day", shares=shares, pinned=settled)
    sets = dict(found.select("item_id", "set").iter_rows())
    latest: dict[bool, list[int]] = {True: [], False: []}
    for group in naive_groups(rows):
        names = {sets[f"i{n:02d}"] for n in group}
        if len(names) > 1:
            raise AssertionError("a group was parted")
        if not any(f"i{n:02d}" in settled for n in group):
            latest[names == {"train"}].append(max(own[n] for n in group))
    if latest[True] and latest[False]:
        assert max(latest[True]) <= min(latest[False])
    assert all(sets[i] == name for i, name in settled.items()) or len(set(settled.values())) > 1
    mixed = items.sample(fraction=1, shuffle=True, seed=1)
    again = split(mixed, together=["thread"], by="day", shares=shares, pinned=settled)
    assert again.equals(found)


def test_a_split_by_time_keeps_the_shares_and_stratifies_the_later_sets() -> None:
    items = many().sample(fraction=1, shuffle=True, seed=3)
    items = items.with_columns(pl.int_range(600).alias("day"))
    found = split(items, by="day").join(items, on="item_id")
    assert Counter(found["set"]) == pytest.approx({"train": 420, "dev": 90, "sealed": 90}, abs=2)
    later = found.filter(pl.col("set") != "train")
    assert later["day"].min() == 420
    for kind in ("common", "usual", "rare"):
        dev, sealed = (later.filter(set=name, category=kind).height for name in ("dev", "sealed"))
        assert abs(dev - sealed) <= 1, kind


def test_a_cut_within_one_day_is_stratified_too() -> None:
    items = many(300).with_columns(pl.lit("2026-10-02").alias("day"))
    found = split(items, by="day").join(items, on="item_id")
    for kind, size in Counter(items["category"]).items():
        assert found.filter(category=kind, set="train").height == pytest.approx(0.7 * size, abs=2)


@pytest.mark.parametrize(
    ("values", "said"),
    [(["2026-10-01", "02.10.2026"], "'02.10.2026' in column 'day' is no date"),
     (["2026-10-01", None], "1 rows have no 'day'"), ([True, False], "is no date")],
)  # fmt: skip
def test_a_time_that_cannot_be_ordered_is_named(values: list[object], said: str) -> None:
    items = many(2).with_columns(pl.Series("day", values))
    with pytest.raises(FrameError, match=said):
        split(items, by="day")
    with pytest.raises(FrameError, match="hour"):
        split(items, by="hour")


def test_dates_times_and_zones_are_brought_in_one_order() -> None:
    stamps = ["2026-10-02T23:30:00-05:00", "2026-10-03", "2026-10-03T06:00:00Z", "2026-10-01"]
    texts = ["one two", "three four", "five six", "seven eight"]
    items = pl.DataFrame({"item_id": list("abcd"), "text": texts, "at": stamps})
    found = split(items, by="at", shares={"train": 0.5, "sealed": 0.5})
    assert found.filter(set="train")["item_id"].to_list() == ["b", "d"]


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 9), by=st.sampled_from([None, "day"]), data=st.data())
def test_what_was_shown_stays_in_the_open_with_its_group(
    rows: list[tuple[str, str | None, str | None]], seed: int, by: str | None, data: st.DataObject
) -> None:
    items = table(rows).with_columns(day=pl.int_range(pl.len()) % 5)
    shown = data.draw(st.lists(st.sampled_from(items["item_id"].to_list()), max_size=5))
    shares = {"train": 0.4, "dev": 0.1, "sealed": 0.3, "vault": 0.2}
    found = split(items, together=["thread"], seed=seed, by=by, shares=shares, shown=shown)
    together = found.filter(pl.col("item_id").is_in(shown))["group"]
    assert set(found.filter(pl.col("group").is_in(together))["set"]) <= {"train", "dev"}


def test_what_was_shown_needs_a_set_in_the_open() -> None:
    with pytest.raises(ValueError, match="item 'i7' was shown, so it can't be in sealed"):
        split(many(60), shares={"sealed": 1.0}, shown=["i7"])
