"""Agreement of annotators: one number with its interval, and where it is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalekit.coefficients import (
    Array,
    Coefficient,
    Level,
    bootstrap_alpha,
    cohen_matrix,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
)
from scalekit.display import View, block, note, table
from scalekit.figures import figure
from scalekit.frames import FrameError, require, to_polars

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Agreement", "agreement"]


@dataclass(frozen=True)
class Agreement(View):
    """How far annotators agree, and where they do not.

    ``by_value`` is alpha of each value against all others; ``by_annotator`` each one's mean kappa
    with the others, alpha when left out, and median active seconds; ``confusions`` which two values
    are given to the same item most often; ``cohen`` kappa of each pair of annotators.
    """

    alpha: Coefficient
    interval: tuple[float, float] | None
    level: Level
    fleiss: Coefficient
    ac1: Coefficient
    items: int
    labels: int
    by_value: pl.DataFrame
    by_annotator: pl.DataFrame
    confusions: pl.DataFrame
    cohen: pl.DataFrame

    @property
    def table(self) -> pl.DataFrame:
        """The coefficients, one row each."""
        low, high = self.interval or (None, None)
        name = f"Krippendorff's alpha ({self.level})"
        found = ((name, self.alpha), ("Fleiss' kappa", self.fleiss), ("Gwet's AC1", self.ac1))
        return pl.DataFrame(
            [
                {
                    "coefficient": said,
                    "value": c.value,
                    "from": low if c is self.alpha else None,
                    "to": high if c is self.alpha else None,
                    "items": self.items,
                    "labels": self.labels,
                    "undefined because": c.undefined,
                }
                for said, c in found
            ],
            schema_overrides={"value": pl.Float64, "from": pl.Float64, "to": pl.Float64},
        )

    def plot(self) -> go.Figure:
        """Return the heat map of Cohen's kappa between annotators."""
        import plotly.graph_objects as go

        names = self.cohen["annotator"].to_list()
        grid = self.cohen.drop("annotator").rows()
        cells = [[None if v is None or v != v else round(v, 4) for v in row] for row in grid]
        said = [["" if v is None else f"{v:.2f}" for v in row] for row in cells]
        drawn = figure("Cohen's kappa between annotators", height=120 + 48 * len(names))
        drawn.add_trace(
            go.Heatmap(
                z=cells, x=names, y=names, zmin=0, zmax=1, colorscale="Blues", text=said,
                texttemplate="%{text}", hovertemplate="%{y} and %{x}: %{z}<extra></extra>",
            )
        )  # fmt: skip
        return drawn.update_yaxes(autorange="reversed")

    def plot_confusions(self) -> go.Figure:
        """Return the heat map of values that the same item was given: what to tell apart better."""
        import plotly.graph_objects as go

        names = self.by_value["value"].sort().to_list()
        place = {name: i for i, name in enumerate(names)}
        grid: list[list[int | None]] = [[None] * len(names) for _ in names]
        for row in self.confusions.to_dicts():
            i, j = sorted((place[row["value"]], place[row["and"]]), reverse=True)
            grid[i][j] = row["pairs of labels"]
        said = [["" if n is None else f"{n:,}" for n in row] for row in grid]
        drawn = figure("Pairs of labels that differ", height=140 + 36 * len(names))
        drawn.add_trace(
            go.Heatmap(
                z=grid, x=names, y=names, colorscale="Blues", zmin=0, text=said,
                texttemplate="%{text}", hovertemplate="%{y} and %{x}: %{z}<extra></extra>",
            )
        )  # fmt: skip
        return drawn.update_yaxes(autorange="reversed")

    def to_html(self) -> str:
        """Show the coefficients, then annotators, values and the most frequent confusions."""
        return block(
            "Agreement",
            table(_told(self.table)),
            note("Each annotator against the others:"),
            table(self.by_annotator),
            note("Each value against all others:"),
            table(_told(self.by_value)),
            note("Two values given to the same item, most often first:"),
            table(self.confusions, 5, where=".confusions", empty="No two annotators disagreed."),
        )


def _told(found: pl.DataFrame) -> pl.DataFrame:
    """Drop the column of reasons where nothing is undefined."""
    column = "undefined because"
    return found if (found[column] != "").any() else found.drop(column)


