"""How strict the entropy budget is: measured label noise, not a knob."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EntropyBudget"]


@dataclass(frozen=True)
class EntropyBudget:
    """The entropy budget of each layer and batch.

    ``floor``: effective contributors are at least this share of the active examples; ``phi``: what is
    below this share of the layer's reference norm is never cut; ``enforced``: False only monitors;
    ``decay``: of the reference, for each batch.
    """

    floor: float = 0.9
    phi: float = 0.03
    enforced: bool = True
    decay: float = 0.998

    @classmethod
    def from_noise(cls, noise: float | None) -> EntropyBudget:
        """Return the budget for a measured label noise: the share of labels that are wrong.

        Not measured, or none: it only monitors.
        """
        if not noise:
            return cls(enforced=False)
        return cls()
