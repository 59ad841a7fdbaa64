"""nn.MultiheadAttention, drawn as four governed linear maps: query, key, value and output."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from scalekit.govern.routes.account import RouteError, Site, Terms
from scalekit.govern.routes.linear import linear

__all__ = ["PARTS", "attention", "part_parameters"]

PARTS = ("query", "key", "value", "output")


def part_parameters(module: nn.MultiheadAttention) -> list[list[Tensor]]:
    """Return weight and, if there is one, bias of the four parts, as views of the parameters."""
    if module.in_proj_weight is not None:
        weights = list(module.in_proj_weight.chunk(3))
    else:
        weights = [module.q_proj_weight, module.k_proj_weight, module.v_proj_weight]
    found = [[w] for w in [*weights, module.out_proj.weight]]
    if module.in_proj_bias is not None:
        biases = [*module.in_proj_bias.chunk(3), module.out_proj.bias]
        found = [[*own, b] for own, b in zip(found, biases, strict=True)]
    return found


def attention(
    module: nn.MultiheadAttention, sites: Sequence[Site], terms: Terms, query: Tensor, key: Tensor,
    value: Tensor, key_padding_mask: Tensor | None = None, need_weights: bool = True,
    attn_mask: Tensor | None = None, average_attn_weights: bool = True, is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """Return what ``nn.MultiheadAttention.forward`` returns, governed.

    Raises
    ------
    RouteError
        For an unbatched query, ``bias_k``/``bias_v`` or ``add_zero_attn``.
    """
    if query.dim() != 3 or module.bias_k is not None or module.add_zero_attn:
        raise RouteError(
            "MultiheadAttention: only batched input without bias_k, bias_v and add_zero_attn can "
            "be governed"
        )
    if not module.batch_first:
        query, key, value = (t.transpose(0, 1) for t in (query, key, value))
    parts = part_parameters(module)
    q, k, v = (
        linear(x, own[0], own[1] if len(own) > 1 else None, site, terms)
        .unflatten(-1, (module.num_heads, -1))
        .transpose(1, 2)
        for x, own, site in zip((query, key, value), parts[:3], sites[:3], strict=True)
    )
    mask = _merged(attn_mask, key_padding_mask, q.dtype, module.num_heads)
    dropout = module.dropout if module.training else 0.0
    weights = None
    if need_weights:
        scores = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5
        weights = torch.softmax(scores if mask is None else scores + mask, -1)
        mixed = functional.dropout(weights, dropout) @ v
        weights = weights.mean(1) if average_attn_weights else weights
    else:
        causal = is_causal and key_padding_mask is None
        mixed = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=None if causal else mask, dropout_p=dropout, is_causal=causal
        )
    mixed = mixed.transpose(1, 2).flatten(2)
    own = parts[3]
    out = linear(mixed, own[0], own[1] if len(own) > 1 else None, sites[3], terms)
    return (out if module.batch_first else out.transpose(0, 1)), weights


def _merged(
    mask: Tensor | None, padding: Tensor | None, dtype: torch.dtype, count: int
) -> Tensor | None:
    """Return both masks as one additive mask that broadcasts over [B, heads, T, S]."""
    parts = []
    if mask is not None:
        if mask.dim() == 3:
            mask = mask.view(-1, count, *mask.shape[1:])
        parts.append(mask)
    if padding is not None:
        parts.append(padding[:, None, None, :])
    total = None
    for part in parts:
        if part.dtype == torch.bool:
            part = torch.zeros_like(part, dtype=dtype).masked_fill(part, float("-inf"))
        total = part if total is None else total + part
    return total
