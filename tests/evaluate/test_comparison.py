"""Comparing two measurements of the same items."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import false_discovery_control, ttest_1samp, ttest_rel

from scalekit.evaluate import measure
from scalekit.evaluate.comparison import ComparisonError, compare
from scalekit.evaluate.paired import mcnemar, sign_flip, tango
from scalekit.evaluate.resolution import least_detectable, minimum_detectable
from scalekit.evaluate.scoring import custom, exact_match
from scalekit.figures import figure_png
from scalekit.frames import FrameError

N = 300


def results(right: Any, **columns: Any) -> pl.DataFrame:
    n = len(right)
    ids = [f"i{k}" for k in range(n)]
    return pl.DataFrame({"item_id": ids, "set": ["dev"] * n, "score": right, **columns})


def pair(
    only_a: int, only_b: int, both: int = 200, n: int = N, **columns: Any
) -> tuple[pl.DataFrame, pl.DataFrame]:
    rest = n - only_a - only_b - both
    a = [1] * both + [1] * only_a + [0] * only_b + [0] * rest
    b = [1] * both + [0] * only_a + [1] * only_b + [0] * rest
    return results(a, **columns), results(b, **columns)


def test_right_and_wrong() -> None:
    row = compare(*pair(10, 28)).table.to_dicts()[0]
    expected = mcnemar(10, 28)
    assert (row["n"], row["only_a"], row["only_b"]) == (300, 10, 28)
    assert (row["a"], row["b"]) == (0.7, 228 / 300)
    assert row["difference"] == pytest.approx(18 / 300)
    assert (row["from"], row["to"]) == pytest.approx([float(v) for v in tango(10, 28, 300)])
    assert (row["p"], row["p_check"]) == pytest.approx((expected.mid_p, expected.exact))
    assert row["detectable"] == pytest.approx(minimum_detectable(300, 38 / 300))
    assert row["verdict"] == "B better"
    assert compare(*pair(28, 10)).table["verdict"][0] == "B worse"


def test_no_change_is_not_resolvable_and_says_what_would_be() -> None:
    found = compare(*pair(12, 15), names=("old", "new"))
    row = found.table.to_dicts()[0]
    assert row["verdict"] == "not resolvable at n = 300"
    said = found.to_html()
    points = f"{100 * minimum_detectable(300, 27 / 300):.1f}"
    assert f"A true difference of {points} points would be found." in said
    assert "equal" not in said
    assert "new minus old" in said


def test_where_nothing_differs_the_detectable_difference_is_not_nothing() -> None:
    row = compare(*pair(0, 0)).table.to_dicts()[0]
    assert row["detectable"] == least_detectable(300)
    assert row["from"] < 0 < row["to"]
    assert row["p"] == 1


def test_graded_scores() -> None:
    rng = np.random.default_rng(0)
    a = rng.uniform(0, 1, 80)
    b = np.clip(a + rng.normal(0.05, 0.2, 80), 0, 1)
    row = compare(results(a), results(b)).table.to_dicts()[0]
    expected = ttest_rel(b, a)
    ends = expected.confidence_interval()
    assert row["p"] == pytest.approx(expected.pvalue)
    assert (row["from"], row["to"]) == pytest.approx((ends.low, ends.high))
    assert row["p_check"] == pytest.approx(sign_flip(b - a))
    assert row["test"] == "paired t"
    # The t quantiles are a little wider than the normal ones.
    normal = minimum_detectable(80, float(np.var(b - a, ddof=1)))
    assert normal < row["detectable"] < 1.05 * normal


def test_clusters_are_counted_whole() -> None:
    rng = np.random.default_rng(1)
    a = rng.integers(0, 2, (30, 10))
    b = np.where(rng.random((30, 1)) < 0.3, 1, a)  # whole sources become right
    source = np.repeat([f"s{n}" for n in range(30)], 10)
    one, two = results(a.ravel(), source=source), results(b.ravel())
    row = compare(one, two, cluster="source").table.to_dicts()[0]
    expected = ttest_1samp((b - a).mean(axis=1), 0)
    assert (row["n"], row["units"], row["test"]) == (300, 30, "t over clusters")
    assert row["p"] == pytest.approx(expected.pvalue)
    assert row["p_check"] == pytest.approx(sign_flip((b - a).mean(axis=1)), abs=0.005)
    plain = compare(one, two).table.to_dicts()[0]
    assert row["to"] - row["from"] > plain["to"] - plain["from"]
    with pytest.raises(FrameError, match="'source'"):
        compare(results([1, 0]), results([1, 1]), cluster="source")


def sliced_pair() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Ten languages of 60 items; in de b is much worse, in fr it is better; and a rare one."""
    rng = np.random.default_rng(2)
    language = [f"l{n}" for n in range(8)] * 60 + ["de"] * 60 + ["fr"] * 60 + ["rare"] * 7
    a = rng.integers(0, 2, len(language))
    flip = rng.random(len(language)) < 0.1
    b = np.where(flip, 1 - a, a)
    worse = np.array([k == "de" for k in language]) & (rng.random(len(language)) < 0.5)
    better = np.array([k == "fr" for k in language]) & (rng.random(len(language)) < 0.5)
    b = np.where(worse, 0, np.where(better, 1, b))
    return results(a, language=language), results(b)


