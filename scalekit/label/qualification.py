"""Gold in use: who may go on after a qualification, and who misses attention checks later."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from math import ceil
from typing import Any

import polars as pl

from scalekit.display import counted
from scalekit.frames import require, to_polars
from scalekit.intervals import wilson
from scalekit.label.sharing import generator, listed
from scalekit.label.tasks import LabelError

__all__ = ["attention", "qualification", "qualified"]

ATTENTION = {
    "annotator": pl.String, "found": pl.Int64, "missed": pl.Int64, "share found": pl.Float64,
    "from": pl.Float64, "to": pl.Float64, "p": pl.Float64, "inattentive": pl.Boolean,
}  # fmt: skip
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
    table = listed([(item, who) for who in sorted(annotators) for item in chosen], 0, rng)
    return table.with_columns(pl.lit("gold").alias("kind"))


def qualified(labels: Any, gold: Any, *, needed: float = 0.8, at_least: int = 10) -> pl.DataFrame:
    """Say of each annotator whether they know the instructions.

    Parameters
    ----------
    labels
        ``item_id, annotator, value``; of several answers to an item the first counts.
    gold
        ``item_id, value``, known to be right.
    needed
        The accuracy to reach.
    at_least
        Different gold items that must be answered before anybody passes.

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
    rows = []
    given = to_polars(labels, "labels")
    first = [c for c in ("item_id", "annotator") if c in given.columns]
    given = given.unique(first, keep="first", maintain_order=True)
    for annotator, right, n in _marked(given, gold):
        low, high = wilson(right, n)
        accuracy = right / n
        if n < at_least:
            why = f"{counted(at_least - n, 'gold item')} still to answer"
        else:
            why = f"{accuracy:.0%} right, {needed:.0%} needed"
            # The rounding forgives what a product like 0.8 * 15 is above the whole number.
            if (more := ceil(round(needed * n, 9)) - right) > 0:
                why += f": {counted(more, 'right answer')} short"
        passed = n >= at_least and accuracy >= needed
        rows.append((annotator, right, n, accuracy, low, high, passed, why))
    found = pl.DataFrame(rows, schema=QUALIFIED, orient="row")
    return found.sort("accuracy", "annotator")


def attention(labels: Any, checks: Any) -> pl.DataFrame:
    """Say of each annotator how many attention checks they found, and who misses too many.

    Parameters
    ----------
    labels
        ``item_id, annotator, value``; an annotator may have met a check more than once.
    checks
        ``item_id, value``: what everybody who reads will answer.

    Returns
    -------
    polars.DataFrame
        ``annotator, found, missed, share found, from, to`` (95 % Wilson interval)``, p`` (that they
        find as many as the others or fewer by chance: Fisher's exact test, one-sided)``,
        inattentive`` (p below .05 after Holm's correction over annotators; Holm 1979, Scandinavian
        Journal of Statistics 6(2)); the fewest found first.

    Raises
    ------
    FrameError
        When a column is missing.
    LabelError
        When no label is on a check.
    """
    from scipy.stats import fisher_exact

    counts = list(_marked(labels, checks))
    found, shown = sum(right for _, right, _ in counts), sum(n for _, _, n in counts)
    rows: list[list[Any]] = []
    for annotator, right, n in counts:
        others = [found - right, shown - n - (found - right)]
        p = float(fisher_exact([[right, n - right], others], alternative="less").pvalue)
        rows.append([annotator, right, n - right, right / n, *wilson(right, n), p, False])
    holds = True
    for rank, row in enumerate(sorted(rows, key=lambda row: row[6])):
        holds = holds and row[6] * (len(rows) - rank) < 0.05
        row[7] = holds
    table = pl.DataFrame(rows, schema=ATTENTION, orient="row")
    return table.sort("share found", "annotator")


def _marked(labels: Any, gold: Any) -> Iterator[tuple[str, int, int]]:
    """Return each annotator with how many answers on gold are right, and how many there are."""
    given = require(to_polars(labels, "labels"), ("item_id", "annotator", "value"), "labels")
    truth = require(to_polars(gold, "gold"), ("item_id", "value"), "gold")
    known = truth.select("item_id", pl.col("value").alias("truth")).unique("item_id")
    marked = given.drop_nulls("value").join(known, on="item_id")
    if marked.is_empty():
        raise LabelError("no label is on a gold item; have them labelled first")
    for (annotator,), own in marked.group_by("annotator", maintain_order=True):
        yield str(annotator), int((own["value"] == own["truth"]).sum()), len(own)
