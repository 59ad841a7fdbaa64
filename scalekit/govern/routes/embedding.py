"""Route of nn.Embedding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from scalekit.govern.projection import columns_of, project
from scalekit.govern.routes.account import (
    RouteError,
    Site,
    Terms,
    backward_of_route,
    settle,
    squares,
)

__all__ = ["embedding"]

# Longer sequences sum equal tokens by sorting: the Gram matrix grows with the square of the length.
GRAM_STEPS = 256


def embedding(ids: Tensor, module: nn.Embedding, site: Site, terms: Terms) -> Tensor:
    """Return the rows of the table, governed; ids [B, ...] or, shared by all examples, [1, ...].

    Raises
    ------
    RouteError
        When the first axis of *ids* is not the examples.
    """
    examples = site.mask.shape[0]
    if ids.shape[0] == 1 and examples > 1:  # shared position ids: one row for each example
        ids = ids.expand(examples, *ids.shape[1:])
    if ids.shape[0] % examples:
        raise RouteError(
            f"Embedding: ids {tuple(ids.shape)} for a batch of {examples} examples; the first axis "
            "must hold the examples. Shared ids go in as [1, length]"
        )
    out: Tensor = _Embedding.apply(ids, module.weight, module.padding_idx, *site, terms)
    return out


class _Embedding(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, ids: Tensor, weight: Tensor, padding: int | None, mask: Tensor,
        probe: Tensor | None, reference: Tensor | None, left: Tensor | None, right: Tensor | None,
        rows: Tensor | None, reach: Tensor | None, terms: Terms,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(ids, mask, reference, left, right)
        ctx.terms, ctx.padding, ctx.shape, ctx.kind = terms, padding, weight.shape, weight.dtype
        return functional.embedding(ids, weight)

    @staticmethod
    @backward_of_route
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        ids, mask, reference, left, right = ctx.saved_tensors
        examples, width = mask.shape[0], gy.shape[-1]
        g, tokens = gy.reshape(examples, -1, width), ids.reshape(examples, -1)
        if ctx.padding is not None:
            g = g.masked_fill((tokens == ctx.padding).unsqueeze(-1), 0)
        square = _squared_norms(g, tokens) if ctx.terms.account else None
        sketch = None
        if ctx.terms.account and ctx.terms.sketch:
            outputs = project(g, left, columns_of(left, right, ctx.terms.sketch)[0])
            pairs = torch.bmm(outputs.transpose(1, 2), right.to(g.dtype)[tokens])
            sketch = pairs.flatten(1).to(left.dtype)
        c, account = settle(square, sketch, mask, reference, ctx.terms)
        g = (g * c.to(g.dtype)[:, None, None]).reshape(-1, width)
        gw = g.new_zeros(ctx.shape).index_add(0, tokens.reshape(-1), g)
        return None, gw.to(ctx.kind), None, None, account, *[None] * 6


def _squared_norms(g: Tensor, tokens: Tensor) -> Tensor:
    """Return the squared norm [B] of each example's gradient; *g* [B, T, d], *tokens* [B, T].

    Positions with the same token share a row of the table, so their gradients add before squaring.
    """
    g = g.to(torch.promote_types(g.dtype, torch.float32))
    examples, steps, width = g.shape
    if steps <= GRAM_STEPS or torch.compiler.is_compiling():
        same = tokens.unsqueeze(1) == tokens.unsqueeze(2)
        return (torch.bmm(g, g.transpose(1, 2)) * same).sum((1, 2))
    owner = torch.arange(examples, device=tokens.device).unsqueeze(1).expand_as(tokens)
    keys = (owner * (tokens.max() + 1) + tokens).reshape(-1)
    found, place = torch.unique(keys, return_inverse=True)
    total = g.new_zeros(len(found), width).index_add_(0, place, g.reshape(-1, width))
    square = squares(total)
    example = torch.div(found, tokens.max() + 1, rounding_mode="floor")
    return square.new_zeros(examples).index_add_(0, example, square)
