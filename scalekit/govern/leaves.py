"""The leaves of a model: which parameters each owns, and how its gradients are projected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from scalekit.govern.depths import DepthMap
from scalekit.govern.projection import Projection
from scalekit.govern.routes import PARTS, Route, RouteError, route_of

__all__ = ["Leaf", "draw_projections", "find_leaves"]


@dataclass
class Leaf:
    """Parameters that are governed together.

    ``part`` is None, or which of the four linear maps of an attention module this is; ``kind``
    names the projection; ``tied`` is the index of an earlier leaf whose weight this one uses too.
    """

    index: int
    name: str
    depth: int
    module: nn.Module
    part: int | None
    parameters: tuple[str, ...]
    kind: str
    projection: Projection | None = None
    tied: int | None = None

    @property
    def path(self) -> str:
        """The module's name in the model."""
        if self.part is not None or self.kind == "broadcast":
            return self.name.rpartition(".")[0]
        return self.name

    def tensors(self, attribute: str = "data") -> list[Tensor | None]:
        """Return what the leaf owns, or its ``grad``; sharded tensors gathered; None if absent."""
        found = []
        for place, name in enumerate(self.parameters):
            value = self.parameter(place, attribute)
            packed = self.part is not None and name.startswith("in_proj") and value is not None
            found.append(value.chunk(3)[self.part] if packed else value)
        return found

    def parameter(self, place: int, attribute: str = "data") -> Any:
        """Return one parameter whole, with what other leaves own of it; None if absent."""
        owner, own = self._owners[place]
        value = getattr(owner[own], attribute)
        return value.full_tensor() if hasattr(value, "full_tensor") else value

    @cached_property
    def _owners(self) -> list[tuple[dict[str, Any], str]]:
        """Where the parameters lie: they may be put in anew, the modules stay."""
        split = [name.rpartition(".") for name in self.parameters]
        return [(self.module.get_submodule(path)._parameters, own) for path, _, own in split]

    def sketch(self, values: Sequence[Tensor | None]) -> Tensor:
        """Return the projection [k] of tensors shaped as the leaf's own."""
        assert self.projection is not None
        return self.projection(values)

    def turned(self, sketch: Tensor) -> Tensor:
        """Return a sketch [..., k] in the layout of the leaf this one is tied to."""
        assert self.projection is not None
        return self.projection.turn(sketch)

    def described(self) -> dict[str, Any]:
        """Return what identifies the leaf, and is needed to read its weights without the model."""
        prefix = f"{self.path}." if self.path else ""
        return {
            "name": self.name, "depth": self.depth, "kind": _drawn_as(self.kind), "part": self.part,
            "parameters": [prefix + n for n in self.parameters], "tied": self.tied,
        }  # fmt: skip


def _at(module: nn.Module, name: str) -> Any:
    owner, _, own = name.rpartition(".")
    return module.get_submodule(owner)._parameters[own]


def _drawn_as(kind: str) -> str:
    return "flat" if kind == "broadcast" else kind


def draw_projections(
    leaves: Sequence[Leaf], k: int, nonce: bytes, device: torch.device, dtype: torch.dtype
) -> None:
    """Draw every leaf's projection; a weight that two leaves share is projected alike.

    Raises
    ------
    RouteError
        When leaves of two kinds share a weight that can't be.
    """
    owners: dict[int, Leaf] = {}
    for leaf in leaves:
        shapes = [tuple(v.shape) for v in leaf.tensors() if v is not None]
        leaf.projection = Projection.draw(
            leaf.name, _drawn_as(leaf.kind), shapes, k, nonce, device, dtype
        )
        other = owners.setdefault(id(_at(leaf.module, leaf.parameters[0])), leaf)
        if other is leaf or other.module is leaf.module:
            continue
        assert other.projection is not None
        shared = leaf.projection.shared(other.projection)
        if shared is None:
            raise RouteError(
                f"{leaf.name} ({type(leaf.module).__name__}) shares its weight with {other.name} "
                f"({type(other.module).__name__}); untie them, or register {leaf.name} later"
            )
        leaf.projection, leaf.tied = shared, other.index


def find_leaves(model: nn.Module, depths: DepthMap) -> tuple[list[Leaf], dict[str, Route]]:
    """Return the leaves with trainable parameters, and the route of each module that has any.

    Raises
    ------
    RouteError
        When a trainable parameter has no exact per-example gradient, or belongs to no leaf.
    """
    if depths.bare:
        raise RouteError(
            f"parameters used outside a leaf can't be governed: {', '.join(depths.bare[:5])}. Wrap "
            "each in a module of its own, or freeze it: requires_grad_(False)"
        )
    modules = dict(model.named_modules(remove_duplicate=False))
    leaves: list[Leaf] = []
    routes: dict[str, Route] = {}
    for depth, group in enumerate(depths.groups):
        for name in group.leaves:
            if name not in modules:  # a parameter that is broadcast over the examples
                owner, _, own = name.rpartition(".")
                module = modules[owner]
                if getattr(module, own).requires_grad:
                    leaf = Leaf(len(leaves), name, depth, module, None, (own,), "broadcast")
                    leaves.append(leaf)
                continue
            module = modules[name]
            trained = [n for n, p in module.named_parameters() if p.requires_grad]
            if not trained:
                continue
            try:
                routes[name], kind = route_of(module)
            except RouteError as error:
                raise RouteError(f"{name or 'the model'} {error}") from None
            for part, owned in _parts(module, trained):
                label = name if part is None else f"{name}.{PARTS[part]}"
                leaves.append(Leaf(len(leaves), label, depth, module, part, owned, kind))
    known = {id(_at(leaf.module, n)) for leaf in leaves for n in leaf.parameters}
    named = model.named_parameters()
    stray = [name for name, p in named if p.requires_grad and id(p) not in known]
    if stray:  # whatever the map says: what no leaf owns would be trained ungoverned
        raise RouteError(
            f"parameters that no leaf owns can't be governed: {', '.join(stray[:5])}. Freeze them: "
            "requires_grad_(False), or use a map that has them"
        )
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
