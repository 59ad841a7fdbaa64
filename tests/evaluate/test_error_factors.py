"""Support and label surprise: the measures against slow exact ones, the faults against truth."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from scalekit.evaluate.error_factors import _neighbours, _wald, error_factors
from scalekit.frames import FrameError


def test_neighbours_are_those_of_a_slow_search() -> None:
    rng = np.random.default_rng(0)
    dev, train = rng.normal(0, 1, (30, 6)), rng.normal(0, 1, (80, 6))
    labels = rng.integers(0, 3, 80).astype(str)
    support, surprise, _ = _neighbours(dev, train, labels, 5)

    def near(row: np.ndarray, left_out: int | None = None) -> list[tuple[float, int]]:
        cosines = [
            (float(row @ t / np.linalg.norm(row) / np.linalg.norm(t)), i)
            for i, t in enumerate(train)
            if i != left_out
        ]
        return sorted(cosines, reverse=True)[:5]

    for i, row in enumerate(dev):
        mine = near(row)
        assert support[i] == pytest.approx(np.mean([c for c, _ in mine]))
        shares = [np.mean([labels[j] != labels[n] for _, j in near(train[n], n)]) for _, n in mine]
        assert surprise[i] == pytest.approx(np.mean(shares))


def test_among_copies_an_item_is_not_its_own_neighbour() -> None:
    train = np.repeat(np.eye(3), 6, axis=0)
    labels = np.array(["a", "b", "b", "b", "b", "b"] * 3)
    _, surprise, _ = _neighbours(np.eye(3), train, labels, 3)
    # An "a" among five "b" is always surprised; a "b" sees at most one "a" in three.
    assert (surprise <= (1 + 2 / 3) / 3 + 1e-9).all()


def test_wald_is_that_of_an_independent_fit() -> None:
    from scipy.optimize import minimize

    rng = np.random.default_rng(1)
    x = rng.normal(0, [1, 5], (400, 2))
    wrong = (rng.random(400) < 1 / (1 + np.exp(1 - 0.8 * x[:, 0]))).astype(float)
    design = np.column_stack([np.ones(400), (x - x.mean(0)) / x.std(0)])

    def loss(beta: np.ndarray) -> float:
        said = design @ beta
        return float((np.logaddexp(0, said) - wrong * said).sum())

    fit = minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-8})
    p = 1 / (1 + np.exp(-design @ fit.x))
    information = (design * (p * (1 - p))[:, None]).T @ design
    z = fit.x / np.sqrt(np.diag(np.linalg.inv(information)))
    assert _wald(x, wrong) == pytest.approx(z[1:], rel=1e-3)


def test_factors_without_spread_or_errors_say_nothing() -> None:
    x = np.column_stack([np.ones(50), np.arange(50.0)])
    assert _wald(x, np.zeros(50)).tolist() == [0, 0]
    assert _wald(x, (np.arange(50) % 2).astype(float))[0] == 0
    # A factor that separates right from wrong entirely has no maximum likelihood; z stays finite.
    assert np.isfinite(_wald(x, (np.arange(50) > 25).astype(float))).all()


def items(rows: list[tuple[str, str, str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["item_id", "text", "category"], orient="row")


def test_failed_items_stand_beside_their_neighbours_and_copies_beside_copies() -> None:
    train = [(f"t{i}", f"where is my parcel {i}", "delivery") for i in range(8)]
    train += [(f"u{i}", f"charge on my card {i}", "billing") for i in range(6)]
    train += [("c1", "Refund, please!", "billing"), ("c2", "refund please", "delivery")]
    train += [("c3", "REFUND PLEASE", "delivery")]
    dev = items([("d1", "parcel of mine", "delivery"), ("d2", "card charge", "billing")])
    results = pl.DataFrame({"item_id": ["d1", "d2"], "score": [0, 1]})
    found = error_factors(results, dev, items(train), k=4)
    assert len(found.nearest) == 4
    assert found.nearest["failed item"].to_list() == ["d1", "", "", ""]
    assert set(found.nearest["its label"]) == {"delivery"}
    assert found.pairs == 2
    assert found.conflicts.select("item_id", "other item").rows() == [("c1", "c2")]
    assert "1 of 2 pairs" in found.to_html()
    assert "parcel of mine" in found.to_html()


def test_items_seen_in_training_are_left_out() -> None:
    train = items([(f"t{i}", f"word{i} more", "a") for i in range(20)])
    dev = items([("d1", "word1 more", "a"), ("d2", "word2 other", "a")])
    results = pl.DataFrame({"item_id": ["d1", "d2"], "score": [1, 0]})
    found = error_factors(results, dev, train, seen=["d1"])
    assert found.items["item_id"].to_list() == ["d2"]
    assert found.left_out == 1


def test_features_serve_in_place_of_text() -> None:
    rng = np.random.default_rng(2)
    ids = [f"t{i}" for i in range(40)] + [f"d{i}" for i in range(10)]
    features = pl.DataFrame({"item_id": ids}).hstack(pl.DataFrame(rng.normal(0, 1, (50, 3))))
    table = pl.DataFrame({"item_id": ids, "category": ["a", "b"] * 25})
    results = pl.DataFrame({"item_id": ids[40:], "score": [0, 1] * 5})
    found = error_factors(results, table[40:], table[:40], features=features)
    assert found.table["items"].to_list() == [2, 2]
    assert found.nearest["failed"][0].startswith("d")
    with pytest.raises(FrameError, match="no row for item 'd5' of the dev"):
        error_factors(results, table[40:], table[:40], features=features[:45])
    gap = features.with_columns(pl.when(pl.col("item_id") != "t3").then("column_0").alias("gap"))
    with pytest.raises(FrameError, match="a value of item 't3' is missing"):
        error_factors(results, table[40:], table[:40], features=gap)


def test_what_is_missing_is_named() -> None:
    train = items([(f"t{i}", "a word", "a") for i in range(11)])
    dev = items([("d1", "word", "a")])
    none = pl.DataFrame({"item_id": ["x"], "score": [1]})
    with pytest.raises(FrameError, match="no clean dev item was measured"):
        error_factors(none, dev, train)
    right = pl.DataFrame({"item_id": ["d1"], "score": [1]})
    with pytest.raises(FrameError, match="more than k=10"):
        error_factors(right, dev, train[:10])
    with pytest.raises(FrameError, match="no text has a word"):
        error_factors(right, dev, train.with_columns(text=pl.lit("?!")))
