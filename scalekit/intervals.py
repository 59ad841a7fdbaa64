"""Intervals of proportions."""

from __future__ import annotations

from math import sqrt

__all__ = ["wilson"]

Z95 = 1.959963984540054  # the 97.5 % point of the normal distribution


def wilson(successes: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Return Wilson's score interval (Wilson 1927, JASA 22) of a proportion; (0, 1) when n is 0.

    It keeps its coverage for small n and for proportions near 0 and 1, where the usual interval
    of mean plus and minus two standard errors fails.

    Raises
    ------
    ValueError
        When *successes* is not between 0 and *n*.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be between 0 and n, got {successes} of {n}")
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    centre = p + z * z / (2 * n)
    spread = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)
    # At the ends the bound is exact; rounding must not move it.
    return (0.0 if successes == 0 else low), (1.0 if successes == n else high)
