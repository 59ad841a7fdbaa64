"""Routes of LayerNorm, RMSNorm, GroupNorm: native kernels for the input, sums for the rest."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from scalekit.govern.routes.account import Site, Terms, by_example, settle, squares

__all__ = ["group_norm", "layer_norm", "rms_norm"]


def layer_norm(x: Tensor, module: nn.LayerNorm, site: Site, terms: Terms) -> Tensor:
    """Return the layer norm of *x* over the module's last axes, governed."""
    if x.is_cuda and torch.is_autocast_enabled("cuda"):
        x = x.float()  # as autocast does for the plain module
    shape = list(module.normalized_shape)
    out: Tensor = _LayerNorm.apply(x, module.weight, module.bias, shape, module.eps, *site, terms)
    return out


def rms_norm(x: Tensor, module: nn.RMSNorm, site: Site, terms: Terms) -> Tensor:
    """Return the root-mean-square norm of *x* over the module's last axes, governed."""
    hat = functional.rms_norm(x, list(module.normalized_shape), None, module.eps)
    out: Tensor = _Scale.apply(hat, module.weight, *site, terms)
    return out


def group_norm(x: Tensor, module: nn.GroupNorm, site: Site, terms: Terms) -> Tensor:
    """Return the group norm of *x* [B, C, ...], governed."""
    weight, bias = module.weight, module.bias
    out: Tensor = _GroupNorm.apply(x, weight, bias, module.num_groups, module.eps, *site, terms)
    return out


def _small(
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


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, shape: list[int], eps: float,
        mask: Tensor, probe: Tensor | None, reference: Tensor | None, left: Tensor | None,
        right: Tensor | None, rows: Tensor | None, reach: Tensor | None, terms: Terms,
    ) -> Tensor:  # fmt: skip
        y, mean, rstd = torch.ops.aten.native_layer_norm(x, shape, weight, bias, eps)
        ctx.save_for_backward(x, weight, bias, mean, rstd, mask, reference, left, right)
        ctx.terms, ctx.shape = terms, shape
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, rstd, mask, reference, left, right = ctx.saved_tensors
        gy = gy.contiguous()
        backward = torch.ops.aten.native_layer_norm_backward
        gx = backward(gy, x, ctx.shape, mean, rstd, weight, bias, [True, False, False])[0]
        width = weight.numel()
        if not ctx.terms.account:
            g = by_example(gy.reshape(gy.shape[0], -1, width), mask.shape[0], "LayerNorm")
            g = (g * mask.to(g.dtype)[:, None, None]).reshape(gy.shape)
            wanted = [False, True, bias is not None]
            _, gw, gb = backward(g, x, ctx.shape, mean, rstd, weight, bias, wanted)
            return gx, gw, gb, *[None] * 10
        # sum_t gy (x - mean) rstd, as products with rows of length T: no normalised copy is made.
        g = by_example(gy.reshape(gy.shape[0], -1, width), mask.shape[0], "LayerNorm")
        scale = rstd.reshape(g.shape[0], 1, -1).to(g.dtype)
        shift = scale * mean.reshape(scale.shape).to(g.dtype)
        each = torch.bmm(scale, g * x.reshape(g.shape)).squeeze(1)
        sums = torch.bmm(torch.cat([shift, torch.ones_like(shift)], 1), g)
        each, shift = each - sums[:, 0], sums[:, 1] if bias is not None else None
        gw, gb, account = _small(each, shift, mask, reference, left, right, ctx.terms)
        gw = gw.view_as(weight).to(weight.dtype)
        gb = gb.view_as(weight).to(weight.dtype) if gb is not None else None
        return gx, gw, gb, None, None, None, account, *[None] * 6


class _Scale(torch.autograd.Function):
    """``hat * weight`` over the last axes."""

    @staticmethod
    def forward(
        ctx: Any, hat: Tensor, weight: Tensor, mask: Tensor, probe: Tensor | None,
        reference: Tensor | None, left: Tensor | None, right: Tensor | None, rows: Tensor | None,
        reach: Tensor | None, terms: Terms,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(hat, weight, mask, reference, left, right)
        ctx.terms = terms
        return (hat * weight).to(hat.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        hat, weight, mask, reference, left, right = ctx.saved_tensors
        gx = gy * weight if ctx.needs_input_grad[0] else None
        product = (gy * hat).reshape(gy.shape[0], -1, weight.numel())
        each = by_example(product, mask.shape[0], "RMSNorm").sum(1)
        gw, _, account = _small(each, None, mask, reference, left, right, ctx.terms)
        return gx, gw.view_as(weight).to(weight.dtype), None, account, *[None] * 6


class _GroupNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int, eps: float,
        mask: Tensor, probe: Tensor | None, reference: Tensor | None, left: Tensor | None,
        right: Tensor | None, rows: Tensor | None, reach: Tensor | None, terms: Terms,
    ) -> Tensor:  # fmt: skip
        x = x.contiguous()
        n, channels = x.shape[:2]
        sizes = (n, channels, x[0, 0].numel(), groups)
        y, mean, rstd = torch.ops.aten.native_group_norm(x, weight, bias, *sizes, eps)
        ctx.save_for_backward(x, weight, mean, rstd, mask, reference, left, right)
        ctx.terms, ctx.sizes, ctx.biased = terms, sizes, bias is not None
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, rstd, mask, reference, left, right = ctx.saved_tensors
        n, channels, _, groups = ctx.sizes
        gy = gy.contiguous()
        backward = torch.ops.aten.native_group_norm_backward
        gx = backward(gy, x, mean, rstd, weight, *ctx.sizes, [True, False, False])[0]
        # Two sums over space give the gradients of scale and shift of each example.
        flat = gy.reshape(n, channels, -1)
        products = torch.linalg.vecdot(flat, x.reshape(n, channels, -1))
        shift = flat.sum(2)
        size = channels // groups
        mean, rstd = mean.repeat_interleave(size, 1), rstd.repeat_interleave(size, 1)
        each = by_example(((products - shift * mean) * rstd), mask.shape[0], "GroupNorm").sum(1)
        shift = by_example(shift, mask.shape[0], "GroupNorm").sum(1)
        gw, gb, account = _small(
            each, shift if ctx.biased else None, mask, reference, left, right, ctx.terms
        )
        gb = gb.to(weight.dtype) if gb is not None else None
        return gx, gw.to(weight.dtype), gb, None, None, None, account, *[None] * 6
