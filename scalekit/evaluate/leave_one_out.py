"""Agreement with a panel, each panelist left out in turn: a judge's beside the panelist's."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from scalekit.evaluate.votes import Array, Votes, difference_interval

__all__ = ["leave_one_out", "pairwise_agreement"]

EVERYBODY = "(all)"


def leave_one_out(votes: Votes, shares: Array, weights: Array) -> tuple[pl.DataFrame, float]:
    """Compare each panelist, and the judge, with the panelist's fellows; over all in the first row.

    Returns the table and the standard deviation of the items' differences over all.

    Parameters
    ----------
    votes
        The panel's, two or more of an item.
    shares
        Of the judge's verdicts on each item (row), the share that each value has; the last column
        is that of missing verdicts.
    weights
        How far two values agree; the last row and column stand for a missing verdict.
    """
    counts = np.pad(votes.counts, ((0, 0), (0, 1)))
    many = counts.sum(axis=1)
    judged = ((counts @ weights) * shares).sum(axis=1) / many
    overall = {"panelist": EVERYBODY, **_compared(pairwise_agreement(counts, weights), judged)}
    raters = range(len(votes.raters))
    rows = [_left_out(votes, counts, shares, weights, many, rater) for rater in raters]
    return pl.DataFrame([overall, *rows]).drop("deviation"), overall["deviation"]


def pairwise_agreement(counts: Array, weights: Array) -> Array:
    """Return, for each item, the mean agreement of every two of its votes."""
    many = counts.sum(axis=1)
    both = ((counts @ weights) * counts).sum(axis=1) - counts @ np.diag(weights)
    return np.asarray(both / (many * (many - 1)))


def _left_out(
    votes: Votes, counts: Array, shares: Array, weights: Array, many: Any, rater: int
) -> dict[str, Any]:
    """Compare one panelist, and the judge, with the others on the panelist's items."""
    there = votes.said[:, rater] >= 0
    own = np.eye(counts.shape[1])[votes.said[there, rater]]
    others = counts[there] - own
    left = (many[there] - 1)[:, None]
    with_others = (others @ weights) / left
    found = _compared((with_others * own).sum(axis=1), (with_others * shares[there]).sum(axis=1))
    return {"panelist": votes.raters[rater], **found}


def _compared(people: Array, judged: Array) -> dict[str, Any]:
    mean, low, high, deviation = difference_interval(judged - people)
    return {
        "items": len(people),
        "panelist agrees": float(people.mean()),
        "judge agrees": float(judged.mean()),
        "difference": mean,
        "from": low,
        "to": high,
        "deviation": deviation,
    }
