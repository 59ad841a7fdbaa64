"""Weighted sums of the rows of a matrix, at the cost of reading it once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["sums_of_rows"]


def sums_of_rows(matrix: Tensor, weights: Tensor, blocks: int) -> Tensor:
    """Return the weighted sums [blocks, d] of as many runs of the rows of *matrix* [n, d].

    Runs have n // blocks rows; those left over go one to each of the first sums. In 32 bits on a
    CPU a run is a bag of embeddings, whose kernel keeps the sum in registers: twice as fast as a
    product, and its bits do not depend on the number of threads.
    """
    n = len(weights)
    width = n // blocks
    whole = width * blocks
    if matrix.is_cpu and matrix.dtype == torch.float32:
        row = torch.arange(whole, dtype=torch.int32)
        first = torch.arange(blocks, dtype=torch.int32) * width
        own = weights[:whole]
        out = functional.embedding_bag(row, matrix, first, mode="sum", per_sample_weights=own)
    else:
        runs = matrix[:whole].view(blocks, width, matrix.shape[1])
        out = torch.bmm(weights[:whole].view(blocks, 1, width), runs).squeeze(1)
    if whole < n:
        out[: n - whole] += matrix[whole:] * weights[whole:].unsqueeze(1)
    return out
