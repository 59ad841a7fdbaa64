from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm, ttest_1samp

from scalekit.intervals import Z95, clopper_pearson, newcombe, t_interval, wilson

counts = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@settings(deadline=None, max_examples=200)
@given(counts, st.sampled_from([0.5, 0.8, 0.95, 0.99, 0.9999]))
def test_equals_scipy_at_every_level(count: tuple[int, int], level: float) -> None:
    successes, n = count
    expected = binomtest(successes, n).proportion_ci(level, method="wilson")
    got = wilson(successes, n, z=float(norm.ppf(0.5 + level / 2)))
    assert got == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_default_level_is_95_percent() -> None:
    assert pytest.approx(float(norm.ppf(0.975)), abs=1e-15) == Z95
    expected = binomtest(15, 148).proportion_ci(0.95, method="wilson")
    assert wilson(15, 148) == pytest.approx((expected.low, expected.high), abs=1e-12)
    # Newcombe 1998 (Statistics in Medicine 17), table I, method 3: 15 of 148.
    assert [round(v, 4) for v in wilson(15, 148)] == [0.0624, 0.1605]


@given(counts)
def test_holds_the_proportion_and_mirrors(count: tuple[int, int]) -> None:
    successes, n = count
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    mirrored = wilson(n - successes, n)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_the_ends_are_exact_and_nothing_known_is_everything_possible() -> None:
    assert wilson(0, 7)[0] == 0.0
    assert wilson(7, 7)[1] == 1.0
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (0, -1), (1, 0)])
def test_impossible_counts_are_refused(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"got {successes} of {n}"):
        wilson(successes, n)


@settings(deadline=None, max_examples=100)
@given(counts, st.sampled_from([0.8, 0.95, 0.99]))
def test_clopper_pearson_equals_scipy(count: tuple[int, int], level: float) -> None:
    expected = binomtest(*count).proportion_ci(level, method="exact")
    got = clopper_pearson(*count, level)
    assert got == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("n", [1, 20, 300, 5000])
def test_no_failure_at_all_has_its_bound(n: int) -> None:
    assert clopper_pearson(0, n) == pytest.approx((0, 1 - 0.025 ** (1 / n)), abs=1e-12)
    assert clopper_pearson(n, n) == pytest.approx((0.025 ** (1 / n), 1), abs=1e-12)


def test_clopper_pearson_refuses_what_cannot_be() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="got 6 of 5"):
        clopper_pearson(6, 5)
    with pytest.raises(ValueError, match="level"):
        clopper_pearson(1, 5, 95)


# Newcombe 1998 (Statistics in Medicine 17), table II, method 10, to the four places printed there.
PUBLISHED = [
    ((56, 70, 48, 80), (0.0524, 0.3339)),
    ((9, 10, 3, 10), (0.1705, 0.8090)),
    ((5, 56, 0, 29), (-0.0381, 0.1926)),
    ((0, 10, 0, 20), (-0.1611, 0.2775)),
    ((0, 10, 0, 10), (-0.2775, 0.2775)),
    ((10, 10, 0, 20), (0.6791, 1.0)),
    ((10, 10, 0, 10), (0.6075, 1.0)),
]


@pytest.mark.parametrize(("cells", "expected"), PUBLISHED)
def test_newcombe_equals_what_was_published(
    cells: tuple[int, int, int, int], expected: tuple[float, float]
) -> None:
    assert [round(v, 4) for v in newcombe(*cells)] == list(expected)


@given(counts, counts)
def test_newcombe_holds_the_difference_and_mirrors(a: tuple[int, int], b: tuple[int, int]) -> None:
    low, high = newcombe(*a, *b)
    assert -1 <= low <= a[0] / a[1] - b[0] / b[1] <= high <= 1
    assert newcombe(*b, *a) == pytest.approx((-high, -low), abs=1e-12)


def test_newcombe_of_nothing_is_everything() -> None:
    assert newcombe(0, 0, 3, 5) == (-1.0, 1.0)


def test_t_interval_equals_scipy() -> None:
    values = np.random.default_rng(0).normal(0.4, 0.2, 17)
    expected = ttest_1samp(values, 0).confidence_interval(0.9)
    got = t_interval(values.mean(), values.std(ddof=1) / 17**0.5, 16, 0.9)
    assert got == pytest.approx((expected.low, expected.high))
    assert np.isnan(t_interval(0.5, 0.1, 0)).all()
