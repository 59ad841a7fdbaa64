"""How many directions a layer's outputs use, and a loss that keeps them from collapsing."""

from __future__ import annotations

import torch
from torch import Tensor

from scalekit.govern.batch import GovernError
from scalekit.govern.governor import Governor
from scalekit.govern.taps import lay_taps

__all__ = ["RepresentationFloor", "effective_rank", "ranks"]


def effective_rank(states: Tensor) -> Tensor:
    """Return the participation ratio ``tr(K)^2 / |K|_F^2`` of centred outputs [B, ..., d].

    K is the Gram matrix of the examples (or, if smaller, of the features); it is the exponential of
    the Renyi entropy of order 2 of its spectrum, so that no eigenvalues are needed. Positions are
    averaged.
    """
    z = states.reshape(states.shape[0], -1, states.shape[-1]).mean(1).float()
    z = z - z.mean(0, keepdim=True)
    gram = z @ z.t() if z.shape[0] <= z.shape[1] else z.t() @ z
    return gram.diagonal().sum().square() / gram.square().sum().clamp_min(1e-30)


def ranks(governor: Governor) -> list[float | None]:
    """Return the effective rank of each depth group's output in the open batch, or None."""
    batch = governor.open
    if batch is None:
        raise GovernError("effective ranks are measured inside a governed batch")
    with torch.no_grad():
        found = {depth: float(effective_rank(state)) for depth, state in batch.taps.items()}
    return [found.get(depth) for depth in range(len(governor.depths.groups))]


class RepresentationFloor:
    """A loss against collapse: ``weight * sum_l relu(log(share N_l(start)) - log N_l)``.

    N_l is the effective rank of depth group l, its reference the mean over the first *settle*
    batches. Caps on contributions do not stop collapse; this does.
    """

    def __init__(
        self, governor: Governor, *, weight: float = 0.3, share: float = 0.8, settle: int = 5
    ) -> None:
        self._governor, self._weight, self._share, self._settle = governor, weight, share, settle
        self._first: dict[int, list[float]] = {}
        lay_taps(governor)

    def __call__(self) -> Tensor:
        """Return the loss of the open batch, to be added to the one that is trained on."""
        batch = self._governor.open
        if batch is None or not batch.taps:
            raise GovernError("the representation floor needs a governed forward before it")
        total = next(iter(batch.taps.values())).new_zeros(())
        for depth, state in batch.taps.items():
            found = effective_rank(state)
            first = self._first.setdefault(depth, [])
            if len(first) < self._settle:
                first.append(float(found.detach()))
                continue
            wanted = self._share * sum(first) / len(first)
            total = total + torch.relu(torch.log(found.new_tensor(wanted)) - torch.log(found))
        return self._weight * total
