"""The fingerprint of weights: k secret numbers for each depth group, linear in the weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scalekit.govern.row_sums import sums_of_rows

__all__ = ["Fingerprint", "fingerprint_of_file", "places_of_parameters"]

RUNS = 16  # of a matrix's rows, summed each by a thread


@dataclass(frozen=True)
class Fingerprint:
    """A linear map from a model's parameters to [L, k] numbers, at the cost of reading them once.

    The rows of a matrix are summed with Gaussian weights; of the sum, and of vectors, each entry
    goes with a Gaussian weight to one of the k numbers of its depth. So a change that was made
    without the nonce leaves the numbers as they are only by a chance as small as rounding is, and
    their squares sum in expectation to that of the weights. ``rows`` are the weights of each
    matrix's rows, None for vectors; ``entries`` [L, lines, k] those of the entries, and
    ``places`` [L * lines * k] which of all parameters' entries lies there, or the zero after them.
    """

    rows: tuple[Tensor | None, ...]
    entries: Tensor
    places: Tensor

    @classmethod
    def draw(
        cls, names: Sequence[str], depths: Sequence[int], shapes: Sequence[Sequence[int]],
        count: int, k: int, nonce: bytes, device: torch.device | str, dtype: torch.dtype,
    ) -> Fingerprint:  # fmt: skip
        """Draw the map of parameters with *names*, *shapes* and *depths* (of *count*)."""
        rows: list[Tensor | None] = []
        entries, within = [], []
        filled = [0] * count
        for name, depth, shape in zip(names, depths, shapes, strict=True):
            seed = hashlib.sha256(b"fingerprint" + nonce + name.encode()).digest()
            rng = np.random.default_rng(int.from_bytes(seed, "little"))
            matrix = len(shape) > 1
            drawn = rng.standard_normal(shape[0]) if matrix else None
            rows.append(torch.from_numpy(drawn).to(device, dtype) if drawn is not None else None)
            width = int(np.prod(shape[1:] if matrix else shape, dtype=np.int64))
            entries.append(rng.standard_normal(width))
            within.append(np.arange(width) + filled[depth])
            filled[depth] += -(-width // k) * k
        most = max(filled)  # all depths have the room of the largest
        at = np.concatenate([w + d * most for w, d in zip(within, depths, strict=True)])
        spread, places = np.zeros(count * most), np.full(count * most, len(at))
        spread[at], places[at] = np.concatenate(entries), np.arange(len(at))
        return cls(
            tuple(rows),
            torch.from_numpy(spread).to(device, dtype).view(count, most // k, k),
            torch.from_numpy(places).to(device),
        )

    def __call__(self, values: Iterable[Tensor]) -> Tensor:
        """Return the fingerprint [L, k] of the parameters, in the order of the draw."""
        known = (v.detach().to(self.entries.device, self.entries.dtype) for v in values)
        sums = [
            value.reshape(-1) if row is None else _row_sum(row, value.flatten(1))
            for row, value in zip(self.rows, known, strict=True)
        ]
        sums.append(self.entries.new_zeros(1))
        spread = torch.cat(sums).index_select(0, self.places).view_as(self.entries)
        # Sums, and no product of matrices: those may be set to a lower precision.
        return (spread * self.entries).sum(1)


def _row_sum(weights: Tensor, matrix: Tensor) -> Tensor:
    """Return the weighted sum [d] of the rows of *matrix* [n, d]."""
    return sums_of_rows(matrix, weights, RUNS).sum(0) if matrix.is_cpu else weights @ matrix


def places_of_parameters(leaves: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """Return each parameter's first leaf and its place there, by its name in the model.

    *leaves* as ``Leaf.described()`` says; a weight that is tied to an earlier leaf's is left out.
    """
    found: dict[str, tuple[int, int]] = {}
    for index, leaf in enumerate(leaves):
        for place, name in enumerate(leaf["parameters"]):
            if place or leaf["tied"] is None:
                found.setdefault(name, (index, place))
    return found


def fingerprint_of_file(
    path: Path, nonce: bytes, header: Mapping[str, Any]
) -> np.ndarray[Any, Any]:
    """Return the fingerprint [L, k] of released weights; a run's header lists the leaves."""
    from safetensors.torch import load_file

    weights = load_file(path)
    owners = places_of_parameters(header["leaves"])
    drawn = Fingerprint.draw(
        [*owners],
        [header["leaves"][leaf]["depth"] for leaf, _ in owners.values()],
        [weights[name].shape for name in owners],
        len(header["depths"]), header["sketch"], nonce, "cpu", torch.float32,
    )  # fmt: skip
    found: np.ndarray[Any, Any] = drawn(weights[name] for name in owners).numpy()
    return found
