"""Rubric scores by a panel: each model's mean points with intervals, and the panel's agreement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalekit.coefficients import bootstrap_alpha, krippendorff_alpha
from scalekit.display import View, block, counted, note, table
from scalekit.evaluate.votes import Array, mean_interval, read_votes
from scalekit.figures import forest_plot
from scalekit.frames import FrameError, require, to_polars

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["OVERALL", "PanelScores", "panel_scores"]

OVERALL = "(all)"
FEWEST = 6  # prompts: with fewer no paired test of signs can reach 5 %
MEANS = {"model": pl.String, "criterion": pl.String, "mean": pl.Float64}
ENDS = {"from": pl.Float64, "to": pl.Float64}


@dataclass(frozen=True)
class PanelScores(View):
    """Mean points of each model by criterion, as a panel gave them.

    ``table``: ``model, criterion, mean, from, to, items, votes``; the criterion "(all)" is the mean
    share of the points that could be had, from 0 to 1. ``differences``: ``model, other, criterion,
    difference, from, to, items, resolved``, on the prompts that both answered. ``agreement``:
    ``criterion, alpha, from, to, items, undefined because``, ordinal alpha of the panel itself, the
    ceiling for whatever imitates it. ``votes`` is the distribution: ``item_id, criterion, value,
    votes``. Intervals are Student's, 95 %, the prompt being the unit.
    """

    table: pl.DataFrame
    differences: pl.DataFrame
    agreement: pl.DataFrame
    votes: pl.DataFrame

    def plot(self) -> go.Figure:
        """Return each model's share of the points with its interval, the best on top."""
        shown = self.table.filter(pl.col("criterion") == OVERALL).sort("mean", descending=True)
        title = "Share of the points, with 95 % intervals"
        return forest_plot(title, shown, "model", "mean", x="share")

    def to_html(self) -> str:
        """Show the means, the differences between models, and the panel's own agreement."""
        items = counted(self.votes["item_id"].n_unique(), "output")
        agreed = self.agreement
        if not (agreed["undefined because"] != "").any():
            agreed = agreed.drop("undefined because")
        apart = len(self.differences) > 0
        return block(
            "Panel scores",
            note(f"{items} judged; {OVERALL} is the share of the points that could be had."),
            table(self.table, limit=60),
            note("Differences on the same prompts:") if apart else "",
            table(self.differences, limit=60),
            note("The panel's own agreement, the ceiling:"),
            table(agreed),
        )


