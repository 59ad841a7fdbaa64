"""The leaves of a model: which parameters each owns, and the random projection of its gradients."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scalekit.govern.depth import DepthMap
from scalekit.govern.routes import PARTS, Route, RouteError, route_of

__all__ = ["Leaf", "find_leaves", "whole"]


def whole(value: Tensor) -> Tensor:
    """Return a tensor as it is, or gathered from all processes when it is sharded (DTensor)."""
    gather = getattr(value, "full_tensor", None)
    return gather() if gather is not None else value


def sides(k: int) -> tuple[int, int]:
    """Return (ka, kb) with ka * kb = k, a power of two each, ka >= kb."""
    ka = 1 << math.ceil(math.log2(k) / 2)
    return ka, k // ka


@dataclass
class Leaf:
    """Parameters that are governed together, and their projection.

    ``part`` is None, or which of the four linear maps of an attention module this is.
    """

    index: int
    name: str
    depth: int
    module: nn.Module
    part: int | None
    parameters: tuple[str, ...]
    projection: str
    left: Tensor | None = None
    right: Tensor | None = None
    tied: int | None = None  # the leaf before it whose weight this one uses too
    turned: bool = False  # its sketch is that leaf's, transposed

    def tensors(self, attribute: str = "data") -> list[Tensor | None]:
        """Return weight and bias (or whatever the leaf owns), or their ``grad``; None if absent."""
        owned = dict(self.module.named_parameters())
        found = [getattr(owned[name], attribute) for name in self.parameters]
        values = [whole(v) if v is not None else None for v in found]
        if self.part is None:
            return values
        return [_third(v, name, self.part) for v, name in zip(values, self.parameters, strict=True)]

    def sketch(self, values: Sequence[Tensor | None]) -> Tensor:
        """Return the projection [k] of tensors shaped as the leaf's own; None counts as zeros."""
        assert self.left is not None
        left, kind = self.left, self.projection
        known = [v.detach().to(left.dtype) if v is not None else None for v in values]
        if kind == "flat":
            flat = [
                v.reshape(-1) if v is not None else left.new_zeros(p.numel())
                for v, p in zip(known, self.tensors(), strict=True)
                if p is not None
            ]
            return torch.cat(flat) @ left
        weight, bias = known[0], known[1] if len(known) > 1 else None
        assert self.right is not None
        if kind == "small":
            total = (
                weight.reshape(-1) @ left if weight is not None else left.new_zeros(left.shape[1])
            )
            return total + bias.reshape(-1) @ self.right if bias is not None else total
        total = left.new_zeros(left.shape[1], self.right.shape[1])
        if weight is not None:
            matrix = weight.t() if kind == "transposed" else weight.flatten(1)
            if kind == "table":
                return ((left.t() @ matrix.t()) @ self.right).reshape(-1)
            total = (left.t() @ matrix) @ self.right[: matrix.shape[1]]
        if bias is not None:
            total = total + (bias @ left).unsqueeze(1) * self.right[-1]
        return total.reshape(-1)

    def share(self, other: Leaf) -> None:
        """Take over the projection of *other*, whose weight this leaf uses too."""
        assert other.left is not None and other.right is not None
        self.tied = other.index
        if self.projection == other.projection:
            self.left, self.right = other.left, other.right
        elif {self.projection, other.projection} == {"table", "matrix"} and self.right is not None:
            inner, outer = other.right, other.left
            if self.projection == "matrix":  # the row of the bias stays its own
                ratio = (inner.shape[1] / outer.shape[1]) ** 0.5
                outer = torch.cat([outer, self.right[-1:, : outer.shape[1]] * ratio])
            else:
                inner = inner[:-1]
            self.left, self.right, self.turned = inner, outer, True
        else:
            raise RouteError(
                f"{self.name} ({type(self.module).__name__}) shares its weight with {other.name} "
                f"({type(other.module).__name__}); untie them, or copy the weight"
            )

    def turn(self, sketch: Tensor) -> Tensor:
        """Return this leaf's *sketch* [..., k] in the layout of the leaf it is tied to."""
        if not self.turned:
            return sketch
        assert self.left is not None
        rows = self.left.shape[1]
        return sketch.unflatten(-1, (rows, -1)).transpose(-1, -2).flatten(-2)

    def project(self, k: int, nonce: bytes, device: torch.device, kind: torch.dtype) -> None:
        """Draw the Rademacher projection of this leaf from *nonce*; k numbers for each gradient."""
        seed = hashlib.sha256(nonce + self.name.encode()).digest()
        rng = np.random.default_rng(int.from_bytes(seed, "little"))

        def signs(rows: int, columns: int) -> Tensor:
            drawn = rng.integers(0, 2, (rows, columns), dtype=np.int8) * 2 - 1
            return torch.from_numpy(drawn).to(device, kind) / math.sqrt(columns)

        shape, owned = self.projection, [v for v in self.tensors() if v is not None]
        if shape == "flat":
            self.left = signs(sum(v.numel() for v in owned), k)
        elif shape == "small":
            self.left, self.right = signs(owned[0].numel(), k), signs(owned[0].numel(), k)
        else:
            ka, kb = sides(k)
            size = owned[0].shape if shape != "transposed" else owned[0].t().shape
            if shape == "table":
                self.left, self.right = signs(size[1], kb), signs(size[0], ka)
            else:  # one more row: the bias's
                inner = math.prod(size[1:])
                self.left, self.right = signs(size[0], kb), signs(inner + 1, ka)


