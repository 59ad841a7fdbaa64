"""Bradley-Terry: how strongly each of several things is preferred, free of what stood first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalekit.bradley_terry_fit import (
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
from scalekit.display import View, block, counted, note, table
from scalekit.figures import forest_plot
from scalekit.frames import FrameError
from scalekit.judgements import sound_judgements

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["BradleyTerry", "bradley_terry"]


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
        title, x = "Strength in paired comparisons", "log-odds, mean 0"
        drawn = forest_plot(title, self.table, "name", "strength", x=x)
        return drawn.update_traces(error_x_color=None)

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
        When a column is missing or there is no judgement; naming the first unsound row.
    ValueError
        When *draws* is below 1.
    """
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    rows = sound_judgements(judgements)
    if rows.is_empty():
        raise FrameError("judgements: none has an outcome, so nothing can be ranked")
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
