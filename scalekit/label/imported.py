"""What became of labels that were made elsewhere: new ones, and those that replace others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from scalekit.display import View, block, counted, note, table

__all__ = ["Imported"]


@dataclass(frozen=True)
class Imported(View):
    """What became of imported labels, by annotator.

    ``table`` has ``annotator, labels, new, replaced, changed``: *replaced* are those that take the
    place of the annotator's earlier label of the item, *changed* of these those of another value.
    Of a table that was recorded before (not ``fresh``) all three are 0.
    """

    table: pl.DataFrame
    round: int
    fresh: bool
    left_out: Mapping[str, int]

    @classmethod
    def of(
        cls, given: pl.DataFrame, before: pl.DataFrame, *, fresh: bool, **about: Any
    ) -> Imported:
        """Compare the *given* labels with those that stood *before*."""
        stood = before.select("item_id", "annotator", pl.col("value").alias("before"))
        labels = given.select(pl.col("item_id", "annotator", "value").cast(pl.String))
        # Of an item that an annotator has twice in the table, the last label stands.
        labels = labels.unique(["item_id", "annotator"], keep="last", maintain_order=True)
        had = pl.col("before").is_not_null()
        found = labels.join(stood, on=["item_id", "annotator"], how="left")
        counts = {"new": ~had, "replaced": had, "changed": pl.col("before") != pl.col("value")}
        by = found.group_by("annotator").agg(
            pl.len().cast(pl.Int64).alias("labels"),
            *((said & fresh).sum().cast(pl.Int64).alias(name) for name, said in counts.items()),
        )
        return cls(by.sort("annotator"), fresh=fresh, **about)

    def __str__(self) -> str:
        """Return the counts in words, then by annotator."""
        return f"{self._said()}\n{self.table}"

    def _said(self) -> str:
        total = {name: int(self.table[name].sum()) for name in self.table.columns[1:]}
        said = f"{counted(total['labels'], 'label')} of round {self.round} by "
        said += f"{counted(len(self.table), 'annotator')}: "
        if not self.fresh:
            return f"{said}recorded before, so nothing was recorded again."
        said += f"{total['new']:,} new"
        if total["replaced"]:
            said += f", {total['replaced']:,} in place of the annotator's earlier label of the item"
            said += f" ({total['changed']:,} with another value)"
        left = [f"{counted(n, 'answer')} {why}" for why, n in self.left_out.items()]
        return f"{said}." + (f" Left out: {'; '.join(left)}." if left else "")

    def to_html(self) -> str:
        """Show how many labels are new and how many replace others, by annotator."""
        return block("Imported", note(self._said()), table(self.table))