def _third(value: Tensor | None, name: str, part: int) -> Tensor | None:
    packed = name.startswith("in_proj")
    return value.chunk(3)[part] if packed and value is not None else value


def find_leaves(model: nn.Module, depths: DepthMap) -> tuple[list[Leaf], dict[str, Route]]:
    """Return the leaves with trainable parameters, and the route of each module that has any.

    Raises
    ------
    RouteError
        When a trainable parameter has no exact per-example gradient, or belongs to no leaf.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    leaves: list[Leaf] = []
    routes: dict[str, Route] = {}
    if depths.bare:
        raise RouteError(
            f"parameters used outside a leaf can't be governed: {', '.join(depths.bare[:5])}. Wrap "
            "each in a module of its own, or freeze it: requires_grad_(False)"
        )
    for depth, group in enumerate(depths.groups):
        for name in group.leaves:
            if name not in modules:  # a parameter that is broadcast over the examples
                owner, _, own = name.rpartition(".")
                if getattr(modules[owner], own).requires_grad:
                    leaves.append(
                        Leaf(len(leaves), name, depth, modules[owner], None, (own,), "flat")
                    )
                continue
            module = modules[name]
            trained = [n for n, p in module.named_parameters() if p.requires_grad]
            if not trained:
                continue
            try:
                routes[name], projection = route_of(module)
            except RouteError as error:
                raise RouteError(f"{name or 'the model'} {error}") from None
            for part, owned in _parts(module, trained):
                label = name if part is None else f"{name}.{PARTS[part]}"
                leaves.append(Leaf(len(leaves), label, depth, module, part, owned, projection))
    return leaves, routes


def _parts(module: Any, trained: Sequence[str]) -> list[tuple[int | None, tuple[str, ...]]]:
    if not isinstance(module, nn.MultiheadAttention):
        return [(None, tuple(trained))]
    inner = ("in_proj_weight",) * 3
    if module.in_proj_weight is None:
        inner = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
    names = [[n] for n in (*inner, "out_proj.weight")]
    if module.in_proj_bias is not None:
        biases = ("in_proj_bias",) * 3 + ("out_proj.bias",)
        names = [[*own, b] for own, b in zip(names, biases, strict=True)]
    return [(part, tuple(own)) for part, own in enumerate(names)]
