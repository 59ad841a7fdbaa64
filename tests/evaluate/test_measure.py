"""Measuring any callable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest

from scalekit.evaluate import PredictionError, measure
from scalekit.frames import FrameError

ITEMS = pl.DataFrame(
    {
        "item_id": [f"i{n}" for n in range(150)],
        "text": [f"text {n}" for n in range(150)],
        "category": ["a", "b", "c"] * 50,
        "set": ["dev"] * 90 + ["handwritten"] * 60,
    }
)


def say_a(texts: list[str]) -> list[str]:
    return ["a"] * len(texts)


def test_scores_are_counted_by_set_and_category() -> None:
    found = measure(say_a, ITEMS)
    sets = {r["set"]: r for r in found.sets.to_dicts()}
    assert (sets["dev"]["right"], sets["dev"]["n"]) == (30, 90)
    assert (sets["handwritten"]["right"], sets["handwritten"]["n"]) == (20, 60)
    cells = {(r["set"], r["category"]): r["right"] for r in found.categories.to_dicts()}
    assert cells["dev", "a"] == 30
    assert cells["dev", "b"] == 0


def test_intervals_are_wilsons() -> None:
    for row in measure(say_a, ITEMS).sets.to_dicts():
        expected = binomtest(row["right"], row["n"]).proportion_ci(method="wilson")
        assert row["from"] == pytest.approx(expected.low)
        assert row["to"] == pytest.approx(expected.high)


def test_every_text_is_handed_over_once_in_order_in_small_batches() -> None:
    seen: list[list[str]] = []
    measure(lambda t: seen.append(t) or say_a(t), ITEMS, batch=40)
    assert [len(s) for s in seen] == [40, 40, 40, 30]
    assert [t for s in seen for t in s] == ITEMS["text"].to_list()


def test_a_numpy_answer_is_taken() -> None:
    assert measure(lambda t: np.array(["a"] * len(t)), ITEMS).sets["right"].sum() == 50


@pytest.mark.parametrize(
    ("predict", "said"),
    [
        (lambda t: ["a"] * (len(t) - 1), "63 answers"),
        (lambda t: "a" * len(t), "one text"),
        (lambda t: [0] * len(t), "category names"),
        (lambda t: [None] * len(t), "category names"),
        (lambda t: None, "None"),
        (lambda t: ("a" for _ in t), "generator"),
    ],
)
def test_a_wrong_answer_is_said_in_words(predict: Callable[[list[str]], Any], said: str) -> None:
    with pytest.raises(PredictionError, match=said):
        measure(predict, ITEMS)


def test_missing_column_is_named() -> None:
    with pytest.raises(FrameError, match="set"):
        measure(say_a, ITEMS.drop("set"))


def test_small_categories_are_merged_and_single_items_dropped() -> None:
    # 30, 12, 11 and 2 items: the three small ones make a cell of 25.
    kinds = ["a"] * 30 + ["b"] * 12 + ["c"] * 11 + ["d"] * 2
    items = pl.DataFrame(
        {"item_id": map(str, range(55)), "text": ["t"] * 55, "category": kinds, "set": ["s"] * 55}
    )
    found = measure(say_a, items).aggregates(20)
    told = found.categories.select("category", "right", "n").rows()
    assert told == [("a", 30, 30), ("3 smaller categories", 0, 25)]
    assert found.results.is_empty()


def test_views_show_without_a_kernel() -> None:
    found = measure(say_a, ITEMS)
    assert "dev" in found.to_html()
    assert found.plot().data
