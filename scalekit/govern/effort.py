"""How much of the run's effort each example asks for, and who is left out when labels are noisy."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Effort"]

Array = np.ndarray[Any, Any]
MEMORY = 0.7  # of the exponential mean
SETTLED = 3  # visits before an example's effort counts


class Effort:
    """The examples' gradient norms against their batch's mean: an exponential mean for each.

    A wrong label asks for more, visit after visit, than its batch peers do. When a share of the
    labels is known to be wrong, the examples in the highest share of effort are left out
    (small-loss selection, Han et al. 2018, arXiv:1804.06872, on norms): they are still measured,
    and come back when their effort falls. No unit: losses may be scaled.
    """

    def __init__(self, examples: int) -> None:
        self.mean = np.full(examples, np.nan, np.float32)
        self.visits = np.zeros(examples, np.int32)

    def grow(self, examples: int) -> None:
        """Make room for *examples* in all."""
        more = max(examples, 2 * len(self.mean)) - len(self.mean)
        self.mean = np.concatenate([self.mean, np.full(more, np.nan, np.float32)])
        self.visits = np.concatenate([self.visits, np.zeros(more, np.int32)])

    def add(self, rows: Array, norms: Array) -> None:
        """Add one batch: *norms* [B] of the whole model's gradient, before any mask or cap."""
        size = norms.mean()
        if not size > 0:
            return
        relative, before = norms / size, self.mean[rows]
        fresh = np.isnan(before)
        self.mean[rows] = np.where(fresh, relative, MEMORY * before + (1 - MEMORY) * relative)
        self.visits[rows] += 1

    def left_out(self, rows: Array, share: float) -> Array:
        """Return which of *rows* are in the highest *share* of effort, bool [B].

        None before the examples' effort is settled: three visits of nine in ten.
        """
        settled = self.visits >= SETTLED
        if share <= 0 or settled.sum() < max(1, 0.9 * (self.visits > 0).sum()):
            return np.zeros(len(rows), bool)
        limit = np.quantile(self.mean[settled], 1 - share)
        found: Array = settled[rows] & (self.mean[rows] > limit)
        return found
