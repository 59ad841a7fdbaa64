"""Chance-corrected agreement from counts: Krippendorff's alpha, Fleiss' kappa, Gwet's AC1, Cohen.

All work on ``counts``, an items x values array: how many annotators gave item *i* value *k*. Items
with fewer than two labels carry no information and are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "METRICS",
    "Coefficient",
    "alpha_change",
    "bootstrap_alpha",
    "cohen_matrix",
    "fleiss_kappa",
    "gwet_ac1",
    "krippendorff_alpha",
]

Array = NDArray[np.float64]
Level = Literal["nominal", "ordinal", "interval", "ratio"]
METRICS: tuple[Level, ...] = ("nominal", "ordinal", "interval", "ratio")


@dataclass(frozen=True)
class Coefficient:
    """A coefficient, or why there is none."""

    value: float | None
    undefined: str = ""

    def __str__(self) -> str:
        return f"undefined: {self.undefined}" if self.value is None else f"{self.value:.3f}"


def _pairable(counts: Array) -> Array:
    every: Array = np.asarray(counts, dtype=float)
    enough = every @ np.ones(every.shape[1]) >= 2
    used: Array = every if enough.all() else every[enough]
    return used


def _undefined(counts: Array) -> str:
    if not len(counts):
        return "no item has two labels"
    if np.count_nonzero(np.ones(len(counts)) @ counts) < 2:
        return "only one value was ever used, so chance can't be told from agreement"
    return ""


def difference(level: Level, totals: Array, values: Array | None) -> Array:
    """Return the squared difference function of Krippendorff (2011, section 4), values x values.

    Parameters
    ----------
    level
        Level of measurement.
    totals
        How often each value was given, in the values' order (ordinal uses it).
    values
        The numbers themselves (interval and ratio).

    Raises
    ------
    ValueError
        When interval or ratio is asked without numbers, or ratio with negative ones.
    """
    k = len(totals)
    if level == "nominal":
        return 1.0 - np.eye(k)
    if level == "ordinal":
        upto = np.cumsum(totals) - totals / 2
        return np.asarray((upto[:, None] - upto[None, :]) ** 2)
    if values is None:
        raise ValueError(f"{level} alpha needs numbers as values")
    a, b = values[:, None], values[None, :]
    if level == "interval":
        return np.asarray((a - b) ** 2)
    if (values < 0).any():
        raise ValueError("ratio alpha needs values that are not negative")
    both = np.where(a + b == 0, 1.0, a + b)
    return np.asarray(((a - b) / both) ** 2)


def _coincidences(counts: Array, weights: Array | None = None) -> Array:
    """Return the coincidence matrix: pairs of values within items, each item weighing m."""
    share = counts / (counts.sum(axis=1, keepdims=True) - 1)
    if weights is not None:
        share = share * weights[:, None]
    matrix: Array = counts.T @ share
    matrix[np.diag_indices_from(matrix)] -= share.sum(axis=0)
    return matrix


def _alpha(observed: Array, level: Level, values: Array | None) -> float:
    totals = observed.sum(axis=1)
    n = totals.sum()
    delta = difference(level, totals, values)
    expected = (np.outer(totals, totals) - np.diag(totals)) / (n - 1)
    disagreement = (expected * delta).sum()
    return float(1 - (observed * delta).sum() / disagreement) if disagreement else float("nan")


def krippendorff_alpha(
    counts: Array, level: Level = "nominal", values: Array | None = None
) -> Coefficient:
    """Return Krippendorff's alpha (2011, "Computing Krippendorff's alpha-reliability").

    1 is perfect agreement, 0 what chance gives, below 0 worse than chance. For ``ordinal`` the
    columns of *counts* must be in the values' order.
    """
    if level not in METRICS:
        raise ValueError(f"level must be one of {', '.join(METRICS)}, got {level!r}")
    used = _pairable(counts)
    if why := _undefined(used):
        return Coefficient(None, why)
    if level == "nominal":
        return Coefficient(_nominal_alpha(used))
    return Coefficient(_alpha(_coincidences(used), level, values))


def _nominal_alpha(counts: Array) -> float:
    """Return nominal alpha from the diagonal of the coincidence matrix, which is all it needs."""
    size, totals = counts @ np.ones(counts.shape[1]), np.ones(len(counts)) @ counts
    whole = totals.sum()
    agreeing = ((np.einsum("ij,ij->i", counts, counts) - size) / (size - 1)).sum()
    expected = whole - (totals * (totals - 1)).sum() / (whole - 1)
    return float(1 - (whole - agreeing) / expected)


def bootstrap_alpha(
    counts: Array,
    level: Level = "nominal",
    values: Array | None = None,
    *,
    samples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Return the percentile interval of alpha under resampling of items, or None if undefined.

    Items are the unit, as labels of one item depend on each other. Resamples in which only one
    value is left are dropped.
    """
    used = _pairable(counts)
    if _undefined(used):
        return None
    rng = np.random.default_rng(seed)
    resampled = _resampler(used, level, values)
    found = []
    for _ in range(samples):
        weights = np.bincount(rng.integers(0, len(used), len(used)), minlength=len(used))
        found.append(resampled(weights))
    return _percentiles(found, confidence)


