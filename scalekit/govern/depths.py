"""Depth groups of a model, found without running it, and depth profiles as masks over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from torch import nn

from scalekit.display import View, block, note, table
from scalekit.figures import INK, PALETTE, figure
from scalekit.govern.layout import BODY, INPUT, OUTPUT, Drawn, Leaves, by_structure, leaves_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["DepthError", "DepthGroup", "DepthMap", "depth_map"]

Override = Mapping[str, str | Sequence[str]] | Callable[[str], str | int]
ENDS = (INPUT, OUTPUT)
SLACK = 1e-6  # profiles arrive as float32


class DepthError(ValueError):
    """The depth groups of a model, or masks over them, can't be made as asked; it says why."""


@dataclass(frozen=True)
class DepthGroup:
    """Leaves that lie at one depth.

    ``kind`` is ``input`` or ``output`` (shared: open to every example) or ``body``; ``span`` is the
    interval of relative depth in [0, 1] that a body group takes. ``parameters`` counts a tied
    weight in the first group that uses it.
    """

    name: str
    kind: str
    leaves: tuple[str, ...]
    parameters: int
    span: tuple[float, float]


@dataclass(frozen=True)
class DepthMap(View):
    """What sits at which depth, input side first.

    ``bare`` names trainable parameters that belong to no leaf and so can't be governed; ``tied``
    those used by several leaves, each use at its own depth.
    """

    groups: tuple[DepthGroup, ...]
    bare: tuple[str, ...] = ()
    tied: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The groups' names, [L]."""
        return tuple(g.name for g in self.groups)

    @property
    def body(self) -> tuple[int, ...]:
        """The indices of the body groups."""
        return tuple(i for i, g in enumerate(self.groups) if g.kind == BODY)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: i for i, g in enumerate(self.groups) for name in g.leaves}

    def of(self, leaf: str) -> int:
        """Return the index of the group that *leaf* is in; KeyError when it is in none."""
        return self._places[leaf]

    @property
    def table(self) -> pl.DataFrame:
        """One row for each group."""
        rows = [
            {
                "group": g.name,
                "relative depth": f"{g.span[0]:.2f} to {g.span[1]:.2f}"
                if g.kind == BODY
                else f"{g.kind}, shared",
                "leaves": len(g.leaves),
                "parameters": g.parameters,
                "what": ", ".join(_within(leaf, g.name) for leaf in g.leaves),
            }
            for g in self.groups
        ]
        return pl.DataFrame(rows)

    def plot(self) -> go.Figure:
        """Return the parameters by depth; the shared groups are grey."""
        import plotly.graph_objects as go

        drawn = figure("Parameters by depth", x="depth group", y="parameters")
        colours = [PALETTE[0] if g.kind == BODY else INK for g in self.groups]
        counts = [g.parameters for g in self.groups]
        return drawn.add_trace(go.Bar(x=list(self.names), y=counts, marker={"color": colours}))

    def to_html(self) -> str:
        """Show the map."""
        said = f"{len(self.body)} groups share the relative depth from 0 to 1."
        loose = f"Not governed, used outside a leaf: {', '.join(self.bare)}." if self.bare else ""
        shared = f"Tied, each use at its own depth: {', '.join(self.tied)}." if self.tied else ""
        notes = [note(part) for part in (said, loose, shared) if part]
        return block("Depth map", *notes, table(self.table, limit=len(self.groups)))

    def _covered(self, profiles: ArrayLike) -> NDArray[np.bool_]:
        """Return which body groups each profile covers, bool [B, body groups]."""
        wanted = np.asarray(profiles, dtype=np.float64)
        if wanted.ndim != 2 or wanted.shape[1] != 2:
            raise DepthError(f"profiles must be intervals [B, 2], got shape {wanted.shape}")
        low, high = wanted[:, :1], wanted[:, 1:]
        bad = np.flatnonzero(~((low >= 0) & (low < high) & (high <= 1)).ravel())  # NaN too
        if len(bad):
            raise DepthError(
                f"profile {bad[0]} is {wanted[bad[0]].tolist()}; needed is 0 <= low < high <= 1"
            )
        middles = (np.arange(len(self.body)) + 0.5) / len(self.body)
        found: NDArray[np.bool_] = (middles >= low - SLACK) & (middles <= high + SLACK)
        empty = np.flatnonzero(~found.any(axis=1))
        away = np.abs(middles - wanted[empty].mean(axis=1, keepdims=True))
        # Rounded, so that of two groups equally near it is the shallower one.
        found[empty, away.round(6).argmin(axis=1)] = True
        return found

    def masks(self, profiles: ArrayLike, *, soft: float = 0.0) -> NDArray[np.float32]:
        """Return the masks of depth *profiles* [B, 2], float32 [B, groups].

        A body group is open (1) when its middle lies in the interval, or is the nearest to the
        interval's middle if none does; else its mask is *soft*. Shared groups are open.

        Raises
        ------
        DepthError
            When a profile is no interval within [0, 1], or *soft* lies outside [0, 1].
        """
        if not 0 <= soft <= 1:
            raise DepthError(f"soft is {soft}; a mask lies between 0 and 1")
        covered = self._covered(profiles)
        out = np.ones((len(covered), len(self.groups)), dtype=np.float32)
        out[:, self.body] = np.where(covered, 1.0, soft)
        return out

    def top(self, profiles: ArrayLike) -> NDArray[np.int64]:
        """Return the index of the deepest body group that each profile covers, int [B]."""
        found = self._covered(profiles)
        last = found.shape[1] - 1 - found[:, ::-1].argmax(axis=1)
        deepest: NDArray[np.int64] = np.array(self.body, dtype=np.int64)[last]
        return deepest


