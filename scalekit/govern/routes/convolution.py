"""Route of nn.Conv1d and nn.Conv2d."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from scalekit.govern.projection import columns_of, project, row_of_bias
from scalekit.govern.routes.account import (
    KEPT_BYTES,
    RouteError,
    Site,
    Terms,
    backward_of_route,
    settle,
    squares,
)

__all__ = ["convolution"]

Window = tuple[list[int], list[int], list[int], int]


def convolution(x: Tensor, module: nn.Conv1d | nn.Conv2d, site: Site, terms: Terms) -> Tensor:
    """Return the convolution of *x* [B, C, (H,) W], governed.

    Raises
    ------
    RouteError
        When the first axis of *x* is not the examples.
    """
    axes = x.dim() - 2
    if axes != len(module.kernel_size) or x.shape[0] % site.mask.shape[0]:
        raise RouteError(
            f"{type(module).__name__}: got {tuple(x.shape)} for a batch of {site.mask.shape[0]} "
            "examples; the first axis must hold the examples"
        )
    weight, bias = module.weight, module.bias
    padding = list(module.padding) if not isinstance(module.padding, str) else None
    if padding is None or module.padding_mode != "zeros":
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        x = functional.pad(x, module._reversed_padding_repeated_twice, mode=mode)
        padding = [0] * axes
    if torch.is_autocast_enabled(x.device.type):  # after the padding, which it may do in 32 bits
        kind = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(kind), weight.to(kind)
        bias = bias.to(kind) if bias is not None else None
    window = (list(module.stride), padding, list(module.dilation), module.groups)
    out: Tensor = _Convolution.apply(x, weight, bias, window, *site, terms)
    return out


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, window: Window, mask: Tensor,
        probe: Tensor | None, reference: Tensor | None, left: Tensor | None, right: Tensor | None,
        rows: Tensor | None, reach: Tensor | None, terms: Terms,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(x, weight, mask, reference, left, right)
        ctx.window, ctx.terms, ctx.biased = window, terms, bias is not None
        stride, padding, dilation, groups = window
        none = [0] * len(stride)
        return torch.convolution(x, weight, bias, stride, padding, dilation, False, none, groups)

    @staticmethod
    @backward_of_route
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mask, reference, left, right = ctx.saved_tensors
        terms, window, biased = ctx.terms, ctx.window, ctx.biased
        per = x.shape[0] // mask.shape[0]
        if not terms.account:
            # The gradient of the input does not depend on x: one fused call with x masked.
            c = mask.to(x.dtype).repeat_interleave(per)
            masked = x * c.view(-1, *[1] * (x.dim() - 1))
            gx, gw = _backward(gy, masked, weight, window, [ctx.needs_input_grad[0], True])
            gb = c.to(gy.dtype) @ gy.flatten(2).sum(2) if biased else None
            return gx, gw, gb, *[None] * 9
        wanted = ctx.needs_input_grad[0]
        gx = _backward(gy, x, weight, window, [True, False])[0] if wanted else None  # type: ignore[assignment]
        shift = gy.flatten(2).sum(2).view(mask.shape[0], per, -1).sum(1) if biased else None
        whole = mask.shape[0] * weight.numel() * x.element_size() <= KEPT_BYTES
        outputs, inputs = columns_of(left, right, terms.sketch) if terms.sketch else (0, 0)
        found, sketches, kept = [], [], []
        for each in _parts(x, gy, weight, window, mask.shape[0], whole):
            found.append(squares(each.flatten(1)))
            if terms.sketch:
                inner = project(each.flatten(2).to(left.dtype), right, inputs)
                sketches.append(project(inner.transpose(1, 2), left, outputs).transpose(1, 2))
            if whole:
                kept.append(each)
        square, sketch = torch.cat(found), torch.cat(sketches) if terms.sketch else None
        if shift is not None:
            square = square + squares(shift)
            if sketch is not None:
                shifted = project(shift.to(left.dtype), left, outputs).unsqueeze(2)
                sketch = sketch + shifted * row_of_bias(right, weight[0].numel())
        sketch = sketch.flatten(1) if sketch is not None else None
        c, account = settle(square, sketch, mask, reference, terms)
        c = c.to(gy.dtype)
        if whole:
            gw = (c @ kept[0].flatten(1)).view_as(weight)
        else:
            scaled = x * c.repeat_interleave(per).view(-1, *[1] * (x.dim() - 1))
            gw = _backward(gy, scaled, weight, window, [False, True])[1]
        gb = c @ shift if shift is not None else None
        return gx, gw, gb, None, None, account, *[None] * 6


def _backward(
    gy: Tensor, x: Tensor, weight: Tensor, window: Window, wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    stride, padding, dilation, groups = window
    none = [0] * len(stride)
    found = torch.ops.aten.convolution_backward(
        gy, x, weight, None, stride, padding, dilation, False, none, groups, [*wanted, False]
    )
    return found[0], found[1]


def _parts(
    x: Tensor, gy: Tensor, weight: Tensor, window: Window, examples: int, whole: bool
) -> Iterator[Tensor]:
    """Yield the gradients of the examples [b, *weight.shape], all at once or a few at a time."""
    per = x.shape[0] // examples
    size = weight.numel() * x.element_size()
    step = examples if whole else max(1, KEPT_BYTES // size)
    for start in range(0, examples, step):
        part = slice(start * per, min(examples, start + step) * per)
        each = _gradients_by_example(x[part], gy[part], weight, window)
        yield each.view(-1, per, *weight.shape).sum(1) if per > 1 else each


def _gradients_by_example(x: Tensor, gy: Tensor, weight: Tensor, window: Window) -> Tensor:
    """Return the weight's gradient of each example, [B, *weight.shape].

    The batch is folded into the groups of one convolution: its weight's gradient holds the
    examples' own, and the native kernel makes it.
    """
    stride, padding, dilation, groups = window
    n = x.shape[0]
    folded = x.reshape(1, n * x.shape[1], *x.shape[2:])
    outer = gy.reshape(1, n * gy.shape[1], *gy.shape[2:])
    shaped = weight.new_empty(n * weight.shape[0], *weight.shape[1:])  # its numbers are not read
    wide: Window = (stride, padding, dilation, groups * n)
    return _backward(outer, folded, shaped, wide, [False, True])[1].view(n, *weight.shape)
