"""Routes of LayerNorm, RMSNorm, GroupNorm: native kernels, and sums for each example."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from scalekit.govern.routes.account import Site, Terms, backward_of_route, by_example
from scalekit.govern.routes.scale import combine_vectors, scaled

__all__ = ["group_norm", "layer_norm", "rms_norm"]


def layer_norm(x: Tensor, module: nn.LayerNorm, site: Site, terms: Terms) -> Tensor:
    """Return the layer norm of *x* over the module's last axes, governed."""
    x = _widened(x)
    shape = list(module.normalized_shape)
    out: Tensor = _LayerNorm.apply(x, module.weight, module.bias, shape, module.eps, *site, terms)
    return out


def rms_norm(x: Tensor, module: nn.RMSNorm, site: Site, terms: Terms) -> Tensor:
    """Return the root-mean-square norm of *x* over the module's last axes, governed."""
    hat = functional.rms_norm(x, list(module.normalized_shape), None, module.eps)
    return scaled(hat, module.weight, site, terms).to(hat.dtype)


def group_norm(x: Tensor, module: nn.GroupNorm, site: Site, terms: Terms) -> Tensor:
    """Return the group norm of *x* [B, C, ...], governed."""
    x = _widened(x)
    weight, bias = module.weight, module.bias
    out: Tensor = _GroupNorm.apply(x, weight, bias, module.num_groups, module.eps, *site, terms)
    return out


def _widened(x: Tensor) -> Tensor:
    """Return *x* in 32 bits where autocast norms in them: on CUDA."""
    return x.float() if x.is_cuda and torch.is_autocast_enabled("cuda") else x


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
    @backward_of_route
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
        gw, gb, account = combine_vectors(each, shift, mask, reference, left, right, ctx.terms)
        gw = gw.view_as(weight).to(weight.dtype)
        gb = gb.view_as(weight).to(weight.dtype) if gb is not None else None
        return gx, gw, gb, None, None, None, account, *[None] * 6


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
    @backward_of_route
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, rstd, mask, reference, left, right = ctx.saved_tensors
        n, channels, space, groups = ctx.sizes
        # With the examples folded into the channels, each has a scale and a shift of its own.
        folded = (1, n * channels, space, n * groups)
        gx, each, shift = torch.ops.aten.native_group_norm_backward(
            gy.contiguous().view(1, n * channels, -1), x.view(1, n * channels, -1),
            mean.view(1, -1), rstd.view(1, -1), weight.repeat(n), *folded, [True, True, True],
        )  # fmt: skip
        each, shift = (
            by_example(v.view(n, 1, channels), mask.shape[0], "GroupNorm").sum(1)
            for v in (each, shift)
        )
        gw, gb, account = combine_vectors(
            each, shift if ctx.biased else None, mask, reference, left, right, ctx.terms
        )
        gb = gb.to(weight.dtype) if gb is not None else None
        return gx.view_as(x), gw.to(weight.dtype), gb, None, None, None, account, *[None] * 6
