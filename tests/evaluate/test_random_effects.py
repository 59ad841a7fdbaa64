"""Crossed random effects against the likelihood and the posterior computed row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from scalekit.evaluate.random_effects import crossed_effects


def drawn(seed: int, n: int = 160, item: float = 0.0) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    items = np.repeat(np.arange(n // 2), 2)
    a, b = rng.integers(0, 8, n), rng.integers(0, 5, n)
    weight = rng.uniform(0.5, 2, n)
    y = 0.1 + rng.normal(0, 0.1, 8)[a] + rng.normal(0, 0.08, 5)[b]
    y = y + rng.normal(0, item, n // 2)[items] if item else y
    return y + rng.normal(0, 0.3, n) / np.sqrt(weight), a, b, weight, items


def same(code: Any) -> Any:
    return (code[:, None] == code).astype(float)


def restricted(y: Any, v: Any) -> float:
    """REML criterion of y ~ N(mu, v), by Cholesky of the whole matrix."""
    factor = np.linalg.cholesky(v)
    ones, z = np.linalg.solve(factor, np.ones(len(y))), np.linalg.solve(factor, y)
    information = ones @ ones
    residual = z - ones * (ones @ z / information)
    logs = np.log(np.diag(factor)).sum()
    return float(logs + 0.5 * np.log(information) + 0.5 * residual @ residual)


@pytest.mark.parametrize("seed", range(6))
def test_variances_are_where_the_restricted_likelihood_is_highest(seed: int) -> None:
    y, a, b, weight, _ = drawn(seed)

    def criterion(logs: Any) -> float:
        noise, first, second = np.exp(logs)
        return restricted(y, np.diag(noise / weight) + first * same(a) + second * same(b))

    starts = ([-2.4, -4.6, -4.6], [-2.4, -7.0, -9.0], [-2.4, -9.0, -5.0])
    options = {"xatol": 1e-7, "fatol": 1e-11, "maxiter": 4000}
    best = min(
        (minimize(criterion, s, method="Nelder-Mead", options=options) for s in starts),
        key=lambda r: float(r.fun),
    )
    found = crossed_effects(y, {"a": a, "b": b}, weights=weight)
    ours = np.log([found.noise**2, *(max(s**2, 1e-12) for s in found.spread.values())])
    assert criterion(ours) == pytest.approx(best.fun, abs=1e-4)
    for mine, other in zip(ours, best.x, strict=True):
        assert np.exp(mine / 2) == pytest.approx(np.exp(other / 2), abs=5e-3)


@pytest.mark.parametrize("item", [0.0, 0.4])
def test_effects_and_their_covariance_are_those_of_the_posterior(item: float) -> None:
    y, a, b, weight, items = drawn(3, item=item)
    cell = a % 3
    doubt = np.array([0.002, 0.004, 0.001])
    found = crossed_effects(y, {"a": a, "b": b}, weights=weight, items=items, known=(cell, doubt))
    assert (found.of_item > 0.5) == (item > 0)
    noise = found.noise**2
    v = np.diag(noise / weight) + found.of_item * noise * same(items)
    x = np.hstack([np.ones((len(y), 1)), np.eye(8)[a], np.eye(5)[b], np.eye(3)[cell]])
    tau = [np.full(8, found.spread["a"] ** 2), np.full(5, found.spread["b"] ** 2), doubt]
    prior = np.concatenate([[0.0], 1 / np.concatenate(tau)])
    precise = np.linalg.inv(v)
    covariance = np.linalg.inv(x.T @ precise @ x + np.diag(prior))
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-7)
    np.testing.assert_allclose(found.mean, covariance @ x.T @ precise @ y, atol=1e-6)
    mean, again = found.at_prior(found.prior)
    np.testing.assert_allclose(mean, found.mean, atol=1e-9)
    np.testing.assert_allclose(again, found.covariance, atol=1e-9)


def test_the_variance_of_items_is_found() -> None:
    rng = np.random.default_rng(0)
    items = np.repeat(np.arange(600), 3)
    y = rng.normal(0, 0.3, 600)[items] + rng.normal(0, 0.4, 1800)
    found = crossed_effects(y, {"a": rng.integers(0, 4, 1800)}, items=items)
    assert found.of_item == pytest.approx((0.3 / 0.4) ** 2, rel=0.15)


def test_labels_of_one_item_count_less_than_as_many_items() -> None:
    rng = np.random.default_rng(1)
    items = np.repeat(np.arange(200), 5)
    y = rng.normal(0, 0.5, 200)[items] + rng.normal(0, 0.1, 1000)
    apart = crossed_effects(y, {})
    together = crossed_effects(y, {}, items=items)
    by_item = y.reshape(200, 5).mean(axis=1)
    assert together.covariance[0, 0] == pytest.approx(by_item.var() / 200, rel=0.05)
    assert together.covariance[0, 0] > 4 * apart.covariance[0, 0]


def test_a_row_may_belong_to_no_level() -> None:
    y, a, _, _, _ = drawn(4)
    known = a != 0
    code = np.where(known, a - 1, -1)
    found = crossed_effects(y, {"a": code})
    assert found.places["a"] == slice(1, 8)
    assert np.isfinite(found.mean).all()


@given(st.integers(0, 10_000), st.floats(-2, 2), st.floats(0.1, 10))
@settings(max_examples=20, deadline=None)
def test_effects_move_and_stretch_with_what_they_explain(
    seed: int, shift: float, scale: float
) -> None:
    y, a, b, weight, _ = drawn(seed, 80)
    one = crossed_effects(y, {"a": a, "b": b}, weights=weight)
    other = crossed_effects(shift + scale * y, {"a": a, "b": b}, weights=weight)
    assert other.mu == pytest.approx(shift + scale * one.mu, abs=1e-3 * scale)
    np.testing.assert_allclose(other.mean[1:], scale * one.mean[1:], atol=2e-3 * scale)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="three finite rows"):
        crossed_effects(np.array([1.0, 2.0]), {"a": np.array([0, 1])})


def test_where_nothing_differs_there_is_no_effect() -> None:
    found = crossed_effects(np.full(40, 0.2), {"a": np.arange(40) % 4})
    assert found.mu == pytest.approx(0.2)
    np.testing.assert_allclose(found.mean[1:], 0, atol=1e-6)
