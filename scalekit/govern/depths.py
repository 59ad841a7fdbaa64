"""Depth groups of a model, found without running it, and depth profiles as masks over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from torch import nn

from scalekit.display import View, block, note, table
from scalekit.figures import figure

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["DepthError", "DepthGroup", "DepthMap", "depth_map"]

INPUT, BODY, OUTPUT = "input", "body", "output"
WRAPPERS = ("module.", "_orig_mod.")
Override = Mapping[str, str | Sequence[str]] | Callable[[str], str]


class DepthError(ValueError):
    """The depth groups of a model can't be made as asked; the message says why."""


@dataclass(frozen=True)
class DepthGroup:
    """Leaves that lie at one depth.

    ``kind`` is ``input`` or ``output`` (shared: open to every example) or ``body``; ``span`` is the
    interval of relative depth in [0, 1] that a body group takes.
    """

    name: str
    kind: str
    leaves: tuple[str, ...]
    parameters: int
    span: tuple[float, float]


@dataclass(frozen=True)
class DepthMap(View):
    """What sits at which depth, input side first.

    ``bare`` names trainable parameters that belong to no leaf and so can't be governed; ``tied`` those
    used by several leaves, each use at its own depth.
    """

    groups: tuple[DepthGroup, ...]
    bare: tuple[str, ...] = ()
    tied: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The groups' names."""
        return tuple(g.name for g in self.groups)

    @property
    def body(self) -> tuple[int, ...]:
        """The indices of the body groups."""
        return tuple(i for i, g in enumerate(self.groups) if g.kind == BODY)

    def of(self, leaf: str) -> int:
        """Return the index of the group that *leaf* is in; KeyError when it is in none."""
        return {name: i for i, g in enumerate(self.groups) for name in g.leaves}[leaf]

    @property
    def table(self) -> pl.DataFrame:
        """One row for each group."""
        return pl.DataFrame(
            [
                {
                    "group": g.name,
                    "relative depth": f"{g.span[0]:.2f} to {g.span[1]:.2f}"
                    if g.kind == BODY
                    else f"{g.kind}, shared",
                    "leaves": len(g.leaves),
                    "parameters": g.parameters,
                    "what": ", ".join(g.leaves[:4]) + (" …" if len(g.leaves) > 4 else ""),
                }
                for g in self.groups
            ]
        )

    def plot(self) -> go.Figure:
        """Return the parameters by depth."""
        import plotly.graph_objects as go

        drawn = figure("Parameters by depth", x="depth group", y="parameters")
        counts = [g.parameters for g in self.groups]
        return drawn.add_trace(go.Bar(x=list(self.names), y=counts, name="parameters"))

    def to_html(self) -> str:
        """Show the map."""
        said = f"{len(self.body)} groups share the relative depth from 0 to 1."
        loose = f"Not governed, used outside a leaf: {', '.join(self.bare)}." if self.bare else ""
        shared = f"Tied, each use at its own depth: {', '.join(self.tied)}." if self.tied else ""
        notes = [note(part) for part in (said, loose, shared) if part]
        return block("Depth map", *notes, table(self.table, limit=200))

    def _covered(self, profiles: Any) -> np.ndarray[Any, Any]:
        """Return which body groups each profile covers, bool [B, body groups]."""
        wanted = np.asarray(profiles, dtype=float)
        if wanted.ndim != 2 or wanted.shape[1] != 2:
            raise DepthError(f"profiles must be intervals [B, 2], got shape {wanted.shape}")
        low, high = wanted[:, :1], wanted[:, 1:]
        bad = np.flatnonzero(~((low >= 0) & (low < high) & (high <= 1)).ravel())
        if len(bad):
            raise DepthError(
                f"profile {bad[0]} is {wanted[bad[0]].tolist()}; needed is 0 <= low < high <= 1"
            )
        middles = np.array([np.mean(self.groups[i].span) for i in self.body])
        found = (middles >= low - 1e-9) & (middles <= high + 1e-9)
        nearest = np.abs(middles - (low + high) / 2).argmin(1)
        empty = ~found.any(1)
        found[empty, nearest[empty]] = True
        return found

    def masks(self, profiles: Any, *, soft: float = 0.0) -> np.ndarray[Any, Any]:
        """Return the masks of depth *profiles* [B, 2], float32 [B, groups].

        A body group is open (1) when its middle lies in the interval, or is the nearest to the
        interval's middle if none does; else its mask is *soft*. Shared groups are open.
        """
        out = np.ones((len(profiles), len(self.groups)), dtype=np.float32)
        out[:, self.body] = np.where(self._covered(profiles), 1.0, soft)
        return out

    def top(self, profiles: Any) -> np.ndarray[Any, Any]:
        """Return the index of the deepest body group that each profile covers, int [B]."""
        found = self._covered(profiles)
        last = found.shape[1] - 1 - found[:, ::-1].argmax(1)
        return np.array(self.body)[last]


