"""Scores with and without the test items that training may have seen."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import polars as pl

from scalekit.display import View, block, note, table
from scalekit.evaluate.contamination import Contamination
from scalekit.frames import require, to_polars
from scalekit.intervals import wilson

__all__ = ["WithoutFlagged", "without_flagged"]

SCHEMA = {
    "set": pl.String, "items": pl.Int64, "flagged": pl.Int64, "accuracy": pl.Float64,
    "without flagged": pl.Float64, "from": pl.Float64, "to": pl.Float64,
    "on flagged": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True)
class WithoutFlagged(View):
    """Accuracy by set, with all items and without those flagged; one row a set.

    ``from, to`` is the 95 % Wilson interval without them; ``on flagged`` the accuracy on these
    alone: much higher there, the score rests on what training has seen.
    """

    table: pl.DataFrame
    tiers: tuple[str, ...]

    def to_html(self) -> str:
        """Show both scores side by side."""
        said = f"Flagged: test items of tier {' or '.join(self.tiers)} in the contamination report."
        return block("Score without flagged items", note(said), table(self.table))


def without_flagged(
    results: Any, found: Contamination, *, tiers: Collection[str] = ("LEAK",)
) -> WithoutFlagged:
    """Score again without the items that the contamination report flags.

    Parameters
    ----------
    results
        ``item_id, set, score`` (1 right, 0 wrong), as in ``Measured.results``.
    found
        Of the same items.
    tiers
        Which tiers count as flagged.

    Raises
    ------
    FrameError
        When a column is missing.
    """
    rows = require(to_polars(results, "results"), ("item_id", "set", "score"), "results")
    flagged = found.table.filter(pl.col("tier").is_in(list(tiers)))["item_id"]
    marked = rows.with_columns(pl.col("item_id").is_in(flagged.to_list()).alias("flagged"))
    out = []
    for (name,), own in marked.group_by("set", maintain_order=True):
        clean, seen = own.filter(~pl.col("flagged")), own.filter("flagged")
        right = int(clean["score"].sum())
        without = right / len(clean) if len(clean) else None
        interval = wilson(right, len(clean))
        on_seen = seen["score"].mean() if len(seen) else None
        out.append((name, len(own), len(seen), own["score"].mean(), without, *interval, on_seen))
    return WithoutFlagged(pl.DataFrame(out, schema=SCHEMA, orient="row"), tuple(tiers))
