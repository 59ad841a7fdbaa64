"""The guard at the optimizer: no step on gradients that the batches' accounts do not explain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn

from scalekit.govern.batch import GovernError, Harvest
from scalekit.govern.budget import effective_contributors
from scalekit.govern.governor import Governor
from scalekit.govern.routes import APPLIED, RAW, SKETCH

__all__ = ["Guard", "Update"]

Array = np.ndarray[Any, Any]

# Relative size of a gradient that no example accounts for, above which a step is refused. Honest
# steps show up to 5e-6 in float32, 1e-3 where products are made in TF32, and 1e-2 in bfloat16.
TOLERANCE = {torch.float64: 1e-8, torch.float32: 5e-5, torch.bfloat16: 5e-2, torch.float16: 2e-2}
PRODUCTS = {"tf32": 5e-3, "bf16": TOLERANCE[torch.bfloat16]}  # of float32, by fp32_precision


@dataclass(frozen=True)
class Update:
    """What one optimizer step did, by depth group [L].

    ``residual``: share of the gradient that no example accounts for; ``factor``: the one factor
    common to all leaves (clipping, loss scale, averaging); ``effective``: effective contributors as
    a share of the active examples; ``ceiling``: highest applied norm; ``capped``: examples cut;
    ``fingerprint`` [L, k] of the weights after it; ``drift``: largest relative change of a depth's
    fingerprint since the step before.
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
        Relative residual above which a step is refused; by default that of the least precise
        arithmetic in use: of the parameters, of autocast, or of float32 products as they are set.
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
        self._tolerance = tolerance
        self._kinds = {p.dtype for p in governor.model.parameters() if p.requires_grad}
        self._print: Tensor | None = None
        self._pending: tuple[float, Array, float] | None = None
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
            moved = torch.linalg.vector_norm(fingerprint - self._print, dim=1)
            drift = float(
                (moved / torch.linalg.vector_norm(self._print, dim=1).clamp_min(1e-30)).max()
            )
        if governor.freeze_masked:
            self._freeze()
        self._pending = (factor, residual, drift)

    def _conservation(self) -> tuple[float, Array]:
        """Compare the sketch of each leaf's gradient with the sum of the examples' sketches.

        Raises
        ------
        GovernError
            When a leaf's gradient holds what no example put there.
        """
        wanted, size = (v.double().cpu().numpy() for v in self._accounted())
        found = self._gradients().double().cpu().numpy()
        if not np.isfinite(found).all():
            # A loss scaler skips such a step itself; without one the weights would be lost.
            raise GovernError("step refused: the gradient is not finite; lower the learning rate")
        # Sums, no np.vdot: after a product of NumPy's, its threads keep the other cores busy.
        total = float((wanted * wanted).sum())
        factor = float((found * wanted).sum()) / total if total > 0 else 1.0
        off = np.linalg.norm(found - factor * wanted, axis=1)
        scale = np.linalg.norm(found, axis=1).clip(torch.finfo(self.governor.kind).tiny)
        rounding = 64 * torch.finfo(self.governor.kind).eps * abs(factor) * size
        residual = np.where(off <= rounding, 0.0, (off - rounding) / scale)
        worst = int(residual.argmax())
        allowed = self._allowed()
        # What is not a number is not accounted for either.
        if not residual[worst] <= allowed or factor < 0:
            leaf = self.governor.leaves[worst]
            raise GovernError(
                f"step refused: {residual[worst]:.1e} of the gradient of {leaf.name} is not "
                f"accounted for by the batch's examples (allowed {allowed:.0e}). Either a "
                "backward ran outside governor.batch(...), zero_grad() was left out, or gradients "
                "were changed in another way than by one common factor"
            )
        return factor, residual

    def _allowed(self) -> float:
        """Return the tolerance that was given, or that of the arithmetic behind the batches."""
        if self._tolerance is not None:
            return self._tolerance
        cast = {h.autocast for h in self.governor.harvests if h.autocast is not None}
        allowed = max(TOLERANCE[kind] for kind in self._kinds | cast)
        if torch.float32 not in self._kinds:
            return allowed
        return max([allowed, *(PRODUCTS.get(said, 0.0) for said in self._products())])

    def _products(self) -> list[str]:
        """Return the precision that is set for float32 products, and for convolutions if any."""
        leaves = self.governor.leaves
        convolves = any(isinstance(leaf.module, nn.Conv1d | nn.Conv2d) for leaf in leaves)
        backends: Any = torch.backends
        matrices, convolutions = backends.mkldnn.matmul, backends.mkldnn.conv
        if self.governor.device.type == "cuda":
            matrices, convolutions = backends.cuda.matmul, backends.cudnn.conv
        found = [matrices.fp32_precision]
        return [*found, convolutions.fp32_precision] if convolves else found

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
        norms = torch.cat([h.leaves[:, :, :SKETCH] for h in harvests], 1).cpu().numpy()
        mask = torch.cat([h.mask for h in harvests]).cpu().numpy()
        worst, effective, ceiling, capped, active = (
            torch.from_numpy(v) for v in self._by_depth(norms, mask, residual)
        )
        rate = float(self.optimizer.param_groups[0]["lr"])
        self._updated(
            Update(
                rate, factor, worst, effective, ceiling, capped, active, self._print, drift,
                harvests,
            )
        )  # fmt: skip

    def _by_depth(
        self, norms: Array, mask: Array, residual: Array
    ) -> tuple[Array, Array, Array, Array, Array]:
        """Return residual, effective contributors, ceiling, capped and active for each depth."""
        depths = np.array([leaf.depth for leaf in self.governor.leaves])
        within = depths == np.arange(mask.shape[1])[:, None]  # [L, K]
        raw, applied = norms[:, :, RAW], norms[:, :, APPLIED]
        worst = np.where(within, residual, 0).max(1)
        active = np.count_nonzero(mask, axis=0).astype(raw.dtype)
        share = effective_contributors(torch.from_numpy(applied)).numpy() / active[depths].clip(1)
        effective = np.where(within, share, 1).min(1)
        ceiling = np.where(within, applied.max(1), 0).max(1)
        cut = applied < mask.T[depths] * raw * (1 - 1e-4)
        capped = np.array([np.count_nonzero(cut[of].any(0)) for of in within])
        return worst, effective, ceiling, capped, active
