"""Depth-conditioned loss: an example is read out at the depth it is routed to, and preserved above.

Masks alone do not localise: a shallow example's loss would be read through deep layers that others
keep changing. So an example whose profile ends at depth h < L has the loss ``CE(read(h_h), y) +
beta KL(stopgrad p(read(h_h)) || p(read(h_L)))``: deeper groups learn to carry the answer on, and
(by the cut at the boundary) send nothing back. An example that reaches the top has the plain loss.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from scalekit.govern.batch import GovernError
from scalekit.govern.governor import Governor
from scalekit.govern.taps import lay_taps

__all__ = ["Readout", "cross_entropy"]


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return each example's cross entropy [B], its mean over positions; logits [B, ..., C]."""
    flat = functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), target.reshape(-1), reduction="none"
    )
    return flat.view(logits.shape[0], -1).mean(1)


class Readout:
    """The depth-conditioned loss of a governed model.

    Parameters
    ----------
    governor
        Of the model. From now on masks above an example's depth are open, for preservation alone.
    read
        From a hidden state at any depth to logits: usually the model's last norm and head.
    loss
        From logits and targets to each example's loss [B].
    beta
        Weight of preservation.
    """

    def __init__(
        self,
        governor: Governor,
        read: Callable[[Tensor], Tensor],
        *,
        loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
        beta: float = 1.0,
    ) -> None:
        self._governor, self._read, self._loss, self._beta = governor, read, loss, beta
        lay_taps(governor)
        governor.preserve = True

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the examples' losses [B] from the model's output *logits* and the targets.

        Raises
        ------
        GovernError
            Outside a governed batch.
        """
        batch = self._governor.open
        if batch is None:
            raise GovernError("a depth-conditioned loss needs an open batch: governor.batch(...)")
        losses = self._loss(logits, target)
        if batch.top is None:
            return losses
        last = self._governor.depths.body[-1]
        for depth in sorted({int(d) for d in batch.top.unique()} - {last}):
            early = self._read(batch.taps[depth])
            kept = functional.kl_div(
                functional.log_softmax(logits, -1),
                functional.softmax(early.detach(), -1),
                reduction="none",
            )
            kept = kept.sum(-1).reshape(len(losses), -1).mean(1)
            here = batch.top == depth
            losses = torch.where(here, self._loss(early, target) + self._beta * kept, losses)
        return losses