def _within(leaf: str, group: str) -> str:
    """Return the name of a leaf as seen from the block *group*, or whole if it lies elsewhere."""
    _, found, inside = f".{leaf}".partition(f".{group}.")
    return inside if found else leaf


def depth_map(model: nn.Module, override: Override | None = None) -> DepthMap:
    """Find the depth groups of *model* from how it is built.

    The blocks of its lists are the body, in order of registration; what comes before them is the
    input group, what follows the output group (the rules stand in ``layout.py``). Registration is
    taken for the order of computation: for two parallel towers, give an override.

    Parameters
    ----------
    override
        Group names in depth order, each with one or more glob patterns of leaf names:
        ``{"input": "embed*", "low": ["layers.0.*", "layers.1.*"], "output": "head"}``; or a
        function from a leaf's name to its group: a name (in order of first use) or an index. Names
        come without what torch.compile and DistributedDataParallel put before them. Groups called
        ``input`` and ``output`` are shared.

    Raises
    ------
    DepthError
        When a leaf is in no group or in two, or there is nothing to group.
    """
    found = leaves_of(model)
    if found.lazy:
        raise DepthError(f"{found.lazy} has no shape yet; run one batch through the model first")
    if not found.owned:
        raise DepthError(f"{type(model).__name__} has no parameters")
    if override is None:
        drawn = by_structure(model, found)
    else:
        said = {found.said[leaf]: leaf for leaf in found.owned}
        leaves = list(said)
        groups = _chosen(override, leaves) if callable(override) else _matched(override, leaves)
        drawn = [(name, [said[leaf] for leaf in own]) for name, own in _ordered(groups)]
    return DepthMap(_groups(drawn, found), found.bare, _tied(model))


def _tied(model: nn.Module) -> tuple[str, ...]:
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return tuple(" = ".join(same) for same in names.values() if len(same) > 1)


def _groups(drawn: Drawn, found: Leaves) -> tuple[DepthGroup, ...]:
    count = sum(name not in ENDS for name, _ in drawn)
    groups: list[DepthGroup] = []
    seen: set[int] = set()
    at = 0
    for name, own in drawn:
        kind, span = name, (0.0, 0.0) if name == INPUT else (1.0, 1.0)
        if name not in ENDS:
            kind, span, at = BODY, (at / count, (at + 1) / count), at + 1
        fresh = {id(p): p.numel() for leaf in own for p in found.owned[leaf] if id(p) not in seen}
        seen |= set(fresh)
        groups.append(DepthGroup(name, kind, tuple(own), sum(fresh.values()), span))
    return tuple(groups)


def _ordered(groups: dict[str, list[str]]) -> Drawn:
    """Return the groups with the shared ones at their ends, wherever they were written."""
    ends = {end: groups.pop(end, []) for end in ENDS}
    if not groups:
        raise DepthError("every leaf is in a shared group; name at least one group of the body")
    ordered = {INPUT: ends[INPUT], **groups, OUTPUT: ends[OUTPUT]}
    return [(name, own) for name, own in ordered.items() if own]


def _chosen(choose: Callable[[str], str | int], leaves: Sequence[str]) -> dict[str, list[str]]:
    chosen = {leaf: choose(leaf) for leaf in leaves}
    for leaf, group in chosen.items():
        if not isinstance(group, str | int) or isinstance(group, bool):
            raise DepthError(
                f"the override returns {group!r} for leaf {leaf!r}; return a group's name or index"
            )
    order = list(dict.fromkeys(chosen.values()))
    numbers = sorted(g for g in order if isinstance(g, int))
    names = [g for g in order if isinstance(g, str)]
    if numbers and not set(names) <= set(ENDS):
        raise DepthError(
            f"the override returns names ({names[0]!r}) and indices ({numbers[0]}), which leaves "
            "their order open; return one kind (beside 'input' and 'output')"
        )
    return {str(g): [leaf for leaf in leaves if chosen[leaf] == g] for g in [*numbers, *names]}


def _matched(
    override: Mapping[str, str | Sequence[str]], leaves: Sequence[str]
) -> dict[str, list[str]]:
    patterns = {n: [p] if isinstance(p, str) else list(p) for n, p in override.items()}
    places: dict[str, list[str]] = {name: [] for name in patterns}
    for leaf in leaves:
        hits = {n: p for n, own in patterns.items() for p in own if fnmatchcase(leaf, p)}
        if len(hits) != 1:
            both = " and ".join(f"{p!r} ({n})" for n, p in hits.items())
            todo = "let one of them leave it out" if hits else "add it to a group"
            raise DepthError(
                f"leaf {leaf!r} is matched by {both or 'no pattern'}; every leaf must be in "
                f"exactly one group: {todo}. "
                f"Leaves: {', '.join(leaves[:8])}{' …' if len(leaves) > 8 else ''}"
            )
        places[next(iter(hits))].append(leaf)
    empty = [name for name, own in places.items() if not own]
    if empty:
        raise DepthError(
            f"no leaf matches the patterns of group {empty[0]!r}: {', '.join(patterns[empty[0]])}. "
            f"Leaves: {', '.join(leaves[:8])}{' …' if len(leaves) > 8 else ''}"
        )
    return places
