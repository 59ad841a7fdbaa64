"""Two levels with much the same labels: does the evidence tell which of them it is?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalekit.evaluate.random_effects import Effects

__all__ = ["Level", "inseparable"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
DECISIVE = log(20.0)  # odds of one explanation against the other at which it is told
OVERLAP = 0.5  # labels of both over labels of either, from which two levels are rivals


@dataclass(frozen=True)
class Level:
    """One level of a factor: its place in the fitted effects, and its labels."""

    factor: str
    code: int
    place: int
    rows: int


def inseparable(
    fitted: Effects,
    factors: Mapping[str, Codes],
    levels: Mapping[int, Level],
    delta: float,
    sure: float,
    fewest: int,
) -> list[tuple[int, int]]:
    """Return pairs of places of which one surely exceeds *delta*, but not which.

    A pair of levels of two factors is asked about when at least half of their labels are of both.
    Its sum must exceed *delta* surely; and, at equal prior variance of both, "only the
    first differs" and "only the second" must be about as likely: odds under 20 (the ratio of the
    two Savage-Dickey densities at 0; Dickey 1971, Ann. Math. Stat. 42).
    """
    from scipy.special import ndtr

    found = []
    for a, b in _rivals(factors, levels):
        if min(levels[a].rows, levels[b].rows) < fewest:
            continue
        # Where a factor's variance is estimated as 0, the other would get all that both share.
        prior = fitted.prior.copy()
        shared = min(prior[a], prior[b])
        if sqrt(1 / shared) < 1e-4:
            continue
        prior[[a, b]] = shared
        mean, covariance = fitted.at_prior(prior)
        pair, spread = mean[[a, b]], covariance[np.ix_([a, b], [a, b])]
        total = (pair.sum() - delta) / sqrt(max(spread.sum(), 1e-18))
        if ndtr(total) < sure:
            continue
        at_zero = [-0.5 * (m**2 / v + log(v)) for m, v in zip(pair, spread.diagonal(), strict=True)]
        if abs(at_zero[0] - at_zero[1]) < DECISIVE:
            found.append((a, b))
    return found


def _rivals(factors: Mapping[str, Codes], levels: Mapping[int, Level]) -> list[tuple[int, int]]:
    """Return pairs of places, of different factors, at least half of whose labels are of both."""
    place = {(level.factor, level.code): p for p, level in levels.items()}
    names: list[Any] = list(factors)
    out = []
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            both = np.stack([factors[first], factors[second]], axis=1)
            both = both[(both >= 0).all(axis=1)]
            pairs, counts = np.unique(both, axis=0, return_counts=True)
            for (x, y), count in zip(pairs.tolist(), counts.tolist(), strict=True):
                a, b = place.get((first, x)), place.get((second, y))
                if a is None or b is None or first in second or second in first:
                    continue
                if count >= OVERLAP * (levels[a].rows + levels[b].rows - count):
                    out.append((a, b))
    return out