def test_slices_are_held_to_a_false_discovery_rate() -> None:
    a, b = sliced_pair()
    found = compare(a, b, by=["language"])
    rows = found.table.filter(pl.col("column") == "language")
    tested = rows.filter(pl.col("n") >= 20)
    expected = []
    for language in tested["value"]:
        own = a["language"] == language
        one, two = a.filter(own)["score"].to_numpy(), b.filter(own)["score"].to_numpy()
        expected.append(mcnemar(int((one > two).sum()), int((two > one).sum())).mid_p)
    assert tested["p"].to_list() == pytest.approx(expected)
    assert tested["adjusted"].to_list() == pytest.approx(false_discovery_control(expected).tolist())
    verdicts = dict(rows.select("value", "verdict").iter_rows())
    assert verdicts.pop("de") == "B worse"
    assert verdicts.pop("fr") == "B better"
    assert verdicts.pop("rare") == "n too small"
    assert set(verdicts.values()) == {"not resolvable at n = 60"}
    assert rows["value"][0] == "de"  # the worst first
    assert "By slice" in found.to_html()


def test_declared_claims_are_guarded_by_holm() -> None:
    one, two = pair(10, 22)
    parts = [(name, pl.lit(name).alias("set")) for name in ("dev", "handwritten", "field")]
    a = pl.concat([one.with_columns(s) for _, s in parts])
    b = pl.concat([two.with_columns(s) for _, s in parts])
    p = mcnemar(10, 22).mid_p
    assert compare(a, b).table["adjusted"].to_list() == pytest.approx([3 * p] * 3)
    alone = f"(Of this claim alone; with the others p = {3 * p:.3f}.)"
    assert p < 0.05 < 3 * p
    assert compare(a, b).to_html().count(alone) == 3
    assert "Of this claim alone" not in compare(a, b, primary=["dev"]).to_html()
    found = compare(a, b, primary=["dev"]).table
    assert found["adjusted"].to_list() == pytest.approx([p, p, p])
    found = compare(a, b, primary=["dev", "field"]).table
    assert found["adjusted"].to_list() == pytest.approx([2 * p, p, 2 * p])
    with pytest.raises(ComparisonError, match="no set"):
        compare(a, b, primary=["sealed"])


@pytest.mark.parametrize(
    ("only_a", "only_b", "said"),
    [(3, 3, "non-inferior"), (12, 12, "not resolvable"), (60, 5, "inferior")],
)
def test_against_a_margin(only_a: int, only_b: int, said: str) -> None:
    found = compare(*pair(only_a, only_b), margin=0.03)
    assert found.table["against_margin"].to_list() == [said]
    assert f"Against the margin of 3 points: {said}." in found.to_html()
    assert len(found.plot().layout.shapes) == 2


def test_swapped_it_is_the_same_with_other_signs() -> None:
    a, b = sliced_pair()
    b = b.with_columns(a["language"])
    one = compare(a, b, by=["language"]).table.sort("column", "value")
    two = compare(b, a, by=["language"]).table.sort("column", "value")
    assert one["difference"].to_list() == pytest.approx((-two["difference"]).to_list())
    assert one["from"].to_list() == pytest.approx((-two["to"]).to_list(), abs=1e-9)
    assert one["p"].to_list() == pytest.approx(two["p"].to_list(), nan_ok=True)


