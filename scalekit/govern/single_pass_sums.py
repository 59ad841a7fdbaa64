"""Weighted sums that NumPy makes in one reading of the values, on one thread.

Torch multiplies first, which writes all values and reads them again, or takes a product of matrices
that is no faster for one narrow side: up to three times as long on one thread, out of the cache.
With many threads torch shares the work, and an accelerator has no such limit.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["block_sums", "row_sum", "single_pass", "step_sums"]

THREADS = 3  # up to which one thread that reads once is done sooner


def single_pass(values: Tensor) -> bool:
    """Whether one reading of *values* by NumPy is sooner done than torch's own sums."""
    return (
        values.is_cpu
        and values.dtype in (torch.float32, torch.float64)
        and not torch.compiler.is_compiling()
        and torch.get_num_threads() <= THREADS
    )


def row_sum(weights: Tensor, matrix: Tensor) -> Tensor:
    """Return the weighted sum [d] of the rows of *matrix* [n, d], of 32 or 64 bits.

    On a CPU the bits do not depend on the number of threads.
    """
    if not matrix.is_cpu:
        return weights @ matrix
    return torch.from_numpy(np.einsum("n,nd->d", weights.numpy(), matrix.numpy()))


def step_sums(values: Tensor) -> Tensor:
    """Return the sum over the middle axis of *values* [B, T, d]."""
    if not single_pass(values):
        return values.sum(1)
    return torch.from_numpy(np.einsum("btd->bd", values.numpy()))


def block_sums(values: Tensor, weights: Tensor, columns: int) -> Tensor:
    """Return the weighted sums [..., columns] of blocks of the last axis of *values* [..., n].

    Column j has the j-th of as many blocks of n // columns numbers, and the j-th of the numbers
    left over.
    """
    v, w = values.detach().numpy(), weights.numpy()
    width = len(w) // columns
    whole = width * columns
    blocks = v[..., :whole].reshape(*v.shape[:-1], columns, width)
    out = np.einsum("...kw,kw->...k", blocks, w[:whole].reshape(columns, width))
    if whole < len(w):
        out[..., : len(w) - whole] += v[..., whole:] * w[whole:]
    return torch.from_numpy(out)
