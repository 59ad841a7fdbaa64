"""Forecasts from past runs: refusals, what noise may claim, and the calibration page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from scalekit.evaluate.calibration import forecast_calibration
from scalekit.evaluate.cross_run import CrossRun, cross_run, leave_one_out
from scalekit.evaluate.noise_forecast import ForecastError
from scalekit.frames import FrameError
from scalekit.signing import canonical

START = datetime(2026, 1, 1, tzinfo=UTC)


def runs(n: int, seed: int = 0, effect: float = 0.0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    gold, alpha = rng.normal(0, 1, (2, n))
    return pl.DataFrame(
        {
            "run_id": [f"r{i}" for i in range(n)],
            "proxy": "logistic",
            "dev": "v1",
            "at": [START + timedelta(days=i) for i in range(n)],
            "gold_accuracy": 0.9 + 0.03 * gold,
            "alpha": 0.7 + 0.05 * alpha,
            "score": 0.8 + 0.02 * (effect * gold + rng.normal(0, 1, n)),
        }
    )


def test_under_five_runs_it_refuses() -> None:
    with pytest.raises(ForecastError, match=r"4 runs: fewer than 5 .* Use forecast\(\)"):
        cross_run(runs(4))
    assert cross_run(runs(5)).standing == "exploratory"


@pytest.mark.parametrize(
    ("n", "expected"),
    [(7, "exploratory"), (8, "may warn"), (11, "may warn"), (12, "may gate")],
)
def test_a_strong_signal_stands_by_the_number_of_runs(n: int, expected: str) -> None:
    found = cross_run(runs(n, effect=8.0), signals=("gold_accuracy",))
    assert found.skill > 0.2
    assert found.standing == expected


@pytest.mark.parametrize(("n", "most"), [(8, 0.12), (12, 0.09)])
def test_noise_seldom_claims_skill(n: int, most: float) -> None:
    # Measured before: 0.03 at 8 runs, 0.02 at 12; 100 draws.
    claims = [cross_run(runs(n, seed)).standing != "exploratory" for seed in range(100)]
    assert np.mean(claims) <= most


def test_left_out_forecasts_are_those_of_an_independent_ridge() -> None:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = runs(9, effect=1.0)
    x, y = table.select("gold_accuracy", "alpha").to_numpy(), table["score"].to_numpy()
    predicted, naive = leave_one_out(x, y)
    for i in range(9):
        rest = np.arange(9) != i
        model = make_pipeline(StandardScaler(), Ridge(alpha=1.0)).fit(x[rest], y[rest])
        assert predicted[i] == pytest.approx(model.predict(x[[i]])[0])
        assert naive[i] == pytest.approx(y[rest].mean())


def test_signals_must_be_few_and_declared() -> None:
    table = runs(12).with_columns(speed=pl.lit(1.0))
    with pytest.raises(ForecastError, match="3 signals: at most two"):
        cross_run(table, signals=("alpha", "gold_accuracy", "speed"))
    with pytest.raises(ForecastError, match="'speed' was not declared"):
        cross_run(table, signals=("speed",))
    late = START + timedelta(days=8, hours=1)
    with pytest.raises(ForecastError, match="3 runs since speed were declared"):
        cross_run(table, signals=("speed",), declared_at=late)
    early = START + timedelta(days=4, hours=1)
    assert len(cross_run(table, signals=("speed",), declared_at=early).loo) == 7


def test_mixed_runs_are_refused() -> None:
    table = runs(10)
    third = pl.when(pl.col("run_id") == "r3")
    for column in ("proxy", "dev"):
        mixed = table.with_columns(third.then(pl.lit("other")).otherwise(column).alias(column))
        with pytest.raises(ForecastError, match=f"runs differ in {column}"):
            cross_run(mixed)
    with pytest.raises(ForecastError, match="run 'r3' lacks its score or a signal"):
        cross_run(table.with_columns(third.then(None).otherwise("alpha").alias("alpha")))
    with pytest.raises(FrameError, match="column 'alpha' is missing"):
        cross_run(table.drop("alpha"))


def test_the_next_run_is_forecast_and_recorded() -> None:
    planned = {"gold_accuracy": 0.92, "alpha": 0.7}
    found = cross_run(runs(12, effect=8.0), planned=planned)
    assert found.expected is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.expected < found.high
    record = found.record()
    canonical(record)
    assert all(type(value) in (str, int) for value in record.values())
    assert "Forecast: " in found.to_html()
    assert len(found.plot().data) == 3
    beyond = cross_run(runs(12, effect=8.0), planned={"gold_accuracy": 2.0, "alpha": 0.7})
    assert (beyond.expected, beyond.high) == (1.0, 1.0)
    with pytest.raises(ForecastError, match="planned lacks signal 'alpha'"):
        cross_run(runs(12), planned={"gold_accuracy": 1})
    with pytest.raises(ForecastError, match="nothing was forecast"):
        cross_run(runs(12)).record()


def test_signals_that_do_not_vary_are_the_mean() -> None:
    found: CrossRun = cross_run(runs(8).with_columns(alpha=pl.lit(0.7), gold_accuracy=pl.lit(0.9)))
    assert found.loo["predicted"].to_list() == pytest.approx(found.loo["naive"].to_list())
    assert (found.skill, found.p) == (0.0, 1.0)


def told(run: str, expected: str, low: str, high: str, last: str, day: int = 0, **more: Any) -> Any:
    record = {"model": "noise injection", "proxy": "p", "dev": "v1", "expected": expected}
    record |= {"from": low, "to": high, "last": last, "run_id": run}
    return {**record, "at": START + timedelta(days=day), **more}


def came(*scores: float | None) -> pl.DataFrame:
    days = [START + timedelta(days=i + 1) for i in range(len(scores))]
    ids = [f"r{i}" for i in range(len(scores))]
    return pl.DataFrame({"run_id": ids, "at": days, "proxy": "p", "dev": "v1", "score": scores})


def test_forecasts_meet_their_outcomes() -> None:
    given = [
        told("r0", "0.80", "0.75", "0.85", "0.90"),
        told("r1", "0.70", "0.65", "0.75", "0.90"),
    ]
    found = forecast_calibration(given, came(0.82, 0.76))
    row = found.table.row(0, named=True)
    assert (row["forecasts"], row["inside"]) == (2, 1)
    assert row["error pp"] == pytest.approx((2 + 6) / 2)
    assert row["naive error pp"] == pytest.approx((8 + 14) / 2)
    assert row["skill"] == pytest.approx(1 - 4 / 11)
    assert found.verdict.startswith("1 of 2 outcomes lay in their 95 % intervals.")
    assert "noise injection" in found.to_html()
    assert [t.name for t in found.plot().data] == ["expected", "outcome"]


def test_a_tool_that_was_never_right_says_so() -> None:
    given = [told("r0", "0.80", "0.79", "0.81", "0.90")]
    assert "never been right" in forecast_calibration(given, came(0.6)).to_html()


def test_without_outcomes_nothing_is_claimed() -> None:
    for given in ([], [told("r9", "0.80", "0.75", "0.85", "0.90")]):
        found = forecast_calibration(given, came(0.8))
        assert "No forecast has met its outcome" in found.to_html()
        assert found.table.is_empty()


def test_a_model_no_better_than_last_time_is_called_so() -> None:
    given = [told("r0", "0.80", "0.60", "0.95", "0.70")]
    assert "No model was nearer" in forecast_calibration(given, came(0.71)).verdict


def test_what_was_written_afterwards_or_of_another_proxy_does_not_count() -> None:
    given = [
        told("r0", "0.80", "0.75", "0.85", "0.90", day=5),
        told("r1", "0.80", "0.75", "0.85", "0.90", proxy="other"),
        told("r1", "0.80", "0.75", "0.85", "0.90", dev="v2"),
        told("r7", "0.80", "0.75", "0.85", "0.90"),
        told("r1", "0.80", "0.75", "0.85", "0.90"),
    ]
    found = forecast_calibration(given, came(0.8, 0.8))
    states = ["too late", "not comparable", "not comparable", "open", "counted"]
    assert found.forecasts["state"].to_list() == states
    assert found.table["forecasts"].to_list() == [1]


def test_a_faulty_record_is_named() -> None:
    good = told("r0", "0.80", "0.75", "0.85", "0.90")
    with pytest.raises(FrameError, match="forecast 2: 'last' is missing"):
        forecast_calibration([good, {k: v for k, v in good.items() if k != "last"}], came(0.8))
    with pytest.raises(FrameError, match="forecast 1 of run 'r0': could not convert"):
        forecast_calibration([{**good, "expected": "high"}], came(0.8))
