"""What one update of a governed run shows of itself."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StepReport"]


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
