"""Wright's law: recovered where it holds, against scipy's fit, and silent where it must be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import linregress, t

from scalekit.frames import FrameError
from scalekit.report import learning_curve, outcomes_of
from scalekit.specify import Outcome, library, with_outcome


def projects(costs: list[float], tasks: int = 100) -> pl.DataFrame:
    n = len(costs)
    return pl.DataFrame({"project": [f"p{i}" for i in range(n)],
                         "date": [f"2026-01-{i + 1:02}" for i in range(n)],
                         "tasks": [tasks] * n, "cost": costs})  # fmt: skip


def law(n: int, ratio: float, noise: float = 0.0, seed: int = 0) -> list[float]:
    done = 100 * np.arange(n) + 50
    wobble = np.random.default_rng(seed).normal(0, noise, n)
    return list(2.0 * done ** np.log2(ratio) * np.exp(wobble))


def test_a_law_without_noise_is_recovered_exactly() -> None:
    found = learning_curve(projects(law(6, 0.8)))
    assert found.ratio == pytest.approx(0.8)
    assert found.first == pytest.approx(2.0)
    assert found.interval == pytest.approx((0.8, 0.8))
    assert found.verdict == "falls"


def test_the_interval_is_that_of_scipys_slope() -> None:
    costs = law(9, 0.85, 0.1, seed=4)
    found = learning_curve(projects(costs))
    fit = linregress(np.log(100 * np.arange(9) + 50), np.log(costs))
    half = t.ppf(0.975, 7) * fit.stderr
    assert found.ratio == pytest.approx(2**fit.slope)
    assert found.interval == pytest.approx((2 ** (fit.slope - half), 2 ** (fit.slope + half)))


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(400):
        low, high = learning_curve(projects(law(6, 0.85, 0.15, seed))).interval
        hits += low <= 0.85 <= high
    assert 0.92 <= hits / 400 <= 0.98


def test_a_flat_cost_is_not_sold_as_a_fall() -> None:
    assert learning_curve(projects(law(6, 1.0, 0.2, seed=2))).verdict == "not resolvable"
    short = learning_curve(projects(law(2, 0.5)))
    assert np.isnan(short.ratio)
    assert short.verdict == "not resolvable"
    assert "2 projects count; a curve needs 3" in short.to_html()


def test_a_cheap_project_of_lower_agreement_does_not_count() -> None:
    rows = projects(law(4, 0.8)).with_columns(pl.Series("agreement", [0.8, 0.79, 0.6, None]))
    found = learning_curve(rows)
    assert found.table["counts"].to_list() == [True, True, False, True]
    assert found.table["why not"][2] == "agreement 0.60 is below 0.80 by more than 0.05"
    assert found.table["done"].to_list() == [50, 150, 250, 350]


def test_kinds_are_not_mixed_and_costs_are_above_nothing() -> None:
    rows = projects(law(3, 0.8))
    with pytest.raises(FrameError, match="currency is 'EUR', 'USD'"):
        learning_curve(rows.with_columns(pl.Series("currency", ["EUR", "USD", "EUR"])))
    with pytest.raises(FrameError, match="'p1' needs tasks and a cost above 0"):
        learning_curve(projects([1.0, 0.0, 1.0]))
    with pytest.raises(FrameError, match="'cost'"):
        learning_curve(rows.drop("cost"))


def test_what_came_of_assets_is_gathered_by_domain() -> None:
    shelf = library(Path("nowhere"))
    made = []
    for n, asset in enumerate(shelf.assets[:3]):
        outcome = Outcome(project=f"p{n}", date=f"2026-0{3 - n}-01", tasks=10,
                          cost_per_task="0.5", currency="EUR", agreement=0.7,
                          defects=1)  # fmt: skip
        made.append(with_outcome(asset, outcome))
    found = outcomes_of(made, domain=("code",))
    assert found["project"].to_list() == ["p2", "p1", "p0"]
    assert outcomes_of(made, domain=("safety",)).is_empty()
    assert learning_curve(found.drop("unit")).verdict == "not resolvable"


def test_the_picture_holds_points_and_curve() -> None:
    drawn = learning_curve(projects(law(5, 0.8))).plot()
    assert [trace.name for trace in drawn.data] == ["projects", "Wright's law"]
