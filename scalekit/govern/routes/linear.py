"""Route of nn.Linear and of Hugging Face's Conv1D (a Linear with its weight transposed)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from scalekit.govern.projection import columns_of, project, row_of_bias
from scalekit.govern.routes.account import (
    KEPT_BYTES,
    Site,
    Terms,
    backward_of_route,
    by_example,
    settle,
    squares,
)
from scalekit.govern.routes.products import product, product_over_rows

__all__ = ["linear"]

# Gram matrices are less work than the examples' own gradients up to this share of the latter's;
# gradients that are kept need no second product and are made sooner.
GRAM_SHARE, GRAM_SHARE_KEPT = 1.5, 0.65
STRIP = 32  # rows of a Gram matrix made at a time, at least: fewer are slower than they save


def linear(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    site: Site,
    terms: Terms,
    *,
    transposed: bool = False,
) -> Tensor:
    """Return ``x @ weight.T + bias`` (``x @ weight + bias`` when *transposed*), governed."""
    device = x.device.type
    if torch.is_autocast_enabled(device):
        kind = torch.get_autocast_dtype(device)
        x, weight = x.to(kind), weight.to(kind)
        bias = bias.to(kind) if bias is not None else None
    out: Tensor = _Linear.apply(x, weight, bias, *site, terms, transposed)
    return out


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, mask: Tensor, probe: Tensor |
        None, reference: Tensor | None, left: Tensor | None, right: Tensor | None, rows: Tensor |
        None, reach: Tensor | None, terms: Terms, transposed: bool,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(x, weight, mask, reference, left, right, rows, reach)
        ctx.terms, ctx.transposed, ctx.biased = terms, transposed, bias is not None
        return functional.linear(x, weight.t() if transposed else weight, bias)

    @staticmethod
    @backward_of_route
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mask, reference, left, right, rows, reach = ctx.saved_tensors
        gx = gw = gb = account = None
        examples = mask.shape[0]
        back = weight.t() if ctx.transposed else weight
        wanted = ctx.needs_input_grad[1] or ctx.needs_input_grad[2]
        if x.dim() > 1 and x.shape[0] == examples and x.numel() == examples * x.shape[-1]:
            if wanted:  # first: what is small is slow after a large product
                a, g = (v if v.dim() == 2 else v.reshape(examples, -1) for v in (x, gy))
                gw, gb, account = _parameters_of_single_steps(
                    a, g, mask, reference, left, right, ctx.terms, ctx.biased
                )
                gw = gw.t() if ctx.transposed else gw
            gx = product(gy, back) if ctx.needs_input_grad[0] else None
            return gx, gw, gb, None, account, *[None] * 7
        a, g = by_example(x, examples, "Linear"), by_example(gy, examples, "Linear")
        kept = g if reach is None else g.index_select(0, reach)  # of the examples that are needed
        if ctx.needs_input_grad[0]:
            gx = product(kept, back)
            if kept is not g:
                gx = gx.new_zeros(*g.shape[:2], gx.shape[2]).index_copy_(0, reach, gx)
            gx = gx.view(x.shape)
        if wanted:
            if rows is not None:
                same = reach is not None and reach.data_ptr() == rows.data_ptr()
                g = kept if same else g.index_select(0, rows)
                a, mask = a.index_select(0, rows), mask.index_select(0, rows)
            gw, gb, account = _parameters(a, g, mask, reference, left, right, ctx.terms, ctx.biased)
            gw = gw.t() if ctx.transposed else gw
        return gx, gw, gb, None, account, *[None] * 7


def _parameters(
    a: Tensor, g: Tensor, mask: Tensor, reference: Tensor | None, left: Tensor | None,
    right: Tensor | None, terms: Terms, biased: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:  # fmt: skip
    """Return the gradients of weight and bias, and the account; *a* [B, T, d], *g* [B, T, p]."""
    square = each = sketch = None
    shift = g.sum(1) if biased else None
    if terms.account:
        square, each = _squared_norms(a, g, shift)
        if left is not None and right is not None:
            outputs, inputs = _projected(a, g, left, right, terms.sketch, biased)
            sketch = torch.bmm(outputs.transpose(1, 2), inputs).flatten(1).to(left.dtype)
    c, account = settle(square, sketch, mask, reference, terms)
    c = c.to(g.dtype)
    gb = c @ shift if shift is not None else None
    if each is not None:
        return (c @ each.flatten(1)).view(each.shape[1:]), gb, account
    c = c[:, None, None]
    # The mask goes on the smaller factor.
    a, g = (a * c, g) if a.shape[2] <= g.shape[2] else (a, g * c)
    return product_over_rows(g.reshape(-1, g.shape[-1]), a.reshape(-1, a.shape[-1])), gb, account


def _parameters_of_single_steps(
    a: Tensor, g: Tensor, mask: Tensor, reference: Tensor | None, left: Tensor | None,
    right: Tensor | None, terms: Terms, biased: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:  # fmt: skip
    """Return the same where each example is one row, *a* [B, d], *g* [B, p]."""
    square = sketch = None
    if terms.account:
        square = squares(a)
        square = (square + 1 if biased else square) * squares(g)
        if left is not None and right is not None:
            outputs, inputs = _projected(a, g, left, right, terms.sketch, biased)
            sketch = (outputs.unsqueeze(2) * inputs.unsqueeze(1)).flatten(1).to(left.dtype)
    c, account = settle(square, sketch, mask, reference, terms)
    c = c.to(g.dtype)
    gb = c @ g if biased else None
    c = c.unsqueeze(1)
    a, g = (a * c, g) if a.shape[1] <= g.shape[1] else (a, g * c)
    return product_over_rows(g, a), gb, account


def _squared_norms(a: Tensor, g: Tensor, shift: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Return the squared norm [B] of each example's gradient, and the gradients if they were kept.

    ``|g_i|^2 = sum_st (a_s.a_t)(g_s.g_t) + |sum_t g_t|^2``, the second term for the bias (the ghost
    norm of Li et al. 2021, arXiv:2110.05679), or the gradients themselves where that is less work.
    """
    examples, steps, d, p = *a.shape, g.shape[2]
    each = None
    size = examples * d * p * a.element_size()
    share = GRAM_SHARE_KEPT if size <= KEPT_BYTES else GRAM_SHARE
    if steps * (d + p) < share * d * p:
        square = _gram_product(a, g)
    else:
        part = examples if size <= KEPT_BYTES else max(1, KEPT_BYTES * examples // size)
        found = []
        for x, y in zip(a.split(part), g.split(part), strict=True):
            each = torch.bmm(y.transpose(1, 2), x)
            found.append(squares(each.flatten(1)))
        square, each = torch.cat(found), each if part == examples else None
    return square if shift is None else square + squares(shift), each


def _gram_product(a: Tensor, g: Tensor) -> Tensor:
    """Return ``sum_st (a_s.a_t)(g_s.g_t)`` [B]; by symmetry, each position with those before it."""
    steps, wide = a.shape[1], torch.promote_types(a.dtype, torch.float32)
    strip = max(STRIP, -(-steps // 4))
    total = a.new_zeros(a.shape[0], dtype=wide)
    for start in range(0, steps, strip):
        here, known = slice(start, start + strip), slice(0, start + strip)
        inputs = torch.bmm(a[:, here], a[:, known].transpose(1, 2)).to(wide)
        pairs = inputs * torch.bmm(g[:, here], g[:, known].transpose(1, 2)).to(wide)
        pairs[:, :, :start] *= 2
        total += pairs.sum((1, 2))
    return total


def _projected(
    a: Tensor, g: Tensor, left: Tensor, right: Tensor, k: int, biased: bool
) -> tuple[Tensor, Tensor]:
    """Return ``g left`` and ``[a, 1] right``, whose outer products are the sketch."""
    to_left, to_right = columns_of(left, right, k)
    inputs = project(a, right, to_right)
    if biased:
        inputs += row_of_bias(right, a.shape[-1])
    return project(g, left, to_left), inputs
