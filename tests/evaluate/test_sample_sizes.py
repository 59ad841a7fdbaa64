"""The learning curve: the fit against scipy's, the gain against data that came."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.evaluate.sample_sizes import _fitted, learning_curve
from scalekit.frames import FrameError

SIZES = np.array([50, 72, 100, 140, 200, 280, 400])


def proxy() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=300)


def drawn(name: str, n: int, seed: int, spread: float = 1.0) -> tuple[pl.DataFrame, pl.DataFrame]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    x = rng.normal(0, 1, (n, 60))
    x[:, :20] += 0.5 * spread * (truth[:, None] - 0.5)
    ids = pl.DataFrame({"item_id": [f"{name}{i}" for i in range(n)]})
    items = ids.with_columns(category=pl.Series(np.array(["no", "yes"])[truth]))
    return items, ids.hstack(pl.DataFrame(x))


def test_a_power_law_is_found_again() -> None:
    score = 1 - (0.1 + 2 * SIZES**-0.5)
    found = _fitted(score[None], SIZES, np.array([400, 800]))[0]
    assert found == pytest.approx(1 - (0.1 + 2 * np.array([400, 800.0]) ** -0.5), abs=1e-9)


def test_the_fit_is_no_worse_than_a_general_optimiser() -> None:
    from scipy.optimize import curve_fit

    rng = np.random.default_rng(0)
    for _ in range(10):
        error = 0.15 + 1.5 * SIZES**-0.4 + rng.normal(0, 0.01, len(SIZES))
        (a, b, c), _ = curve_fit(
            lambda n, a, b, c: a + b * n**-c, SIZES, error, (0.1, 1, 0.5),
            bounds=([0, 0, 0.1], [1, 50, 1]), sigma=SIZES**-0.5,
        )  # fmt: skip
        best = (SIZES * (error - a - b * SIZES**-c) ** 2).sum()
        mine = (SIZES * (1 - error - _fitted(1 - error[None], SIZES, SIZES)[0]) ** 2).sum()
        assert mine <= best * 1.05 + 1e-9


@given(st.lists(st.floats(0, 1), min_size=7, max_size=7))
def test_more_items_never_hurt_and_scores_stay_scores(scores: list[float]) -> None:
    found = _fitted(np.array([scores]), SIZES, np.array([400, 600, 800]))[0]
    assert (np.diff(found) >= -1e-12).all()
    assert ((found >= 0) & (found <= 1)).all()


def test_the_gain_that_came_lies_in_the_interval() -> None:
    inside = 0
    for seed in range(6):
        train, of_train = drawn("t", 800, 100 + seed)
        dev, of_dev = drawn("d", 1500, 200 + seed)
        features = pl.concat([of_train, of_dev])
        found = learning_curve(
            train[:400], dev, more=400, features=features, make_proxy=proxy, repeats=4, seed=seed
        )
        low, high = found.interval
        x = features.drop("item_id").to_numpy()
        whole = [
            proxy().fit(x[:n], train["category"][:n]).score(x[800:], dev["category"])
            for n in (400, 800)
        ]
        assert low <= found.gain <= high
        inside += low - 0.01 <= whole[1] - whole[0] <= high + 0.01
    assert inside >= 4


def test_categories_points_and_the_limit() -> None:
    train, of_train = drawn("t", 200, 1)
    dev, of_dev = drawn("d", 300, 2)
    seen: list[tuple[int, int]] = []
    found = learning_curve(
        train, dev, more=300, by_category=True, features=pl.concat([of_train, of_dev]),
        make_proxy=proxy, repeats=3, progress=lambda *at: seen.append(at),
    )  # fmt: skip
    assert found.gains["category"].to_list() == [None, "no", "yes"]
    assert found.points["items"].to_list() == [25, 36, 50, 70, 100, 140, 200, 350, 500]
    assert found.points["kind"].to_list() == ["measured"] * 7 + ["expected"] * 2
    assert (found.points["from"] <= found.points["score"]).all()
    assert (found.points["to"] >= found.points["score"]).all()
    assert found.beyond
    assert "do not rely on it" in found.to_html()
    assert seen == [(i, 19) for i in range(1, 20)]
    assert [t.name for t in found.plot().data] == ["measured", "expected"]


def test_nothing_to_learn_buys_nothing() -> None:
    train, of_train = drawn("t", 200, 3, spread=0)
    dev, of_dev = drawn("d", 400, 4, spread=0)
    found = learning_curve(
        train, dev, more=100, features=pl.concat([of_train, of_dev]), make_proxy=proxy, repeats=3
    )
    assert not found.beyond
    assert found.gain < 0.02
    assert "It may be nothing" in found.to_html()


def test_scores_that_follow_no_such_curve_are_not_extrapolated() -> None:
    class Falling:
        """A proxy that knows half of dev from 140 items on, and all of it before."""

        classes_ = np.array(["no", "yes"])

        def fit(self, inputs: Any, labels: Any) -> None:
            self.few = len(labels) < 140

        def predict_proba(self, inputs: Any) -> Any:
            no = (inputs[:, 0] < 0) | ((inputs[:, 1] < 0) & (not self.few))
            return np.column_stack([no, ~no]).astype(float)

    train, of_train = drawn("t", 200, 6)
    x = of_train.drop("item_id").to_numpy()
    told = train.with_columns(category=pl.Series(np.where(x[:, 0] < 0, "no", "yes")))
    found = learning_curve(told, told, features=of_train, make_proxy=Falling, repeats=3)
    assert found.misfit > 0.05
    assert "do not extrapolate" in found.to_html()


def test_faulty_input_is_named() -> None:
    train, of_train = drawn("t", 60, 5)
    options: dict[str, Any] = {"features": of_train, "make_proxy": proxy}
    for more in ({"repeats": 2}, {"more": 0}):
        with pytest.raises(FrameError, match="a curve needs"):
            learning_curve(train, train, **options, **more)
    with pytest.raises(FrameError, match="got 30"):
        learning_curve(train[:30], train, **options)
