"""What to label again, what it costs, and what it brought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.display import View, block, counted, money, note, table
from scalekit.evaluate.paired import mcnemar_p, tango
from scalekit.evaluate.where import OVERALL, paired_scores
from scalekit.frames import FrameError, require, to_polars

__all__ = [
    "LossRecovered",
    "RemediationCost",
    "excess_change",
    "loss_recovered",
    "moved_by",
    "remediation_cost",
    "remediation_queue",
]

Codes = NDArray[np.int64]
QUEUE = {
    "priority": pl.Int64, "item_id": pl.String, "why": pl.String, "domain": pl.String,
    "value": pl.String, "probability": pl.Float64,
}  # fmt: skip
MOVED = {
    "by": pl.String, "level": pl.String, "items": pl.Float64, "share of items": pl.Float64,
    "in favour": pl.Float64, "against": pl.Float64, "share in favour": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True)
class RemediationCost(View):
    """What the queue costs, against labelling everything again; one row each."""

    table: pl.DataFrame
    currency: str

    def to_html(self) -> str:
        """Show both."""
        few, all_ = self.table.to_dicts()
        said = (
            f"{counted(few['items'], 'item')} of {all_['items']:,} ({few['share']:.1%}): "
            f"{money(few['cost'], self.currency)} in place of {money(all_['cost'], self.currency)}."
        )
        return block("Cost of labelling again", note(said), table(self.table))


@dataclass(frozen=True)
class LossRecovered(View):
    """What labelling again brought back, on the same dev items, by domain and over all.

    ``table`` has ``domain, n, incumbent, candidate, repaired`` (share right)``, lost`` (incumbent
    less candidate, in points)``, regained`` (repaired less candidate) with ``from, to`` (Tango's
    95 %)``, p`` (one-sided McNemar, mid-p: is the repaired one better than the candidate?) and
    ``recovered``, regained over lost (null where nothing was lost).
    """

    table: pl.DataFrame

    def to_html(self) -> str:
        """Show the share recovered."""
        return block("Loss recovered", table(self.table))


def remediation_queue(
    training: pl.DataFrame, probability: pl.Series, suspects: Mapping[str, Codes]
) -> pl.DataFrame:
    """Return the items behind the findings, those first whose label is the least probable.

    ``priority`` (1 first)``, item_id, why`` (the findings)``, domain, value`` (the label doubted)
    and ``probability`` (the reference's, of that label). One row an item.
    """
    parts: list[pl.DataFrame] = [
        training[rows.tolist()]
        .select("item_id", "domain", "value")
        .with_columns(
            probability.gather(rows.tolist()).alias("probability"), pl.lit(name).alias("why")
        )
        for name, rows in suspects.items()
    ]
    if not parts:
        return pl.DataFrame(schema=QUEUE)
    rows: pl.DataFrame = pl.concat(parts).sort("probability", "item_id")
    queue = rows.group_by("item_id", maintain_order=True).agg(
        pl.col("why").unique(maintain_order=True).str.join("; "),
        pl.col("domain", "value", "probability").first(),
    )
    return queue.with_columns(priority=pl.int_range(1, pl.len() + 1, dtype=pl.Int64)).select(
        list(QUEUE)
    )


def remediation_cost(
    queue: Any, training: Any, unit_cost: float, *, currency: str = ""
) -> RemediationCost:
    """Return what labelling the queue costs, and what labelling everything again would.

    Parameters
    ----------
    queue, training
        ``item_id``; an item counts once.
    unit_cost
        Of an item, as ``Cost.table`` has it ("per accepted").

    Raises
    ------
    FrameError
        When a column is missing, or an item of the queue is not in training.
    ValueError
        When the cost is under 0.
    """
    if not unit_cost >= 0:
        raise ValueError(f"unit_cost must not be under 0, got {unit_cost}")
    asked, every = (
        require(to_polars(t, n), ("item_id",), n)["item_id"].cast(pl.String).unique()
        for t, n in ((queue, "queue"), (training, "training"))
    )
    unknown = asked.filter(~asked.is_in(every.to_list()))
    if len(unknown):
        raise FrameError(f"queue: item {unknown[0]!r} is not in training")
    rows = [
        {"labelled again": name, "items": n, "share": n / max(len(every), 1), "cost": n * unit_cost}
        for name, n in (("the queue", len(asked)), ("everything", len(every)))
    ]
    return RemediationCost(pl.DataFrame(rows, schema_overrides={"cost": pl.Float64}), currency)


def loss_recovered(incumbent: Any, candidate: Any, repaired: Any) -> LossRecovered:
    """Compare three models on the same dev items: before the loss, with it, after the repair.

    Parameters
    ----------
    incumbent, candidate, repaired
        ``item_id, score`` (1 right, 0 wrong), and ``domain`` in the first.

    Raises
    ------
    FrameError
        As :func:`regressed_domains`.
    """
    names = {"incumbent": incumbent, "candidate": candidate, "repaired": repaired}
    pairs = paired_scores(names)
    whole = pairs.with_columns(pl.lit(OVERALL).alias("domain"))
    return LossRecovered(pl.concat([_recovered(part) for part in (pairs, whole)]))


def _recovered(pairs: pl.DataFrame) -> pl.DataFrame:
    a, b, c = (pl.col(name) for name in ("incumbent", "candidate", "repaired"))
    cells = pairs.group_by("domain").agg(
        pl.len().cast(pl.Int64).alias("n"), a.mean(), b.mean(), c.mean(),
        (b > c).sum().cast(pl.Int64).alias("worse"), (c > b).sum().cast(pl.Int64).alias("better"),
    ).sort("domain")  # fmt: skip
    worse, better, n = (cells[x].to_numpy() for x in ("worse", "better", "n"))
    low, high = tango(worse, better, n)
    lost, regained = 100 * (a - b), 100 * (c - b)
    return cells.select(
        "domain", "n", "incumbent", "candidate", "repaired",
        lost.alias("lost"), regained.alias("regained"),
        pl.Series("from", 100 * low), pl.Series("to", 100 * high),
        pl.Series("p", mcnemar_p(worse, better, "greater")[1]),
        pl.when(a > b).then((c - b) / (a - b)).alias("recovered"),
    )  # fmt: skip


def excess_change(earlier: pl.DataFrame, later: pl.DataFrame) -> pl.DataFrame:
    """Return how the excess of each level changed from one trace's table to another's.

    ``factor, level, before, after, change`` in points, ``flagged before, flagged after``; a level
    that one trace does not have is null there.
    """
    old, new = (
        t.select("factor", "level", pl.col("excess").alias(e), pl.col("flagged").alias(f))
        for t, e, f in (
            (earlier, "before", "flagged before"),
            (later, "after", "flagged after"),
        )
    )
    both = old.join(new, on=["factor", "level"], how="full", coalesce=True)
    return both.with_columns(change=pl.col("after") - pl.col("before")).select(
        "factor", "level", "before", "after", "change", "flagged before", "flagged after"
    ).sort("change", "factor", "level")  # fmt: skip


def moved_by(training: pl.DataFrame, influence: Any) -> pl.DataFrame:
    """Return each annotator's and batch's part in what moved the model on some items.

    Parameters
    ----------
    training
        ``item_id`` and, if known, ``annotator, batch_id``; an item's influence is shared equally
        among its labels.
    influence
        ``item_id, influence``: positive in favour of the model's (wrong) answers.

    Returns ``by, level, items, share of items, in favour, against, share in favour``: where the
    last is far over the share of items, the level's examples moved the model more than others.

    Raises
    ------
    FrameError
        When a column is missing, or no item of *influence* is in training.
    """
    known = require(to_polars(influence, "influence"), ("item_id", "influence"), "influence")
    known = known.select(pl.col("item_id").cast(pl.String), pl.col("influence").cast(pl.Float64))
    known = known.group_by("item_id").agg(pl.col("influence").sum())
    joined = training.join(known, on="item_id").with_columns(
        (1 / pl.len().over("item_id")).alias("part")
    )
    if joined.is_empty():
        raise FrameError("influence: none of its items is in training")
    out = [pl.DataFrame(schema=MOVED)]
    moved = pl.col("influence") * pl.col("part")
    for name, column in (("annotator", "annotator"), ("batch", "batch_id")):
        if column not in joined.columns:
            continue
        cells = joined.drop_nulls(column).group_by(pl.col(column).cast(pl.String)).agg(
            pl.col("part").sum().alias("items"),
            moved.filter(moved > 0).sum().alias("in favour"),
            moved.filter(moved < 0).sum().alias("against"),
        )  # fmt: skip
        total = pl.col("in favour").sum()
        out.append(
            cells.select(
                pl.lit(name).alias("by"), pl.col(column).alias("level"), "items",
                (pl.col("items") / pl.col("items").sum()).alias("share of items"),
                "in favour", "against",
                pl.when(total > 0).then(pl.col("in favour") / total).alias("share in favour"),
            ).sort("in favour", "level", descending=[True, False])
        )  # fmt: skip
    return pl.concat(out)
