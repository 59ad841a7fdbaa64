"""Weighted sums of the rows of a matrix on a CPU, at the cost of reading it once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["sums_of_rows"]


def sums_of_rows(matrix: Tensor, weights: Tensor, blocks: int) -> Tensor:
    """Return the weighted sums [blocks, d] of as many runs of the rows of *matrix* [n, d].

    Runs have n // blocks rows; those left over go one to each of the first sums. A run is a bag of
    embeddings, whose kernel for 32 bits keeps the sum in registers: up to twice as fast as a
    product, and its bits do not depend on the number of threads.
    """
    matrix = matrix.contiguous()  # with the columns first it is another, far slower kernel
    n = len(weights)
    width = n // blocks
    whole = width * blocks
    row = torch.arange(whole, dtype=torch.int32, device=matrix.device)
    first = torch.arange(blocks, dtype=torch.int32, device=matrix.device) * width
    own = weights[:whole]
    out = functional.embedding_bag(row, matrix, first, mode="sum", per_sample_weights=own)
    if whole < n:
        out[: n - whole] += matrix[whole:] * weights[whole:].unsqueeze(1)
    return out
