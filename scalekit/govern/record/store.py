"""The running store: one sum of sketches for each example and depth, however many updates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["RunningStore"]

Array = np.ndarray[Any, Any]
LEVELS = 127


class RunningStore:
    """Sums of applied, rate-weighted gradient sketches; and the sketches' second moments.

    ``sums`` int8 [N, L, k] with ``scale`` float32 [N, L]; ``moments`` float32 [L, k, k], the sum of
    outer products of applied sketches in the precision that is set for float32 products, ``count``
    of them. Sums are rounded stochastically after each addition, so that their expectation is exact
    to the rounding of 32 bits; the draws depend on *seed* and the update alone.
    """

    def __init__(self, examples: int, depths: int, k: int, *, seed: int = 0) -> None:
        self.sums = np.zeros((examples, depths, k), np.int8)
        self.scale = np.zeros((examples, depths), np.float32)
        self.moments = np.zeros((depths, k, k), np.float32)
        self.count = np.zeros(1, np.int64)
        self._bits = np.random.PCG64(seed)

    @property
    def bytes(self) -> int:
        """Bytes that grow with the examples."""
        return self.sums.nbytes + self.scale.nbytes

    def add(self, rows: Array, sketches: Array, rate: float, *, update: int) -> None:
        """Add *rate* times the applied sketches [B, L, k], float32, to the sums of *rows* [B]."""
        import torch

        # By torch, not NumPy, whose threads may wait busily for more: tens of milliseconds of every
        # other core after each update.
        flat = torch.from_numpy(sketches).transpose(0, 1)
        torch.from_numpy(self.moments).baddbmm_(flat.transpose(1, 2), flat)
        self.count += len(rows)
        added = rate * sketches
        if len(set(rows.tolist())) < len(rows):
            rows, place = np.unique(rows, return_inverse=True)
            each, added = added, np.zeros((len(rows), *sketches.shape[1:]), np.float32)
            np.add.at(added, place, each)
        total = self.sums[rows] * self.scale[rows][:, :, None]
        total += added
        scale = torch.from_numpy(total).abs().amax(2).numpy() / LEVELS
        total /= np.where(scale > 0, scale, 1)[:, :, None]
        total += self._dither(update, total.shape)
        self.sums[rows] = np.floor(total, out=total).clip(-LEVELS, LEVELS, out=total)
        self.scale[rows] = scale

    def _dither(self, update: int, shape: tuple[int, ...]) -> Array:
        """Return uniform numbers in (0, 1) of 16 random bits each: as fine as 32-bit sums are."""
        count = math.prod(shape)
        drawn = self._bits.jumped(update).random_raw(-(-count // 4)).view(np.uint16)[:count]
        out: Array = drawn.reshape(shape) * np.float32(2**-16)
        out += np.float32(2**-17)
        return out

    def of(self, rows: Array) -> Array:
        """Return the sums of *rows*, float32 [B, L, k]."""
        out: Array = self.sums[rows] * self.scale[rows][:, :, None]
        return out

    def tensors(self) -> dict[str, Array]:
        """Return its state as arrays."""
        return {
            "sums": self.sums, "scale": self.scale, "moments": self.moments, "count": self.count,
        }  # fmt: skip

    @classmethod
    def restore(cls, tensors: dict[str, Array], *, seed: int = 0) -> RunningStore:
        """Return the store whose :meth:`tensors` were kept."""
        store = cls(*tensors["sums"].shape, seed=seed)
        for name, value in tensors.items():
            setattr(store, name, np.array(value))
        return store
