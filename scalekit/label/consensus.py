"""One label for each item from several: majority vote, and what stands against it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import polars as pl

from scalekit.frames import require, to_polars
from scalekit.intervals import wilson
from scalekit.label.noise import dawid_skene, most_probable
from scalekit.label.tasks import LabelError

__all__ = ["against_given", "by_model", "careless", "compare_consensus", "majority"]


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


def by_model(labels: Any) -> pl.DataFrame:
    """Return each item's most probable value by Dawid-Skene, in the columns of :func:`majority`.

    ``votes`` and ``share`` are those that this value got, ``entropy`` is the posterior's; nothing
    is tied.

    Raises
    ------
    FrameError
        When ``item_id, annotator, value`` are not there.
    """
    counted = majority(labels).select("item_id", "n")
    given = to_polars(labels, "labels").drop_nulls("value")
    votes = given.group_by("item_id", "value").agg(pl.len().cast(pl.Int64).alias("votes"))
    return (
        most_probable(dawid_skene(labels))
        .join(counted, on="item_id", maintain_order="left")
        .join(votes, on=["item_id", "value"], how="left", maintain_order="left")
        .with_columns(pl.col("votes").fill_null(0), tied=pl.lit(False))
        .with_columns(share=pl.col("votes") / pl.col("n"))
        .select("item_id", "value", "share", "votes", "n", "entropy", "tied")
    )


def compare_consensus(labels: Any, gold: Any) -> pl.DataFrame:
    """Hold majority vote and Dawid-Skene against gold, side by side.

    Returns one row for each method: ``method, right, decided`` (of the gold items)``, accuracy``
    with its 95 % Wilson interval ``from, to``, and ``chosen``: the majority vote, unless
    Dawid-Skene is right on significantly more of the gold items (McNemar's exact test, p < .05). A
    model can be far below the vote, so it has to show that it is not.

    Raises
    ------
    FrameError
        When ``item_id, annotator, value`` or gold's ``item_id, value`` are not there.
    LabelError
        When no gold item has a label.
    """
    from scipy.stats import binomtest

    truth = require(to_polars(gold, "gold"), ("item_id", "value"), "gold")
    truth = truth.select("item_id", pl.col("value").alias("truth"))
    model = most_probable(dawid_skene(labels))
    votes = majority(labels).select("item_id", "value")
    both = (
        truth.join(votes, on="item_id")
        .join(model.select("item_id", pl.col("value").alias("model")), on="item_id")
        .with_columns(
            vote_right=(pl.col("value") == pl.col("truth")).fill_null(False),
            model_right=pl.col("model") == pl.col("truth"),
        )
    )
    if both.is_empty():
        raise LabelError("no gold item has a label; have gold items labelled as well")
    won = int((both["model_right"] & ~both["vote_right"]).sum())
    lost = int((~both["model_right"] & both["vote_right"]).sum())
    better = won > lost and bool(binomtest(won, won + lost).pvalue < 0.05)
    rows = []
    for method, right, decided in (
        ("majority", "vote_right", int(both["value"].is_not_null().sum())),
        ("Dawid-Skene", "model_right", len(both)),
    ):
        count = int(both[right].sum())
        low, high = wilson(count, len(both))
        chosen = (method == "Dawid-Skene") == better
        row = {"method": method, "right": count, "decided": decided}
        rows.append({**row, "accuracy": count / len(both), "from": low, "to": high,
                     "chosen": chosen})  # fmt: skip
    return pl.DataFrame(rows)


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
