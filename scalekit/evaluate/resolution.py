"""Resolution: which paired difference so many items can show, and how many one would need.

The normal approximation (Miller 2024, arXiv 2411.00640, section 5; Connor 1987, Biometrics 43):
the variance of the paired differences of right and wrong is, near no difference, the share of
items on which the two sides differ.
"""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np

from scalekit.evaluate.paired import mcnemar_p

__all__ = ["items_needed", "least_detectable", "mcnemar_power", "minimum_detectable"]


def minimum_detectable(
    n: int, discordance: float, *, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Return the smallest true difference that a two-sided paired test on *n* items finds.

    Parameters
    ----------
    n
        Items, or the number of independent differences.
    discordance
        Share of items on which the two sides differ; of graded scores the variance of the
        differences.
    power
        How often the difference is to be found.
    alpha
        Level of the two-sided test.

    Raises
    ------
    ValueError
        When *n* is less than 1, or a share is not between 0 and 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if not 0 <= discordance <= 1:
        raise ValueError(f"discordance must be between 0 and 1, got {discordance}")
    return _reach(power, alpha) * sqrt(discordance / n)


def least_detectable(n: int, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the smallest difference in right and wrong answers that *n* items find at all.

    A difference cannot be larger than the discordance, so it is smallest where all items that
    differ do so in one direction.

    Raises
    ------
    ValueError
        When *n* is less than 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    return min(1.0, _reach(power, alpha) ** 2 / n)


def items_needed(
    difference: float, discordance: float, *, power: float = 0.8, alpha: float = 0.05
) -> int:
    """Return how many items a two-sided paired test needs to find a true *difference*.

    Parameters
    ----------
    difference
        In accuracy, such as 0.02 for two points; its sign does not matter.
    discordance
        As in :func:`minimum_detectable`. Of right and wrong answers it is never less than the
        difference.

    Raises
    ------
    ValueError
        When one of them is not between 0 and 1, 0 left out.
    """
    if not 0 < abs(difference) <= 1 or not 0 < discordance <= 1:
        raise ValueError(
            f"difference and discordance must lie in (0, 1], got {difference} and {discordance}"
        )
    return ceil(discordance * (_reach(power, alpha) / difference) ** 2)


def mcnemar_power(n: int, difference: float, discordance: float, *, alpha: float = 0.05) -> float:
    """Return how often the mid-p McNemar test on *n* items finds a true *difference*, exactly.

    The sum over all outcomes of the trinomial distribution, without approximation.

    Raises
    ------
    ValueError
        When *difference* is larger than *discordance*, which cannot be.
    """
    if abs(difference) > discordance or discordance > 1:
        raise ValueError(
            f"a difference of {difference} cannot come from a discordance of {discordance}"
        )
    from scipy.stats import binom

    if discordance == 0:
        return 0.0
    differing = np.arange(n + 1)
    weight = binom.pmf(differing, n, discordance)
    # Only the counts that carry weight: at n = 1,000 these are some hundred.
    differing, weight = differing[weight > 1e-12], weight[weight > 1e-12]
    better = (1 + difference / discordance) / 2
    found = 0.0
    for m, share in zip(differing, weight, strict=True):
        only_b = np.arange(m + 1)
        _, mid_p = mcnemar_p(m - only_b, only_b)
        found += share * binom.pmf(only_b[mid_p <= alpha], m, better).sum()
    return float(found)


def _reach(power: float, alpha: float) -> float:
    """Return how many standard errors a difference must measure."""
    from scipy.special import ndtri

    if not (0 < power < 1 and 0 < alpha < 1):
        raise ValueError(f"power and alpha must lie in (0, 1), got {power} and {alpha}")
    return float(ndtri(1 - alpha / 2) + ndtri(power))
