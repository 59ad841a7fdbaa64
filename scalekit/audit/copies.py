"""Near-copies as found, for any threshold: which go, which stay, and what lies at the border."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.audit.duplicates import EXACT_UP_TO, resolved
from scalekit.audit.minhash import recall_of
from scalekit.display import Markup, View, block, marked, note, table
from scalekit.figures import figure

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["LOWEST", "Copies"]

LOWEST = 0.5
"""Pairs are kept from this similarity on, so that a threshold above it costs no search."""
STEPS = [round(LOWEST + 0.05 * n, 2) for n in range(11)]
SHOWN = 4
COMPARED = 1000  # words; longer texts are shown without what differs


@dataclass(frozen=True)
class Copies(View):
    """Near-copies at a *threshold*; :meth:`at` gives those at another without a new search.

    ``items`` are those compared (neither junk nor word-for-word copies), ``pairs`` all that are
    alike from .5 on (``item_id, other_id, score``).
    """

    items: pl.DataFrame
    pairs: pl.DataFrame
    threshold: float

    def at(self, threshold: float) -> Copies:
        """Return the copies at another threshold.

        Raises
        ------
        ValueError
            When it lies below what was searched for, or above 1.
        """
        if not LOWEST <= threshold <= 1:
            raise ValueError(f"threshold must be from {LOWEST} to 1, got {threshold}")
        return replace(self, threshold=threshold)

    @property
    def table(self) -> pl.DataFrame:
        """One row for each copy that goes: ``item_id, kept_id, score, batch_id, kept_batch_id``."""
        gone = resolved(self.items, self.pairs, self.threshold)
        return with_batches(gone, self.items)

    @property
    def thresholds(self) -> pl.DataFrame:
        """How many rows would go at each threshold: ``threshold, left out, share``."""
        counts = [len(resolved(self.items, self.pairs, step)) for step in STEPS]
        every = max(1, len(self.items))
        share = [count / every for count in counts]
        return pl.DataFrame({"threshold": STEPS, "left out": counts, "share": share})

    def border(self, shown: int = SHOWN) -> pl.DataFrame:
        """Return the copies just above the threshold and the pairs just below, with their texts."""
        above = self.table.sort("score").head(shown)
        above = above.select("item_id", pl.col("kept_id").alias("other_id"), "score")
        below = self.pairs.filter(pl.col("score") < self.threshold)
        below = below.sort("score", descending=True).head(shown)
        both = pl.concat([
            above.with_columns(pl.lit("goes").alias("this text")),
            below.with_columns(pl.lit("stays").alias("this text")),
        ])  # fmt: skip
        texts = self.items.select("item_id", "text")
        others = texts.select(pl.col("item_id").alias("other_id"), pl.col("text").alias("like"))
        return (
            both.join(texts, on="item_id", how="left", maintain_order="left")
            .join(others, on="other_id", how="left", maintain_order="left")
            .select("this text", "score", "text", "like")
            .sort("score", descending=True)
        )

    def plot(self) -> go.Figure:
        """Return how many rows go, by threshold."""
        import plotly.graph_objects as go

        counts = self.thresholds
        drawn = figure("Near-copies left out, by threshold", y="rows")
        drawn.add_trace(
            go.Scatter(
                x=counts["threshold"].to_list(), y=counts["left out"].to_list(),
                mode="lines+markers", name="rows",
            )
        )  # fmt: skip
        drawn.update_xaxes(title="Jaccard similarity of word 3-grams from which a text goes")
        return drawn.add_vline(x=self.threshold, line_dash="dot")

    def to_html(self) -> str:
        """Show how many go at each threshold, and the texts at the border."""
        chance = recall_of(self.threshold)
        seen = f"a pair just at the threshold is found with a chance of {chance:.1%}"
        if len(self.items) <= EXACT_UP_TO:
            seen = "every pair was looked at"
        said = (
            f"{len(self.table):,} of {len(self.items):,} texts go at {self.threshold:.2f}; each is "
            f"that much like one that stays ({seen}, every score is exact)."
        )
        return block(
            "Near-copies",
            note(said),
            table(self.thresholds),
            note("At the border, what differs marked:"),
            table(
                [_what_differs(row) for row in self.border().to_dicts()],
                empty="No two texts are alike.",
            ),
        )


def _what_differs(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the border with the words marked that one text has and the other has not."""
    words = [list(re.finditer(r"\S+", row[side])) for side in ("text", "like")]
    if max(map(len, words)) > COMPARED:
        return row
    one, other = ([w.group() for w in own] for own in words)
    compared = SequenceMatcher(None, one, other, autojunk=False)
    changed = [ends for kind, *ends in compared.get_opcodes() if kind != "equal"]
    here = [_span(words[0], start, end) for start, end, _, _ in changed]
    there = [_span(words[1], start, end) for _, _, start, end in changed]
    shown = {"text": marked(row["text"], here), "like": marked(row["like"], there)}
    return {**row, **{side: Markup(said) for side, said in shown.items()}}


def _span(words: list[re.Match[str]], start: int, end: int) -> tuple[int, int]:
    """Return where words *start* to *end* stand; of none, where they would, without length."""
    if start < end:
        return words[start].start(), words[end - 1].end()
    place = words[start].start() if start < len(words) else words[-1].end() if words else 0
    return place, place


def with_batches(gone: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Add the batch of the text that goes and that of the text that stays, where they are known."""
    if "batch_id" not in items.columns:
        return gone
    batches = items.select("item_id", "batch_id")
    kept = batches.select(
        pl.col("item_id").alias("kept_id"), pl.col("batch_id").alias("kept_batch_id")
    )
    return gone.join(batches, on="item_id", how="left", maintain_order="left").join(
        kept, on="kept_id", how="left", maintain_order="left"
    )
