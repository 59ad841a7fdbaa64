"""Votes of a panel as arrays: sound rows, who said what of which item, intervals by item.

Items are the unit everywhere: votes on one item depend on each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.display import counted
from scalekit.frames import FrameError, require, to_polars
from scalekit.intervals import Z95

__all__ = [
    "Level",
    "Two",
    "Votes",
    "agreement_of_two",
    "agreement_weights",
    "difference_interval",
    "kappa_interval",
    "mean_draws",
    "mean_interval",
    "read_votes",
    "share_interval",
    "sound_votes",
]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Level = Literal["nominal", "interval"]
Two = tuple[str, str, Codes, Codes]  # two names, and what each said of every item

BLOCK = 4_000_000  # numbers drawn at a time: some tens of megabytes


@dataclass(frozen=True)
class Votes:
    """Votes as codes: ``said[i, r]`` is the place in ``values`` of what rater r said of item i."""

    items: tuple[str, ...]
    raters: tuple[str, ...]
    values: tuple[str, ...]
    said: Codes  # items x raters; -1 where there is no vote

    @property
    def counts(self) -> Array:
        """How many raters gave item i value k: items x values."""
        k = len(self.values)
        there = self.said >= 0
        flat = (np.arange(len(self.said))[:, None] * k + self.said)[there]
        return np.bincount(flat, minlength=len(self.said) * k).reshape(-1, k).astype(float)


def sound_votes(votes: Any, what: str = "votes", *, who: str = "annotator") -> pl.DataFrame:
    """Return ``item_id``, *who*, ``value`` as text; rows without a value are left out.

    Raises
    ------
    FrameError
        When a column is missing, a row names no item or nobody, or somebody votes twice on an item.
    """
    columns = ("item_id", who, "value")
    rows = require(to_polars(votes, what), columns, what).select(columns)
    rows = rows.with_columns(pl.col(columns).cast(pl.String)).drop_nulls("value")
    for column in ("item_id", who):
        if rows[column].null_count():
            raise FrameError(
                f"{what}: {counted(rows[column].null_count(), 'row')} without {column}"
            )
    twice = rows.filter(rows.select("item_id", who).is_duplicated())
    if len(twice):
        row = twice.row(0, named=True)
        raise FrameError(
            f"{what}: {row[who]!r} votes twice on item {row['item_id']!r} "
            f"({counted(len(twice), 'such row')}); keep the vote that stands"
        )
    return rows


def read_votes(votes: Any, values: Sequence[str] | None = None, what: str = "votes") -> Votes:
    """Return the votes of a table (``item_id, annotator, value``) as codes.

    *values* gives the values in their order; by default those that occur, as numbers if they are.

    Raises
    ------
    FrameError
        As :func:`sound_votes`; for a value that is not among *values*.
    """
    rows = sound_votes(votes, what)
    if rows.is_empty():
        raise FrameError(f"{what}: there is no vote")
    order = in_order(rows["value"].unique().to_list()) if values is None else [*map(str, values)]
    if strange := sorted(set(rows["value"]) - set(order)):
        raise FrameError(f"{what}: value {strange[0]!r} is not one of {', '.join(order)}")
    items = rows["item_id"].unique().sort().to_list()
    raters = rows["annotator"].unique().sort().to_list()
    said = np.full((len(items), len(raters)), -1, dtype=np.int64)
    said[codes(rows["item_id"], items), codes(rows["annotator"], raters)] = codes(
        rows["value"], order
    )
    return Votes(tuple(items), tuple(raters), tuple(order), said)


def codes(column: pl.Series, known: Sequence[str]) -> Codes:
    """Return the place of each value of *column* in *known*."""
    place = {name: at for at, name in enumerate(known)}
    return np.fromiter((place[name] for name in column), dtype=np.int64, count=len(column))


def in_order(values: Sequence[str]) -> list[str]:
    """Return the values sorted as numbers if all are, else as text."""
    try:
        return sorted(values, key=float)
    except ValueError:
        return sorted(values)


def agreement_weights(values: Sequence[str], level: Level) -> Array:
    """Return how far two values agree, values x values, 1 on the diagonal.

    ``nominal``: 0 for any other. ``interval``: 1 less their distance as a share of the range, the
    linear weights of Cohen (1968), Psychological Bulletin 70(4).

    Raises
    ------
    FrameError
        When *level* is "interval" and a value is not a number.
    """
    if level == "nominal":
        return np.eye(len(values))
    if level != "interval":
        raise FrameError(f"level is {level!r}; it must be nominal or interval")
    try:
        at = np.array([float(v) for v in values])
    except ValueError:
        raise FrameError(f"level 'interval' needs numbers, got {', '.join(values)}") from None
    reach = float(np.ptp(at)) or 1.0
    return np.asarray(1 - np.abs(at[:, None] - at[None, :]) / reach)


def share_interval(shares: Array) -> tuple[float, float, float]:
    """Return the mean of items' *shares*, each from 0 to 1, with its 95 % interval.

    Wilson's interval with the effective number of items, ``p (1 - p) / (s^2 / n)``, as survey
    statistics does for proportions of a clustered sample (Korn & Graubard 1998, Survey Methodology
    24(2), with Wilson's limits). With one vote an item it is Wilson's interval of n items; it never
    falls together on small n, as the bootstrap does.
    """
    n = len(shares)
    if not n:
        return float("nan"), 0.0, 1.0
    p = float(np.mean(shares))
    spread = float(np.var(shares))
    size = n * p * (1 - p) / spread if spread > 0 else float(n)
    centre = p + Z95**2 / (2 * size)
    half = Z95 * sqrt(max(0.0, p * (1 - p)) / size + Z95**2 / (4 * size**2))
    low, high = ((centre + sign * half) / (1 + Z95**2 / size) for sign in (-1, 1))
    return p, (0.0 if p <= 0 else max(0.0, low)), (1.0 if p >= 1 else min(1.0, high))


def difference_interval(differences: Array) -> tuple[float, float, float, float]:
    """Return mean, 95 % interval and standard deviation of items' *differences* (-1 to 1).

    The interval is the adjusted one of Agresti & Min (2005), Statistics in Medicine 24(5), for
    paired proportions: one item more on which the first wins and one on which the second does, each
    at half weight, and one on which they are level. It stays open where all items agree.
    """
    n = len(differences)
    if not n:
        return float("nan"), -1.0, 1.0, float("nan")
    total, squares = float(differences.sum()), float((differences**2).sum())
    middle = total / (n + 2)
    deviation = sqrt(max(0.0, (squares + 1) / (n + 2) - middle**2))
    half = Z95 * deviation / sqrt(n + 2)
    return total / n, max(-1.0, middle - half), min(1.0, middle + half), deviation


def mean_interval(values: Array) -> tuple[float, float | None, float | None]:
    """Return the mean with Student's 95 % interval, which one value alone does not have."""
    from scipy.stats import t

    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return mean, None, None
    half = float(t.ppf(0.975, n - 1)) * float(np.std(values, ddof=1)) / sqrt(n)
    return mean, mean - half, mean + half


def mean_draws(values: Array, draws: int, seed: int) -> Array:
    """Return the column means of *values* (items x columns) over *draws* resamples of the items.

    Missing values are NaN; a mean is over those that are there, NaN where there is none.
    """
    rng = np.random.default_rng(seed)
    n = len(values)
    there = ~np.isnan(values)
    filled = np.where(there, values, 0.0)
    found = np.empty((draws, values.shape[1]))
    step = max(1, BLOCK // max(n, 1))
    for start in range(0, draws, step):
        many = min(step, draws - start)
        weights = rng.multinomial(n, np.full(n, 1 / n), size=many).astype(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            found[start : start + many] = (weights @ filled) / (weights @ there)
    return found


def kappa_interval(
    table: Array, weights: Array, *, draws: int, seed: int
) -> tuple[float, float, float]:
    """Return (weighted) kappa of a contingency table with its 95 % percentile interval, by item.

    Cohen (1968): 1 less observed over expected disagreement. Resampling items is drawing the
    table's cells anew. NaN where both gave one value only.
    """
    n = int(table.sum())
    if not n:
        return (float("nan"),) * 3
    rng = np.random.default_rng(seed)
    whole = float(_kappa(table[None, :, :], weights)[0])
    share, step = table.ravel() / n, max(1, BLOCK // table.size)
    sizes = [min(step, draws - start) for start in range(0, draws, step)]
    blocks = (rng.multinomial(n, share, size=size).astype(float) for size in sizes)
    found = np.concatenate([_kappa(b.reshape(-1, *table.shape), weights) for b in blocks])
    known = found[~np.isnan(found)]
    if not len(known) or whole != whole:
        return whole, float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return whole, float(low), float(high)


def _kappa(tables: Array, weights: Array) -> Array:
    apart = 1 - weights
    n = tables.sum(axis=(1, 2))
    observed = (tables * apart).sum(axis=(1, 2)) / n
    rows, columns = tables.sum(axis=2), tables.sum(axis=1)
    expected = np.einsum("di,ij,dj->d", rows, apart, columns) / n**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(expected > 0, 1 - observed / expected, np.nan))


def agreement_of_two(
    every: Iterable[Two], weights: Array, *, draws: int, seed: int
) -> pl.DataFrame:
    """Return agreement and kappa of every two, on the items on which both said something.

    Columns ``one, other, items, agreement, from, to, kappa, kappa from, kappa to``; kappa is null
    where both gave one value only.
    """
    k = len(weights)
    rows = []
    for one, other, left, right in every:
        both = (left >= 0) & (right >= 0)
        if not both.any():
            continue
        cells = np.bincount(left[both] * k + right[both], minlength=k * k).reshape(k, k)
        share = share_interval(weights[left[both], right[both]])
        kappa = kappa_interval(cells.astype(float), weights, draws=draws, seed=seed)
        found = (*share, *(None if x != x else x for x in kappa))
        rows.append((one, other, int(both.sum()), *found))
    numbers = ("agreement", "from", "to", "kappa", "kappa from", "kappa to")
    schema = {"one": pl.String, "other": pl.String, "items": pl.Int64}
    return pl.DataFrame(rows, schema={**schema, **dict.fromkeys(numbers, pl.Float64)}, orient="row")