def agreement(
    labels: Any,
    *,
    level: Level = "nominal",
    values: Sequence[str] | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> Agreement:
    """Measure how far annotators agree.

    Parameters
    ----------
    labels
        A table with ``item_id, annotator, value`` (and ``seconds``, if known): one row a label. An
        annotator may label an item twice; Cohen's kappa then takes the last.
    level
        Level of measurement: nominal, ordinal, interval or ratio.
    values
        The values in their order; by default those that occur, sorted (as numbers if they are).
    samples, seed
        Bootstrap resamples of items for the interval of alpha, and their seed.

    Raises
    ------
    FrameError
        When a column is missing or a value is not among *values*.
    """
    table = require(to_polars(labels, "labels"), ("item_id", "annotator", "value"), "labels")
    table = table.drop_nulls("value").with_columns(pl.col("value").cast(pl.String))
    order, numbers = _order(table["value"], values)
    coded = _coded(table, order)
    raters = table["annotator"].cast(pl.String).unique().sort().to_list()
    counts = _counts(coded, coded["item"].n_unique(), len(order))
    last = coded.unique(["item", "annotator"], keep="last", maintain_order=True)
    position = {r: i for i, r in enumerate(raters)}
    people = np.array([position[r] for r in last["annotator"].cast(pl.String)], dtype=np.int64)
    kappa, shared = cohen_matrix(
        last["item"].to_numpy().astype(np.int64),
        people,
        last["code"].to_numpy().astype(np.int64),
        (len(counts), len(raters), len(order)),
    )
    return Agreement(
        alpha=krippendorff_alpha(counts, level, numbers),
        interval=bootstrap_alpha(counts, level, numbers, samples=samples, seed=seed),
        level=level,
        fleiss=fleiss_kappa(counts),
        ac1=gwet_ac1(counts),
        items=int((counts.sum(axis=1) >= 2).sum()),
        labels=len(table),
        by_value=_by_value(counts, order),
        by_annotator=_by_annotator(
            table, coded, raters, kappa, shared, (level, numbers), len(order)
        ),
        confusions=_confusions(counts, order),
        cohen=pl.DataFrame(
            {"annotator": raters, **{r: kappa[:, i] for i, r in enumerate(raters)}}, strict=False
        ),
    )


def _order(given: pl.Series, values: Sequence[str] | None) -> tuple[list[str], Array | None]:
    there = given.unique().to_list()
    try:
        numbers = {v: float(v) for v in (values or there)}
    except ValueError:
        order = list(values) if values is not None else sorted(there)
        numbers = {}
    else:
        order = list(values) if values is not None else sorted(there, key=numbers.__getitem__)
    unknown = set(there) - set(order)
    if unknown:
        raise FrameError(f"labels: values {', '.join(sorted(unknown))} are not among those given")
    return order, np.array([numbers[v] for v in order]) if numbers else None


def _coded(table: pl.DataFrame, order: list[str]) -> pl.DataFrame:
    code = {v: i for i, v in enumerate(order)}
    return table.with_columns(
        (pl.col("item_id").rank("dense") - 1).cast(pl.Int64).alias("item"),
        pl.col("value").replace_strict(code or {"": 0}, return_dtype=pl.Int64).alias("code"),
    )


def _counts(coded: pl.DataFrame, items: int, k: int) -> Array:
    flat = coded["item"].to_numpy() * k + coded["code"].to_numpy()
    return np.bincount(flat, minlength=items * k).reshape(items, k).astype(float)


def _by_value(counts: Array, order: list[str]) -> pl.DataFrame:
    rows = []
    for column, value in enumerate(order):
        own = counts[:, column]
        alpha = krippendorff_alpha(np.stack([own, counts.sum(axis=1) - own], axis=1))
        rows.append(
            {
                "value": value,
                "alpha": alpha.value,
                "labels": int(own.sum()),
                "undefined because": alpha.undefined,
            }
        )
    said = {"value": pl.String, "alpha": pl.Float64, "labels": pl.Int64}
    schema = {**said, "undefined because": pl.String}
    return pl.DataFrame(rows, schema=schema).sort("alpha", nulls_last=True)


def _by_annotator(
    table: pl.DataFrame,
    coded: pl.DataFrame,
    raters: list[str],
    kappa: Array,
    shared: Any,
    metric: tuple[Level, Array | None],
    k: int,
) -> pl.DataFrame:
    rows = []
    for i, rater in enumerate(raters):
        others = [
            j for j in range(len(raters)) if j != i and shared[i, j] and kappa[i, j] == kappa[i, j]
        ]
        weights = shared[i, others]
        mean = float(np.average(kappa[i, others], weights=weights)) if others else None
        rest = coded.filter(pl.col("annotator").cast(pl.String) != rater)
        without = krippendorff_alpha(_counts(rest, coded["item"].n_unique(), k), *metric)
        own = table.filter(pl.col("annotator").cast(pl.String) == rater)
        rows.append(
            {
                "annotator": rater,
                "labels": len(own),
                "mean kappa with others": mean,
                "alpha without them": without.value,
                "median seconds": own["seconds"].median() if "seconds" in own.columns else None,
            }
        )
    optional = ("mean kappa with others", "alpha without them", "median seconds")
    schema = {"annotator": pl.String, "labels": pl.Int64, **dict.fromkeys(optional, pl.Float64)}
    return pl.DataFrame(rows, schema=schema).sort("mean kappa with others", nulls_last=True)


def _confusions(counts: Array, order: list[str]) -> pl.DataFrame:
    pairs = counts.T @ counts
    items = (counts > 0).astype(float)
    both = items.T @ items
    rows = [
        {
            "value": order[i],
            "and": order[j],
            "items": int(both[i, j]),
            "pairs of labels": int(pairs[i, j]),
        }
        for i in range(len(order))
        for j in range(i + 1, len(order))
        if pairs[i, j]
    ]
    schema = {"value": pl.String, "and": pl.String, "items": pl.Int64, "pairs of labels": pl.Int64}
    return pl.DataFrame(rows, schema=schema).sort(
        "pairs of labels", "value", descending=[True, False]
    )
