"""Measuring any callable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, t, ttest_1samp
from sklearn.metrics import f1_score

from scalekit.evaluate import PredictionError, measure
from scalekit.evaluate.scores import score_cells, sliced
from scalekit.evaluate.scoring import Scorer, custom
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


def graded(name: str = "length") -> Scorer:
    return custom(name, lambda answer, row: len(answer) / 10, columns=("category",), version="1")


def tenths(texts: list[str]) -> list[str]:
    """An answer of 0 to 9 letters, by the number of the item."""
    return ["x" * (int(t.split()[1]) % 10) for t in texts]


def test_graded_scores_have_students_interval() -> None:
    found = measure(tenths, ITEMS, scorer=graded())
    dev = found.sets.filter(pl.col("set") == "dev").to_dicts()[0]
    expected = ttest_1samp([n % 10 / 10 for n in range(90)], 0).confidence_interval()
    assert dev["score"] == pytest.approx(0.45)
    assert (dev["from"], dev["to"]) == pytest.approx((expected.low, expected.high))
    assert "right" not in found.sets.columns
    assert found.results["score"].dtype == pl.Float64
    assert "scored by length" in found.to_html()
    assert found.plot().data


def test_scores_that_do_not_vary_do_not_claim_certainty() -> None:
    found = measure(lambda t: ["xxxxx"] * len(t), ITEMS, scorer=graded())
    low, high = found.sets.select("from", "to").row(0)
    unseen = 1 - 0.025 ** (1 / 90)
    assert (low, high) == pytest.approx((0.5 - 0.5 * unseen, 0.5 + 0.5 * unseen))


def test_clusters_widen_the_interval_as_tests_of_their_means() -> None:
    sources = [f"source {n // 15}" for n in range(150)]
    items = ITEMS.with_columns(pl.Series("source", sources), pl.lit("dev").alias("set"))

    def half(texts: list[str]) -> list[str]:  # whole sources right or wrong
        of = [int(t.split()[1]) for t in texts]
        return [items["category"][n] if n // 15 % 2 else "no" for n in of]

    plain, wide = measure(half, items).sets, measure(half, items, cluster="source").sets
    expected = ttest_1samp([n % 2 for n in range(10)], 0).confidence_interval()
    assert wide.select("from", "to").row(0) == pytest.approx((expected.low, expected.high))
    assert wide["clusters"].to_list() == [10]
    assert (wide["to"] - wide["from"])[0] > 2 * (plain["to"] - plain["from"])[0]
    by_kind = measure(half, items).by("category", cluster="source").table
    assert by_kind["clusters"].to_list() == [10, 10, 10]
    gap = pl.when(pl.col("item_id") != "i3").then("source").alias("source")
    with pytest.raises(FrameError, match="1 items have no 'source'"):
        measure(half, items.with_columns(gap), cluster="source")


def test_slices_by_any_column_and_what_is_too_small() -> None:
    length = pl.Series("length", ["short"] * 140 + ["long"] * 10)
    items = ITEMS.with_columns(length, pl.lit("dev").alias("set"))
    found = measure(say_a, items).by("length")
    rows = {r["length"]: r for r in found.table.to_dicts()}
    assert (rows["short"]["right"], rows["short"]["n"], rows["short"]["note"]) == (47, 140, "")
    assert (rows["long"]["n"], rows["long"]["note"]) == (10, "n too small")
    assert found.table["length"].to_list() == ["short", "long"]  # those to judge come first
    assert "too small" in found.to_html()
    assert found.plot().data
    crossed = measure(say_a, items).by("length", "category").table
    assert len(crossed) == 6
    assert crossed["n"].sum() == 150
    with pytest.raises(FrameError, match="'region'"):
        measure(say_a, items).by("region")
    with pytest.raises(FrameError, match="no single items"):
        measure(say_a, items).aggregates(20).by("length")
    with pytest.raises(ValueError, match="at least one column"):
        measure(say_a, items).by("set")


rows = st.lists(
    st.tuples(st.sampled_from(["x", "y", None]), st.integers(0, 3), st.integers(0, 4)),
    min_size=1, max_size=30,
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(rows, st.booleans(), st.booleans())
def test_cells_are_those_of_a_slow_reference(
    drawn: list[tuple[str | None, int, int]], clustered: bool, halves: bool
) -> None:
    score = [(s / 4 if halves else s % 2) for _, _, s in drawn]
    table = pl.DataFrame(
        {"kind": [k for k, _, _ in drawn], "source": [c for _, c, _ in drawn], "score": score},
        schema={
            "kind": pl.String, "source": pl.Int64, "score": pl.Float64 if halves else pl.Int64
        },
    )  # fmt: skip
    found = score_cells(table, ["kind"], "source" if clustered else None)
    assert sorted(map(str, found["kind"])) == sorted({str(k) for k, _, _ in drawn})
    for cell in found.to_dicts():
        own = [(c, s) for (k, c, _), s in zip(drawn, score, strict=True) if k == cell["kind"]]
        mean = sum(s for _, s in own) / len(own)
        assert cell["n"] == len(own)
        assert cell["score" if halves else "accuracy"] == pytest.approx(mean)
        if not halves and not clustered:
            continue
        ids = sorted({c for c, _ in own}) if clustered else range(len(own))
        away = [sum(s - mean for c, s in own if c == i) for i in ids] if clustered else [
            s - mean for _, s in own
        ]  # fmt: skip
        m = len(away)
        error = sum(v * v for v in away) ** 0.5 * (m / max(m - 1, 1)) ** 0.5 / len(own)
        if error < 1e-9:
            u = 1 - 0.025 ** (1 / m)
            ends = (mean * (1 - u), mean + u * (1 - mean))
        else:
            spread = t.ppf(0.975, m - 1) * error
            ends = (max(0, mean - spread), min(1, mean + spread))
        assert (cell["from"], cell["to"]) == pytest.approx(ends, abs=1e-9)


def test_without_a_failure_the_exact_bound_is_said() -> None:
    items = ITEMS.with_columns(pl.lit("a").alias("category"))
    found = measure(say_a, items)
    assert found.failures.select("set", "failures", "n").rows() == [
        ("dev", 0, 90),
        ("handwritten", 0, 60),
    ]
    assert found.failures["failing, at most"][1] == pytest.approx(1 - 0.025 ** (1 / 60))
    assert "at most 6.0 % fail" in found.to_html()
    assert found.by("category").table["failing, at most"][0] == pytest.approx(1 - 0.025 ** (1 / 90))
    assert measure(say_a, ITEMS).failures.is_empty()


def test_answers_that_are_no_category_are_counted_and_named() -> None:
    def drifts(texts: list[str]) -> list[str]:
        return ["A" if t.endswith("7") else "c " if t.endswith("8") else "a" for t in texts]

    found = measure(drifts, ITEMS)
    assert found.unknown is not None
    assert found.unknown.filter(pl.col("set") == "dev").rows() == [
        ("dev", "A", "a", 9),
        ("dev", "c ", "c", 9),
    ]
    assert str(found).endswith(
        "30 answers named no known category and counted as wrong: 'A' (15, nearly 'a'), 'c ' (15, "
        "nearly 'c')."
    )
    odd = measure(lambda texts: ["none of these"] * len(texts), ITEMS)
    assert "'none of these' (150)." in str(odd)
    assert "30 answers named no known category" in found.to_html()
    known = measure(drifts, ITEMS, categories=["A"]).unknown
    assert known is not None
    assert known["prediction"].unique().to_list() == ["c "]
    told = found.aggregates(20)
    assert told.unknown is not None
    assert told.unknown["prediction"].null_count() == len(told.unknown)
    assert told.unknown["n"].sum() == 30
    assert "named no known" not in measure(say_a, ITEMS).to_html()


def test_macro_f1_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.choice(["a", "b", "c", "odd"], 150).tolist()
    found = measure(lambda t: [drawn[int(s.split()[1])] for s in t], ITEMS)
    rows = {r["set"]: r for r in found.macro_f1().to_dicts()}
    for name in ("dev", "handwritten"):
        own = found.results.filter(pl.col("set") == name)
        options: dict[str, Any] = {"labels": ["a", "b", "c"], "average": "macro"}
        expected = f1_score(own["category"].to_list(), own["prediction"].to_list(), **options)
        assert rows[name]["macro_f1"] == pytest.approx(expected)
        assert rows[name]["from"] is None
        assert rows[name]["note"] == f"not resolvable at n = {len(own)}"
    whole = measure(
        lambda t: [drawn[int(s.split()[1])] for s in t],
        ITEMS.with_columns(pl.lit("dev").alias("set")),
    )
    row = whole.macro_f1().to_dicts()[0]
    assert row["note"] == ""
    assert row["from"] < row["macro_f1"] < row["to"]
    # Again by resampling the items themselves.
    score = [f1_score(*_resampled(whole.results, rng), **options) for _ in range(300)]
    assert (row["from"], row["to"]) == pytest.approx(np.quantile(score, (0.025, 0.975)), abs=0.025)


def _resampled(results: pl.DataFrame, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    rows = results[rng.integers(0, len(results), len(results))]
    return rows["category"].to_list(), rows["prediction"].to_list()


def test_what_an_item_must_have() -> None:
    gap = pl.when(pl.col("item_id") != "i3").then("category").alias("category")
    with pytest.raises(FrameError, match="1 have no 'category'"):
        measure(say_a, ITEMS.with_columns(gap))
    with pytest.raises(FrameError, match="'score' is made by measuring"):
        measure(say_a, ITEMS.with_columns(pl.lit(1).alias("score")))


def test_sets_scored_in_different_ways_are_not_joined() -> None:
    with pytest.raises(ValueError, match="different ways"):
        measure(say_a, ITEMS).join(measure(say_a, ITEMS, scorer=graded()))
    both = measure(say_a, ITEMS).join(measure(say_a, ITEMS.with_columns(pl.lit("x").alias("set"))))
    assert both.cost is not None
    assert both.cost.items == 300
    assert both.contents is not None
    assert len(both.contents) == 300


def test_graded_categories_are_merged_too() -> None:
    few = ITEMS.head(50).with_columns(pl.lit("dev").alias("set"))
    found = measure(tenths, few, scorer=graded())
    told = found.aggregates(20).categories
    assert told["n"].to_list() == [50]
    assert told["score"][0] == pytest.approx(found.sets["score"][0])


def test_a_million_results_are_sliced() -> None:
    rng = np.random.default_rng(0)
    n = 1_000_000
    results = pl.DataFrame(
        {"set": ["dev"] * n, "score": rng.integers(0, 2, n), "source": rng.integers(0, 5000, n)}
    )
    found = sliced(results, ["source"]).table
    assert found["n"].sum() == n
    assert len(found) == 5000
    assert found["right"].sum() == results["score"].sum()
    graded = results.with_columns(pl.col("score") / 2, pl.lit("k").alias("kind"))
    wide = sliced(graded, ["kind"], cluster="source").table
    assert wide["clusters"].to_list() == [5000]
    assert wide["score"][0] == pytest.approx(results["score"].mean() / 2)


@pytest.mark.parametrize(
    ("said", "near"),
    [
        ("biling", "billing"), ("Billing.", "billing"), ("product question", "product_question"),
        ("unsafe", None), ("inappropriate", None), ("class 2", None), ("?", None),
    ],
)  # fmt: skip
def test_only_a_spelling_is_called_near(said: str, near: str | None) -> None:
    known = ["billing", "product_question", "safe", "appropriate", "class_3", "+", "-"]
    items = pl.DataFrame(
        {"item_id": known, "text": known, "category": known, "set": ["dev"] * len(known)}
    )
    found = measure(lambda texts: [said] * len(texts), items, categories=known)
    assert found.unknown is not None
    assert found.unknown["nearest"].to_list() == [near]
