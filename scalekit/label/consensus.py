"""One label for each item from several: majority vote, and what stands against it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import polars as pl

from scalekit.frames import require, to_polars

__all__ = ["against_given", "careless", "majority"]


def majority(labels: Any, *, leave_out: Collection[str] = ()) -> pl.DataFrame:
    """Return the majority vote: ``item_id, value, share, votes, n, entropy, tied``.

    A tie for the most votes has no value (null), ``tied`` true: it goes to adjudication, not to
    chance. ``entropy`` is that of the votes, in bits. *leave_out* names annotators not counted.

    Raises
    ------
    FrameError
        When ``item_id, annotator, value`` are not there.
    """
    table = require(to_polars(labels, "labels"), ("item_id", "annotator", "value"), "labels")
    used = table.filter(~pl.col("annotator").is_in(list(leave_out))).drop_nulls("value")
    votes = used.group_by("item_id", "value").agg(pl.len().cast(pl.Int64).alias("votes"))
    share = pl.col("votes") / pl.col("votes").sum()
    top = pl.col("votes") == pl.col("votes").max()
    return (
        votes.sort("item_id", "value")
        .group_by("item_id", maintain_order=True)
        .agg(
            pl.when(top.sum() == 1).then(pl.col("value").filter(top).first()).alias("value"),
            pl.col("votes").max(),
            pl.col("votes").sum().alias("n"),
            (0.0 - (share * share.log(2)).sum()).abs().alias("entropy"),
            (top.sum() > 1).alias("tied"),
        )
        .with_columns((pl.col("votes") / pl.col("n")).alias("share"))
        .select("item_id", "value", "share", "votes", "n", "entropy", "tied")
    )


def against_given(consensus: Any, items: Any, *, share: float = 0.75) -> pl.DataFrame:
    """Return items whose given category the annotators outvote: probably mislabelled at the source.

    *consensus* is from :func:`majority`, *items* has ``item_id, text, category``; at least *share*
    of the votes must agree. Sorted by that share.
    """
    votes = to_polars(consensus, "consensus")
    given = require(to_polars(items, "items"), ("item_id", "text", "category"), "items")
    return (
        given.select("item_id", "text", pl.col("category").alias("given"))
        .join(votes.drop_nulls("value"), on="item_id")
        .filter((pl.col("given") != pl.col("value")) & (pl.col("share") >= share))
        .select("item_id", "given", pl.col("value").alias("annotators say"), "votes", "n", "text")
        .sort(pl.col("votes") / pl.col("n"), "item_id", descending=[True, False])
    )


def careless(by_annotator: pl.DataFrame, *, kappa: float = 0.4, speed: float = 0.5) -> pl.DataFrame:
    """Return annotators who both agree little with the others and are much faster than them.

    *by_annotator* is from ``Agreement.by_annotator``. Low agreement alone may be another reading of
    the instructions, haste alone may be skill; together they ask for a talk. *kappa*: at most this
    mean kappa; *speed*: at most this share of the median of all medians.
    """
    typical = by_annotator["median seconds"].median()
    hasty = pl.col("median seconds") <= speed * pl.lit(typical, dtype=pl.Float64)
    return by_annotator.filter((pl.col("mean kappa with others") <= kappa) & hasty)
