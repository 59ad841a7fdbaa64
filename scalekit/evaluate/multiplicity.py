"""Many tests at once: p-values adjusted so that chance does not look like a finding."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["benjamini_hochberg", "holm"]

PValues = NDArray[np.float64]


def holm(p: ArrayLike) -> PValues:
    """Return Holm's (1979, Scand. J. Statist. 6) adjusted p-values, for a handful of claims.

    Claims whose adjusted value is at most 0.05 are wrong, any of them, in at most 5 % of studies.
    NaN (not tested) stays NaN and does not count as a test.

    Raises
    ------
    ValueError
        When a value is not between 0 and 1.
    """
    values, tested = _checked(p)
    own = values[tested]
    order = np.argsort(own, kind="stable")
    scaled = own[order] * np.arange(len(own), 0, -1)
    adjusted = np.empty(len(own))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return _back(values, tested, adjusted)


def benjamini_hochberg(p: ArrayLike) -> PValues:
    """Return the adjusted p-values of Benjamini and Hochberg (1995, JRSS B 57), for many slices.

    Of the slices whose adjusted value is at most q, a share of at most q is wrong on average. NaN
    (not tested) stays NaN and does not count as a test.

    Raises
    ------
    ValueError
        When a value is not between 0 and 1.
    """
    from scipy.stats import false_discovery_control

    values, tested = _checked(p)
    own = values[tested]
    return _back(values, tested, false_discovery_control(own) if len(own) else own)


def _checked(p: ArrayLike) -> tuple[PValues, NDArray[np.bool_]]:
    values = np.asarray(p, dtype=np.float64).reshape(-1)
    tested = ~np.isnan(values)
    if ((values[tested] < 0) | (values[tested] > 1)).any():
        raise ValueError("p-values must be between 0 and 1")
    return values, tested


def _back(values: PValues, tested: NDArray[np.bool_], adjusted: PValues) -> PValues:
    out = np.full(len(values), np.nan)
    out[tested] = adjusted
    return out
