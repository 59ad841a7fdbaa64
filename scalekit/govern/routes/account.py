"""What every route shares: each example's coefficient, and the account it leaves.

A route is an ``autograd.Function`` for one kind of leaf. Its backward gives the unmasked gradient
of the input, and as gradient of the parameters ``sum_i c_i g_i`` with a coefficient for each
example. What is to be recorded leaves as the *gradient* of a probe, a tensor of zeros that takes
part in the forward: no side effect, so compilation, checkpointing and accumulation see plain
autograd.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from scalekit.govern.budget import allowed, allowed_at_hand

__all__ = [
    "APPLIED",
    "KEPT_BYTES",
    "RAW",
    "SKETCH",
    "RouteError",
    "Site",
    "Terms",
    "backward_of_route",
    "by_example",
    "settle",
    "squares",
]

# Columns of a probe. All three add up over several uses of a leaf within one batch: norms to an
# upper bound (triangle inequality), sketches exactly.
RAW, APPLIED, SKETCH = 0, 1, 2
# The examples' own gradients are kept up to this size; above it they are made a few at a time.
KEPT_BYTES = 1 << 28
BLOCK = 4096  # numbers whose squares are added one after the other


class RouteError(RuntimeError):
    """A leaf can't be governed as asked; the message says which, why, and what to do."""


class Terms(NamedTuple):
    """What a route does beside masking; constants of a run, so that compilation sees one graph.

    ``account``: norms leave through the probe; ``sketch``: with that many numbers of a random
    projection (0: none); ``floor``: of the entropy budget (0: nothing is cut).
    """

    account: bool = False
    sketch: int = 0
    floor: float = 0.0


class Site(NamedTuple):
    """What one leaf needs to know of the batch.

    ``mask`` [B]; ``probe`` [B, 2 + sketch] or None; ``reference`` a scalar or [B], below which the
    budget does not cut; ``left``, ``right`` projections of output and input side; ``rows`` the
    examples with a mask above 0 and ``reach`` those that a leaf at this depth or before it still
    needs (None: all).
    """

    mask: Tensor
    probe: Tensor | None
    reference: Tensor | None
    left: Tensor | None
    right: Tensor | None
    rows: Tensor | None
    reach: Tensor | None


Backward = Callable[..., tuple[Tensor | None, ...]]


def backward_of_route(backward: Backward) -> Backward:
    """Make *backward* the once differentiable backward of a route's function, without autocast.

    An eager backward runs outside autocast, a compiled one is traced as if inside.
    """

    @once_differentiable
    @wraps(backward)
    def plain(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        if not torch.is_autocast_enabled(gy.device.type):
            return backward(ctx, gy)
        with torch.autocast(gy.device.type, enabled=False):
            return backward(ctx, gy)

    return plain  # type: ignore[no-any-return]


def by_example(value: Tensor, examples: int, what: str) -> Tensor:
    """Return *value* [rows, ..., width] as [B, rows/B * ..., width].

    Raises
    ------
    RouteError
        When the leading axis is not the examples, or a multiple of them: that is never guessed.
    """
    if value.dim() == 3 and value.shape[0] == examples:
        return value
    if value.dim() < 2 or value.shape[0] % examples:
        raise RouteError(
            f"{what}: got {tuple(value.shape)} for a batch of {examples} examples; the first axis "
            "must hold the examples (batch_first=True), or their rows one example after the other"
        )
    return value.reshape(examples, -1, value.shape[-1])


def squares(values: Tensor) -> Tensor:
    """Return the sum of squares [B] of each row of *values* [B, n], in 32 bits at least."""
    wide = torch.promote_types(values.dtype, torch.float32)
    # A norm reads its rows once; a product of them with themselves takes three times as long. It
    # adds one number after the other, so that long rows would lose digits.
    if values.shape[1] <= BLOCK:
        return torch.linalg.vector_norm(values, dim=1, dtype=wide).square()
    whole = values.shape[1] - values.shape[1] % BLOCK
    blocks = values[:, :whole].unflatten(1, (-1, BLOCK))
    found = torch.linalg.vector_norm(blocks, dim=2, dtype=wide).square().sum(1)
    return found + squares(values[:, whole:])


def settle(
    square: Tensor | None, sketch: Tensor | None, mask: Tensor, reference: Tensor | None,
    terms: Terms,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """Return the coefficient [B] of each example, and the gradient of the probe [B, 2 + k].

    *square* [B] are squared norms of the examples' gradients, None where nothing is accounted for;
    *sketch* [B, k] their sketches. The coefficient is the mask, cut further where the entropy
    budget asks for it; the probe gets raw norm, applied norm and applied sketch.
    """
    if square is None:
        return mask, None
    if square.is_cpu and not torch.compiler.is_compiling():
        return _settle_at_hand(square, sketch, mask, reference, terms.floor)
    norm = square.clamp_min(0).sqrt()
    c = mask
    if terms.floor and reference is not None:
        c = mask * allowed(mask * norm, terms.floor, reference)
    norms = torch.stack([norm, c * norm], 1)
    return c, norms if sketch is None else torch.cat([norms, c.unsqueeze(1) * sketch], 1)


def _settle_at_hand(
    square: Tensor, sketch: Tensor | None, mask: Tensor, reference: Tensor | None, floor: float
) -> tuple[Tensor, Tensor]:
    """Return :func:`settle`'s, by NumPy: a batch's few numbers cost less than calls of torch."""
    norm, m = np.sqrt(np.maximum(square.numpy(), 0)), mask.numpy()
    c = m
    if floor and reference is not None:
        c = m * allowed_at_hand(m * norm, floor, reference.numpy())
    out = np.empty((len(norm), SKETCH + (sketch.shape[1] if sketch is not None else 0)), norm.dtype)
    out[:, RAW] = norm
    np.multiply(c, norm, out=out[:, APPLIED])
    if sketch is not None:
        np.multiply(c[:, None], sketch.numpy(), out=out[:, SKETCH:])
    return torch.from_numpy(c), torch.from_numpy(out)
