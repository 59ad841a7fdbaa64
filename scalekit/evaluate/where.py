"""Where a candidate model is worse than the incumbent: domain by domain, on the same dev items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.display import View, block, note, table
from scalekit.evaluate.multiplicity import benjamini_hochberg
from scalekit.evaluate.paired import mcnemar_p, tango
from scalekit.figures import error_bars, figure
from scalekit.frames import FrameError, ids_unique, require, to_polars

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Where", "paired_scores", "regressed_domains"]

Q = 0.10
SMALLEST = 20
OVERALL = "(overall)"


@dataclass(frozen=True)
class Where(View):
    """The domains in which the candidate is worse.

    ``table`` has ``domain, n, incumbent, candidate`` (share right)``, lost, gained`` (items that
    only the incumbent, only the candidate has right)``, change, from, to`` (candidate less
    incumbent, in points of accuracy, with Tango's 95 % interval)``, p`` (one-sided McNemar, mid-p)
    ``, q`` (Benjamini-Hochberg over the domains) and ``regressed``; the last row is over all.
    ``merged`` are the domains that had too few items and stand together.
    """

    table: pl.DataFrame
    regressed: tuple[str, ...]
    overall: bool
    merged: tuple[str, ...]

    def plot(self) -> go.Figure:
        """Return the change of each domain with its interval."""
        import plotly.graph_objects as go

        drawn = figure("Candidate less incumbent, 95 % intervals", y="points of accuracy")
        change = self.table["change"].round(2).to_list()
        error = error_bars(self.table, "change", 2)
        return drawn.add_trace(
            go.Bar(x=self.table["domain"].to_list(), y=change, error_y=error, name="change")
        )

    def to_html(self) -> str:
        """Show which domains regressed, then all of them."""
        if self.regressed:
            said = f"The candidate is worse in {', '.join(self.regressed)}."
        elif self.overall:
            said = "The candidate is worse over all; no single domain stands out."
        else:
            low = float(self.table["from"][-1])
            said = (
                "No regression is to be told on these items: a loss of up to "
                f"{max(0.0, -low):.1f} points over all is not ruled out."
            )
        few = ", ".join(self.merged)
        merged = note(f"Under {SMALLEST} items each, taken together: {few}.") if few else ""
        return block("Where it regressed", note(said), table(self.table), merged)


def regressed_domains(
    incumbent: Any, candidate: Any, *, q: float = Q, smallest: int = SMALLEST
) -> Where:
    """Find the domains in which the candidate is worse than the incumbent, pairing by item.

    One-sided McNemar mid-p in each domain, Benjamini-Hochberg across domains; over all items at
    level 0.05. Domains with fewer than *smallest* items are taken together.

    Parameters
    ----------
    incumbent, candidate
        ``item_id, score`` (1 right, 0 wrong), one row an item, and ``domain`` in the first; the
        same items in both.
    q
        The share of the domains named that may be wrong, on average.
    smallest
        Fewest items of a domain that is tested alone.

    Raises
    ------
    FrameError
        When a column is missing, an item repeats or stands in one table only, or a score is not 0
        or 1.
    """
    pairs = paired_scores({"incumbent": incumbent, "candidate": candidate})
    sizes = dict(pairs["domain"].value_counts().iter_rows())
    small = tuple(sorted(d for d, n in sizes.items() if n < smallest))
    if len(small) > 1:
        name = f"{len(small)} smaller domains"
        few = pl.col("domain").is_in(list(small))
        pairs = pairs.with_columns(
            pl.when(few).then(pl.lit(name)).otherwise("domain").alias("domain")
        )
    whole = pairs.with_columns(pl.lit(OVERALL).alias("domain"))
    parts = [_cells(part) for part in (pairs, whole)]
    own = parts[0].with_columns(
        # One domain that is too small has nothing to stand with: shown, not tested.
        pl.when(pl.col("n") >= smallest).then("p").alias("p")
    )
    adjusted = benjamini_hochberg(own["p"].cast(pl.Float64).fill_null(float("nan")).to_numpy())
    own = own.with_columns(pl.Series("q", adjusted).fill_nan(None)).with_columns(
        (pl.col("q") <= q).fill_null(False).alias("regressed")
    )
    over = parts[1].with_columns(
        pl.lit(None, dtype=pl.Float64).alias("q"), (pl.col("p") <= 0.05).alias("regressed")
    )
    named = own.filter("regressed")["domain"].to_list()
    found = tuple(d for name in named for d in (small if name not in sizes else (name,)))
    return Where(pl.concat([own, over]), found, bool(over["regressed"][0]), small)


def paired_scores(measured: dict[str, Any]) -> pl.DataFrame:
    """Return ``item_id, domain`` and a column of scores for each table of results.

    Raises
    ------
    FrameError
        As :func:`regressed_domains`.
    """
    out: pl.DataFrame | None = None
    for name, given in measured.items():
        columns = ("item_id", "score") if out is not None else ("item_id", "score", "domain")
        rows = require(to_polars(given, name), columns, name).select(
            pl.col("item_id").cast(pl.String),
            pl.col("score").cast(pl.Float64, strict=False).alias(name),
            *([] if out is not None else [pl.col("domain").cast(pl.String)]),
        )
        rows = ids_unique(rows, "item_id", name)
        wrong = rows.filter(~pl.col(name).is_in([0.0, 1.0]) | pl.col(name).is_null())
        if len(wrong):
            raise FrameError(f"{name}: the score of {wrong['item_id'][0]!r} is neither 0 nor 1")
        if out is None:
            out = rows
            continue
        for one, other in ((out, rows), (rows, out)):
            alone = one.join(other, on="item_id", how="anti")
            if len(alone):
                raise FrameError(
                    f"{name}: the items are not the same; {alone['item_id'][0]!r} stands in one "
                    f"table only ({len(alone)} such items)"
                )
        out = out.join(rows, on="item_id", maintain_order="left")
    if out is None or out.is_empty():
        raise FrameError("there are no items to compare")
    if out["domain"].null_count():
        raise FrameError(f"{out['domain'].null_count()} items have no domain")
    return out


def _cells(pairs: pl.DataFrame) -> pl.DataFrame:
    a, b = pl.col("incumbent"), pl.col("candidate")
    cells = pairs.group_by("domain").agg(
        pl.len().cast(pl.Int64).alias("n"),
        a.mean().alias("incumbent"),
        b.mean().alias("candidate"),
        (a > b).sum().cast(pl.Int64).alias("lost"),
        (b > a).sum().cast(pl.Int64).alias("gained"),
    )
    cells = cells.sort("domain")
    lost, gained, n = (cells[c].to_numpy() for c in ("lost", "gained", "n"))
    low, high = tango(lost, gained, n)
    return cells.with_columns(
        (100 * (pl.col("candidate") - pl.col("incumbent"))).alias("change"),
        pl.Series("from", 100 * low),
        pl.Series("to", 100 * high),
        pl.Series("p", mcnemar_p(lost, gained, "less")[1]),
    )
