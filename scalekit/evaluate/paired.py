"""Paired tests: two measurements of the same items, right and wrong or graded, also in clusters.

Every difference here is b - a: positive where b is better. ``alternative`` is scipy's word:
``greater`` asks whether b is better, ``less`` whether it is worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalekit.intervals import Z95, t_interval

__all__ = [
    "Alternative",
    "McNemar",
    "PairedT",
    "mcnemar",
    "mcnemar_p",
    "non_inferiority",
    "paired_t",
    "sign_flip",
    "t_p",
    "tango",
]

Alternative = Literal["two-sided", "greater", "less"]
Floats = NDArray[np.float64]
EXACT_UNITS = 14  # up to here all sign patterns are gone through: 2 ** 14
CONSTANT = 1e-12  # differences that vary by less are one value: 0.3 - 0.2 is not 0.4 - 0.3


@dataclass(frozen=True)
class McNemar:
    """McNemar's test: items that only a, and only b, has right, and both p-values.

    Go by ``mid_p``; ``exact`` never rejects too often and so finds less.
    """

    only_a: int
    only_b: int
    alternative: Alternative
    exact: float
    mid_p: float


@dataclass(frozen=True)
class PairedT:
    """Student's test of paired differences: ``mean`` with its 95 % interval ``low, high``.

    ``units`` are the items, or the clusters of which each counts as one; ``error`` is the standard
    error of the mean, ``df`` one less than the units. NaN where there are fewer than two units.
    """

    mean: float
    low: float
    high: float
    p: float
    error: float
    df: int
    n: int
    units: int
    alternative: Alternative


def mcnemar(only_a: int, only_b: int, alternative: Alternative = "two-sided") -> McNemar:
    """Test whether a and b are right equally often on the same items, right or wrong each.

    McNemar's conditional test (1947, Psychometrika 12) and its mid-p form (Fagerland, Lydersen and
    Laake 2013, BMC Med. Res. Methodol. 13:91).

    Parameters
    ----------
    only_a, only_b
        Items that only a, and only b, has right; items on which both agree say nothing.
    alternative
        ``greater``: b is right more often than a; ``less``: less often.

    Raises
    ------
    ValueError
        When a count is negative.
    """
    exact, mid_p = mcnemar_p(only_a, only_b, alternative)
    return McNemar(only_a, only_b, alternative, float(exact), float(mid_p))


def mcnemar_p(
    only_a: ArrayLike, only_b: ArrayLike, alternative: Alternative = "two-sided"
) -> tuple[Floats, Floats]:
    """Return the exact and the mid-p values of :func:`mcnemar`, for arrays of counts.

    Raises
    ------
    ValueError
        When a count is negative or *alternative* is unknown.
    """
    from scipy.stats import binom

    a, b = np.broadcast_arrays(np.asarray(only_a, np.int64), np.asarray(only_b, np.int64))
    if (a < 0).any() or (b < 0).any():
        raise ValueError("counts of items must not be negative")
    n = a + b
    if alternative == "two-sided":
        fewer = np.minimum(a, b)
        here = binom.pmf(fewer, n, 0.5)
        exact = np.where(a == b, 1.0, np.minimum(1.0, 2 * binom.cdf(fewer, n, 0.5)))
        mid_p = np.where(a == b, 1 - here / 2, exact - here)
    else:
        more = _sided(b, a, alternative)
        exact = binom.sf(more - 1, n, 0.5)
        mid_p = exact - binom.pmf(more, n, 0.5) / 2
    nothing = n == 0
    return np.where(nothing, 1.0, exact), np.where(nothing, 1.0, mid_p)


def _sided(greater: Floats, less: Floats, alternative: Alternative) -> Floats:
    if alternative not in ("greater", "less"):
        raise ValueError(f"alternative must be two-sided, greater or less, got {alternative!r}")
    return greater if alternative == "greater" else less


def tango(
    only_a: ArrayLike, only_b: ArrayLike, n: ArrayLike, z: float = Z95
) -> tuple[Floats, Floats]:
    """Return Tango's (1998, Statistics in Medicine 17) score interval of accuracy b - a, paired.

    It inverts the score test whose value at no difference is McNemar's, so it is not of length 0
    where all items agree. Takes and returns arrays; (-1, 1) where *n* is 0.

    Raises
    ------
    ValueError
        When more items differ than there are.
    """
    c, b, size = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (only_a, only_b, n)))
    if (b + c > size).any() or (np.minimum(b, c) < 0).any():
        raise ValueError("only_a and only_b must not be negative, nor more than n together")
    known = size > 0
    size = np.where(known, size, 1.0)
    found = (b - c) / size
    low, high = (_score_bound(b, c, size, found, end, z) for end in (-1.0, 1.0))
    return np.where(known, low, -1.0), np.where(known, high, 1.0)


def _score_bound(b: Floats, c: Floats, n: Floats, found: Floats, end: float, z: float) -> Floats:
    """Bisect between the difference found and *end* for the one whose score is z."""
    inner, outer = found.astype(np.float64), np.full(found.shape, end)
    for _ in range(60):
        middle = (inner + outer) / 2
        # The maximum-likelihood share of "only a" if the difference were this one.
        half = (-b - c + (2 * n - b + c) * middle) / (4 * n)
        share = np.sqrt(half**2 + c * middle * (1 - middle) / (2 * n)) - half
        variance = np.maximum(n * (2 * share + middle * (1 - middle)), 0)
        within = np.abs(b - c - n * middle) <= z * np.sqrt(variance)
        inner, outer = np.where(within, middle, inner), np.where(within, outer, middle)
    return np.where(found == end, end, (inner + outer) / 2)


def paired_t(
    differences: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    alternative: Alternative = "two-sided",
) -> PairedT:
    """Test whether the mean of paired differences is 0.

    With *clusters* the standard error counts whole clusters, with C - 1 degrees of freedom (Miller
    2024, arXiv 2411.00640, with the factor C / (C - 1)). Where the units do not vary there is no
    spread to go by: the interval then is what values in [-1, 1] that none of them showed may
    change (the exact bound for zero events), and p that of :func:`sign_flip`.

    Parameters
    ----------
    differences
        b - a of each item, in [-1, 1].
    clusters
        What items share (a conversation, a source); as many values as differences.

    Raises
    ------
    ValueError
        When the lengths differ or a difference is not a number in [-1, 1].
    """
    values = _differences(differences)
    sums, sizes = _units(values, clusters)
    units, n = len(sums), len(values)
    mean = float(values.mean()) if n else nan
    df = units - 1
    if df < 1:
        return PairedT(mean, nan, nan, nan, nan, max(df, 0), n, units, alternative)
    error = float(np.sqrt(units / df * ((sums - mean * sizes) ** 2).sum()) / n)
    if error <= CONSTANT:
        unseen = 1 - 0.025 ** (1 / units)
        low, high = mean - unseen * (1 + mean), mean + unseen * (1 - mean)
        p = 1.0 if abs(mean) <= CONSTANT else sign_flip(sums, alternative=alternative)
        return PairedT(mean, low, high, p, 0.0, df, n, units, alternative)
    p = float(t_p(mean, error, df, alternative))
    low, high = t_interval(mean, error, df)
    return PairedT(mean, low, high, p, error, df, n, units, alternative)


def t_p(
    mean: ArrayLike, error: ArrayLike, df: ArrayLike, alternative: Alternative = "two-sided"
) -> Floats:
    """Return Student's p-values of means with standard errors, for arrays."""
    from scipy.special import stdtr

    t = np.asarray(mean, np.float64) / np.asarray(error, np.float64)
    if alternative == "two-sided":
        return np.asarray(2 * stdtr(df, -np.abs(t)), np.float64)
    return np.asarray(stdtr(df, _sided(-t, t, alternative)), np.float64)


