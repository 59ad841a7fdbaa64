"""How strict the entropy budget is: measured label noise, not a knob."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EntropyBudget"]

LEAST = 0.02  # share of wrong labels from which the budget is enforced


@dataclass(frozen=True)
class EntropyBudget:
    """The entropy budget of each layer and batch, and who is left out of it.

    ``floor``: effective contributors are at least this share of the active examples. ``phi``: what
    is below this share of the layer's reference norm (a slow upper envelope of the batch medians)
    is never cut. ``left_out``: share of the examples that are wrong; those of the highest long-run
    effort are masked. ``enforced``: False only monitors. ``decay``: of the reference, for each
    batch.
    """

    floor: float = 0.9
    phi: float = 0.03
    left_out: float = 0.0
    enforced: bool = True
    decay: float = 0.998

    def __post_init__(self) -> None:
        shares = {"floor": self.floor, "phi": self.phi, "left_out": self.left_out}
        for name, value in shares.items():
            if not 0 <= value < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {value!r}")

    @classmethod
    def from_noise(cls, noise: float | None) -> EntropyBudget:
        """Return the budget for a measured label noise: the share of labels that are wrong.

        Not measured, or below 2 %: it only monitors, since norms alone can't tell hard from wrong.
        Else the floor holds, and nine in ten as many examples as labels are wrong are left out.
        """
        if noise is None or noise < LEAST:
            return cls(enforced=False)
        return cls(left_out=0.9 * noise)