ITEMS = pl.DataFrame(
    {
        "item_id": [f"i{n}" for n in range(60)],
        "text": [f"text {n}" for n in range(60)],
        "category": ["a", "b"] * 30,
        "set": ["dev"] * 50 + ["train"] * 10,
        "answer": "a",
    }
)


def say(what: str) -> Any:
    return lambda texts: [what] * len(texts)


def test_measurements_are_compared_without_what_was_trained_on() -> None:
    found = compare(measure(say("a"), ITEMS), measure(say("b"), ITEMS))
    assert found.table["set"].to_list() == ["dev"]
    assert found.table["n"].to_list() == [50]
    assert found.metric == "accuracy"
    assert len(found.changed) == 50
    assert found.changed["difference"].to_list() == [-1.0] * 25 + [1.0] * 25
    assert {"prediction_a", "prediction_b", "category"} <= set(found.changed.columns)
    # Each model was trained on what it was trained on.
    other = measure(say("b"), ITEMS.filter(pl.col("set") != "train"))
    assert compare(measure(say("a"), ITEMS), other).table["n"].to_list() == [50]


def test_other_items_are_refused_with_their_number() -> None:
    one = measure(say("a"), ITEMS)
    with pytest.raises(ComparisonError, match="3 of 50 only in old, 0 of 47 only in new"):
        compare(one, measure(say("a"), ITEMS[3:]), names=("old", "new"))
    changed = ITEMS.with_columns(
        pl.when(pl.col("item_id").is_in(["i1", "i2"])).then(pl.lit("t")).otherwise("text")
        .alias("text")
    )  # fmt: skip
    with pytest.raises(ComparisonError, match="text or right answer of 2 of 50 items"):
        compare(one, measure(say("a"), changed))
    relabelled = measure(say("a"), ITEMS.with_columns(pl.lit("a").alias("category")))
    with pytest.raises(ComparisonError, match="text or right answer of 25 of 50"):
        compare(one, relabelled)
    with pytest.raises(ComparisonError, match="the category of 25 of 50"):
        compare(one.results, relabelled.results)


def test_another_scorer_is_refused() -> None:
    one, two = measure(say("a"), ITEMS), measure(say("a"), ITEMS, scorer=exact_match())
    with pytest.raises(ComparisonError, match=r"all 50 items .* by accuracy, B by exact match"):
        compare(one, two)
    half = [custom("f", lambda a, r: 0.5, version=v) for v in "12"]
    with pytest.raises(ComparisonError, match="different ways"):
        compare(measure(say("a"), ITEMS, scorer=half[0]), measure(say("a"), ITEMS, scorer=half[1]))
    same = measure(say("a"), ITEMS, scorer=half[0])
    assert compare(same, same).table["difference"].to_list() == [0.0]


def test_what_can_not_be_compared_is_said() -> None:
    one = results([1, 0])
    with pytest.raises(ComparisonError, match="no single items"):
        compare(measure(say("a"), ITEMS).aggregates(20), one)
    with pytest.raises(FrameError, match="repeat"):
        compare(pl.concat([one, one]), one)
    with pytest.raises(FrameError, match="1 items have no score"):
        compare(results([1, None]), one)
    with pytest.raises(FrameError, match="between 0 and 1"):
        compare(results([1, 2]), one)
    with pytest.raises(FrameError, match="'language'"):
        compare(one, one, by=["language"])


def test_pandas_and_booleans_are_taken() -> None:
    a, b = pair(10, 28)
    found = compare(a.to_pandas(), b.with_columns(pl.col("score").cast(pl.Boolean)))
    assert found.table["p"].to_list() == pytest.approx([mcnemar(10, 28).mid_p])


def test_the_views() -> None:
    a, b = sliced_pair()
    found = compare(a, b, by=["language"])
    assert "<table>" in found.to_html()
    assert figure_png(found.plot()).startswith(b"\x89PNG")


def test_a_million_items_in_a_thousand_slices() -> None:
    rng = np.random.default_rng(3)
    n = 1_000_000
    source = rng.integers(0, 1000, n)
    a, b = (
        pl.DataFrame({"item_id": np.arange(n), "set": ["dev"] * n, "score": rng.integers(0, 2, n)})
        for _ in "ab"
    )
    found = compare(a.with_columns(pl.Series("source", source)), b, by=["source"]).table
    assert len(found) == 1001
    assert (found["verdict"].str.starts_with("not resolvable")).mean() > 0.99