def sign_flip(
    differences: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    alternative: Alternative = "two-sided",
    draws: int = 9999,
    seed: int = 0,
) -> float:
    """Return the p-value of the paired permutation test: signs of differences are flipped.

    It needs no distribution, only that without a difference each sign is as likely as the other;
    with *clusters* whole clusters flip. Up to 14 units (2 ** 14 patterns) it is exact, above it is
    the share of random patterns, the observed one counted in (Phipson and Smyth 2010, SAGMB 9).

    Parameters
    ----------
    differences
        b - a of each item.
    clusters
        What items share; as many values as differences.
    draws, seed
        Random patterns where there are too many to go through.

    Raises
    ------
    ValueError
        When the lengths differ or a difference is missing.
    """
    sums, _ = _units(np.asarray(differences, np.float64), clusters)
    if np.isnan(sums).any():
        raise ValueError(
            "a difference is missing; leave out the items that one side did not answer"
        )
    sums = sums[np.abs(sums) > CONSTANT]  # what is 0 stays 0 under either sign
    if not len(sums):
        return 1.0
    observed = sums.sum()
    exact = len(sums) <= EXACT_UNITS
    flipped = _every_sign(sums) if exact else _random_signs(sums, draws, seed)
    if alternative == "two-sided":
        flipped, observed = np.abs(flipped), abs(observed)
    else:
        flipped, observed = (_sided(v, -v, alternative) for v in (flipped, observed))
    as_far = int((flipped >= observed - 1e-9 * max(1.0, abs(observed))).sum())
    return as_far / len(flipped) if exact else (as_far + 1) / (len(flipped) + 1)


