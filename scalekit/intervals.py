"""Intervals of proportions, of their difference, and of means of scores."""

from __future__ import annotations

from math import sqrt

__all__ = ["clopper_pearson", "newcombe", "t_interval", "wilson"]

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
    _possible(successes, n)
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    centre = p + z * z / (2 * n)
    spread = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)
    # At the ends the bound is exact; rounding must not move it.
    return (0.0 if successes == 0 else low), (1.0 if successes == n else high)


def clopper_pearson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a proportion (Clopper and Pearson 1934, Biometrika 26).

    It never covers less than *level*, so it is the one for claims of safety: with no failure in n
    its upper bound is ``1 - 0.025 ** (1 / n)`` at 95 %. (0, 1) when n is 0.

    Raises
    ------
    ValueError
        When *successes* is not between 0 and *n*, or *level* not between 0 and 1.
    """
    _possible(successes, n)
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    if n == 0:
        return 0.0, 1.0
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - tail))
    return low, high


def newcombe(right_a: int, n_a: int, right_b: int, n_b: int, z: float = Z95) -> tuple[float, float]:
    """Return the hybrid score interval of the difference a - b of two independent proportions.

    Newcombe 1998 (Statistics in Medicine 17, 873-890), method 10: Wilson's intervals of both,
    squared and added. Of two measurements on the same items use the paired interval instead.

    Raises
    ------
    ValueError
        When a count is not between 0 and its n.
    """
    low_a, high_a = wilson(right_a, n_a, z)
    low_b, high_b = wilson(right_b, n_b, z)
    if 0 in (n_a, n_b):
        return -1.0, 1.0
    a, b = right_a / n_a, right_b / n_b
    down = sqrt((a - low_a) ** 2 + (high_b - b) ** 2)
    up = sqrt((high_a - a) ** 2 + (b - low_b) ** 2)
    return a - b - down, a - b + up


def t_interval(mean: float, error: float, df: int, level: float = 0.95) -> tuple[float, float]:
    """Return Student's interval of a mean with standard error *error* on *df* degrees of freedom.

    NaN on both sides when there are no degrees of freedom.
    """
    if df < 1:
        return float("nan"), float("nan")
    from scipy.special import stdtrit

    spread = float(stdtrit(df, 0.5 + level / 2)) * error
    return mean - spread, mean + spread


def _possible(successes: int, n: int) -> None:
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be between 0 and n, got {successes} of {n}")
