"""Paired tests: scipy, published values, brute force, and the laws they obey."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, permutation_test, ttest_1samp

from scalekit.evaluate.paired import (
    Alternative,
    mcnemar,
    mcnemar_p,
    non_inferiority,
    paired_t,
    sign_flip,
    tango,
)

few = st.integers(0, 60)
ALTERNATIVES: tuple[Alternative, ...] = ("two-sided", "greater", "less")


@settings(deadline=None)
@given(few, few, st.sampled_from(ALTERNATIVES))
def test_exact_mcnemar_is_the_binomial_test(a: int, b: int, alternative: Alternative) -> None:
    expected = binomtest(b, a + b, alternative=alternative).pvalue if a + b else 1.0
    assert mcnemar(a, b, alternative).exact == pytest.approx(expected)


@settings(deadline=None)
@given(few, few)
def test_mid_p_counts_half_of_what_was_seen(a: int, b: int) -> None:
    greater, less = mcnemar(a, b, "greater").mid_p, mcnemar(a, b, "less").mid_p
    if a + b:
        assert greater + less == pytest.approx(1)
    assert mcnemar(b, a, "less").mid_p == pytest.approx(greater)
    if a != b:
        assert mcnemar(a, b).mid_p == pytest.approx(2 * min(greater, less))
    assert 0 < mcnemar(a, b).mid_p <= mcnemar(a, b).exact <= 1


def test_published_mcnemar() -> None:
    # Bentur et al. as worked in Fagerland, Lydersen and Laake 2013, table 1: 1 against 7 of 21.
    found = mcnemar(1, 7)
    assert round(found.exact, 4) == 0.0703
    assert round(found.mid_p, 4) == 0.0391
    assert mcnemar(4, 4).mid_p == pytest.approx(1 - 70 / 256 / 2)  # their rule where both are equal
    assert (mcnemar(0, 0).exact, mcnemar(0, 0).mid_p) == (1.0, 1.0)


def test_mcnemar_takes_arrays() -> None:
    exact, mid_p = mcnemar_p([1, 0, 30], [7, 0, 10], "less")
    assert exact == pytest.approx([mcnemar(*c, "less").exact for c in ((1, 7), (0, 0), (30, 10))])
    assert mid_p.shape == (3,)
    with pytest.raises(ValueError, match="negative"):
        mcnemar(-1, 3)
    with pytest.raises(ValueError, match="alternative"):
        mcnemar(1, 3, "better")  # type: ignore[arg-type]


def slow_score(b: int, c: int, n: int, difference: float) -> float:
    """Tango's statistic with the likelihood maximised numerically."""

    def against(share: float) -> float:
        cells = (share + difference, share, 1 - 2 * share - difference)
        counts = (b, c, n - b - c)
        return -sum(k * np.log(max(p, 1e-300)) for k, p in zip(counts, cells, strict=True) if k)

    bounds = (max(0, -difference), (1 - difference) / 2)
    share = minimize_scalar(against, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return float((b - c - n * difference) / np.sqrt(n * (2 * share + difference - difference**2)))


@pytest.mark.parametrize(("c", "b", "n"), [(7, 1, 21), (3, 11, 40), (0, 5, 30), (20, 24, 200)])
def test_tango_inverts_its_score(c: int, b: int, n: int) -> None:
    low, high = tango(c, b, n)
    assert slow_score(b, c, n, float(low)) == pytest.approx(1.959964, abs=1e-3)
    assert slow_score(b, c, n, float(high)) == pytest.approx(-1.959964, abs=1e-3)


@given(few, few, st.integers(1, 200))
def test_tango_agrees_with_mcnemars_score_and_mirrors(a: int, b: int, same: int) -> None:
    n = a + b + same
    low, high = map(float, tango(a, b, n))
    assert -1 <= low <= (b - a) / n <= high <= 1
    assert tango(b, a, n)[0] == pytest.approx(-high, abs=1e-9)
    if a + b and abs(abs(b - a) / np.sqrt(a + b) - 1.959964) > 1e-6:
        assert (low > 0 or high < 0) == (abs(b - a) / np.sqrt(a + b) > 1.959964)


def test_tango_where_all_items_agree_and_at_the_ends() -> None:
    low, high = tango([0, 0, 0, 10], [0, 0, 10, 0], [50, 0, 10, 10])
    reach = 1.959964**2 / (50 + 1.959964**2)
    assert low == pytest.approx([-reach, -1, 1 - 2 * 0.2775, -1], abs=1e-3)
    assert high == pytest.approx([reach, 1, 1, -(1 - 2 * 0.2775)], abs=1e-3)
    with pytest.raises(ValueError, match="more than n"):
        tango(6, 6, 10)


graded = st.lists(st.sampled_from([-1, -0.5, -0.25, 0, 0.1, 0.5, 1]), min_size=2, max_size=9)


@settings(deadline=None)
@given(graded, st.sampled_from(ALTERNATIVES))
def test_paired_t_is_scipys(values: list[float], alternative: Alternative) -> None:
    found = paired_t(values, alternative=alternative)
    if np.ptp(values) == 0:
        return
    expected = ttest_1samp(values, 0, alternative=alternative)
    both = ttest_1samp(values, 0).confidence_interval()
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)
    assert (found.low, found.high) == pytest.approx((both.low, both.high))


