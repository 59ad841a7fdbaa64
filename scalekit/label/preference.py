"""Preferences between two: strengths, what standing first is worth, and pairs to train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalekit.display import View, block, counted, note, table
from scalekit.figures import figure
from scalekit.frames import require, to_polars
from scalekit.intervals import wilson
from scalekit.label.events import LabelError
from scalekit.label.judgements import sound_judgements
from scalekit.label.paired import (
    PRIOR_SD,
    Comparisons,
    Fit,
    best_fit,
    comparisons,
    confounded,
    parts,
    percentiles,
    resampled_fits,
    strength_table,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = [
    "BradleyTerry",
    "PreferencePairs",
    "bradley_terry",
    "pair_consensus",
    "position_bias",
    "preference_pairs",
]

EVERYONE = "(all)"


@dataclass(frozen=True)
class BradleyTerry(View):
    """Strengths of the things compared, on the log-odds scale with mean 0.

    A thing one stronger than another is preferred with probability 0.73. ``table`` has ``name,
    strength, from, to, rank, rank from, rank to, wins, losses, ties``, the strongest first;
    ``position`` is the log-odds advantage of what is shown first (None: not estimated), ``notes``
    say what the data didn't allow and what was done.
    """

    table: pl.DataFrame
    position: float | None
    position_interval: tuple[float, float] | None
    judgements: int
    ties: int
    items: int
    notes: tuple[str, ...]

    def plot(self) -> go.Figure:
        """Return the strengths with their intervals, the strongest on top."""
        import plotly.graph_objects as go

        shown = self.table
        up, down = shown["to"] - shown["strength"], shown["strength"] - shown["from"]
        drawn = figure(
            "Strength in paired comparisons", x="log-odds, mean 0", height=120 + 28 * len(shown)
        )
        drawn.add_trace(
            go.Scatter(
                x=shown["strength"].to_list(), y=shown["name"].to_list(), mode="markers",
                error_x={"type": "data", "array": up.to_list(), "arrayminus": down.to_list()},
            )
        )  # fmt: skip
        return drawn.update_yaxes(autorange="reversed")

    def to_html(self) -> str:
        """Show the strengths, the advantage of being shown first, and what was done about gaps."""
        ties = f"{counted(self.ties, 'tie')} as half a win for each"
        said = f"{counted(self.judgements, 'judgement')} of {counted(self.items, 'item')}, {ties}."
        return block(
            "Bradley-Terry strengths",
            note(said),
            note(self._position_said()),
            *map(note, self.notes),
            table(self.table),
        )

    def _position_said(self) -> str:
        if self.position is None or self.position_interval is None:
            return "The advantage of being shown first is not estimated."
        low, high = self.position_interval
        chance = 1 / (1 + np.exp(-self.position))
        return (
            f"Advantage of being shown first: {self.position:.3f} log-odds ({low:.3f} to "
            f"{high:.3f}): of two equals the first shown is preferred in {chance:.1%}."
        )


def bradley_terry(
    judgements: Any, *, position: bool = True, draws: int = 1000, seed: int = 0
) -> BradleyTerry:
    """Estimate how strongly each thing is preferred, free of which one was shown first.

    Maximum likelihood by Newton's method on counts (Hunter 2004, Annals of Statistics 32(1): the
    model with a home-field advantage; existence, assumption 1). A tie counts as half a win for
    each. Intervals of 95 % are percentiles over resampled items, as judgements of one item depend
    on each other. Where the comparisons leave a term unbounded, a normal prior with standard
    deviation 3 bounds it, and ``notes`` say so.

    Parameters
    ----------
    judgements
        A table with ``item_id, first, second`` (names of the two compared), ``outcome`` (first,
        second or tie; rows without one are left out) and, if known, ``shown_first`` (first or
        second).
    position
        Whether to estimate the advantage of being shown first.
    draws, seed
        Bootstrap resamples and their seed.

    Raises
    ------
    FrameError
        When a column is missing.
    LabelError
        Naming the first unsound row; when there is no judgement, or *draws* is below 1.
    """
    if draws < 1:
        raise LabelError(f"draws must be at least 1, got {draws}")
    rows = sound_judgements(judgements)
    if rows.is_empty():
        raise LabelError("judgements: none has an outcome, so nothing can be ranked")
    names = sorted({*rows["first"].unique(), *rows["second"].unique()})
    seen = comparisons(rows, names, position=position)
    notes = []
    if position and confounded(seen):
        notes.append(_no_position(rows))
        position, seen = False, comparisons(rows, names, position=False)
    whole = best_fit(seen, seen.kinds, position=position)
    fits = list(resampled_fits(seen, whole, position=position, draws=draws, seed=seed))
    notes += _prior_notes(seen, whole, fits, names)
    sides = np.array([f.position for f in fits])
    return BradleyTerry(
        table=strength_table(rows, names, whole, fits),
        position=whole.position if position else None,
        position_interval=percentiles(sides) if position else None,
        judgements=len(rows),
        ties=int((rows["outcome"] == "tie").sum()),
        items=int(seen.kinds.sum()),
        notes=tuple(notes),
    )


def _no_position(rows: pl.DataFrame) -> str:
    if rows["shown_first"].null_count() == len(rows):
        return "No position term: what was shown first is not known."
    return "No position term: sides change too little to be told from the strengths."


def _prior_notes(seen: Comparisons, whole: Fit, fits: Sequence[Fit], names: list[str]) -> list[str]:
    prior = f"a normal prior with standard deviation {PRIOR_SD:g} on every term bounds them"
    resamples = sum(f.prior for f in fits)
    if not whole.prior:
        told = f"In {resamples:,} of {counted(len(fits), 'resample')} a term is unbounded; "
        return [told + prior + " there."] if resamples else []
    part = parts(seen, *seen.counts(seen.kinds))
    if part.max() == 0:
        return [f"Outcomes agree too well with the side: the position is unbounded; {prior}."]
    groups = sorted([n for n, p in zip(names, part, strict=True) if p == k] for k in set(part))
    told = "; ".join(
        ", ".join(group[:5]) + (" …" if len(group) > 5 else "") for group in groups[:5]
    )
    return [
        f"The graph of comparisons is not strongly connected, so strengths are unbounded: it falls "
        f"into {len(groups)} parts, no two of which both beat each other ({told}"
        f"{' …' if len(groups) > 5 else ''}); {prior}, and their intervals "
        f"say little. Compare more across the parts."
    ]


def position_bias(judgements: Any) -> pl.DataFrame:
    """Return how often what was shown first is preferred, over all and by annotator.

    Columns ``annotator`` ("(all)" in the first row)``, n, for first, share, from, to, p, ties,
    unknown``: judgements that count, those for what was shown first, their share with Wilson's
    interval, the two-sided binomial test against one half, and what is left out: ties, and rows in
    which it is not known what was shown first. Things of unequal strength don't bias the share
    where sides are balanced; else use :func:`bradley_terry`.

    Raises
    ------
    FrameError
        When ``item_id, first, second, outcome, shown_first`` are not there.
    LabelError
        Naming the first unsound row.
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
        When ``item_id, first, second, outcome`` are not there.
    LabelError
        Naming the first unsound row.
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


