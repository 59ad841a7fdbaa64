"""Balance: what is there of each category against what was aimed at, and what to collect next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.display import View, block, note, table
from scalekit.figures import error_bars, figure
from scalekit.frames import require, to_polars
from scalekit.intervals import wilson

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Balance", "balance", "filled_or_padded"]


@dataclass(frozen=True)
class Balance(View):
    """Categories against their target shares.

    ``table`` has ``category, items, target, share, from, to, status, still needed``; the interval
    is Wilson's for the share. ``status``: ok, thin, missing, abundant, or unknown to the spec.
    """

    table: pl.DataFrame
    rows: int

    @property
    def gaps(self) -> pl.DataFrame:
        """Collection requests: the thin and missing categories and how many items each needs."""
        short = self.table.filter(pl.col("status").is_in(["thin", "missing"]))
        return short.select("category", "status", "items", "still needed")

    def plot(self) -> go.Figure:
        """Return the shares with their intervals, and the targets."""
        import plotly.graph_objects as go

        names = self.table["category"].to_list()
        share = [round(s, 4) for s in self.table["share"]]
        drawn = figure("Share of each category, with its target", y="share of items")
        error = error_bars(self.table, "share", 4)
        drawn.add_trace(go.Bar(name="present", x=names, y=share, error_y=error))
        target = [round(t, 4) for t in self.table["target"]]
        drawn.add_trace(
            go.Scatter(
                name="target", x=names, y=target, mode="markers",
                marker={"symbol": "line-ew-open", "size": 22, "line": {"width": 3}},
            )
        )  # fmt: skip
        return drawn

    def to_html(self) -> str:
        """Show the table, then what to collect."""
        requests = table(self.gaps, empty="Nothing is missing: no category is thin.")
        return block("Balance", table(self.table), note("To be collected next:"), requests)


def balance(
    items: Any,
    targets: Mapping[str, float],
    *,
    thin_below: float = 0.8,
    at_least: int = 1,
) -> Balance:
    """Compare the categories of *items* with target shares.

    Parameters
    ----------
    items
        A table with ``category`` (null: not known yet, left out).
    targets
        Category to target share; shares make 1.
    thin_below
        A category is thin when even the upper end of its share's interval lies below its target and
        there is less than this part of it; abundant when the lower end lies above, and there is
        more than the inverse.
    at_least
        Fewer items than this are thin whatever the share.

    Returns
    -------
    Balance
        ``still needed`` is what each short category lacks to reach its target beside the items
        that the categories which are not short already have.
    """
    given = require(to_polars(items, "items"), ("category",), "items")["category"].drop_nulls()
    counts = dict(given.value_counts().iter_rows())
    total = len(given)
    rows = []
    for name in [*targets, *sorted(set(counts) - set(targets))]:
        there, target = counts.get(name, 0), targets.get(name)
        low, high = wilson(there, total)
        status = _status(there, total, target, (low, high), thin_below, at_least)
        share = there / total if total else 0.0
        rows.append((name, there, target or 0.0, share, low, high, status))
    shares = dict.fromkeys(("target", "share", "from", "to"), pl.Float64)
    schema = {"category": pl.String, "items": pl.Int64, **shares, "status": pl.String}
    found = pl.DataFrame(rows, schema=schema, orient="row")
    need = _needed(found, at_least)
    return Balance(found.with_columns(pl.Series("still needed", need, dtype=pl.Int64)), total)


def _status(
    there: int,
    total: int,
    target: float | None,
    interval: tuple[float, float],
    thin_below: float,
    at_least: int,
) -> str:
    if target is None:
        return "unknown"
    if not there:
        return "missing"
    aim = target * total
    if there < at_least or (interval[1] < target and there < thin_below * aim):
        return "thin"
    return "abundant" if interval[0] > target and there * thin_below > aim else "ok"


def _needed(found: pl.DataFrame, at_least: int) -> list[int]:
    short = found["status"].is_in(["thin", "missing"])
    rest = found.filter(~short & (found["target"] > 0))
    share = float(rest["target"].sum())
    whole = int(rest["items"].sum()) / share if share else 0.0
    return [
        max(0, math.ceil(round(max(target * whole, at_least), 9)) - there) if lacks else 0
        for lacks, target, there in zip(short, found["target"], found["items"], strict=True)
    ]


def filled_or_padded(items: Any, marks: Any, short: Mapping[str, int]) -> pl.DataFrame:
    """Say of each batch whether it filled a gap or padded what was abundant.

    Parameters
    ----------
    items
        ``item_id, batch_id, category``, all rows of the batches.
    marks
        ``item_id`` of the rows that were dropped.
    short
        The gaps at the time, as category to items needed.

    Returns
    -------
    polars.DataFrame
        ``batch, rows, kept, in a gap, verdict``; a batch whose kept rows are mostly for gaps filled
        them, one with none padded; without gaps there is nothing to say.
    """
    table = require(to_polars(items, "items"), ("item_id", "batch_id", "category"), "items")
    dropped = to_polars(marks, "marks")["item_id"].to_list()
    kept = ~pl.col("item_id").is_in(dropped)
    useful = kept & pl.col("category").is_in(list(short))
    verdict = (
        pl.when(pl.col("in a gap") * 2 >= pl.col("kept"), pl.col("in a gap") > 0)
        .then(pl.lit("filled"))
        .when(pl.col("in a gap") > 0)
        .then(pl.lit("partly"))
        .otherwise(pl.lit("padded" if short else "no gap was open"))
    )
    return (
        table.group_by("batch_id", maintain_order=True)
        .agg(pl.len().alias("rows"), kept.sum().alias("kept"), useful.sum().alias("in a gap"))
        .with_columns(verdict.alias("verdict"))
        .rename({"batch_id": "batch"})
    )
