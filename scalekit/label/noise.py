"""How many delivered labels are wrong: measured on gold, else estimated from the votes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.display import View, block, note
from scalekit.frames import require, to_polars
from scalekit.intervals import wilson

__all__ = ["NoiseEstimate", "dawid_skene", "most_probable", "noise_estimate"]

Codes = NDArray[np.int64]
LEAST_GOLD = 10


def dawid_skene(labels: Any, *, smoothing: float = 0.5, iterations: int = 100) -> pl.DataFrame:
    """Return the posterior of every value of every item: ``item_id, value, posterior``.

    Expectation maximisation over annotators' confusion matrices (Dawid & Skene 1979, Applied
    Statistics 28(1)), started from vote shares; *smoothing* is added to each count, and twice more
    to the diagonal, so that an annotator of few labels is not taken for perfect or for useless.

    Parameters
    ----------
    labels
        ``item_id, annotator, value``; items may have any number of labels.

    Raises
    ------
    FrameError
        When a column is missing.
    """
    given = require(to_polars(labels, "labels"), ("item_id", "annotator", "value"), "labels")
    given = given.drop_nulls(["item_id", "annotator", "value"])
    schema = {"item_id": pl.String, "value": pl.String, "posterior": pl.Float64}
    if given.is_empty():
        return pl.DataFrame(schema=schema)
    items, item = _coded(given["item_id"])
    annotators, annotator = _coded(given["annotator"])
    values, value = _coded(given["value"])
    shape = (len(items), len(annotators), len(values))
    posterior = _posterior(item, annotator, value, shape, smoothing, iterations)
    rows = {
        "item_id": items.gather(np.repeat(np.arange(len(items)), len(values))),
        "value": values.gather(np.tile(np.arange(len(values)), len(items))),
        "posterior": posterior.ravel(),
    }
    return pl.DataFrame(rows, schema=schema)


def most_probable(posterior: Any) -> pl.DataFrame:
    """Return each item's most probable value: ``item_id, value, posterior, entropy`` (in bits).

    *posterior* is from :func:`dawid_skene`. Of values equally probable the first in order is taken.
    """
    rows = require(
        to_polars(posterior, "posterior"), ("item_id", "value", "posterior"), "posterior"
    )
    p = pl.col("posterior")
    # Nothing is added for a value of probability 0: p log p goes to 0.
    bits = pl.when(p > 0).then(-p * p.log(2)).otherwise(0.0)
    return (
        rows.sort("item_id", "posterior", "value", descending=[False, True, False])
        .group_by("item_id", maintain_order=True)
        .agg(pl.col("value").first(), p.first(), bits.sum().alias("entropy"))
    )


def _coded(column: pl.Series) -> tuple[pl.Series, Codes]:
    """Return the distinct texts, sorted, and each entry's place among them."""
    text = column.cast(pl.String)
    names = text.unique().sort()
    return names, text.cast(pl.Enum(names)).to_physical().cast(pl.Int64).to_numpy()


def _posterior(
    item: Codes, annotator: Codes, value: Codes, shape: tuple[int, int, int],
    smoothing: float, iterations: int,
) -> NDArray[np.float64]:  # fmt: skip
    """Return the posterior [items, values]; both steps of the maximisation are sparse products."""
    from scipy import sparse

    items, annotators, k = shape
    said = sparse.csr_array(
        (np.ones(len(item)), (item, annotator * k + value)), shape=(items, annotators * k)
    )
    heard = said.T.tocsr()
    # Values by items: sums over the few values are then sums of rows.
    posterior = np.bincount(value * items + item, minlength=k * items).reshape(k, items)
    posterior = posterior / posterior.sum(0)
    prior = smoothing * (np.ones((k, k)) + 2 * np.eye(k))
    for _ in range(iterations):
        sums = heard @ np.ascontiguousarray(posterior.T)
        confusion = sums.reshape(annotators, k, k) + prior  # annotator, given, true
        confusion /= confusion.sum(1, keepdims=True)
        logs = np.ascontiguousarray((said @ np.log(confusion).reshape(-1, k)).T)
        logs += np.log(posterior.mean(1) + 1e-12)[:, None]
        before, posterior = posterior, np.exp(logs - logs.max(0))
        posterior /= posterior.sum(0)
        if np.abs(posterior - before).max() < 1e-6:
            break
    return np.ascontiguousarray(posterior.T)


@dataclass(frozen=True)
class NoiseEstimate(View):
    """The share of delivered labels that are wrong, with its 95 % interval; None: not measured."""

    estimate: float | None
    interval: tuple[float, float] | None
    source: Literal["gold", "consensus", "none"]
    n: int

    @property
    def table(self) -> pl.DataFrame:
        """The estimate as one row."""
        low, high = self.interval or (None, None)
        row = {
            "label noise": self.estimate,
            "from": low,
            "to": high,
            "source": self.source,
            "n": self.n,
        }
        return pl.DataFrame([row])

    def to_html(self) -> str:
        """Show the estimate and where it comes from."""
        if self.estimate is None:
            said = "Not measured: no gold, and no item has two labels."
        else:
            how = "wrong on gold" if self.source == "gold" else "expected wrong from the votes"
            said = f"{self.estimate:.2%} {how}, {self.n} items."
        return block("Label noise", note(said))


def noise_estimate(labels: Any, delivered: Any, gold: Any = None) -> NoiseEstimate:
    """Return how many of the *delivered* labels (``item_id, value``) are wrong.

    Parameters
    ----------
    labels
        ``item_id, annotator, value``.
    gold
        ``item_id, value``, known to be right; with at least 10 delivered items in it, it decides.
        Else the mean of 1 - posterior (Dawid & Skene) of what is delivered, on items with two
        labels or more.

    Raises
    ------
    FrameError
        When a column is missing.
    """
    out = require(to_polars(delivered, "delivered"), ("item_id", "value"), "delivered")
    if gold is not None:
        known = require(to_polars(gold, "gold"), ("item_id", "value"), "gold")
        both = out.join(known.select("item_id", pl.col("value").alias("gold")), on="item_id")
        if len(both) >= LEAST_GOLD:
            wrong = int((both["value"] != both["gold"]).sum())
            return NoiseEstimate(wrong / len(both), wilson(wrong, len(both)), "gold", len(both))
    given = require(to_polars(labels, "labels"), ("item_id", "annotator", "value"), "labels")
    several = given.group_by("item_id").len().filter(pl.col("len") > 1)
    found = (
        dawid_skene(given)
        .join(out.select("item_id", "value"), on=["item_id", "value"])
        .join(several, on="item_id")
    )
    if found.is_empty():
        return NoiseEstimate(None, None, "none", 0)
    chances = 1 - found["posterior"].to_numpy()
    n, mean = len(chances), float(chances.mean())
    spread = 1.96 * float(chances.std()) / n**0.5
    interval = (max(0.0, mean - spread), min(1.0, mean + spread))
    return NoiseEstimate(mean, interval, "consensus", n)
