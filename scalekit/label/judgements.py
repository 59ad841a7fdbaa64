"""A table of judgements between two things: every row sound, before anything is counted."""

from __future__ import annotations

from typing import Any

import polars as pl

from scalekit.display import counted
from scalekit.frames import require, to_polars
from scalekit.label.events import LabelError

__all__ = ["sound_judgements"]

REQUIRED = ("item_id", "first", "second", "outcome")
OPTIONAL = ("strength", "shown_first", "annotator")
SIDES = ["first", "second"]


def sound_judgements(judgements: Any, *needed: str) -> pl.DataFrame:
    """Return the judgements that have an outcome, every one sound.

    Columns ``item_id, first, second, outcome, strength, shown_first, annotator``; the last three
    are null where they are not given. *needed* names those of them that must be there.

    Raises
    ------
    FrameError
        When a column is missing.
    LabelError
        Naming the first unsound row, and how many there are.
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
            raise LabelError(
                f"judgements, row {row['row']}: {column} {row[column]!r} {why} "
                f"({counted(len(wrong), 'such row')})"
            )
    return rows.drop("row").with_columns(number.alias("strength"))
