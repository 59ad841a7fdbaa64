from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from scalekit.intervals import Z95, wilson

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