@dataclass(frozen=True)
class PreferencePairs(View):
    """Pairs to train a preference model on, and how many were left out, and why.

    ``table`` has ``item_id, prompt, chosen, rejected, strength, n, agreement, annotators``.
    """

    table: pl.DataFrame
    tied: int
    below: int
    same: int
    min_agreement: float

    def to_html(self) -> str:
        """Show the count of pairs, what was left out, and the first pairs."""
        left_out = (
            f"Left out: {self.tied:,} tied, {self.below:,} with agreement below "
            f"{self.min_agreement:g}, {self.same:,} with the same response twice."
        )
        return block(
            "Preference pairs",
            note(f"{counted(len(self.table), 'pair')}."),
            note(left_out),
            table(self.table, limit=5),
        )


def preference_pairs(
    judgements: Any, responses: Any, *, min_agreement: float = 0.6
) -> PreferencePairs:
    """Turn judgements into rows of a prompt with a chosen and a rejected response.

    Parameters
    ----------
    judgements
        As for :func:`pair_consensus`.
    responses
        A table with ``item_id, name, prompt, response``: one row for each thing compared.
    min_agreement
        The least share of all judgements (ties among them) that the winner needs.

    Raises
    ------
    FrameError
        When a column is missing.
    LabelError
        Naming the first unsound row, repeated response, or pair without its two responses.
    """
    columns = ("item_id", "name", "prompt", "response")
    texts = require(to_polars(responses, "responses"), columns, "responses").select(columns)
    texts = texts.with_columns(pl.col("item_id", "name").cast(pl.String))
    votes = pair_consensus(judgements)
    loser = pl.when(pl.col("winner") == pl.col("first")).then(pl.col("second")).otherwise("first")
    agreed = votes.filter(~pl.col("tied") & (pl.col("share") >= min_agreement))
    pairs = _with_texts(agreed.with_columns(loser.alias("loser")), texts)
    same = pl.col("chosen") == pl.col("rejected")
    # Under 0 where the few who prefer the rejected one do so more strongly.
    margin = (
        pl.when(pl.col("winner") == pl.col("first")).then("strength").otherwise(-pl.col("strength"))
    )
    tied = int(votes["tied"].sum())
    return PreferencePairs(
        table=pairs.filter(~same).select(
            "item_id", "prompt", "chosen", "rejected", margin.alias("strength"), "n",
            pl.col("share").alias("agreement"), "annotators",
        ),
        tied=tied,
        below=len(votes) - tied - len(agreed),
        same=pairs.select(same.sum()).item(),
        min_agreement=min_agreement,
    )  # fmt: skip


def _with_texts(pairs: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    twice = texts.filter(pl.struct("item_id", "name").is_duplicated())
    if len(twice):
        item, name = twice.select("item_id", "name").row(0)
        raise LabelError(f"responses: {name!r} has more than one response to item {item!r}")
    for column, name in (("chosen", "winner"), ("rejected", "loser")):
        own = texts if column == "chosen" else texts.drop("prompt")
        own = own.rename({"name": name, "response": column})
        pairs = pairs.join(own, on=["item_id", name], how="left", maintain_order="left")
        lacking = pairs.filter(pl.col(column).is_null())
        if len(lacking):
            item, said = lacking.select("item_id", name).row(0)
            raise LabelError(
                f"responses: {said!r} has no response to item {item!r} "
                f"({counted(len(lacking), 'such pair')})"
            )
    return pairs