def depth_map(model: nn.Module, override: Override | None = None) -> DepthMap:
    """Find the depth groups of *model* from how it is built.

    The items of its ``nn.ModuleList`` or ``nn.Sequential`` containers are the body, in order (lists of
    equal length side by side are zipped); what is registered before them is the input group, what
    follows the output group. Inside an item nothing is split further.

    Parameters
    ----------
    override
        Group names in depth order, each with one or more glob patterns of leaf names; or a function
        from a leaf's name to its group's, in order of first use. Groups called ``input`` and
        ``output`` are shared.

    Raises
    ------
    DepthError
        When a leaf is in no group or in two, or there is nothing to group.
    """
    leaves, bare = _leaves(model)
    if not leaves:
        raise DepthError(f"{type(model).__name__} has no parameters")
    placed = _by_structure(model, leaves) if override is None else _by_override(leaves, override)
    grouped = [(name, kind, found) for name, kind, found in placed if found]
    if all(kind != BODY for _, kind, _ in grouped):
        raise DepthError("every leaf is in a shared group; name at least one group of the body")
    sizes = {n: p.numel() for n, p in model.named_parameters(remove_duplicate=False)}
    for name, module in model.named_modules(remove_duplicate=False):
        sizes.setdefault(name, sum(p.numel() for p in module.parameters()))
    count = sum(kind == BODY for _, kind, _ in grouped)
    groups, at = [], 0
    for name, kind, found in grouped:
        size = sum(sizes[leaf] for leaf in found)
        span = (
            (at / count, (at + 1) / count)
            if kind == BODY
            else ((0.0, 0.0) if not at else (1.0, 1.0))
        )
        at += kind == BODY
        groups.append(DepthGroup(name, kind, tuple(found), size, span))
    return DepthMap(tuple(groups), bare, _tied(model))


def _leaves(model: nn.Module) -> tuple[list[str], tuple[str, ...]]:
    """Return the leaves in order of registration, and the parameters that belong to none.

    A parameter [1, ...] of a module with parts, such as a class token, is a leaf of its own: it is
    broadcast over the examples.
    """
    leaves, bare, inside = [], [], ""
    for name, module in model.named_modules(remove_duplicate=False):
        if inside and name.startswith(inside):
            continue
        own = list(module.named_parameters(recurse=False))
        whole = isinstance(module, nn.MultiheadAttention)
        holds = any(next(child.parameters(), None) is not None for child in module.children())
        if whole or (own and not holds):
            leaves.append(name)
            inside = f"{name}." if name else ""
        else:
            for parameter, value in own:
                path = f"{name}.{parameter}" if name else parameter
                if value.dim() > 1 and value.shape[0] == 1:
                    leaves.append(path)
                elif value.requires_grad:
                    bare.append(path)
    return leaves, tuple(bare)


def _tied(model: nn.Module) -> tuple[str, ...]:
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return tuple(" = ".join(same) for same in names.values() if len(same) > 1)


