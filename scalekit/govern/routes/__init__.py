"""Routes: exact per-example masks for one kind of leaf's parameters, in the one backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import nn

from scalekit.govern.routes.account import APPLIED, RAW, SKETCH, RouteError, Site, Terms
from scalekit.govern.routes.attention import PARTS, attention
from scalekit.govern.routes.convolution import convolution
from scalekit.govern.routes.embedding import embedding
from scalekit.govern.routes.generic import broadcast, generic
from scalekit.govern.routes.linear import linear
from scalekit.govern.routes.normalisation import group_norm, layer_norm, rms_norm
from scalekit.govern.routes.scale import is_scale, scale

__all__ = [
    "APPLIED",
    "PARTS",
    "RAW",
    "SKETCH",
    "Route",
    "RouteError",
    "Site",
    "Terms",
    "broadcast",
    "register_route",
    "route_of",
]  # fmt: skip

Route = Callable[..., Any]
"""``route(module, plain, sites, terms, *args, **kwargs)``: the governed forward of one leaf.

*plain* is the forward it had; *sites* has one entry (four for attention).
"""

_ROUTES: dict[type[nn.Module], Route] = {}
_PROJECTIONS: dict[type[nn.Module], str] = {
    **dict.fromkeys((nn.Linear, nn.Conv1d, nn.Conv2d, nn.MultiheadAttention), "matrix"),
    **dict.fromkeys((nn.LayerNorm, nn.RMSNorm, nn.GroupNorm), "small"),
    nn.Embedding: "table",
}


def register_route(kind: type[nn.Module]) -> Callable[[Route], Route]:
    """Register the decorated function as the route of modules of exactly this class.

    Its probe entries are made with ``routes.account``; ``sketch`` entries of a leaf with a route of
    one's own use the flat projection: ``gradient.reshape(-1) @ site.left``.
    """

    def keep(route: Route) -> Route:
        _ROUTES[kind] = route
        return route

    return keep


def route_of(module: nn.Module) -> tuple[Route, str]:
    """Return the route of *module*, that of its class or the generic one, and its projection.

    The projection is ``matrix`` (two-sided, weight [out, in]), ``transposed`` ([in, out]),
    ``table`` (rows looked up), ``small`` (vectors) or ``flat`` (all parameters in a row).

    Raises
    ------
    RouteError
        For a leaf whose per-example gradient does not exist, or an option without an exact route.
    """
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        raise RouteError(
            f"({type(module).__name__}) normalises each example with its batch, so that an "
            "example's own gradient does not exist. Use GroupNorm or LayerNorm, or freeze it: "
            ".eval() and requires_grad_(False) on its parameters"
        )
    if isinstance(module, nn.Embedding) and (
        module.max_norm is not None or module.scale_grad_by_freq or module.sparse
    ):
        raise RouteError(
            "(Embedding) with max_norm, scale_grad_by_freq or sparse=True mixes examples or has no "
            "dense gradient; make it without them"
        )
    kind = type(module)
    own = list(module.parameters())
    if all(p.requires_grad for p in own):  # a leaf that is frozen in part takes the generic route
        # Hugging Face's Conv1D is known by name: the library is not needed to govern its models.
        if kind.__name__ == "Conv1D" and hasattr(module, "nf"):
            return _conv1d, "transposed"
        if kind in _ROUTES:
            return _ROUTES[kind], _PROJECTIONS.get(kind, "flat")
        if is_scale(module):
            return _scale, "small"
    return _eager_generic(), "flat"


@register_route(nn.Linear)
def _linear(module: Any, _: Any, sites: Sequence[Site], terms: Terms, x: Any) -> Any:
    return linear(x, module.weight, module.bias, sites[0], terms)


def _conv1d(module: Any, _: Any, sites: Sequence[Site], terms: Terms, x: Any) -> Any:
    return linear(x, module.weight, module.bias, sites[0], terms, transposed=True)


@register_route(nn.Embedding)
def _embedding(module: Any, _: Any, sites: Sequence[Site], terms: Terms, ids: Any) -> Any:
    return embedding(ids, module, sites[0], terms)


@register_route(nn.LayerNorm)
def _layer_norm(module: Any, _: Any, sites: Sequence[Site], terms: Terms, x: Any) -> Any:
    return layer_norm(x, module, sites[0], terms)


@register_route(nn.RMSNorm)
def _rms_norm(module: Any, _: Any, sites: Sequence[Site], terms: Terms, x: Any) -> Any:
    return rms_norm(x, module, sites[0], terms)


@register_route(nn.GroupNorm)
def _group_norm(module: Any, _: Any, sites: Sequence[Site], terms: Terms, x: Any) -> Any:
    return group_norm(x, module, sites[0], terms)


@register_route(nn.Conv1d)
@register_route(nn.Conv2d)
def _convolution(module: Any, _: Any, sites: Sequence[Site], terms: Terms, x: Any) -> Any:
    return convolution(x, module, sites[0], terms)


@register_route(nn.MultiheadAttention)
def _attention(
    module: Any, _: Any, sites: Sequence[Site], terms: Terms, *args: Any, **kwargs: Any
) -> Any:
    return attention(module, sites, terms, *args, **kwargs)


def _scale(
    module: Any, plain: Any, sites: Sequence[Site], terms: Terms, *args: Any, **kwargs: Any
) -> Any:
    return scale(module, plain, sites[0], terms, *args, **kwargs)


@cache
def _eager_generic() -> Route:
    """Return the generic route, which breaks a compiled graph: it keeps a graph of its own."""
    return torch.compiler.disable(_generic)  # type: ignore[no-any-return]


def _generic(
    module: Any, plain: Any, sites: Sequence[Site], terms: Terms, *args: Any, **kwargs: Any
) -> Any:
    if kwargs:
        raise RouteError(
            f"{type(module).__name__}: called with keyword arguments, which a leaf without a route "
            "of its own can't take; register one with scalekit.govern.register_route"
        )
    return generic(module, args, sites[0], terms)
