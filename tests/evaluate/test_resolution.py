"""What so many items can show: the published table, and simulation-free exact power."""

from __future__ import annotations

import numpy as np
import pytest

from scalekit.evaluate.paired import mcnemar
from scalekit.evaluate.resolution import (
    items_needed,
    least_detectable,
    mcnemar_power,
    minimum_detectable,
)

# Points of accuracy at 80 % power and two-sided 0.05, by items and discordance.
TABLE = {
    50: {0.05: 8.9, 0.1: 12.5, 0.2: 17.7},
    100: {0.05: 6.3, 0.1: 8.9, 0.2: 12.5},
    200: {0.05: 4.4, 0.1: 6.3, 0.2: 8.9},
    500: {0.05: 2.8, 0.1: 4.0, 0.2: 5.6},
    1000: {0.05: 2.0, 0.1: 2.8, 0.2: 4.0},
}


@pytest.mark.parametrize("n", TABLE)
def test_the_table_of_minimum_detectable_differences(n: int) -> None:
    got = {psi: round(100 * minimum_detectable(n, psi), 1) for psi in TABLE[n]}
    assert got == TABLE[n]


@pytest.mark.parametrize(("difference", "psi"), [(0.02, 0.1), (0.05, 0.2), (-0.01, 0.05), (0.1, 1)])
def test_items_needed_is_the_inverse(difference: float, psi: float) -> None:
    n = items_needed(difference, psi)
    assert minimum_detectable(n, psi) <= abs(difference) < minimum_detectable(n - 1, psi)


def slow_power(n: int, difference: float, psi: float) -> float:
    """Every outcome of the trinomial, one by one."""
    from math import comb

    only_b = (psi + difference) / 2
    only_a, found = psi - only_b, 0.0
    for b in range(n + 1):
        for a in range(n + 1 - b):
            if mcnemar(a, b).mid_p <= 0.05:
                ways = comb(n, b) * comb(n - b, a)
                found += ways * only_b**b * only_a**a * (1 - psi) ** (n - a - b)
    return found


@pytest.mark.parametrize(("difference", "psi"), [(0.2, 0.3), (0.0, 0.5), (-0.4, 0.4)])
def test_power_is_that_of_all_outcomes(difference: float, psi: float) -> None:
    assert mcnemar_power(24, difference, psi) == pytest.approx(slow_power(24, difference, psi))


@pytest.mark.parametrize(("n", "psi"), [(500, 0.1), (1000, 0.05), (1000, 0.2), (300, 0.3)])
def test_the_detectable_difference_has_the_power_it_claims(n: int, psi: float) -> None:
    assert mcnemar_power(n, minimum_detectable(n, psi), psi) == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize("n", [50, 100, 300, 1000])
def test_below_the_least_difference_no_discordance_helps(n: int) -> None:
    least = least_detectable(n)
    assert mcnemar_power(n, least, least) >= 0.8
    for psi in np.linspace(least / 2, 0.5, 5):
        assert mcnemar_power(n, least / 2, psi) < 0.8


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        minimum_detectable(0, 0.1)
    with pytest.raises(ValueError, match="discordance"):
        minimum_detectable(10, 1.1)
    with pytest.raises(ValueError, match="at least 1"):
        least_detectable(0)
    with pytest.raises(ValueError, match="must lie in"):
        items_needed(0, 0.1)
    with pytest.raises(ValueError, match="cannot come from"):
        mcnemar_power(100, 0.2, 0.1)
    with pytest.raises(ValueError, match="power and alpha"):
        items_needed(0.1, 0.2, power=80)
    assert mcnemar_power(100, 0.0, 0.0) == 0.0
