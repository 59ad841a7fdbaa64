"""Route of leaves that only scale: an output is a vector of parameters times what comes without it.

So are nn.RMSNorm and the RMS norms that Hugging Face's models bring along (Llama, Mistral, Qwen,
T5). They are known by what they compute, not by their names: Gemma's has one weight less.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from scalekit.govern.routes.account import (
    Site,
    Terms,
    backward_of_route,
    by_example,
    settle,
    squares,
)

__all__ = ["combine_vectors", "is_scale", "scale", "scaled"]


def is_scale(module: nn.Module) -> bool:
    """Whether *module*, tried on random numbers, returns its one vector times something else.

    What that is must be made of each example alone.
    """
    own = list(module.named_parameters())
    if len(own) != 1 or own[0][1].dim() != 1 or [*module.children(), *module.buffers()]:
        return False
    name, weight = own[0]
    draw = torch.Generator().manual_seed(0)
    like: dict[str, Any] = {"device": weight.device, "dtype": weight.dtype}
    x = torch.randn(2, 3, len(weight), generator=draw).to(**like)
    drawn = torch.rand(len(weight), generator=draw).to(**like) + 1
    close = partial(torch.allclose, rtol=4 * torch.finfo(weight.dtype).eps)
    devices = [weight.device] if weight.is_cuda else []
    call = torch.func.functional_call
    try:
        with torch.no_grad(), torch.random.fork_rng(devices):
            hat = call(module, {name: torch.ones(len(weight), **like)}, x)
            alone = call(module, {name: torch.ones(len(weight), **like)}, x[:1])
            found = call(module, {name: drawn}, x)
            return bool(
                found.shape == x.shape and close(found, drawn * hat) and close(alone, hat[:1])
            )
    except Exception:  # whatever a foreign module says of numbers that it does not expect
        return False


def scale(
    module: nn.Module, plain: Callable[..., Tensor], site: Site, terms: Terms, *args: Any,
    **kwargs: Any,
) -> Tensor:  # fmt: skip
    """Return ``plain(*args)``, governed; *module* as :func:`is_scale` says."""
    ((name, weight),) = module.named_parameters()
    module.__dict__[name] = torch.ones_like(weight, requires_grad=False)
    try:
        hat = plain(*args, **kwargs)
    finally:
        del module.__dict__[name]
    return scaled(hat, weight, site, terms)


def scaled(hat: Tensor, weight: Tensor, site: Site, terms: Terms) -> Tensor:
    """Return ``hat * weight`` over the last axes, governed."""
    out: Tensor = _Scale.apply(hat, weight, *site, terms)
    return out


class _Scale(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hat: Tensor, weight: Tensor, mask: Tensor, probe: Tensor | None,
        reference: Tensor | None, left: Tensor | None, right: Tensor | None, rows: Tensor | None,
        reach: Tensor | None, terms: Terms,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(hat, weight, mask, reference, left, right)
        ctx.terms = terms
        return hat * weight

    @staticmethod
    @backward_of_route
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        hat, weight, mask, reference, left, right = ctx.saved_tensors
        gx = (gy * weight).to(hat.dtype) if ctx.needs_input_grad[0] else None
        product = (gy * hat).reshape(gy.shape[0], -1, weight.numel())
        each = by_example(product, mask.shape[0], "a norm or scale").sum(1)
        gw, _, account = combine_vectors(each, None, mask, reference, left, right, ctx.terms)
        return gx, gw.view_as(weight).to(weight.dtype), None, account, *[None] * 6


def combine_vectors(
    gw: Tensor, gb: Tensor | None, mask: Tensor, reference: Tensor | None, left: Tensor | None,
    right: Tensor | None, terms: Terms,
) -> tuple[Tensor, Tensor | None, Tensor | None]:  # fmt: skip
    """Combine the examples' own gradients [B, d]: gradients of weight and bias, and the account."""
    square = sketch = None
    if terms.account:
        square = squares(gw) if gb is None else squares(gw) + squares(gb)
        if terms.sketch:
            assert left is not None
            assert right is not None
            sketch = gw.to(left.dtype) @ left
            if gb is not None:
                sketch = sketch + gb.to(left.dtype) @ right
    c, account = settle(square, sketch, mask, reference, terms)
    c = c.to(gw.dtype)
    return c @ gw, c @ gb if gb is not None else None, account
