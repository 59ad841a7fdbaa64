"""Blind comparisons of models: win rates, strengths, what standing first is worth, the ceiling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.bradley_terry import BradleyTerry, bradley_terry
from scalekit.coefficients import Coefficient, bootstrap_alpha, krippendorff_alpha
from scalekit.display import View, block, counted, note, table
from scalekit.evaluate.votes import share_interval
from scalekit.figures import INK, forest_plot
from scalekit.frames import FrameError, require, to_polars
from scalekit.judgements import position_bias, sound_judgements

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["WinRates", "win_rates"]

SAME = "(same output)"
PAIR = {"model": pl.String, "other": pl.String, "items": pl.Int64, "votes": pl.Int64}
COUNTS = dict.fromkeys(("wins", "losses", "ties"), pl.Int64)
RATE = dict.fromkeys(("win rate", "from", "to"), pl.Float64)


@dataclass(frozen=True)
class WinRates(View):
    """How often each model's output is preferred, a tie counting half.

    ``table``: ``model, items, votes, win rate, from, to, strength, strength from, strength to,
    rank``, the strongest first; the win rate is against whichever models it met. ``pairs``:
    ``model, other, items, votes, wins, losses, ties, win rate, from, to, resolved``. ``votes``, the
    distribution on each item: ``item_id, first, second, for first, ties, for second``. ``bias`` is
    that of the position, by panelist (None where it is not known what stood first). ``alpha`` is
    the panel's own agreement on which is preferred: the ceiling for whatever imitates it.
    """

    table: pl.DataFrame
    pairs: pl.DataFrame
    votes: pl.DataFrame
    strengths: BradleyTerry
    bias: pl.DataFrame | None
    alpha: Coefficient
    interval: tuple[float, float] | None
    same: int

    def plot(self) -> go.Figure:
        """Return the win rates with their intervals, the strongest model on top."""
        title = "Win rate, with 95 % intervals"
        drawn = forest_plot(title, self.table, "model", "win rate", x="share")
        drawn.add_vline(0.5, line_dash="dash", line_color=INK)
        return drawn.update_xaxes(range=[0, 1])

    def to_html(self) -> str:
        """Show the models, every two of them, the panel's agreement and the position bias."""
        alike = f"{counted(self.same, 'pair')} with the same output twice are ties, unseen."
        return block(
            "Blind comparison",
            table(self.table),
            note("Every two; resolved where the interval of that pair alone leaves out one half:"),
            table(self.pairs, limit=50),
            note(alike) if self.same else "",
            note(self._agreement_said()),
            note("How often what stood first is preferred:") if self.bias is not None else "",
            table(self.bias),
            *map(note, self.strengths.notes),
        )

    def _agreement_said(self) -> str:
        between = f" ({self.interval[0]:.3f} to {self.interval[1]:.3f})" if self.interval else ""
        return (
            f"The panel's own agreement on which is preferred, the ceiling: alpha {self.alpha}"
            f"{between}."
        )


def win_rates(judgements: Any, *, same: Any = None, draws: int = 1000, seed: int = 0) -> WinRates:
    """Rank models by which of two outputs people prefer.

    A win rate is the mean over items of the share of votes for the model, a tie counting half; its
    interval is :func:`scalekit.evaluate.votes.share_interval`'s. Strengths are those of
    :func:`scalekit.bradley_terry.bradley_terry`, over all comparisons, free of the position.

    Parameters
    ----------
    judgements
        ``item_id`` (the prompt's)``, first, second`` (models)``, outcome`` (first, second, tie)
        and, if known, ``annotator`` and ``shown_first``.
    same
        ``item_id`` (or ``prompt_id``)``, first, second`` (or ``first_name, second_name``) of
        outputs that are the same text and were not shown: each is as many ties as a pair that was
        shown has votes, which is what it would have been.
    draws, seed
        Bootstrap resamples of items for the strengths, and their seed.

    Raises
    ------
    FrameError
        When a column is missing, a row is unsound, or there is no judgement.
    """
    seen = sound_judgements(judgements)
    if seen.is_empty():
        raise FrameError("judgements: none has an outcome, so nothing can be ranked")
    votes = _distribution(seen)
    alike = _ties(same, seen, votes)
    rows = pl.concat([seen, alike])
    strengths = bradley_terry(rows, draws=draws, seed=seed)
    counts = votes.select("for first", "ties", "for second").to_numpy().astype(float)
    known = seen["shown_first"].null_count() < len(seen)
    return WinRates(
        table=_models(rows, strengths),
        pairs=_pairs(rows),
        votes=votes,
        strengths=strengths,
        bias=position_bias(seen) if known else None,
        alpha=krippendorff_alpha(counts),
        interval=bootstrap_alpha(counts, samples=draws, seed=seed),
        same=len(alike.unique(["item_id", "first", "second"])),
    )