@settings(deadline=None)
@given(graded, st.sampled_from(ALTERNATIVES))
def test_sign_flip_goes_through_every_pattern(values: list[float], side: Alternative) -> None:
    sums = np.array([np.dot(s, values) for s in itertools.product((-1, 1), repeat=len(values))])
    seen = sum(values)
    ways = {"two-sided": np.abs(sums) >= abs(seen) - 1e-9, "greater": sums >= seen - 1e-9}
    expected = ways.get(side, sums <= seen + 1e-9).mean()
    assert sign_flip(values, alternative=side) == pytest.approx(expected)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_random_signs_come_near_scipy(alternative: Alternative) -> None:
    values = np.random.default_rng(4).normal(0.1, 0.3, 40).clip(-1, 1)
    options = {"permutation_type": "samples", "n_resamples": 9999, "alternative": alternative}
    expected = permutation_test((values,), np.mean, **options, rng=np.random.default_rng(1)).pvalue
    assert sign_flip(values, alternative=alternative) == pytest.approx(expected, abs=0.012)


@given(st.integers(0, 7), st.integers(0, 7))
def test_of_right_and_wrong_the_sign_flip_is_exact_mcnemar(a: int, b: int) -> None:
    values = [-1.0] * a + [1.0] * b + [0.0] * 5
    assert sign_flip(values) == pytest.approx(mcnemar(a, b).exact)


def test_clusters_of_one_size_are_tests_of_their_means() -> None:
    values = np.random.default_rng(2).uniform(-1, 1, (8, 5)) * 0.5 + 0.05
    names = np.repeat([f"source {n}" for n in range(8)], 5)
    found = paired_t(values.ravel(), clusters=names)
    expected = ttest_1samp(values.mean(axis=1), 0)
    assert (found.p, found.df, found.units, found.n) == (pytest.approx(expected.pvalue), 7, 8, 40)
    assert sign_flip(values.ravel(), clusters=names) == sign_flip(values.mean(axis=1))


def test_clusters_of_unequal_size_have_the_sandwich_error() -> None:
    rng = np.random.default_rng(3)
    names = rng.integers(0, 9, 70)
    values = rng.uniform(-1, 1, 70)
    # The least-squares sandwich on a constant, written out as matrices.
    away = values - values.mean()
    meat = sum(away[names == c].sum() ** 2 for c in range(9))
    found = paired_t(values, clusters=names)
    assert found.error == pytest.approx(np.sqrt(9 / 8 * meat) / 70)
    assert found.mean == pytest.approx(values.mean())


def test_each_item_its_own_cluster_is_the_plain_test() -> None:
    values = np.random.default_rng(5).uniform(-1, 1, 30)
    assert paired_t(values, clusters=range(30)).p == pytest.approx(paired_t(values).p)


def test_differences_of_one_value_do_not_claim_certainty() -> None:
    found = paired_t([0.0] * 20)
    unseen = 1 - 0.025 ** (1 / 20)
    assert (found.low, found.high, found.p) == (pytest.approx(-unseen), pytest.approx(unseen), 1)
    found = paired_t([0.3 - 0.2, 0.4 - 0.3] * 5)
    assert found.low < 0 < 0.1 < found.high
    assert found.p == pytest.approx(2 / 2**10)


def test_one_unit_says_nothing() -> None:
    assert np.isnan(paired_t([0.5]).p)
    assert np.isnan(paired_t([0.5, 0.1], clusters=["a", "a"]).low)


def test_unfit_differences_are_refused() -> None:
    with pytest.raises(ValueError, match="between -1 and 1"):
        paired_t([0.1, float("nan")])
    with pytest.raises(ValueError, match="2 differences but 3 clusters"):
        paired_t([0.1, 0.2], clusters=[1, 2, 3])
    with pytest.raises(ValueError, match="missing"):
        sign_flip([0.1, float("nan")])


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-0.01, 0.03, "non-inferior"),
        (-0.02, 0.03, "not resolvable"),
        (-0.05, -0.01, "not resolvable"),
        (-0.09, -0.03, "inferior"),
    ],
)
def test_non_inferiority(low: float, high: float, said: str) -> None:
    assert non_inferiority(low, high, 0.02) == said
    with pytest.raises(ValueError, match="margin"):
        non_inferiority(low, high, -0.02)