def _by_override(leaves: Sequence[str], override: Override) -> list[tuple[str, str, list[str]]]:
    places: dict[str, list[str]] = {}
    if callable(override):
        for leaf in leaves:
            places.setdefault(str(override(leaf)), []).append(leaf)
    else:
        patterns = {n: [p] if isinstance(p, str) else list(p) for n, p in override.items()}
        places = {name: [] for name in patterns}
        for leaf in leaves:
            hits = [n for n, own in patterns.items() if any(fnmatchcase(leaf, p) for p in own)]
            if len(hits) != 1:
                why = "no pattern" if not hits else f"the patterns of {' and '.join(hits)}"
                raise DepthError(
                    f"leaf {leaf!r} is matched by {why}; every leaf must be in exactly one group. "
                    f"Leaves: {', '.join(leaves[:8])}{' …' if len(leaves) > 8 else ''}"
                )
            places[hits[0]].append(leaf)
        empty = [name for name, found in places.items() if not found]
        if empty:
            raise DepthError(f"no leaf matches the patterns of group {empty[0]!r}")
    return [(n, n if n in (INPUT, OUTPUT) else BODY, found) for n, found in places.items()]


def _by_structure(model: nn.Module, leaves: Sequence[str]) -> list[tuple[str, str, list[str]]]:
    units = list(_units(model, ""))
    listed = [i for i, (_, is_item) in enumerate(units) if is_item]
    if not listed:  # one leaf, or leaves side by side: each is a depth of its own
        return [(leaf, BODY, [leaf]) for leaf in leaves]
    first, last = listed[0], listed[-1]
    out: list[tuple[str, str, list[str]]] = [(INPUT, INPUT, [])]
    for place, (prefixes, is_item) in enumerate(units):
        found = [n for n in leaves if any(n == p or n.startswith(f"{p}.") for p in prefixes)]
        if place < first:
            out[0][2].extend(found)
        elif place > last:
            if out[-1][1] != OUTPUT:
                out.append((OUTPUT, OUTPUT, []))
            out[-1][2].extend(found)
        elif is_item and found:
            out.append((_short(prefixes[0]), BODY, found))
        else:  # between two lists: with what comes before
            out[-1][2].extend(found)
    if len(units) == len(listed):  # nothing but lists: a norm belongs to the layer after it
        return _join_norms(model, out)
    return out


def _short(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _join_norms(
    model: nn.Module, groups: list[tuple[str, str, list[str]]]
) -> list[tuple[str, str, list[str]]]:
    """In a plain Sequential a normalisation is no depth of its own: it joins the layer after it."""
    shapes = {n: p.dim() for n, p in model.named_parameters(remove_duplicate=False)}
    out: list[tuple[str, str, list[str]]] = []
    waiting: list[str] = []
    for name, kind, found in groups:
        small = all(
            dim <= 1 for n, dim in shapes.items() for leaf in found if n.startswith(f"{leaf}.")
        )
        if small:
            waiting += found
        else:
            out.append((name, kind, waiting + found))
            waiting = []
    if waiting and out:
        out[-1][2].extend(waiting)
    return out or groups


def _units(module: nn.Module, prefix: str) -> Iterator[tuple[list[str], bool]]:
    """Yield what stands side by side from input to output: names, and whether it is a list's item."""
    children = [
        (f"{prefix}{name}", child)
        for name, child in module.named_children()
        if next(child.parameters(), None) is not None
    ]
    if _is_list(module):
        for name, _ in children:
            yield [name], True
        return
    done: set[str] = set()
    for name, child in children:
        if name in done:
            continue
        if _is_list(child):
            twins = [
                (other, twin)
                for other, twin in children
                if isinstance(twin, nn.ModuleList) and isinstance(child, nn.ModuleList)
                and len(twin) == len(child) > 1 and other not in done
            ] or [(name, child)]  # fmt: skip
            done |= {other for other, _ in twins}
            for place in range(len(child)):
                yield [f"{other}.{place}" for other, _ in twins], True
        elif _holds_list(child):
            yield from _units(child, f"{name}.")
        else:
            yield [name], False


def _is_list(module: nn.Module) -> bool:
    """Whether this is a container of at least two parts with parameters."""
    listed = isinstance(module, nn.ModuleList | nn.Sequential)
    return listed and sum(next(p.parameters(), None) is not None for p in module.children()) > 1


def _holds_list(module: nn.Module) -> bool:
    return any(_is_list(inner) for inner in module.modules())