def panel_scores(
    votes: Any,
    key: Any,
    scale: Mapping[str, tuple[int, int]],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> PanelScores:
    """Average a panel's points for each model, criterion by criterion.

    Parameters
    ----------
    votes
        ``item_id, annotator, part`` (the criterion)``, value`` (points), as
        :func:`scalekit.label.judged_parts` gives them.
    key
        ``item_id, prompt_id, model``: whose output each item is, as in ``PanelItems.key``.
    scale
        The lowest and the highest points of each criterion.
    draws, seed
        Bootstrap resamples of outputs for the intervals of alpha, and their seed.

    Raises
    ------
    FrameError
        When a column is missing, a row is unsound, points lie off the scale, or no vote is on an
        item of the key.
    """
    rows = require(to_polars(votes, "votes"), ("item_id", "annotator", "part", "value"), "votes")
    if strange := sorted(set(rows["part"].drop_nulls()) - set(scale)):
        raise FrameError(f"votes: {strange[0]!r} is no criterion; there are {', '.join(scale)}")
    columns = ("item_id", "prompt_id", "model")
    known = require(to_polars(key, "key"), columns, "key").select(pl.col(columns).cast(pl.String))
    means, spread, agreed = [], [], []
    for criterion, (low, high) in scale.items():
        own = rows.filter(pl.col("part") == criterion)
        if own.is_empty():
            continue
        points = [str(p) for p in range(low, high + 1)]
        said = read_votes(own, points, f"votes on {criterion!r}")
        counts = said.counts
        many = counts.sum(axis=1)
        mean = counts @ np.arange(low, high + 1) / many
        means.append(_item_means(said.items, criterion, mean, many))
        means.append(_item_means(said.items, OVERALL, (mean - low) / (high - low), many))
        spread.append(_distribution(said.items, criterion, points, counts))
        agreed.append(_agreed(criterion, counts, draws, seed))
    scored = pl.concat(means).join(known, on="item_id") if means else None
    if scored is None or scored.is_empty():
        raise FrameError("votes: none is on an item of the key")
    cells = _cells(scored)
    models = cells["model"].unique().sort().to_list()
    criteria = [c for c in (OVERALL, *scale) if c in set(cells["criterion"])]
    return PanelScores(
        table=_table(cells, criteria),
        differences=_differences(cells, models, criteria),
        agreement=pl.DataFrame(agreed, schema_overrides={"alpha": pl.Float64, **ENDS}),
        votes=pl.concat(spread),
    )


def _item_means(items: tuple[str, ...], criterion: str, mean: Array, many: Array) -> pl.DataFrame:
    return pl.DataFrame(
        {"item_id": items, "criterion": criterion, "mean": mean, "votes": many.astype(np.int64)}
    )


def _distribution(
    items: tuple[str, ...], criterion: str, points: list[str], counts: Array
) -> pl.DataFrame:
    at, value = np.nonzero(counts)
    return pl.DataFrame(
        {
            "item_id": [items[i] for i in at],
            "criterion": criterion,
            "value": [points[v] for v in value],
            "votes": counts[at, value].astype(np.int64),
        }
    )


def _agreed(criterion: str, counts: Array, draws: int, seed: int) -> dict[str, Any]:
    alpha = krippendorff_alpha(counts, "ordinal")
    low, high = bootstrap_alpha(counts, "ordinal", samples=draws, seed=seed) or (None, None)
    return {
        "criterion": criterion,
        "alpha": alpha.value,
        "from": low,
        "to": high,
        "items": int((counts.sum(axis=1) >= 2).sum()),
        "undefined because": alpha.undefined,
    }


def _cells(scored: pl.DataFrame) -> pl.DataFrame:
    """Return one mean for each prompt, model and criterion; overall, over the criteria."""
    return scored.group_by("prompt_id", "model", "criterion").agg(
        pl.col("mean").mean(), pl.col("votes").sum()
    )


def _table(cells: pl.DataFrame, criteria: list[str]) -> pl.DataFrame:
    rows = []
    for (model, criterion), own in cells.group_by("model", "criterion"):
        found = mean_interval(own.sort("prompt_id")["mean"].to_numpy())
        rows.append((model, criterion, *found, len(own), int(own["votes"].sum())))
    counts = {"items": pl.Int64, "votes": pl.Int64}
    made = pl.DataFrame(rows, schema={**MEANS, **ENDS, **counts}, orient="row")
    place = {criterion: at for at, criterion in enumerate(criteria)}
    order = pl.col("criterion").replace_strict(place, return_dtype=pl.Int64)
    return made.sort(order, "mean", "model", descending=[False, True, False])


def _differences(cells: pl.DataFrame, models: list[str], criteria: list[str]) -> pl.DataFrame:
    """Return the paired differences of every two models on each criterion, the better first."""
    rows = []
    for criterion in criteria:
        own = cells.filter(pl.col("criterion") == criterion).sort("prompt_id")
        by = own.pivot("model", index="prompt_id", values="mean")
        for one, other in combinations([m for m in models if m in by.columns], 2):
            apart = (by[one] - by[other]).drop_nulls().to_numpy()
            if not len(apart):
                continue
            mean, low, high = mean_interval(apart)
            pair = (one, other)
            if mean < 0:
                mean, pair = -mean, (other, one)
                low, high = (None, None) if low is None or high is None else (-high, -low)
            resolved = len(apart) >= FEWEST and low is not None and low > 0
            rows.append((*pair, criterion, mean, low, high, len(apart), resolved))
    names = {"model": pl.String, "other": pl.String, "criterion": pl.String}
    schema = {**names, "difference": pl.Float64, **ENDS, "items": pl.Int64, "resolved": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row")
