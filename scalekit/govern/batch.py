"""One governed batch: what is open during its forward and backward, and the account it leaves."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from scalekit.govern.routes import Site

__all__ = ["Batch", "GovernError", "Harvest"]


class GovernError(RuntimeError):
    """Training was about to do something that is not governed; the message says what."""


@dataclass(frozen=True)
class Harvest:
    """What one governed batch left: the account of each example in each depth group.

    ``mask``, ``raw``, ``applied`` [B, L] are masks and gradient norms; ``sketch`` [B, L, k] the
    applied sketches; ``leaves`` [K, B, 2 + k] the same by leaf, as it left the probes;
    ``autocast`` the dtype that autocast chose in its forward, None without.
    """

    examples: tuple[str, ...]
    mask: Tensor
    raw: Tensor
    applied: Tensor
    sketch: Tensor | None
    leaves: Tensor
    losses: Tensor | None
    autocast: torch.dtype | None


@dataclass
class Batch:
    """One open batch: masks, probes, and what the routes need."""

    examples: tuple[str, ...]
    mask: Tensor
    sites: list[Site]
    top: Tensor | None
    losses: Tensor | None = None
    taps: dict[int, Tensor] = field(default_factory=dict)
    deepest: int = -1
    autocast: torch.dtype | None = None

    def observe(self, losses: Tensor) -> Tensor:
        """Keep the examples' losses [B] for the record; return them."""
        self.losses = losses.detach()
        return losses
