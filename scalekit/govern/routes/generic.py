"""The exact fallback for any leaf that has no route of its own.

The leaf's own local graph is kept: the gradient of the input comes from the output's gradient, that
of the parameters from the masked one. Norms need each example's gradient, from ``torch.func.vmap``
over single examples or, where the leaf can't be mapped (randomness inside), one backward for each
example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from scalekit.govern.routes.account import (
    RouteError,
    Site,
    Terms,
    backward_of_route,
    settle,
    squares,
)

__all__ = ["broadcast", "generic"]

Call = Callable[[Sequence[Any], Sequence[Tensor]], Tensor]


def generic(module: nn.Module, inputs: Sequence[Any], site: Site, terms: Terms) -> Tensor:
    """Return ``module(*inputs)``, governed.

    Raises
    ------
    RouteError
        When an input or the output is not a tensor whose first axis holds the examples.
    """
    examples, kind = site.mask.shape[0], type(module).__name__
    names = [name for name, p in module.named_parameters() if p.requires_grad]

    def call(xs: Sequence[Any], ps: Sequence[Tensor]) -> Tensor:
        own = module.__dict__.pop("forward", None)
        try:
            return torch.func.functional_call(module, dict(zip(names, ps, strict=True)), tuple(xs))
        finally:
            if own is not None:
                module.__dict__["forward"] = own

    for value in inputs:
        if isinstance(value, Tensor) and (value.dim() == 0 or value.shape[0] != examples):
            raise RouteError(
                f"{kind}: got an input {tuple(value.shape)} for a batch of {examples} examples; "
                "without a route of its own a leaf needs the examples on the first axis. Register "
                "one with scalekit.govern.register_route"
            )
    parameters = [p for p in module.parameters() if p.requires_grad]
    out: Tensor = _Generic.apply(call, kind, len(inputs), terms, *site, *inputs, *parameters)
    return out


class _Generic(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, call: Call, kind: str, count: int, terms: Terms, mask: Tensor,
        probe: Tensor | None, reference: Tensor | None, left: Tensor | None, right: Tensor | None,
        rows: Tensor | None, reach: Tensor | None, *values: Any,
    ) -> Tensor:  # fmt: skip
        with torch.enable_grad():
            xs = [
                v.detach().requires_grad_(v.requires_grad) if isinstance(v, Tensor) else v
                for v in values[:count]
            ]
            ps = [v.detach().requires_grad_(True) for v in values[count:]]
            y = call(xs, ps)
        if not isinstance(y, Tensor) or y.shape[0] != mask.shape[0]:
            got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise RouteError(
                f"{kind}: returns {got}; a leaf without a route of its own must return one tensor "
                "with the examples on the first axis. Register one with "
                "scalekit.govern.register_route"
            )
        ctx.call, ctx.terms, ctx.xs, ctx.ps, ctx.y = call, terms, xs, ps, y
        ctx.save_for_backward(mask, reference, left, right)
        return y.detach()

    @staticmethod
    @backward_of_route
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        mask, reference, left, _ = ctx.saved_tensors
        inner = [x for x in ctx.xs if isinstance(x, Tensor) and x.requires_grad]
        retain = {"retain_graph": True, "allow_unused": True}
        back = iter(torch.autograd.grad(ctx.y, inner, gy, **retain) if inner else ())
        gxs = [next(back) if isinstance(x, Tensor) and x.requires_grad else None for x in ctx.xs]
        square = sketch = None
        if ctx.terms.account:
            each = _each(ctx.call, ctx.xs, ctx.ps, ctx.y, gy)
            square = squares(each)
            if ctx.terms.sketch:
                sketch = each.to(left.dtype) @ left
        c, account = settle(square, sketch, mask, reference, ctx.terms)
        weighted = gy * c.to(gy.dtype).view(-1, *[1] * (gy.dim() - 1))
        gps = torch.autograd.grad(ctx.y, ctx.ps, weighted, allow_unused=True)
        return None, None, None, None, None, account, *[None] * 5, *gxs, *gps


def _each(call: Call, xs: Sequence[Any], ps: Sequence[Tensor], y: Tensor, gy: Tensor) -> Tensor:
    """Return the parameters' gradient of each example, [B, parameters]."""
    tensors = [i for i, x in enumerate(xs) if isinstance(x, Tensor)]

    def one(own: tuple[Tensor, ...], g: Tensor) -> tuple[Tensor, ...]:
        def scalar(*params: Tensor) -> Tensor:
            filled = list(xs)
            for i, x in zip(tensors, own, strict=True):
                filled[i] = x.unsqueeze(0)
            return (call(filled, params).squeeze(0) * g).sum()

        found = torch.func.grad(scalar, argnums=tuple(range(len(ps))))(*ps)
        return tuple(found)

    try:
        owned = tuple(xs[i].detach() for i in tensors)
        found = torch.func.vmap(one)(owned, gy)
        return torch.cat([f.reshape(len(gy), -1) for f in found], 1)
    except RuntimeError:  # randomness or control flow inside: one backward for each example
        rows = []
        for i in range(len(gy)):
            alone = torch.zeros_like(gy)
            alone[i] = gy[i]
            own = torch.autograd.grad(y, ps, alone, retain_graph=True, allow_unused=True)
            filled = [torch.zeros_like(p) if g is None else g for g, p in zip(own, ps, strict=True)]
            rows.append(torch.cat([g.reshape(-1) for g in filled]))
        return torch.stack(rows)


def broadcast(parameter: Tensor, site: Site, terms: Terms) -> Tensor:
    """Return a parameter [1, ...] repeated for each example [B, ...], governed."""
    out: Tensor = _Broadcast.apply(parameter, *site, terms)
    return out


class _Broadcast(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, parameter: Tensor, mask: Tensor, probe: Tensor | None, reference: Tensor | None,
        left: Tensor | None, right: Tensor | None, rows: Tensor | None, reach: Tensor | None,
        terms: Terms,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(mask, reference, left)
        ctx.terms, ctx.kind = terms, parameter.dtype
        return parameter.expand(mask.shape[0], *parameter.shape[1:]).clone()

    @staticmethod
    @backward_of_route
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        mask, reference, left = ctx.saved_tensors
        each = gy.flatten(1)
        square = squares(each) if ctx.terms.account else None
        sketch = each.to(left.dtype) @ left if ctx.terms.account and ctx.terms.sketch else None
        c, account = settle(square, sketch, mask, reference, ctx.terms)
        gp = (c.to(each.dtype) @ each).view(1, *gy.shape[1:]).to(ctx.kind)
        return gp, None, account, *[None] * 6
