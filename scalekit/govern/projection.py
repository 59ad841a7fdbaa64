"""Random projections of a leaf's gradients, drawn from a secret nonce."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from scalekit.govern.row_sums import sums_of_rows

__all__ = ["Projection", "columns_of", "project", "row_of_bias"]

LEAST = 0.5  # size of a single entry
MOST = (math.sqrt(12 - 3 * LEAST**2) - LEAST) / 2  # so that the mean square is 1


def sides(k: int) -> tuple[int, int]:
    """Return (ka, kb) with ka * kb = k, ka a power of two and ka >= kb."""
    ka = 1 << math.ceil(math.log2(k) / 2)
    if k % ka:
        raise ValueError(f"sketch must be a power of two, got {k}")
    return ka, k // ka


def columns_of(left: Tensor, right: Tensor, k: int) -> tuple[int, int]:
    """Return how many columns the two sides of a projection to *k* numbers have."""
    if left.dim() == 2:
        return left.shape[1], k // left.shape[1]
    return (k // right.shape[1], right.shape[1]) if right.dim() == 2 else sides(k)[::-1]


def project(values: Tensor, side: Tensor, columns: int) -> Tensor:
    """Return *values* [..., n] times one side of a projection, [..., columns].

    *side* is a matrix [n, columns] or, for one with a single entry in each row, these n weights:
    column j has the j-th of as many blocks of rows, and the j-th of the rows left over. What
    follows the n rows is the bias's.
    """
    n = values.shape[-1]
    if side.dim() == 1 and values.dtype == side.dtype:
        return _block_sums(values, side[:n], columns)
    matrix = side[:n] if side.dim() == 2 else _matrix(side[:n], columns)
    flat = matrix.t().to(values.dtype) @ values.reshape(-1, n).t()
    return flat.t().view(*values.shape[:-1], columns)


def _block_sums(values: Tensor, weights: Tensor, columns: int) -> Tensor:
    """Return the weighted sums [..., columns] of blocks of the last axis of *values* [..., n]."""
    n = len(weights)
    flat, width = values.reshape(-1, n), n // columns
    whole = width * columns
    blocks = flat[:, :whole].unflatten(1, (columns, width)).permute(1, 2, 0)
    # Each product of a row with a matrix reads its block once.
    out = torch.bmm(weights[:whole].view(columns, 1, width), blocks).squeeze(1).t()
    if whole < n:
        out[:, : n - whole] += flat[:, whole:] * weights[whole:]
    return out.view(*values.shape[:-1], columns)


def _project_rows(matrix: Tensor, side: Tensor, columns: int) -> Tensor:
    """Return one side of a projection, transposed, times *matrix* [n, d]: [columns, d]."""
    n = len(matrix)
    if side.dim() == 1:
        return sums_of_rows(matrix, side[:n], columns)
    return side[:n].t() @ matrix


def row_of_bias(side: Tensor, n: int) -> Tensor:
    """Return the row of a *side* that follows its first *n*."""
    return side[n] if side.dim() == 2 else side[n:]


def _matrix(weights: Tensor, columns: int) -> Tensor:
    """Return the matrix [n, columns] with one entry in each row."""
    n = len(weights)
    width = n // columns
    row = torch.arange(n, device=weights.device)
    column = torch.where(row < width * columns, row // max(width, 1), row - width * columns)
    chosen = column.unsqueeze(1) == torch.arange(columns, device=weights.device)
    # Narrow matrices: a product takes half as long with them, in rows, on its left.
    return (weights.unsqueeze(1) * chosen).t().contiguous().t()


@dataclass(frozen=True)
class Projection:
    """A linear map from tensors shaped as a leaf's parameters to k numbers.

    ``kind``: ``matrix`` and ``transposed`` (``left.T W right``, a Kronecker product as in LoGra,
    Choe et al. 2024, arXiv:2405.13954; what follows the inputs in ``right`` is the bias's),
    ``table`` (the same for looked-up rows), ``small`` (vectors) or ``flat`` (all parameters in a
    row). Squared norms keep their expectation. The sides of outputs and inputs have a single entry
    in each row, a sign with a size: a count sketch (Charikar et al. 2002) whose buckets are blocks,
    so that a projection costs one reading. Sizes differ so that no two entries cancel out. All
    other entries are Rademacher. ``turned``: in the layout of the leaf whose weight this one
    shares, transposed.
    """

    kind: str
    k: int
    left: Tensor
    right: Tensor | None
    shapes: tuple[tuple[int, ...], ...]
    turned: bool = False

    @property
    def columns(self) -> tuple[int, int]:
        """How many columns the sides of outputs and inputs have."""
        assert self.right is not None
        return columns_of(self.left, self.right, self.k)

    @classmethod
    def draw(
        cls, name: str, kind: str, shapes: Sequence[Sequence[int]], k: int, nonce: bytes,
        device: torch.device | str, dtype: torch.dtype,
    ) -> Projection:  # fmt: skip
        """Draw the projection of the leaf *name* from *nonce*."""
        seed = hashlib.sha256(nonce + name.encode()).digest()
        rng = np.random.default_rng(int.from_bytes(seed, "little"))

        def signs(rows: int, columns: int) -> Tensor:
            drawn = rng.integers(0, 2, (rows, columns), dtype=np.int8) * 2 - 1
            return torch.from_numpy(drawn).to(device, dtype) / math.sqrt(columns)

        def blocks(rows: int, columns: int) -> Tensor:
            drawn = (rng.integers(0, 2, rows) * 2 - 1) * rng.uniform(LEAST, MOST, rows)
            weights = torch.from_numpy(drawn).to(device, dtype)
            return weights if weights.is_cpu else _matrix(weights, columns)

        kept = tuple(tuple(s) for s in shapes)
        first = kept[0]
        if kind == "flat":
            return cls(kind, k, signs(sum(map(math.prod, kept)), k), None, kept)
        if kind == "small":
            return cls(kind, k, signs(math.prod(first), k), signs(math.prod(first), k), kept)
        ka, kb = sides(k)
        if kind == "table":
            return cls(kind, k, blocks(first[1], kb), signs(first[0], ka), kept)
        out, inner = (
            (first[1], first[0]) if kind == "transposed" else (first[0], math.prod(first[1:]))
        )
        left, right = blocks(out, kb), blocks(inner, ka)
        return cls(kind, k, left, _followed(right, signs(1, ka)), kept)

    def shared(self, other: Projection) -> Projection | None:
        """Return this projection with the weight's part of *other*; None if there is none."""
        if self.right is None or other.right is None:
            return None
        if self.kind == other.kind:
            return replace(self, left=other.left, right=other.right)
        if (self.kind, other.kind) != ("matrix", "table"):
            return None
        bias = row_of_bias(self.right, math.prod(self.shapes[0][1:]))
        bias = bias[: other.columns[0]]
        bias = (bias / torch.linalg.vector_norm(bias)).unsqueeze(0)
        left = other.right.t().contiguous().t()  # laid out as by _matrix
        return replace(self, left=left, right=_followed(other.left, bias), turned=True)

    def turn(self, sketch: Tensor) -> Tensor:
        """Return a sketch [..., k] in the layout of the leaf whose weight is shared."""
        if not self.turned:
            return sketch
        return sketch.unflatten(-1, self.columns).transpose(-1, -2).flatten(-2)

    def __call__(self, values: Sequence[Tensor | None]) -> Tensor:
        """Return the projection [k] of tensors shaped as the parameters; None counts as zeros."""
        left, right = self.left, self.right
        known = [v.detach().to(left.device, left.dtype) if v is not None else None for v in values]
        if right is None:
            pairs = zip(known, self.shapes, strict=True)
            flat = [
                v.reshape(-1) if v is not None else left.new_zeros(math.prod(s)) for v, s in pairs
            ]
            return torch.cat(flat) @ left
        weight, bias = known[0], known[1] if len(known) > 1 else None
        if self.kind == "small":
            total = left.new_zeros(self.k)
            if weight is not None:
                total = total + weight.reshape(-1) @ left
            return total + bias.reshape(-1) @ right if bias is not None else total
        outputs, inputs = self.columns
        if weight is None:
            total = left.new_zeros(outputs, inputs)
        elif self.kind == "matrix":  # stored as output by input
            total = project(_project_rows(weight.flatten(1), left, outputs), right, inputs)
        else:
            total = project(_project_rows(weight, right, inputs), left, outputs).t()
        if bias is not None:
            row = row_of_bias(right, math.prod(self.shapes[0]) // len(bias))
            total = torch.addr(total, project(bias, left, outputs), row)
        return total.reshape(-1)


def _followed(side: Tensor, row: Tensor) -> Tensor:
    """Return *side* with one more row, [1, columns]."""
    if side.dim() == 1:
        return torch.cat([side, row.reshape(-1)])
    return torch.cat([side.t(), row.t()], 1).t()
