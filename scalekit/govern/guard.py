"""The guard at the optimizer: no step on gradients that the batches' accounts do not explain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed

from scalekit.govern.budget import effective_contributors
from scalekit.govern.governor import GovernError, Governor, Harvest
from scalekit.govern.routes import APPLIED, RAW, SKETCH

__all__ = ["Guard", "Update"]

# Relative size of a gradient that no example accounts for, above which a step is refused. Honest
# steps show 1e-6 in float32; in 16-bit arithmetic the sketches themselves carry its rounding.
TOLERANCE = {torch.float64: 1e-8, torch.float32: 5e-4, torch.bfloat16: 5e-2, torch.float16: 2e-2}


@dataclass(frozen=True)
class Update:
    """What one optimizer step did, by depth group [L].

    ``residual``: share of the gradient that no example accounts for; ``factor``: the one factor
    common to all leaves (clipping, loss scale, averaging); ``effective``: effective contributors as
    a share of the active examples; ``ceiling``: highest applied norm; ``capped``: examples cut;
    ``fingerprint`` [L, k] of the weights after it; ``drift``: relative change of the fingerprint
    since the step before.
    """

    rate: float
    factor: float
    residual: Tensor
    effective: Tensor
    ceiling: Tensor
    capped: Tensor
    active: Tensor
    fingerprint: Tensor
    drift: float
    harvests: tuple[Harvest, ...]


class Guard:
    """Stands before and after ``optimizer.step()``; refuses a step that is not accounted for.

    Parameters
    ----------
    governor
        Of the model; needs a sketch.
    optimizer
        Any ``torch.optim.Optimizer``.
    updated
        Called with the :class:`Update` after each step.
    tolerance
        Relative residual above which a step is refused; by default for the arithmetic in use.
    attach
        Hook into ``optimizer.step``; off, :meth:`check` and :meth:`record` are called by hand
        (where the backward runs inside the step, in a closure).
    """

    def __init__(
        self,
        governor: Governor,
        optimizer: torch.optim.Optimizer,
        updated: Callable[[Update], None] | None = None,
        *,
        tolerance: float | None = None,
        attach: bool = True,
    ) -> None:
        if not governor.k:
            raise GovernError("a guard needs sketches: govern(model, sketch=64)")
        self.governor, self.optimizer = governor, optimizer
        self._updated = updated
        self._tolerance = tolerance or TOLERANCE[governor.kind]
        self._print: Tensor | None = None
        self._pending: tuple[float, Tensor, float] | None = None
        owned = {id(p) for group in optimizer.param_groups for p in group["params"]}
        self._names = {id(p): name for name, p in governor.model.named_parameters()}
        stray = owned - set(self._names)
        if stray:
            raise GovernError(
                f"the optimizer holds {len(stray)} parameters that are not the governed model's; "
                "give them an optimizer of their own"
            )
        self._handles: list[Any] = []
        if attach:
            self._handles = [
                optimizer.register_step_pre_hook(self.check),
                optimizer.register_step_post_hook(self.record),
            ]

    @property
    def checked(self) -> bool:
        """Whether a step was checked that is not recorded yet."""
        return self._pending is not None

    def remove(self) -> None:
        """Take the guard off the optimizer."""
        for handle in self._handles:
            handle.remove()

    def forget(self) -> None:
        """Take the weights as they are now for known: after going back to a checkpoint."""
        self._print = None

    def check(self, *_: Any) -> None:
        """Compare gradients with the batches' accounts, before the step.

        Raises
        ------
        GovernError
            When a batch is open, none was left since the last step, or a gradient is not accounted
            for.
        """
        governor = self.governor
        if governor.open is not None:
            raise GovernError("step refused: the batch is still open; leave it before the step")
        if not governor.harvests:
            raise GovernError(
                "step refused: no governed batch since the last step. Run forward and backward "
                "inside governor.batch(...)"
            )
        factor, residual = self._conservation()
        fingerprint = governor.fingerprint()
        drift = 0.0
        if self._print is not None:
            moved = torch.linalg.vector_norm(fingerprint - self._print)
            drift = float(moved / torch.linalg.vector_norm(self._print).clamp_min(1e-30))
        if governor.freeze_masked:
            self._freeze()
        self._pending = (factor, residual, drift)

    def _conservation(self) -> tuple[float, Tensor]:
        """Compare the sketch of each leaf's gradient with the sum of the examples' sketches.

        Raises
        ------
        GovernError
            When a leaf's gradient holds what no example put there.
        """
        governor = self.governor
        wanted, size = self._accounted()
        found = self._gradients()
        if not bool(torch.isfinite(found).all()):
            # A loss scaler skips such a step itself; without one the weights would be lost.
            raise GovernError("step refused: the gradient is not finite; lower the learning rate")
        total = (wanted * wanted).sum()
        factor = float((found * wanted).sum() / total) if float(total) > 0 else 1.0
        off = torch.linalg.vector_norm(found - factor * wanted, dim=1)
        scale = torch.linalg.vector_norm(found, dim=1)
        rounding = 64 * torch.finfo(governor.kind).eps * abs(factor) * size
        residual = (off - rounding).clamp_min(0) / scale.clamp_min(torch.finfo(scale.dtype).tiny)
        residual = torch.where(off <= rounding, torch.zeros_like(residual), residual)
        worst = int(residual.argmax())
        if float(residual[worst]) > self._tolerance or factor < 0:
            leaf = governor.leaves[worst]
            raise GovernError(
                f"step refused: {float(residual[worst]):.1e} of the gradient of {leaf.name} is not "
                f"accounted for by the batch's examples (allowed {self._tolerance:.0e}). Either a "
                "backward ran outside governor.batch(...), zero_grad() was left out, or gradients "
                "were changed in another way than by one common factor"
            )
        return factor, residual

    def _gradients(self) -> Tensor:
        """Return the sketches of the leaves' gradients [K, k]; a tied weight counts once."""
        rows = []
        for leaf in self.governor.leaves:
            grads = leaf.tensors("grad")
            if leaf.tied is None:
                rows.append(leaf.sketch(grads))
            else:
                rows[leaf.tied] = rows[leaf.tied] + leaf.turned(leaf.sketch([None, *grads[1:]]))
                rows.append(torch.zeros_like(rows[-1]))
        return torch.stack(rows)

    def _accounted(self) -> tuple[Tensor, Tensor]:
        """Return the sum of applied sketches [K, k] and of their norms [K], over all processes."""
        parts = [h.leaves[:, :, SKETCH:] for h in self.governor.harvests]
        wanted = torch.stack([p.sum(1) for p in parts]).sum(0)
        size = torch.stack([torch.linalg.vector_norm(p, dim=2).sum(1) for p in parts]).sum(0)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(wanted)
            distributed.all_reduce(size)
        for leaf in self.governor.leaves:
            if leaf.tied is not None:
                wanted[leaf.tied] += leaf.turned(wanted[leaf.index])
                size[leaf.tied] += size[leaf.index]
                wanted[leaf.index] = 0
        return wanted, size

    def _freeze(self) -> None:
        """Leave out of the step what every example of the update masks: no momentum, no decay."""
        governor = self.governor
        active = torch.stack([(h.mask != 0).any(0) for h in governor.harvests]).any(0)
        for leaf in governor.leaves:
            if not bool(active[leaf.depth]):
                owned = dict(leaf.module.named_parameters())
                for name in leaf.parameters:
                    owned[name].grad = None

    def record(self, *_: Any) -> None:
        """Take the accounts of the batches and hand them on, after the step."""
        governor = self.governor
        assert self._pending is not None
        (factor, residual, drift), self._pending = self._pending, None
        self._print = governor.fingerprint()
        harvests, governor.harvests = tuple(governor.harvests), []
        if self._updated is None:
            return
        leaves = torch.cat([h.leaves for h in harvests], 1)
        mask = torch.cat([h.mask for h in harvests])
        by_depth = self._by_depth(leaves, mask, residual)
        rate = float(self.optimizer.param_groups[0]["lr"])
        self._updated(Update(rate, factor, *by_depth, self._print, drift, harvests))

    def _by_depth(
        self, leaves: Tensor, mask: Tensor, residual: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return residual, effective contributors, ceiling, capped and active for each depth."""
        governor = self.governor
        count, index = len(governor.depths.groups), governor.depth_index
        applied, raw = leaves[:, :, APPLIED], leaves[:, :, RAW]
        worst = residual.new_zeros(count).scatter_reduce_(0, index, residual, "amax")
        active = (mask != 0).sum(0).to(raw.dtype)
        share = effective_contributors(applied) / active[index].clamp_min(1)
        effective = share.new_ones(count).scatter_reduce_(0, index, share, "amin")
        highest = applied.amax(1)
        ceiling = highest.new_zeros(count).scatter_reduce_(0, index, highest, "amax")
        masked = mask.t()[index] * raw
        cut = (applied < masked * (1 - 1e-4)).to(raw.dtype)
        capped = cut.new_zeros(count, cut.shape[1]).index_add_(0, index, cut).gt(0).sum(1)
        return worst, effective, ceiling, capped, active
