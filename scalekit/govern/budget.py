"""The entropy budget: in each layer and batch no few examples may make the whole contribution.

Contribution entropy is of order 2 (Renyi): ``exp(H_2) = (sum a)^2 / sum a^2``, Kish's effective
number of contributors (Kish 1965). The budget is the highest cap on the applied norms at which the
effective contributors are at least a share ``floor`` of the active ones. It has no unit: losses may
be scaled.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "allowed",
    "allowed_at_hand",
    "effective_contributors",
    "entropy_cap",
    "entropy_cap_at_hand",
]

Array = np.ndarray[Any, Any]


def effective_contributors(applied: Tensor) -> Tensor:
    """Return Kish's effective number of contributors of norms [..., B]; 0 where all are 0."""
    square = applied.square().sum(-1)
    return applied.sum(-1).square() / square.clamp_min(torch.finfo(square.dtype).tiny)


def entropy_cap(applied: Tensor, floor: float) -> Tensor:
    """Return the highest cap tau with ``effective(min(a, tau)) >= floor * active``; a scalar.

    *applied* [B] are norms of at least 0. Between two neighbours of the sorted norms the condition
    is a quadratic in tau, solved in closed form. On an accelerator this does not synchronise with
    the host.
    """
    a, _ = applied.sort()
    count = a.shape[0]
    active = (a > 0).sum().clamp_min(1).to(a.dtype)
    wanted = floor * active
    total, squares = a.cumsum(0), a.square().cumsum(0)
    above = torch.arange(count - 1, -1, -1, dtype=a.dtype, device=a.device)
    tiny = torch.finfo(a.dtype).tiny
    reached = (total + above * a).square() / (squares + above * a.square()).clamp_min(tiny)
    # The smallest positive norm always satisfies it: capped there, all are equal.
    holds = (reached >= wanted * (1 - 1e-6)) & (a > 0)
    place = torch.where(holds, torch.arange(count, device=a.device), 0).max().unsqueeze(0)
    # A tensor as index would be read by the host, and can't be compiled.
    s, q, r, least = (v.index_select(0, place).squeeze(0) for v in (total, squares, above, a))
    following = a.index_select(0, (place + 1).clamp_max(count - 1)).squeeze(0)
    quadratic, linear, constant = r * r - wanted * r, 2 * s * r, s * s - wanted * q
    root = (linear * linear - 4 * quadratic * constant).clamp_min(0).sqrt()
    flat = quadratic.abs() <= 1e-12 * (r * r).clamp_min(1)
    steep = torch.where(flat, torch.ones_like(quadratic), quadratic)
    at = torch.where(flat, -constant / linear.clamp_min(tiny), (-linear - root) / (2 * steep))
    return torch.where(r > 0, torch.minimum(torch.maximum(at, least), following), a[-1])


def entropy_cap_at_hand(applied: Array, floor: float) -> float:
    """Return :func:`entropy_cap` of norms in memory; its place is found by bisection."""
    a = np.sort(applied).astype(np.float64)
    active = int(np.count_nonzero(a))
    if not active:
        return 0.0
    totals, powers, wanted = a.cumsum(), (a * a).cumsum(), floor * active

    def falls_short(place: int) -> bool:
        tau, above = float(a[place]), len(a) - 1 - place
        reached = (float(totals[place]) + above * tau) ** 2
        least = wanted * (1 - 1e-6) * (float(powers[place]) + above * tau * tau)
        return not reached >= least  # what is not a number falls short too

    positive = range(len(a) - active, len(a))
    place = positive[bisect_left(positive, True, key=falls_short) - 1]
    tau, s, q = (float(v[place]) for v in (a, totals, powers))
    r = float(len(a) - 1 - place)
    if r == 0:
        return tau
    quadratic, linear, constant = r * r - wanted * r, 2 * s * r, s * s - wanted * q
    if abs(quadratic) <= 1e-12 * r * r:
        at = -constant / linear
    else:
        at = (-linear - math.sqrt(max(0.0, linear**2 - 4 * quadratic * constant))) / (2 * quadratic)
    return min(max(at, tau), float(a[place + 1]))


def allowed(applied: Tensor, floor: float, reference: Tensor) -> Tensor:
    """Return the share [B] of each applied norm that the budget leaves, at most 1.

    What lies below *reference* is never cut.
    """
    limit = torch.maximum(entropy_cap(applied, floor), reference)
    limit = limit.clamp_min(torch.finfo(applied.dtype).tiny)
    return limit / torch.maximum(applied, limit)


def allowed_at_hand(applied: Array, floor: float, reference: Array) -> Array:
    """Return :func:`allowed` of norms in memory: sooner done for the few of a batch."""
    least = max(entropy_cap_at_hand(applied, floor), float(np.finfo(applied.dtype).tiny))
    limit = np.maximum(applied.dtype.type(least), reference)
    share: Array = limit / np.maximum(applied, limit)
    return share
