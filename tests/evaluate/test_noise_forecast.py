"""The forecast without history: its parts against their laws, and the whole."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.evaluate.examples import examples
from scalekit.evaluate.gold_error import gold_error
from scalekit.evaluate.noise_forecast import Forecast, ForecastError, _made_wrong, _plan, forecast
from scalekit.frames import FrameError
from scalekit.signing import canonical


def proxy() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=10.0, max_iter=300)


def drawn(name: str, n: int, seed: int, wrong: float = 0.0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two classes along ten of forty features, in two domains; *wrong* of the labels turned."""
    rng = np.random.default_rng(seed)
    truth, domain = rng.integers(0, 2, n), rng.integers(0, 2, n)
    x = rng.normal(0, 1, (n, 40))
    x[:, :10] += 0.8 * (truth[:, None] - 0.5)
    label = np.where(rng.random(n) < wrong, 1 - truth, truth)
    items = pl.DataFrame(
        {
            "item_id": [f"{name}{i}" for i in range(n)],
            "category": np.array(["no", "yes"])[label],
            "gold": np.array(["no", "yes"])[truth],
            "domain": np.array(["a", "b"])[domain],
        }
    )
    return items, items.select("item_id").hstack(pl.DataFrame(x))


def checks(right: int, wrong: int, domain: str = "a") -> pl.DataFrame:
    half = right // 2
    gold = ["no"] * half + ["yes"] * (right - half) + ["no"] * wrong
    value = [*gold[:right], *["yes"] * wrong]
    return pl.DataFrame({"domain": domain, "value": value, "gold": gold})


OLD, OF_OLD = drawn("o", 500, 1)
DEV, OF_DEV = drawn("d", 400, 2)
FEATURES = pl.concat([OF_OLD, OF_DEV])


def said(given: pl.DataFrame, **more: Any) -> Forecast:
    options: dict[str, Any] = {"planned": 400, "features": FEATURES, "make_proxy": proxy, **more}
    return forecast(OLD, DEV, given, **options)


def test_data_as_good_as_before_scores_as_before() -> None:
    found = said(checks(2000, 0), planned=500)
    assert found.expected == pytest.approx(found.last, abs=0.01)
    assert found.low < found.last < found.high


def test_more_wrong_labels_a_lower_forecast() -> None:
    scores = [said(checks(200 - wrong, wrong)).expected for wrong in (2, 40, 80)]
    assert scores[0] > scores[1] + 0.02 > scores[2] + 0.04


def test_few_checks_make_a_wide_interval() -> None:
    few, many = said(checks(15, 5)), said(checks(1500, 500))
    assert few.high - few.low > 1.2 * (many.high - many.low)


def test_the_forecast_is_a_record_without_floats() -> None:
    record = said(checks(90, 10), proxy="logistic").record()
    assert all(type(value) in (str, int) for value in record.values())
    canonical(record)
    assert record["proxy"] == "logistic"
    assert (
        json.loads(json.dumps(record)) == record == said(checks(90, 10), proxy="logistic").record()
    )
    assert 0 < float(record["from"]) < float(record["expected"]) < float(record["to"]) < 1


def test_pooled_rates_are_draws_from_the_posterior() -> None:
    from scipy.stats import beta, kstest

    found, rng = gold_error(checks(90, 10)), np.random.default_rng(0)
    pooled = [found.draw(rng)[0] for _ in range(2000)]
    assert kstest(pooled, beta(10.5, 90.5).cdf).pvalue > 0.01


def test_a_domain_of_few_checks_borrows_from_the_rest() -> None:
    table = pl.concat([checks(90, 10), checks(1, 1, "b"), checks(160, 40, "c")])
    found, rng = gold_error(table), np.random.default_rng(0)
    rates = [found.draw(rng)[1] for _ in range(2000)]
    middle = {d: np.mean([r[d] for r in rates]) for d in "abc"}
    assert middle["a"] == pytest.approx(0.1, abs=0.01)
    assert middle["c"] == pytest.approx(0.2, abs=0.01)
    assert 0.2 < middle["b"] < 0.5


