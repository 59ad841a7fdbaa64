"""How well a score ranks: the area under the ROC curve with its interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scalekit.intervals import Z95, wilson

__all__ = ["roc_area"]


def roc_area(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the area under the ROC curve with its 95 % interval.

    Variance of DeLong, DeLong & Clarke-Pearson (1988, Biometrics 44), interval on the logit scale;
    where the two are wholly apart, Wilson's interval for the kind that has fewer.

    Raises
    ------
    ValueError
        When not both kinds are there.
    """
    from scipy.stats import rankdata

    many, few = int(positive.sum()), int((~positive).sum())
    if not many or not few:
        raise ValueError(f"a ranking is judged on both kinds; there are {many} and {few}")
    every = rankdata(score)
    won = (every[positive] - rankdata(score[positive])) / few
    lost = 1 - (every[~positive] - rankdata(score[~positive])) / many
    area = float(won.mean())
    if not 0 < area < 1:
        least = min(many, few)
        return (area, *wilson(round(area * least), least))
    error = float(np.sqrt(won.var(ddof=1) / many + lost.var(ddof=1) / few))
    centre, spread = np.log(area / (1 - area)), Z95 * error / (area * (1 - area))
    low, high = 1 / (1 + np.exp(-np.array([centre - spread, centre + spread])))
    return area, float(low), float(high)
