"""Random projections of a leaf's gradients, drawn from a secret nonce."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

__all__ = ["Projection"]

BLOCK, WIDE = 32, 512  # rows taken at a time from matrices that wide


def sides(k: int) -> tuple[int, int]:
    """Return (ka, kb) with ka * kb = k, ka a power of two and ka >= kb."""
    ka = 1 << math.ceil(math.log2(k) / 2)
    if k % ka:
        raise ValueError(f"sketch must be a power of two, got {k}")
    return ka, k // ka


@dataclass(frozen=True)
class Projection:
    """A linear map from tensors shaped as a leaf's parameters to k numbers.

    Entries are Rademacher, scaled so that squared norms keep their expectation. ``kind``:
    ``matrix`` and ``transposed`` (Kronecker product ``left.T W right``, the last row of ``right``
    for the bias; LoGra, Choe et al. 2024, arXiv:2405.13954), ``table`` (the same for looked-up
    rows), ``small`` (vectors) or ``flat`` (all parameters in a row). ``turned``: in the layout of
    the leaf whose weight this one shares, transposed.
    """

    kind: str
    left: Tensor
    right: Tensor | None
    shapes: tuple[tuple[int, ...], ...]
    turned: bool = False

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
            made = torch.from_numpy(drawn).to(device, dtype) / math.sqrt(columns)
            # Narrow matrices: a product takes half as long with them, in rows, on its left.
            return made.t().contiguous().t()

        kept = tuple(tuple(s) for s in shapes)
        first = kept[0]
        if kind == "flat":
            return cls(kind, signs(sum(map(math.prod, kept)), k), None, kept)
        if kind == "small":
            return cls(kind, signs(math.prod(first), k), signs(math.prod(first), k), kept)
        ka, kb = sides(k)
        if kind == "table":
            return cls(kind, signs(first[1], kb), signs(first[0], ka), kept)
        out, inner = (
            (first[1], first[0]) if kind == "transposed" else (first[0], math.prod(first[1:]))
        )
        return cls(kind, signs(out, kb), signs(inner + 1, ka), kept)

    def shared(self, other: Projection) -> Projection | None:
        """Return this projection with the weight's part of *other*; None if there is none."""
        if self.right is None or other.right is None:
            return None
        if self.kind == other.kind:
            return replace(self, left=other.left, right=other.right)
        if (self.kind, other.kind) != ("matrix", "table"):
            return None
        bias = self.right[-1:, : other.left.shape[1]]
        right = torch.cat([other.left, bias / torch.linalg.vector_norm(bias)])
        return replace(self, left=other.right, right=right, turned=True)

    def turn(self, sketch: Tensor) -> Tensor:
        """Return a sketch [..., k] in the layout of the leaf whose weight is shared."""
        if not self.turned:
            return sketch
        return sketch.unflatten(-1, (self.left.shape[1], -1)).transpose(-1, -2).flatten(-2)

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
            total = left.new_zeros(left.shape[1])
            if weight is not None:
                total = total + weight.reshape(-1) @ left
            return total + bias.reshape(-1) @ right if bias is not None else total
        if weight is None:
            total = left.new_zeros(left.shape[1], right.shape[1])
        else:
            stored = weight.flatten(1)  # output by input, except where it is turned
            matrix = stored.t() if self.kind in ("transposed", "table") else stored
            total = _narrow_product(left, matrix) @ right[: matrix.shape[1]]
        if bias is not None:
            total = torch.addr(total, left.t() @ bias, right[-1])
        return total.reshape(-1)


def _narrow_product(left: Tensor, matrix: Tensor) -> Tensor:
    """Return ``left.T @ matrix`` of a narrow *left*.

    On a CPU one product of so few rows copies the matrix before it multiplies; blocks stay in the
    cache.
    """
    rows, width = matrix.shape
    if not matrix.is_cpu or not matrix.is_contiguous() or width < WIDE or rows % BLOCK:
        return left.t() @ matrix
    blocks = left.t().unflatten(1, (-1, BLOCK)).transpose(0, 1)
    return torch.bmm(blocks, matrix.view(-1, BLOCK, width)).sum(0)