def test_labels_are_made_wrong_at_the_rate_and_in_the_pattern() -> None:
    # All errors seen turn "no" into "yes".
    found = gold_error(checks(800, 200))
    clean = examples(OLD, OF_OLD, "old")
    rng = np.random.default_rng(0)
    turned = [found.corrupt(clean, np.full(500, 0.2), rng).labels for _ in range(40)]
    rate = np.mean([t != clean.labels for t in turned])
    no = np.mean([(t != clean.labels)[clean.labels == "no"] for t in turned])
    yes = np.mean([(t != clean.labels)[clean.labels == "yes"] for t in turned])
    assert rate == pytest.approx(0.2 * (clean.labels == "no").mean() / 0.6, abs=0.01)
    assert yes < 0.01 < 0.3 < no


def test_what_was_wrong_before_is_not_made_wrong_twice() -> None:
    old, features = drawn("w", 4000, 5, wrong=0.1)
    sample = old.select("domain", pl.col("category").alias("value"), "gold")
    target = gold_error(pl.concat([checks(3000, 1000), checks(3000, 1000, "b")]))
    even = target.pattern.mean() * 0 + np.array([[3.0, 1.0], [1.0, 3.0]]) * 1000
    target = type(target)(target.domains, target.classes, np.array([0.5, 0.5]), even)
    items = examples(old, features, "old")
    made, error = _made_wrong(items, target, gold_error(sample), np.random.default_rng(0))
    assert error == pytest.approx(0.25, abs=0.02)
    assert (made.labels != old["gold"].to_numpy()).mean() == pytest.approx(0.25, abs=0.02)


@given(st.integers(2, 3000), st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_a_planned_number_is_spread_as_the_release_is(planned: int, sizes: list[int]) -> None:
    domains = [str(d) for d, n in enumerate(sizes) for _ in range(n)]
    rows = pl.DataFrame({"item_id": range(len(domains)), "category": "x", "domain": domains})
    plan = _plan(planned, examples(rows, rows.select("item_id", z=1.0), "rows"))
    assert sum(plan.values()) == planned
    for d, n in enumerate(sizes):
        assert abs(plan.get(str(d), 0) - planned * n / len(domains)) <= 1


def test_the_order_in_which_domains_are_planned_changes_nothing() -> None:
    one, other = (dict.fromkeys(order, 100) for order in ("ab", "ba"))
    given = checks(90, 10)
    assert said(given, planned=one).record() == said(given, planned=other).record()


def test_what_it_can_not_know_is_said() -> None:
    found = said(checks(90, 10), planned={"a": 100, "b": 900})
    shown = found.to_html()
    assert "More is planned of b" in shown
    assert "No label of b was checked" in shown
    assert "taken as right" in shown
    assert found.domains["items"].to_list() == [100, 900]
    assert [t.type for t in found.plot().data] == ["bar", "bar"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"planned": {"c": 10}}, "domain 'c' is planned"),
        ({"planned": 1}, "two items"),
        ({"draws": 3}, "fewer than 4"),
    ],
)
def test_what_can_not_be_forecast_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ForecastError, match=message):
        said(checks(90, 10), **more)


def test_faulty_input_is_named() -> None:
    with pytest.raises(FrameError, match="column 'gold' is missing"):
        said(pl.DataFrame({"value": ["a"]}))
    with pytest.raises(FrameError, match="no value or no gold"):
        said(pl.DataFrame({"value": ["a", None], "gold": ["a", "b"]}))
    with pytest.raises(FrameError, match="check items of two labels"):
        said(pl.DataFrame({"value": ["a"], "gold": ["a"]}))
    with pytest.raises(FrameError, match="no row for item 'd0' of the dev"):
        said(checks(9, 1), features=OF_OLD)
    with pytest.raises(FrameError, match="accepted release: column 'text' is missing"):
        said(checks(9, 1), features=None)


def test_texts_need_no_features() -> None:
    words = {"a": "parcel late lost courier", "b": "invoice charge refund card"}
    rows = [
        (f"{c}{i}", f"{w} {i % 7}", c) for c in words for i, w in enumerate(words[c].split() * 8)
    ]
    items = pl.DataFrame(rows, schema=["item_id", "text", "category"], orient="row")
    seen: list[tuple[int, int]] = []
    given = pl.DataFrame({"value": ["a", "b"] * 10, "gold": ["a", "b"] * 10})
    found = forecast(items, items, given, planned=40, draws=4, progress=lambda *at: seen.append(at))
    assert found.last == 1.0
    assert found.expected > 0.9
    assert seen == [(i, 5) for i in range(1, 6)]
