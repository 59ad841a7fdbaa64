"""Qualification: a few gold items first; who answers them well enough may go on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import polars as pl

from scalekit.display import counted
from scalekit.frames import require, to_polars
from scalekit.intervals import wilson
from scalekit.label.sharing import generator, listed
from scalekit.label.tasks import LabelError

__all__ = ["qualification", "qualified"]

QUALIFIED = {
    "annotator": pl.String, "right": pl.Int64, "of": pl.Int64, "accuracy": pl.Float64,
    "from": pl.Float64, "to": pl.Float64, "passed": pl.Boolean, "because": pl.String,
}  # fmt: skip


def qualification(
    gold: Collection[str], annotators: Sequence[str], *, count: int = 20, seed: int | str
) -> pl.DataFrame:
    """Assign the same drawn *count* gold items to everybody, each in an order of their own.

    Round 0; columns as :func:`scalekit.label.assign`.

    Raises
    ------
    LabelError
        When there are fewer gold items.
    """
    ids = sorted(set(gold))
    if len(ids) < count:
        raise LabelError(f"a qualification of {count} items needs as many gold items: {len(ids)}")
    rng = generator(seed, "qualification")
    chosen = [ids[int(i)] for i in rng.permutation(len(ids))[:count]]
    return listed([(item, who) for who in sorted(annotators) for item in chosen], 0, rng)


def qualified(labels: Any, gold: Any, *, needed: float = 0.8, at_least: int = 10) -> pl.DataFrame:
    """Say of each annotator whether they know the instructions.

    Parameters
    ----------
    labels
        ``item_id, annotator, value``.
    gold
        ``item_id, value``, known to be right.
    needed
        The accuracy to reach.
    at_least
        Gold items that must be answered before anybody passes.

    Returns
    -------
    polars.DataFrame
        ``annotator, right, of, accuracy, from, to`` (95 % Wilson interval)``, passed, because``;
        the least accurate first.

    Raises
    ------
    FrameError
        When a column is missing.
    LabelError
        When no label is on a gold item.
    """
    given = require(to_polars(labels, "labels"), ("item_id", "annotator", "value"), "labels")
    truth = require(to_polars(gold, "gold"), ("item_id", "value"), "gold")
    known = truth.select("item_id", pl.col("value").alias("truth")).unique("item_id")
    marked = given.drop_nulls("value").join(known, on="item_id")
    if marked.is_empty():
        raise LabelError("no label is on a gold item; open the qualification round first")
    rows = []
    for (annotator,), own in marked.group_by("annotator", maintain_order=True):
        right, n = int((own["value"] == own["truth"]).sum()), len(own)
        low, high = wilson(right, n)
        accuracy = right / n
        if n < at_least:
            why = f"{counted(at_least - n, 'gold item')} still to answer"
        else:
            why = f"{accuracy:.0%} right, {needed:.0%} needed"
        passed = n >= at_least and accuracy >= needed
        rows.append((str(annotator), right, n, accuracy, low, high, passed, why))
    found = pl.DataFrame(rows, schema=QUALIFIED, orient="row")
    return found.sort("accuracy", "annotator")
