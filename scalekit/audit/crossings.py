"""Crossings: is each category there in each kind of source, channel or language as it should be?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.display import View, block, note, table
from scalekit.figures import figure
from scalekit.frames import require, to_polars
from scalekit.intervals import wilson

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Crossings", "crossings"]

SCHEMA = {
    "items": pl.Int64, "expected": pl.Float64, "share": pl.Float64, "from": pl.Float64,
    "to": pl.Float64, "status": pl.String, "still needed": pl.Int64,
}  # fmt: skip


@dataclass(frozen=True)
class Crossings(View):
    """Two columns crossed, one row for each cell.

    ``items``, those ``expected`` if both had nothing to do with one another, the cell's ``share``
    of its row with its 95 % Wilson interval ``from, to``, ``status`` (ok, thin, missing), ``still
    needed``.
    """

    table: pl.DataFrame
    row: str
    column: str

    @property
    def gaps(self) -> pl.DataFrame:
        """Collection requests: the thin and missing cells and how many items each needs."""
        short = self.table.filter(pl.col("status") != "ok")
        return short.select(self.row, self.column, "status", "items", "still needed").sort(
            "still needed", descending=True, maintain_order=True
        )

    def plot(self) -> go.Figure:
        """Return the counts as a heat map."""
        import plotly.graph_objects as go

        rows = self.table[self.row].unique(maintain_order=True).to_list()
        columns = self.table[self.column].unique(maintain_order=True).to_list()
        counts = self.table["items"].to_numpy().reshape(len(rows), len(columns))
        drawn = figure(f"Items by {self.row} and {self.column}")
        drawn.add_trace(
            go.Heatmap(
                z=counts.tolist(), x=columns, y=rows, texttemplate="%{z}", colorscale="Blues",
                showscale=False,
            )
        )  # fmt: skip
        return drawn.update_yaxes(autorange="reversed")

    def to_html(self) -> str:
        """Show the counts, one row each, then what to collect."""
        wide = self.table.pivot(self.column, index=self.row, values="items")
        return block(
            f"{self.row.capitalize()} by {self.column}",
            table(wide),
            note("To be collected next:"),
            table(
                self.gaps, empty=f"Each {self.row} that is there has enough of each {self.column}."
            ),
        )


def crossings(
    items: Any,
    row: str = "category",
    column: str = "tier",
    *,
    thin_below: float = 0.5,
    at_least: int = 1,
) -> Crossings:
    """Cross two columns of *items*: a category that one source alone has teaches the source.

    Parameters
    ----------
    items
        A table with both columns; rows without one of the values are left out.
    row, column
        What is crossed.
    thin_below
        A cell is thin when even the upper end of its share's interval lies below the column's share
        of all items, and it has less than this part of the items expected.
    at_least
        Fewer items than this are thin whatever is expected.

    Raises
    ------
    FrameError
        When a column is missing.
    """
    given = require(to_polars(items, "items"), (row, column), "items").select(row, column)
    given = given.with_columns(pl.all().cast(pl.String)).drop_nulls()
    counts = {(r, c): n for r, c, n in given.group_by(row, column).len().iter_rows()}
    of_row = dict(given[row].value_counts().iter_rows())
    of_column = dict(given[column].value_counts().iter_rows())
    cells = []
    for r in sorted(of_row):
        for c in sorted(of_column):
            there, total = counts.get((r, c), 0), of_row[r]
            usual = of_column[c] / len(given)
            expected = usual * total
            low, high = wilson(there, total)
            thin = there < at_least or (high < usual and there < thin_below * expected)
            status = "missing" if not there else "thin" if thin else "ok"
            aim = max(at_least, math.ceil(round(thin_below * expected, 9)))
            need = 0 if status == "ok" else max(0, aim - there)
            cells.append((r, c, there, expected, there / total, low, high, status, need))
    schema = {row: pl.String, column: pl.String, **SCHEMA}
    return Crossings(pl.DataFrame(cells, schema=schema, orient="row"), row, column)
