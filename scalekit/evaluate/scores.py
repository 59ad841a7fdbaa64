"""Scores of sets and slices: one row for each, with its interval, from one row an item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.display import View, block, note, table
from scalekit.figures import error_bars, figure
from scalekit.frames import FrameError, require
from scalekit.intervals import clopper_pearson, wilson

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = [
    "FEW",
    "SMALLEST",
    "Sliced",
    "few_failures",
    "macro_f1",
    "mean_bounds",
    "score_cells",
    "sliced",
    "standard_error",
    "unit_cells",
    "unseen",
]

SMALLEST = 20  # items under which a slice is not judged, as in the answers of a seal
FEW = 3  # up to so many failures, the exact bound is said beside the interval
BOOTSTRAP_FROM = 100  # a percentile bootstrap covers too little below
NO_SPREAD = 1e-12
Floats = NDArray[np.float64]


def score_cells(
    results: pl.DataFrame, by: Sequence[str], cluster: str | None = None
) -> pl.DataFrame:
    """Return the mean score of each cell with its 95 % interval.

    Scores of 0 and 1 (Int64) give ``right, n, accuracy, from, to`` with Wilson's interval; graded
    scores (Float64) give ``n, score, from, to`` with Student's. With *cluster* both have Student's
    interval over whole clusters, and ``clusters`` says how many (see :func:`mean_bounds`).

    Parameters
    ----------
    results
        ``score``, *by* and *cluster*; a row an item.
    by
        Columns whose values make the cells.
    cluster
        Column of what items share.

    Raises
    ------
    FrameError
        When items have no cluster.
    """
    counted = results["score"].dtype == pl.Int64
    if counted and cluster is None:
        return _counted(results, by)
    cells = unit_cells(results, "score", by, cluster)
    low, high = mean_bounds(*cells.select("mean", "squares", "n", "units").to_numpy().T)
    cells = cells.with_columns(pl.Series("from", low), pl.Series("to", high))
    n, right = pl.col("n").cast(pl.Int64), pl.col("total").cast(pl.Int64).alias("right")
    head = [right, n, pl.col("mean").alias("accuracy")] if counted else [n]
    tail = [] if counted else [pl.col("mean").alias("score")]
    many = [pl.col("units").alias("clusters")] if cluster is not None else []
    return cells.sort(by[1:] or by, maintain_order=True).select(
        *by, *head, *tail, "from", "to", *many
    )


def _counted(results: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    cells = results.group_by(by, maintain_order=True).agg(
        pl.col("score").sum().alias("right"), pl.len().cast(pl.Int64).alias("n")
    )
    if len(by) > 1:
        cells = cells.sort(by[1:], maintain_order=True)
    ends = [wilson(right, n) for right, n in cells.select("right", "n").iter_rows()]
    share = (pl.col("right") / pl.col("n")).alias("accuracy")
    return cells.with_columns(
        share,
        pl.Series("from", [low for low, _ in ends], dtype=pl.Float64),
        pl.Series("to", [high for _, high in ends], dtype=pl.Float64),
    )


def unit_cells(
    rows: pl.DataFrame, value: str, by: Sequence[str], cluster: str | None
) -> pl.DataFrame:
    """Return of each cell ``total, n, units, mean, squares`` of *value*, as :func:`mean_bounds`.

    Raises
    ------
    FrameError
        When items have no cluster.
    """
    number = pl.col(value).cast(pl.Float64)
    if cluster is None:
        units = rows.select(*by, number.alias("total"), pl.lit(1.0).alias("n"))
    else:
        if missing := rows[cluster].null_count():
            raise FrameError(f"results: {missing:,} items have no {cluster!r}; each needs one")
        keys = list(dict.fromkeys([*by, cluster]))
        units = rows.group_by(keys, maintain_order=True).agg(
            number.sum().alias("total"), pl.len().cast(pl.Float64).alias("n")
        )
    cells = units.group_by(by, maintain_order=True).agg(
        pl.col("total", "n").sum(), pl.len().cast(pl.Int64).alias("units")
    )
    cells = cells.with_columns((pl.col("total") / pl.col("n")).alias("mean"))
    away = units.select(*by, "total", "n").join(cells.select(*by, "mean"), on=by, nulls_equal=True)
    far = (pl.col("total") - pl.col("mean") * pl.col("n")).pow(2).alias("squares")
    squares = away.group_by(by).agg(far.sum())
    return cells.join(squares, on=by, how="left", nulls_equal=True, maintain_order="left")


def standard_error(squares: Floats, n: Floats, units: Floats) -> Floats:
    """Return the standard error of means over units, 0 where these do not vary, as arrays."""
    error = np.sqrt(units / np.maximum(units - 1.0, 1.0) * squares) / n
    return np.where(error <= NO_SPREAD, 0.0, error)


def unseen(units: Floats) -> Floats:
    """Return the exact 95 % upper bound of the share of units that differ, where none did."""
    return 1 - 0.025 ** (1 / np.asarray(units, np.float64))


def mean_bounds(
    mean: Floats, squares: Floats, n: Floats, units: Floats, lowest: float = 0.0
) -> tuple[Floats, Floats]:
    """Return the 95 % interval of mean scores over units (items, or clusters of them), as arrays.

    Student's with ``units - 1`` degrees of freedom, kept within [lowest, 1]. Where the units do
    not vary there is no spread to go by: the interval then is what values from *lowest* to 1 that
    none of the units showed may change, by the exact bound for zero events.

    Parameters
    ----------
    mean
        Mean over items.
    squares
        Sum over units of the squared distance of the unit's total from what the mean lets expect.
    n, units
        Items, and the units of which each counts as one.
    lowest
        What a value may be at least: 0 for a score, -1 for a difference of scores.
    """
    from scipy.special import stdtrit

    error = standard_error(squares, n, units)
    spread = stdtrit(np.maximum(units - 1.0, 1.0), 0.975) * error
    share = unseen(units)
    low = np.where(error == 0, mean - share * (mean - lowest), mean - spread)
    high = np.where(error == 0, mean + share * (1 - mean), mean + spread)
    return np.clip(low, lowest, 1), np.clip(high, lowest, 1)


@dataclass(frozen=True)
class Sliced(View):
    """Scores by slice, the lowest first within each set.

    ``table``: ``set``, the columns asked for, the cell as in :func:`score_cells`, and ``note``.
    Where at most three items failed, ``failing, at most`` is the exact upper bound (Clopper and
    Pearson, 95 %) of their share; a slice of fewer than ``smallest`` items is marked.
    """

    table: pl.DataFrame
    columns: tuple[str, ...]
    smallest: int

    def plot(self) -> go.Figure:
        """Return the score of each slice that is large enough, with its interval."""
        import plotly.graph_objects as go

        shown = self.table.filter(pl.col("note") == "").reverse()
        value = _value(shown)
        drawn = figure("Scores by slice, 95 % intervals", x=value, height=140 + 24 * len(shown))
        names = pl.concat_str([pl.col(c).cast(pl.String).fill_null("–") for c in self.columns],
                              separator=" · ")  # fmt: skip
        for (which,), rows in shown.group_by("set", maintain_order=True):
            drawn.add_trace(
                go.Scatter(
                    x=rows[value].to_list(), y=rows.select(names).to_series().to_list(),
                    error_x=error_bars(rows, value), mode="markers", name=str(which),
                )
            )  # fmt: skip
        return drawn.update_xaxes(range=[0, 1.02])

    def to_html(self) -> str:
        """Show the slices, those too small last."""
        small = self.table.filter(pl.col("note") != "")
        said = (
            f"{len(self.table):,} slices; {len(small):,} of fewer than {self.smallest} items are "
            "too small to judge. The intervals are not adjusted for how many slices there are."
        )
        return block("By " + ", ".join(self.columns), note(said), table(self.table, limit=40))


def sliced(
    results: pl.DataFrame,
    columns: Sequence[str],
    *,
    cluster: str | None = None,
    smallest: int = SMALLEST,
) -> Sliced:
    """Return scores by set and by the values of *columns* together.

    Raises
    ------
    FrameError
        When a column is missing, or items have no cluster.
    ValueError
        When no column is named.
    """
    wanted = [c for c in dict.fromkeys(columns) if c != "set"]
    if not wanted:
        raise ValueError("name at least one column to slice by; sets are always kept apart")
    require(results, ("set", "score", *wanted, *([cluster] if cluster else [])), "results")
    cells = score_cells(results, ["set", *wanted], cluster)
    many = few_failures(cells) if "right" in cells.columns and cluster is None else None
    if many is not None:
        cells = cells.with_columns(many)
    small = pl.col("n") < smallest
    noted = pl.when(small).then(pl.lit("n too small")).otherwise(pl.lit("")).alias("note")
    place = pl.col("set").replace_strict(
        {name: i for i, name in enumerate(results["set"].unique(maintain_order=True))}
    )
    shown = cells.with_columns(noted).sort(place, small, _value(cells), maintain_order=True)
    return Sliced(shown, tuple(wanted), smallest)


def few_failures(cells: pl.DataFrame) -> pl.Series:
    """Return the exact upper bound of the share of failures where there are at most three."""
    bounds = [
        clopper_pearson(n - right, n)[1] if n - right <= FEW else None
        for right, n in cells.select("right", "n").iter_rows()
    ]
    return pl.Series("failing, at most", bounds, dtype=pl.Float64)


def _value(cells: pl.DataFrame) -> str:
    return "accuracy" if "accuracy" in cells.columns else "score"


def macro_f1(results: pl.DataFrame, *, draws: int = 2000, seed: int = 0) -> pl.DataFrame:
    """Return macro-F1 of each set: the mean over its categories of their F1.

    ``set, n, categories, macro_f1, from, to, note``. The interval is that of a bootstrap of items
    (percentiles, 95 %) and given from 100 items on: below, it covers too little and the score is
    not resolvable. Answers that are no category count against the categories that they missed.

    Parameters
    ----------
    results
        ``set, category, prediction``.
    draws, seed
        Of the bootstrap.

    Raises
    ------
    FrameError
        When a column is missing.
    """
    require(results, ("set", "category", "prediction"), "results")
    rows: list[dict[str, Any]] = []
    for (name,), own in results.group_by("set", maintain_order=True):
        pairs = own.group_by("category", "prediction", maintain_order=True).len()
        names = pairs["category"].unique(maintain_order=True).to_list()
        truth = pairs["category"].to_numpy()[:, None] == np.array(names, object)
        said = pairs["prediction"].to_numpy()[:, None] == np.array(names, object)
        counts = pairs["len"].to_numpy().astype(np.float64)
        row = {"set": name, "n": len(own), "categories": len(names), "from": None, "to": None}
        row["macro_f1"] = float(_macro_f1(counts[None], truth, said)[0])
        row["note"] = f"not resolvable at n = {len(own)}"
        if len(own) >= BOOTSTRAP_FROM:
            rng = np.random.default_rng(seed)
            again = rng.multinomial(len(own), counts / len(own), draws).astype(np.float64)
            row["from"], row["to"] = np.quantile(_macro_f1(again, truth, said), (0.025, 0.975))
            row["note"] = ""
        rows.append(row)
    schema = {
        "set": pl.String, "n": pl.Int64, "categories": pl.Int64, "macro_f1": pl.Float64,
        "from": pl.Float64, "to": pl.Float64, "note": pl.String,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def _macro_f1(counts: Floats, truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> Floats:
    """Return macro-F1 of each row of counts of (category, prediction) pairs."""
    hits = counts @ (truth & said)
    both = counts @ truth.astype(np.float64) + counts @ said.astype(np.float64)
    # A category that a resample does not hold, in truth or answer, says nothing there.
    held = both > 0
    f1 = np.divide(2 * hits, both, out=np.zeros_like(both), where=held)
    return np.asarray(f1.sum(axis=1) / held.sum(axis=1), np.float64)
