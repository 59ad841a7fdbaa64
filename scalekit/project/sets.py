"""How a project's sets, and scores on them, are shown."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from scalekit.display import View, block, note, table
from scalekit.evaluate import Contamination, wilson

__all__ = ["Sets", "figures"]


@dataclass(frozen=True)
class Sets(View):
    """The sets: train and dev in the open, sealed and vault encrypted, handwritten apart."""

    table: pl.DataFrame
    contamination: Contamination
    sealed_hits: pl.DataFrame
    looks_left: int
    notes: tuple[str, ...] = ()

    def to_html(self) -> str:
        """Show the sets, what leaked, and how many looks are left."""
        said = f"The sealed set is encrypted; {self.looks_left} looks at it are left."
        hits = self.sealed_hits
        warned = note(f"{len(hits)} training rows hold a sealed item:") if len(hits) else ""
        told = (note(said), *map(note, self.notes))
        shown = (table(self.table), *told, warned, table(hits), self.contamination.to_html())
        return block("Sets", *shown)


def figures(right: int, n: int) -> str:
    """Return a score in words: how many of how many, the share, Wilson's 95 % interval."""
    low, high = wilson(right, n)
    return f"{right} of {n} right, {right / n:.3f} ({low:.3f} to {high:.3f})"
