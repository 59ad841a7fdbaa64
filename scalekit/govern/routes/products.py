"""Products of large matrices, by whichever of torch's two libraries uses the processor's width.

torch leaves products in float32 to MKL, which computes 256 bits at a time on processors that are
not Intel's. Where they have 512, oneDNN, which torch takes for convolutions, is twice as fast.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

__all__ = ["pays_alone", "product", "products"]

LEAST = 1 << 21  # multiplications: below that the call of oneDNN costs more than it saves


def product(left: Tensor, right: Tensor) -> Tensor:
    """Return ``left @ right`` of *left* [..., n, k] and *right* [k, m].

    A *left* that is transposed is copied. The last bits depend on the library.
    """
    if not _by_onednn(left, right, left.numel() * right.shape[1]):
        return left @ right
    return _onednn(left, right)


def products(left: Tensor, right: Tensor) -> Tensor:
    """Return ``left @ right`` of *left* [B, n, k] and *right* [B, k, m]."""
    if not pays_alone(left, right, left.shape[1] * right.shape[1] * right.shape[2]):
        return torch.bmm(left, right)
    pairs = zip(left.unbind(), right.unbind(), strict=True)
    return torch.stack([_onednn(x, y) for x, y in pairs])


def pays_alone(left: Tensor, right: Tensor, multiplications: int) -> bool:
    """Whether products of so many are done sooner one after the other than by MKL as a batch."""
    if torch.compiler.is_compiling():
        return False
    # The threads share out a single product less well than a batch.
    return _by_onednn(left, right, multiplications // torch.get_num_threads())


def _onednn(left: Tensor, right: Tensor) -> Tensor:
    if not (right.is_contiguous() or right.t().is_contiguous()):
        right = right.contiguous()
    out: Tensor = torch.ops.mkldnn._linear_pointwise(left, right.t(), None, "none", [], "")
    return out


def _by_onednn(left: Tensor, right: Tensor, multiplications: int) -> bool:
    if torch.compiler.is_compiling() or multiplications < LEAST:
        return False
    known = left.is_cpu and left.dtype == torch.float32
    known = known and {type(left), type(right)} <= {Tensor, nn.Parameter}
    return known and bool(torch.backends.mkldnn.enabled) and mkl_is_narrow()


@cache
def mkl_is_narrow() -> bool:
    """Whether torch's products are MKL's, on a processor whose whole width it does not use."""
    return bool(
        torch.backends.mkl.is_available()
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and "Intel" not in torch.cpu.get_capabilities()["cpu_name"]
    )