def _every_sign(sums: Floats) -> Floats:
    patterns = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1
    return np.asarray((2 * patterns - 1) @ sums, np.float64)


def _random_signs(sums: Floats, draws: int, seed: int) -> Floats:
    """Return sums under random signs: of k units of one size the plus signs are binomial."""
    rng = np.random.default_rng(seed)
    sizes, counts = np.unique(np.round(np.abs(sums), 12), return_counts=True)
    out = np.zeros(draws)
    for start in range(0, len(sizes), 512):
        size, count = sizes[start : start + 512], counts[start : start + 512]
        plus = rng.binomial(count, 0.5, (draws, len(count)))
        out += (2 * plus - count) @ size
    return out


def non_inferiority(
    low: float, high: float, margin: float
) -> Literal["non-inferior", "inferior", "not resolvable"]:
    """Say whether b is not worse than a by *margin* or more, from the 95 % interval of b - a.

    Non-inferior when the whole interval lies above -margin (a one-sided test at 0.025), inferior
    when it lies below. The margin is declared before the measurement is looked at.

    Raises
    ------
    ValueError
        When *margin* is not between 0 and 1.
    """
    if not 0 < margin <= 1:
        raise ValueError(f"margin must be a positive difference of at most 1, got {margin}")
    if low > -margin:
        return "non-inferior"
    return "inferior" if high < -margin else "not resolvable"


def _differences(differences: ArrayLike) -> Floats:
    values = np.asarray(differences, np.float64).reshape(-1)
    if not (np.abs(values) <= 1).all():
        raise ValueError("differences must be numbers between -1 and 1: scores go from 0 to 1")
    return values


def _units(values: Floats, clusters: ArrayLike | None) -> tuple[Floats, Floats]:
    """Return the sum of the differences of each unit, and how many items it has."""
    if clusters is None:
        return values, np.ones(len(values))
    names = np.asarray(clusters)
    if names.shape != values.shape:
        raise ValueError(f"{len(values)} differences but {len(names)} clusters")
    _, number = np.unique(names, return_inverse=True)
    sums = np.bincount(number, weights=values).astype(np.float64)
    return sums, np.bincount(number).astype(np.float64)
