"""Translation errors marked by experts (MQM): segment scores, system scores, how severe raters are.

Weights are those published with the WMT evaluations: Freitag et al. 2021, "Experts, Errors, and
Context", Transactions of the ACL 9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalekit.coefficients import Coefficient, krippendorff_alpha
from scalekit.display import View, block, counted, note, table
from scalekit.evaluate.votes import Array, codes, mean_draws
from scalekit.figures import forest_plot
from scalekit.frames import FrameError, require, to_polars

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["WMT_WEIGHTS", "MqmScores", "Weight", "mqm_scores"]

RANKS = ("rank", "rank from", "rank to")
COLUMNS = ("system", "segment", "rater", "category", "severity")


@dataclass(frozen=True)
class Weight:
    """What an error costs: the first rule whose severity and category fit; "" fits any.

    Both are compared without regard to case; a category fits when it begins with the rule's.
    """

    points: float
    severity: str = ""
    category: str = ""


WMT_WEIGHTS = (
    Weight(25.0, category="non-translation"),
    Weight(5.0, severity="major"),
    Weight(0.1, severity="minor", category="fluency/punctuation"),
    Weight(1.0, severity="minor"),
    Weight(0.0, severity="neutral"),
    Weight(0.0, severity="no-error"),
)


@dataclass(frozen=True)
class MqmScores(View):
    """Mean points of errors a segment; less is better.

    ``table``: ``system, score, from, to, rank, rank from, rank to, segments, ratings``, the best
    first; 95 % intervals by resampling segments, the same for all systems. ``raters``: ``rater,
    ratings, score, above system mean, shared, above co-raters``: the last against the others on the
    same segment of the same system, null where no segment has two raters. ``segments``: ``system,
    segment, score, raters``. ``alpha`` is interval alpha between raters of the same segment.
    """

    table: pl.DataFrame
    raters: pl.DataFrame
    segments: pl.DataFrame
    alpha: Coefficient

    def plot(self) -> go.Figure:
        """Return the system scores with their intervals, the best on top."""
        title, x = "Points of errors a segment, with 95 % intervals", "points (less is better)"
        return forest_plot(title, self.table, "system", "score", x=x, spacing=24)

    def to_html(self) -> str:
        """Show the systems, then the raters and how far they agree."""
        shared = int(self.raters["shared"].sum())
        said = (
            f"Agreement of raters on the same segment: interval alpha {self.alpha}."
            if shared
            else "No segment has two raters: how severe a rater is can't be told from how hard "
            "their segments are."
        )
        return block(
            "Translation errors (MQM)",
            f"{counted(self.segments['segment'].n_unique(), 'segment')}, "
            f"{counted(len(self.table), 'system')}",
            table(self.table, limit=40),
            note("Raters:"),
            table(self.raters),
            note(said),
        )


def mqm_scores(
    errors: Any,
    *,
    weights: Sequence[Weight] = WMT_WEIGHTS,
    ignore: Sequence[str] = ("HOTW-test",),
    draws: int = 1000,
    seed: int = 0,
) -> MqmScores:
    """Score systems from the errors that raters marked in their translations.

    A rater's score of a segment is the sum of its errors' points, a segment's the mean over its
    raters, a system's the mean over its segments.

    Parameters
    ----------
    errors
        A row for each error: ``system, segment, rater, category, severity``; a segment without any
        has one row with the severity "no-error".
    weights
        What errors cost; the first rule that fits counts.
    ignore
        Severities that mark no error of the system, such as planted attention tests.
    draws, seed
        Bootstrap resamples of segments, and their seed.

    Raises
    ------
    FrameError
        When a column is missing, a row has no system, segment or rater, no rule fits an error, or
        nothing is left.
    """
    rows = _sound(errors, ignore).with_columns(_points(weights).alias("points"))
    unknown = rows.filter(pl.col("points").is_null())
    if len(unknown):
        row = unknown.row(0, named=True)
        raise FrameError(
            f"errors: no weight for severity {row['severity']!r}, category {row['category']!r} "
            f"({counted(len(unknown), 'such row')}); give it in weights, or ignore the severity"
        )
    ratings = rows.group_by("system", "segment", "rater").agg(pl.col("points").sum())
    segments = (
        ratings.group_by("system", "segment")
        .agg(pl.col("points").mean().alias("score"), pl.len().cast(pl.Int64).alias("raters"))
        .sort("system", "segment")
    )
    return MqmScores(
        table=_systems(segments, draws, seed),
        raters=_raters(ratings, segments),
        segments=segments,
        alpha=_alpha(ratings),
    )


def _sound(errors: Any, ignore: Sequence[str]) -> pl.DataFrame:
    rows = require(to_polars(errors, "errors"), COLUMNS, "errors").select(
        pl.col(COLUMNS).cast(pl.String)
    )
    for column in COLUMNS[:3]:
        if lacking := rows[column].null_count():
            raise FrameError(f"errors: {counted(lacking, 'row')} without {column}")
    rows = rows.with_columns(pl.col("category", "severity").fill_null(""))
    skipped = [severity.casefold() for severity in ignore]
    rows = rows.filter(~pl.col("severity").str.to_lowercase().is_in(skipped))
    if rows.is_empty():
        raise FrameError("errors: there is no row, so nothing can be scored")
    return rows


def _points(weights: Sequence[Weight]) -> pl.Expr:
    """Return the points of an error, null where no rule fits."""
    severity = pl.col("severity").str.to_lowercase()
    category = pl.col("category").str.to_lowercase()
    points = pl.lit(None, pl.Float64)
    for rule in reversed(weights):
        fits = category.str.starts_with(rule.category.casefold())
        if rule.severity:
            fits &= severity == rule.severity.casefold()
        points = pl.when(fits).then(rule.points).otherwise(points)
    return points


def _systems(segments: pl.DataFrame, draws: int, seed: int) -> pl.DataFrame:
    from scipy.stats import rankdata

    systems = segments["system"].unique().sort().to_list()
    names = segments["segment"].unique().sort().to_list()
    grid = np.full((len(names), len(systems)), np.nan)
    place = codes(segments["segment"], names), codes(segments["system"], systems)
    grid[place] = segments["score"].to_numpy()
    drawn = mean_draws(grid, draws, seed)
    drawn = drawn[~np.isnan(drawn).any(axis=1)]
    if len(drawn):
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        ranks = rankdata(drawn.round(9), method="min", axis=1)
        best, worst = np.quantile(ranks, [0.025, 0.975], axis=0, method="inverted_cdf")
    else:  # the systems share no segments
        low = high = best = worst = np.full(len(systems), np.nan)
    scores = segments.group_by("system").agg(
        pl.col("score").mean(),
        pl.len().cast(pl.Int64).alias("segments"),
        pl.col("raters").sum().alias("ratings"),
    )
    found = pl.DataFrame({"system": systems, "from": low, "to": high, "best": best, "worst": worst})
    return (
        scores.join(found.fill_nan(None), on="system")
        .with_columns(
            pl.col("score").round(9).rank("min").cast(pl.Int64).alias("rank"),
            pl.col("best").cast(pl.Int64).alias("rank from"),
            pl.col("worst").cast(pl.Int64).alias("rank to"),
        )
        .sort("rank", "system")
        .select("system", "score", "from", "to", *RANKS, "segments", "ratings")
    )


def _raters(ratings: pl.DataFrame, segments: pl.DataFrame) -> pl.DataFrame:
    means = segments.group_by("system").agg(pl.col("score").mean().alias("system mean"))
    many = pl.len().over("system", "segment")
    others = (pl.col("points").sum().over("system", "segment") - pl.col("points")) / (many - 1)
    told = ratings.join(means, on="system").with_columns(
        (many > 1).alias("with others"),
        pl.when(many > 1).then(pl.col("points") - others).alias("above co-raters"),
        (pl.col("points") - pl.col("system mean")).alias("above system mean"),
    )
    by = told.group_by("rater").agg(
        pl.len().cast(pl.Int64).alias("ratings"),
        pl.col("points").mean().alias("score"),
        pl.col("above system mean").mean(),
        pl.col("with others").sum().cast(pl.Int64).alias("shared"),
        pl.col("above co-raters").mean(),
    )
    return by.sort("score", "rater")


def _alpha(ratings: pl.DataFrame) -> Coefficient:
    units = ratings.with_columns(pl.col("points").round(6))
    values = units["points"].unique().sort()
    unit = units.select(pl.struct("system", "segment").rank("dense").alias("u"))["u"].to_numpy() - 1
    value = np.searchsorted(values.to_numpy(), units["points"].to_numpy())
    counts: Array = np.zeros((int(unit.max()) + 1, len(values)))
    np.add.at(counts, (unit.astype(np.int64), value), 1.0)
    return krippendorff_alpha(counts, "interval", values.to_numpy().astype(float))
