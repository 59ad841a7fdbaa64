"""What labels cost, by hand and against scipy's interval."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from scalekit.label import LabelError
from scalekit.label.cost import cost

LABELS = pl.DataFrame(
    [
        ("i1", "ana", 30.0, 1),
        ("i2", "ana", 90.0, 1),
        ("i1", "ben", 60.0, 1),
        ("i2", "ben", None, 2),
    ],
    schema=["item_id", "annotator", "seconds", "round"],
    orient="row",
)
ITEMS = [{"item_id": "i1", "category": "billing"}, {"item_id": "i2", "category": "returns"}]


def row(table: pl.DataFrame, by: str, group: str) -> dict[str, object]:
    return table.filter(by=by, group=group).row(0, named=True)


def test_by_hand() -> None:
    found = cost(
        LABELS, {"generalist": 18.0, "expert": 36.0}, items=ITEMS,
        accepted=[{"item_id": "i1", "value": "x"}, {"item_id": "i2", "value": None}],
        tiers={"ana": "generalist", "ben": "expert"}, currency="€",
    )  # fmt: skip
    whole = row(found.table, "all", "all")
    assert (whole["labels"], whole["untimed"], whole["hours"]) == (4, 1, 0.05)
    # 30 s and 90 s at 18 an hour are .15 and .45, 60 s at 36 is .60: mean .40, four labels 1.60.
    assert whole["per label"] == pytest.approx(0.4)
    assert whole["cost"] == pytest.approx(1.6)
    assert (whole["accepted"], whole["per accepted"]) == (1, pytest.approx(1.6))
    assert row(found.table, "tier", "expert")["per label"] == pytest.approx(0.6)
    assert row(found.table, "annotator", "ana")["median seconds"] == 60
    billing = row(found.table, "category", "billing")
    assert (billing["labels"], billing["accepted"]) == (2, 1)
    assert row(found.table, "category", "returns")["per accepted"] is None
    late = row(found.table, "round", "2")
    assert (late["untimed"], late["cost"], late["per label"]) == (1, None, None)
    said = found.to_html()
    assert "€0.400 a label, €1.60 an accepted item" in said
    assert "1 label came without a time" in said


@given(st.lists(st.floats(0.1, 1000), min_size=1, max_size=40), st.floats(0, 200))
def test_the_parts_add_up(seconds: list[float], rate: float) -> None:
    labels = [
        {"item_id": str(n), "annotator": "ab"[n % 2], "seconds": s} for n, s in enumerate(seconds)
    ]
    found = cost(labels, rate).table
    whole = row(found, "all", "all")
    assert whole["cost"] == pytest.approx(sum(seconds) / 3600 * rate)
    assert found.filter(by="annotator")["cost"].sum() == pytest.approx(whole["cost"])
    if whole["from"] is not None:
        assert 0 <= whole["from"] <= whole["per label"] <= whole["to"]  # type: ignore[operator]


def test_the_interval_is_near_a_bootstrap() -> None:
    seconds = np.random.default_rng(2).lognormal(2.5, 0.6, 400)
    labels = [{"item_id": str(n), "annotator": "a", "seconds": s} for n, s in enumerate(seconds)]
    whole = row(cost(labels, 3600.0).table, "all", "all")
    other = bootstrap((seconds,), np.mean, rng=np.random.default_rng(1)).confidence_interval
    width = other.high - other.low
    assert whole["from"] == pytest.approx(other.low, abs=0.15 * width)
    assert whole["to"] == pytest.approx(other.high, abs=0.15 * width)


def test_a_rate_that_lacks_or_is_negative_is_said() -> None:
    with pytest.raises(LabelError, match="no rate for 'ben'"):
        cost(LABELS, {"ana": 10})
    with pytest.raises(LabelError, match="the rate of 'ana' is -1"):
        cost(LABELS, -1)


def test_a_time_that_can_not_be_is_said_and_none_at_all_is_untimed() -> None:
    wrong = [{"item_id": "1", "annotator": "a", "seconds": -3.0}]
    with pytest.raises(LabelError, match="seconds: -3 is under 0"):
        cost(wrong, 10)
    with pytest.raises(LabelError, match="the rate of 'expert' is -2"):
        cost(LABELS, {"ana": 1, "ben": 1, "expert": -2})
    nothing = [{"item_id": "1", "annotator": "a", "seconds": float("nan")}]
    assert cost(nothing, 10).table["untimed"].to_list() == [1, 1]


def test_no_labels_have_no_cost() -> None:
    with pytest.raises(LabelError, match="there are no labels yet"):
        cost(LABELS.head(0), 10)
