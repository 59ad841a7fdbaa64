from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from scalekit.audit import balance, filled_or_padded
from scalekit.frames import FrameError


def items(**counts: int) -> pl.DataFrame:
    names = [name for name, n in counts.items() for _ in range(n)]
    return pl.DataFrame({"category": names}, schema={"category": pl.String})


def row(found: Any, name: str) -> dict[str, Any]:
    (one,) = found.table.filter(pl.col("category") == name).to_dicts()
    return one


def test_a_balance_by_hand() -> None:
    found = balance(items(a=60, b=40), {"a": 0.5, "b": 0.4, "c": 0.1})
    assert found.rows == 100
    # 60 of 100 have (0.502, 0.691) by Wilson, above 0.5, and 60 x 0.8 = 48 is not above 50.
    assert found.table["status"].to_list() == ["ok", "ok", "missing"]
    # a and b are 0.9 of the aim and hold 100 items, so the whole is 111.1 and c needs 11.1 of it.
    assert found.gaps.rows() == [("c", "missing", 0, 12)]
    expected = binomtest(60, 100).proportion_ci(method="wilson")
    assert (row(found, "a")["from"], row(found, "a")["to"]) == pytest.approx(tuple(expected))


@pytest.mark.parametrize(
    ("there", "status"),
    [
        (0, "missing"),
        (5, "thin"),
        (12, "thin"),
        (13, "ok"),
        (20, "ok"),
        (27, "ok"),
        (29, "abundant"),
        (60, "abundant"),
    ],
)
def test_a_category_is_thin_or_abundant_only_beyond_doubt(there: int, status: str) -> None:
    # Of 100 items with a target of 0.2: 12 have (0.070, 0.198), 13 (0.078, 0.210) by Wilson;
    # 27 have (0.193, 0.364), 29 (0.210, 0.385), and 29 x 0.8 = 23.2 is above 20.
    found = balance(items(a=there, b=100 - there), {"a": 0.2, "b": 0.8})
    assert row(found, "a")["status"] == status


def test_fewer_than_needed_are_thin_whatever_the_share() -> None:
    found = balance(items(a=9, b=9), {"a": 0.5, "b": 0.5}, at_least=10)
    assert found.table["status"].to_list() == ["thin", "thin"]
    assert found.gaps["still needed"].to_list() == [1, 1]


def test_categories_outside_the_spec_are_named_and_unknown_ones_left_out() -> None:
    frame = pd.DataFrame({"category": ["a", "b", None, "x", "x", "A"]})
    found = balance(frame, {"a": 0.5, "b": 0.5})
    assert found.rows == 5
    assert found.table.filter(pl.col("status") == "unknown")["category"].to_list() == ["A", "x"]
    assert row(found, "x")["still needed"] == 0


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), min_size=2, max_size=5),
    st.integers(1, 5),
)
def test_what_is_needed_is_exact_and_collecting_it_fills_the_gap(
    drawn: list[tuple[int, int]], at_least: int
) -> None:
    whole = sum(w for _, w in drawn)
    counts = {f"c{i}": n for i, (n, _) in enumerate(drawn)}
    targets = {f"c{i}": w / whole for i, (_, w) in enumerate(drawn)}
    exact = {f"c{i}": Fraction(w, whole) for i, (_, w) in enumerate(drawn)}
    found = balance(items(**counts), targets, at_least=at_least)
    short = found.gaps["category"].to_list()
    rest = [c for c in counts if c not in short]
    aim = (
        Fraction(sum(counts[c] for c in rest)) / sum(exact[c] for c in rest)
        if rest
        else Fraction(0)
    )
    expected = {c: max(0, ceil(max(exact[c] * aim, at_least)) - counts[c]) for c in short}
    assert dict(found.gaps.select("category", "still needed").iter_rows()) == expected
    filled = {c: n + expected.get(c, 0) for c, n in counts.items()}
    after = balance(items(**filled), targets, at_least=1)
    if all(exact[c] * aim >= at_least for c in short):
        assert not set(short) & set(after.gaps["category"])


def test_what_is_needed_is_not_one_more_by_rounding() -> None:
    # 90 items are 0.9 of the aim, so the whole is 100 and the missing tenth is 10, not 11.
    found = balance(items(a=30, b=30, c=30), {"a": 0.3, "b": 0.3, "c": 0.3, "d": 0.1})
    assert found.gaps.rows() == [("d", "missing", 0, 10)]


def test_no_items_at_all_make_every_category_missing() -> None:
    found = balance(items(), {"a": 0.5, "b": 0.5}, at_least=3)
    assert found.table["status"].to_list() == ["missing", "missing"]
    assert found.gaps["still needed"].to_list() == [3, 3]
    assert found.to_html()
    assert balance(items(), {}).gaps.is_empty()


def test_a_table_without_categories_is_refused() -> None:
    with pytest.raises(FrameError, match=r"items.*'category'"):
        balance(pl.DataFrame({"text": ["x"]}), {"a": 1.0})


def test_a_batch_fills_pads_or_does_both() -> None:
    rows = [
        ("f", "a"),
        ("f", "a"),
        ("f", "b"),
        ("h", "a"),
        ("h", "b"),
        ("p", "b"),
        ("q", "a"),
        ("q", "b"),
        ("q", "b"),
        ("n", None),
    ]
    table = pl.DataFrame(
        [{"item_id": f"i{n}", "batch_id": b, "category": c} for n, (b, c) in enumerate(rows)]
    )
    found = filled_or_padded(table, pl.DataFrame({"item_id": ["i3"]}), {"a": 5})
    assert found.rows() == [
        ("f", 3, 3, 2, "filled"),
        ("h", 2, 1, 0, "padded"),  # its only row for the gap was dropped
        ("p", 1, 1, 0, "padded"),
        ("q", 3, 3, 1, "partly"),
        ("n", 1, 1, 0, "padded"),
    ]
    none = pl.DataFrame({"item_id": []}, schema={"item_id": pl.String})
    assert set(filled_or_padded(table, none, {})["verdict"]) == {"no gap was open"}


def test_the_figure_shows_shares_and_targets_and_the_view_escapes() -> None:
    evil = "<script>alert(1)</script>"
    found = balance(pl.DataFrame({"category": [evil, evil, "b"]}), {evil: 0.5, "b": 0.5})
    assert "<script" not in found.to_html()
    bars, targets = found.plot().data
    assert list(bars.y) == [0.6667, 0.3333]
    assert list(targets.y) == [0.5, 0.5]
