"""What one update of a governed run shows of itself, and a run's updates as table and plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from scalekit.figures import figure

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["StepReport", "loss_plot", "updates_table"]


@dataclass(frozen=True)
class StepReport:
    """One update, by example and depth group.

    ``loss``: mean of the batch; ``losses``: mean over the examples whose profile ends at each depth
    (None: none in the batch); ``items``: ids; ``applied``: examples x depths, applied norms;
    ``effective``: effective contributors as a share of the active examples, 0 to 1; ``capped``:
    share of the active examples that the budget cut; ``rank``: effective rank of each depth's
    output.
    """

    update: int
    loss: float
    losses: tuple[float | None, ...]
    items: tuple[str, ...]
    applied: tuple[tuple[float, ...], ...]
    effective: tuple[float, ...]
    capped: tuple[float, ...]
    rank: tuple[float | None, ...]
    seconds: float


def updates_table(reports: Sequence[StepReport]) -> pl.DataFrame:
    """Return ``update, loss, effective, seconds``: a row for each report."""
    rows = [
        {"update": r.update, "loss": r.loss, "effective": min(r.effective), "seconds": r.seconds}
        for r in reports
    ]
    return pl.DataFrame(rows)


def loss_plot(reports: Sequence[StepReport], depths: Sequence[str]) -> go.Figure:
    """Return the loss by update, and by the depth that the examples are routed to."""
    import plotly.graph_objects as go

    drawn = figure("Training loss by depth", x="update", y="mean loss of the batch")
    lines: dict[str, list[float | None]] = {"all": [r.loss for r in reports]}
    for depth, name in enumerate(depths):
        own = [r.losses[depth] for r in reports]
        if any(v is not None for v in own):
            lines[f"to {name}"] = own
    for name, values in lines.items():
        points = [(r.update, v) for r, v in zip(reports, values, strict=True) if v is not None]
        smooth = _smooth([v for _, v in points])
        drawn.add_trace(go.Scatter(x=[u for u, _ in points], y=smooth, mode="lines", name=name))
    return drawn


def _smooth(values: Sequence[float], weight: float = 0.8) -> list[float]:
    """Return the exponential mean, rounded: what a plot needs."""
    out: list[float] = []
    for value in values:
        out.append(round(value if not out else weight * out[-1] + (1 - weight) * value, 4))
    return out