def _ties(same: Any, seen: pl.DataFrame, votes: pl.DataFrame) -> pl.DataFrame:
    """Return the ties of outputs that were not shown, as rows like those of *seen*."""
    if same is None:
        return seen.clear()
    given = to_polars(same, "same").rename(
        {"prompt_id": "item_id", "first_name": "first", "second_name": "second"}, strict=False
    )
    columns = ("item_id", "first", "second")
    own = require(given, columns, "same").select(pl.col(columns).cast(pl.String)).unique()
    times = max(1, round(len(seen) / len(votes)))
    tie = own.with_columns(
        pl.lit("tie").alias("outcome"),
        pl.lit(0.0).alias("strength"),
        pl.lit(None, pl.String).alias("shown_first"),
        pl.lit(SAME).alias("annotator"),
    )
    return pl.concat([tie] * times).select(seen.columns).sort("item_id", "first", "second")


def _oriented(rows: pl.DataFrame) -> pl.DataFrame:
    """Return ``item_id, model, other, worth``: the vote's worth to the first by name, 0 to 1."""
    turned = pl.col("first") > pl.col("second")
    worth = pl.col("outcome").replace_strict(
        {"first": 1.0, "tie": 0.5, "second": 0.0}, return_dtype=pl.Float64
    )
    return rows.select(
        "item_id",
        pl.min_horizontal("first", "second").alias("model"),
        pl.max_horizontal("first", "second").alias("other"),
        pl.when(turned).then(1 - worth).otherwise(worth).alias("worth"),
    )


def _distribution(seen: pl.DataFrame) -> pl.DataFrame:
    """Count the votes of each item and pair, in the direction in which it was given first."""
    pair = (pl.min_horizontal("first", "second"), pl.max_horizontal("first", "second"))
    start = pl.col("first").first().over("item_id", *pair)
    turned = start != pl.col("first")
    given = seen.select(
        "item_id",
        pl.when(turned).then("second").otherwise("first").alias("first"),
        pl.when(turned).then("first").otherwise("second").alias("second"),
        pl.when(pl.col("outcome") == "tie")
        .then(pl.lit("ties"))
        .when((pl.col("outcome") == "first") != turned)
        .then(pl.lit("for first"))
        .otherwise(pl.lit("for second"))
        .alias("vote"),
    )
    counts = [
        (pl.col("vote") == name).sum().cast(pl.Int64).alias(name)
        for name in ("for first", "ties", "for second")
    ]
    return (
        given.group_by("item_id", "first", "second").agg(counts).sort("item_id", "first", "second")
    )


def _pairs(rows: pl.DataFrame) -> pl.DataFrame:
    """Return every two models that met, the one preferred first."""
    found = []
    for (model, other), own in _oriented(rows).group_by("model", "other"):
        items = own.group_by("item_id").agg(pl.col("worth").mean()).sort("item_id")
        rate, low, high = share_interval(items["worth"].to_numpy())
        wins, losses = int((own["worth"] == 1).sum()), int((own["worth"] == 0).sum())
        names = (model, other)
        if rate < 0.5:
            names, (wins, losses) = names[::-1], (losses, wins)
            rate, low, high = 1 - rate, 1 - high, 1 - low
        ties = len(own) - wins - losses
        told = (rate, low, high, low > 0.5)
        found.append((*names, len(items), len(own), wins, losses, ties, *told))
    schema = {**PAIR, **COUNTS, **RATE, "resolved": pl.Boolean}
    made = pl.DataFrame(found, schema=schema, orient="row")
    return made.sort("win rate", "model", "other", descending=[True, False, False])


def _models(rows: pl.DataFrame, strengths: BradleyTerry) -> pl.DataFrame:
    one = _oriented(rows)
    back = one.select(
        "item_id",
        pl.col("other").alias("model"),
        pl.col("model").alias("other"),
        (1 - pl.col("worth")).alias("worth"),
    )
    each = pl.concat([one, back])
    found = []
    for (model,), own in each.group_by("model"):
        items = own.group_by("item_id").agg(pl.col("worth").mean()).sort("item_id")
        found.append((model, len(items), len(own), *share_interval(items["worth"].to_numpy())))
    schema = {"model": pl.String, "items": pl.Int64, "votes": pl.Int64, **RATE}
    worth = strengths.table.select(
        pl.col("name").alias("model"), "strength", pl.col("from").alias("strength from"),
        pl.col("to").alias("strength to"), "rank",
    )  # fmt: skip
    rated = pl.DataFrame(found, schema=schema, orient="row").join(worth, on="model")
    return rated.sort("rank", "model")
