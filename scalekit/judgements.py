"""Judgements between two things: every row sound, what most say, what standing first is worth."""

from __future__ import annotations

from typing import Any

import polars as pl

from scalekit.display import counted
from scalekit.frames import FrameError, require, to_polars
from scalekit.intervals import wilson

__all__ = ["pair_consensus", "position_bias", "sound_judgements"]

REQUIRED = ("item_id", "first", "second", "outcome")
OPTIONAL = ("strength", "shown_first", "annotator")
SIDES = ["first", "second"]
EVERYONE = "(all)"


def sound_judgements(judgements: Any, *needed: str) -> pl.DataFrame:
    """Return the judgements that have an outcome, every one sound.

    Columns ``item_id, first, second, outcome, strength, shown_first, annotator``; the last three
    are null where they are not given. *needed* names those of them that must be there.

    Raises
    ------
    FrameError
        When a column is missing; naming the first unsound row, and how many there are.
    """
    given = require(to_polars(judgements, "judgements"), (*REQUIRED, *needed), "judgements")
    absent = [pl.lit(None).alias(c) for c in OPTIONAL if c not in given.columns]
    rows = given.with_columns(absent).select(*REQUIRED, *OPTIONAL).with_row_index("row", offset=1)
    texts = [c for c in (*REQUIRED, *OPTIONAL) if c != "strength"]
    rows = rows.with_columns(pl.col(texts).cast(pl.String)).drop_nulls("outcome")
    number = pl.col("strength").cast(pl.Float64, strict=False)
    no_strength = pl.col("strength").is_null() | (pl.col("outcome") == "tie")
    side = pl.col("shown_first")
    for column, sound, why in (
        ("item_id", pl.col("item_id").is_not_null(), "names no item"),
        ("first", pl.col("first").is_not_null(), "names nothing"),
        ("second", pl.col("second") != pl.col("first"), "is not another than the first"),
        ("outcome", pl.col("outcome").is_in([*SIDES, "tie"]), "is not first, second or tie"),
        ("shown_first", side.is_null() | side.is_in(SIDES), "is not first or second"),
        ("strength", no_strength | number.is_between(1, 5), "is not a number from 1 to 5"),
    ):
        wrong = rows.filter(~sound.fill_null(False))
        if len(wrong):
            row = wrong.row(0, named=True)
            raise FrameError(
                f"judgements, row {row['row']}: {column} {row[column]!r} {why} "
                f"({counted(len(wrong), 'such row')})"
            )
    return rows.drop("row").with_columns(number.alias("strength"))


def position_bias(judgements: Any) -> pl.DataFrame:
    """Return how often what was shown first is preferred, over all and by annotator.

    Columns ``annotator`` ("(all)" in the first row)``, n, for first, share, from, to, p, ties,
    unknown``: judgements that count, those for what was shown first, their share with Wilson's
    interval, the two-sided binomial test against one half, and what is left out: ties, and rows in
    which it is not known what was shown first. Things of unequal strength don't bias the share
    where sides are balanced; else use
    :func:`scalekit.bradley_terry.bradley_terry`.

    Raises
    ------
    FrameError
        When ``item_id, first, second, outcome, shown_first`` are not there; naming the first
        unsound row.
    """
    rows = sound_judgements(judgements, "shown_first")
    tie, known = pl.col("outcome") == "tie", pl.col("shown_first").is_not_null()
    counts = [
        (~tie & known).sum().alias("n"),
        (~tie & known & (pl.col("outcome") == pl.col("shown_first"))).sum().alias("for first"),
        tie.sum().alias("ties"),
        (~tie & ~known).sum().alias("unknown"),
    ]
    everyone = rows.select(pl.lit(EVERYONE).alias("annotator"), *counts)
    by = rows.drop_nulls("annotator").group_by("annotator").agg(counts).sort("annotator")
    found = [_biased(row) for row in pl.concat([everyone, by]).to_dicts()]
    columns = ("annotator", "n", "for first", "share", "from", "to", "p", "ties", "unknown")
    said = pl.DataFrame(found, schema_overrides={"share": pl.Float64, "p": pl.Float64})
    return said.select(columns)


def _biased(row: dict[str, Any]) -> dict[str, Any]:
    from scipy.stats import binomtest

    n, k = row["n"], row["for first"]
    low, high = wilson(k, n)
    share, p = (k / n, float(binomtest(k, n).pvalue)) if n else (None, None)
    return {**row, "share": share, "from": low, "to": high, "p": p}


def pair_consensus(judgements: Any) -> pl.DataFrame:
    """Return what most judgements of a pair say, one row for each item and pair.

    Columns ``item_id, first, second`` (in alphabetical order)``, winner, n, share, strength, for
    first, for second, ties, tied, annotators``. A tie is a vote of its own: the winner has more
    votes than the other and than "tie"; else it is null and ``tied`` true. ``share`` is that of the
    winner's votes among all *n*; ``strength`` the mean of the known strengths, positive for
    ``first``, negative for ``second``, 0 for ties.

    Raises
    ------
    FrameError
        When ``item_id, first, second, outcome`` are not there; naming the first unsound row.
    """
    rows = sound_judgements(judgements)
    ordered = pl.col("first") < pl.col("second")
    vote = pl.col("outcome").replace_strict({"first": 1, "tie": 0, "second": -1})
    vote = pl.when(ordered).then(vote).otherwise(-vote)
    rows = rows.with_columns(
        pl.min_horizontal("first", "second").alias("first"),
        pl.max_horizontal("first", "second").alias("second"),
        vote.cast(pl.Int64).alias("vote"),
    )
    signed = pl.when(pl.col("vote") == 0).then(0.0).otherwise(pl.col("vote") * pl.col("strength"))
    one, two, ties = pl.col("for first"), pl.col("for second"), pl.col("ties")
    winner = (
        pl.when((one > two) & (one > ties))
        .then(pl.col("first"))
        .when((two > one) & (two > ties))
        .then(pl.col("second"))
    )
    votes = (("for first", 1), ("for second", -1), ("ties", 0))
    return (
        rows.group_by("item_id", "first", "second")
        .agg(
            pl.len().cast(pl.Int64).alias("n"),
            signed.mean().alias("strength"),
            *((pl.col("vote") == v).sum().cast(pl.Int64).alias(name) for name, v in votes),
            pl.col("annotator").drop_nulls().unique().sort().alias("annotators"),
        )
        .with_columns(winner.alias("winner"))
        .with_columns(
            pl.when(pl.col("winner").is_not_null())
            .then(pl.max_horizontal(one, two) / pl.col("n"))
            .alias("share"),
            pl.col("winner").is_null().alias("tied"),
        )
        .sort("item_id", "first", "second")
        .select(
            "item_id", "first", "second", "winner", "n", "share", "strength", "for first",
            "for second", "ties", "tied", "annotators",
        )
    )  # fmt: skip