def alpha_change(
    before: Array,
    after: Array,
    *,
    samples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Return the percentile interval of the change of nominal alpha, or None if undefined.

    The rows of both tables of counts are the same items, each with two labels at least on both
    sides; a resample takes the same items on both, so what is hard about an item cancels.
    """
    if _undefined(before) or _undefined(after):
        return None
    rng = np.random.default_rng(seed)
    alphas = [_resampler(counts, "nominal", None) for counts in (before, after)]
    found = []
    for _ in range(samples):
        weights = np.bincount(rng.integers(0, len(before), len(before)), minlength=len(before))
        found.append(alphas[1](weights) - alphas[0](weights))
    return _percentiles(found, confidence)


def _percentiles(found: list[float], confidence: float) -> tuple[float, float] | None:
    kept = np.array(found)
    kept = kept[~np.isnan(kept)]
    if not len(kept):
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(kept, [tail, 1 - tail])
    return float(low), float(high)


def _resampler(
    used: Array, level: Level, values: Array | None
) -> Callable[[NDArray[np.int64]], float]:
    """Return alpha as a function of the items' weights, from sums that are made once."""
    n, k = used.shape
    share = used / (used.sum(axis=1, keepdims=True) - 1)
    if level == "nominal":  # only the diagonal counts: memory stays items x values
        agreeing = (used * share - share).sum(axis=1)

        def nominal(weights: NDArray[np.int64]) -> float:
            totals = weights @ used
            whole = totals.sum()
            expected = whole - (totals * (totals - 1)).sum() / (whole - 1)
            observed = whole - float(weights @ agreeing)
            return float(1 - observed / expected) if expected else float("nan")

        return nominal
    pairs = used[:, :, None] * share[:, None, :]
    pairs[:, np.arange(k), np.arange(k)] -= share
    flat = pairs.reshape(n, k * k)
    return lambda weights: _alpha((weights @ flat).reshape(k, k), level, values)


def _observed_and_prevalence(counts: Array) -> tuple[float, Array]:
    """Return mean pairwise agreement of items and the mean share of each value.

    Items with one label count towards the shares, as in Gwet (2014), Handbook of Inter-Rater
    Reliability, 4th edition, chapter 2.
    """
    every = np.asarray(counts, dtype=float)
    every = every[every.sum(axis=1) >= 1]
    used = _pairable(counts)
    m = used.sum(axis=1)
    observed = ((used * (used - 1)).sum(axis=1) / (m * (m - 1))).mean()
    return float(observed), (every / every.sum(axis=1, keepdims=True)).mean(axis=0)


def fleiss_kappa(counts: Array) -> Coefficient:
    """Return Fleiss' kappa (Fleiss 1971, Psychological Bulletin 76(5)), items weighing the same.

    Items may have different numbers of labels; with equal numbers it is the published statistic.
    """
    if why := _undefined(_pairable(counts)):
        return Coefficient(None, why)
    observed, shares = _observed_and_prevalence(counts)
    chance = float((shares**2).sum())
    return Coefficient((observed - chance) / (1 - chance))


def gwet_ac1(counts: Array) -> Coefficient:
    """Return Gwet's AC1 (Gwet 2008, British J. of Mathematical and Statistical Psychology 61).

    Unlike kappa it stays high when one value is rare.
    """
    if not len(_pairable(counts)):
        return Coefficient(None, "no item has two labels")
    observed, shares = _observed_and_prevalence(counts)
    if len(shares) < 2:
        return Coefficient(None, "there is only one value")
    chance = float((shares * (1 - shares)).sum() / (len(shares) - 1))
    return Coefficient((observed - chance) / (1 - chance))


def cohen_matrix(
    item: NDArray[np.int64],
    annotator: NDArray[np.int64],
    value: NDArray[np.int64],
    shape: tuple[int, int, int],
) -> tuple[Array, NDArray[np.int64]]:
    """Return Cohen's kappa for each pair of annotators, and how many items each pair shares.

    Cohen (1960), Educational and Psychological Measurement 20(1). All contingency tables come from
    one count over the pairs of labels of an item.

    Parameters
    ----------
    item, annotator, value
        Codes from 0, one entry for each label; at most one label for each item and annotator.
    shape
        Numbers of items, annotators and values.

    Returns
    -------
    kappa
        annotators x annotators, symmetric, 1 on the diagonal; NaN where a pair shares no item or
        both always say the same one value.
    shared
        annotators x annotators counts of shared items.
    """
    _, raters, k = shape
    tables = _contingency(item, annotator * k + value, raters * k)
    tables = tables.reshape(raters, k, raters, k).transpose(0, 2, 1, 3)
    shared = tables.sum(axis=(2, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = np.trace(tables, axis1=2, axis2=3) / shared
        chance = (tables.sum(axis=3) * tables.sum(axis=2)).sum(axis=2) / shared**2
        kappa = (observed - chance) / (1 - chance)
    np.fill_diagonal(kappa, np.where(np.diag(shared) > 0, 1.0, np.nan))
    return kappa, shared.astype(np.int64)


def _contingency(item: NDArray[np.int64], said: NDArray[np.int64], many: int) -> Array:
    """Count, over items, who said what together with whom: many x many, symmetric.

    Sorted by item, the labels of an item stand next to each other: those one place apart are pairs,
    then those two places apart, until no two of the same item are left.
    """
    order = np.argsort(item, kind="stable")
    item, said = item[order], said[order]
    counts = np.zeros(many * many, dtype=np.int64)
    apart = 1
    while (same := item[apart:] == item[:-apart]).any():
        pairs = said[:-apart][same] * many + said[apart:][same]
        counts += np.bincount(pairs, minlength=many * many)
        apart += 1
    one_way = counts.reshape(many, many)
    alone = np.diag(np.bincount(said, minlength=many))
    return (one_way + one_way.T + alone).astype(float)
