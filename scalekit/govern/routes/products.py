"""Products of large matrices, by whichever of torch's two libraries uses the processor's width.

torch leaves products in float32 to MKL, which computes 256 bits at a time on processors that are
not Intel's. Where they have 512, oneDNN, which torch takes for convolutions, may be twice as fast.
It keeps code for each shape it has met; so rows beyond a round number are left to MKL.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

__all__ = ["product", "product_over_rows"]

LEAST = 1 << 21  # multiplications: below that the call of oneDNN costs more than it saves


def product(left: Tensor, right: Tensor) -> Tensor:
    """Return ``left @ right`` of *left* [..., n, k] and *right* [k, m]."""
    rows = _round(left.shape[:-1].numel())
    if not _by_onednn(left, right, rows * right.numel()):
        return left @ right
    flat = left.reshape(-1, left.shape[-1])
    out = _onednn(flat[:rows], right)
    if rows < len(flat):
        out = torch.cat([out, flat[rows:] @ right])
    return out.view(*left.shape[:-1], -1)


def product_over_rows(left: Tensor, right: Tensor) -> Tensor:
    """Return ``left.T @ right`` [p, d] of *left* [n, p] and *right* [n, d]."""
    (n, p), d = left.shape, right.shape[1]
    rows = _round(n)
    if not _by_onednn(left, right, rows * p * d):
        return left.t() @ right
    # oneDNN copies a transposed factor: the narrower one, where that outweighs a transposed result.
    turned = rows * (p - d) > p * d
    first, second = (right, left) if turned else (left, right)
    out = _onednn(first[:rows].t(), second[:rows])
    if rows < n:
        out.addmm_(first[rows:].t(), second[rows:])
    return out.t().contiguous() if turned else out


def _onednn(left: Tensor, right: Tensor) -> Tensor:
    out: Tensor = torch.ops.mkldnn._linear_pointwise(left, right.t(), None, "none", [], "")
    return out


def _round(rows: int) -> int:
    """Return *rows*, rounded down to four binary digits: eight numbers to an octave."""
    spare = max(0, rows.bit_length() - 4)
    return rows >> spare << spare


def _by_onednn(left: Tensor, right: Tensor, multiplications: int) -> bool:
    if torch.compiler.is_compiling() or multiplications < LEAST:
        return False
    return (
        left.is_cpu
        and left.dtype == torch.float32
        and {type(left), type(right)} <= {Tensor, nn.Parameter}
        and bool(torch.backends.mkldnn.enabled)
        and mkl_is_narrow()
    )


@cache
def mkl_is_narrow() -> bool:
    """Whether torch's products are MKL's, on a processor whose whole width it does not use."""
    return bool(
        torch.backends.mkl.is_available()
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and "Intel" not in torch.cpu.get_capabilities()["cpu_name"]
    )
