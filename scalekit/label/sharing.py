"""Share items out evenly: who gets what, in which order, and what stands on which side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from hashlib import sha256
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.label.tasks import LabelError

__all__ = ["ASSIGNMENT_SCHEMA", "WORK", "Board", "generator", "listed", "mark"]

ASSIGNMENT_SCHEMA = {
    "item_id": pl.String, "annotator": pl.String, "round": pl.Int64, "place": pl.Int64,
    "kind": pl.String, "side": pl.String, "instead_of": pl.String,
}  # fmt: skip
WORK = "work"
Generator = np.random.Generator
Pairs = list[tuple[str, str]]


class Board:
    """How much everybody has, and how often each two share an item."""

    def __init__(self, people: list[str], before: pl.DataFrame | None = None) -> None:
        self.place = {person: i for i, person in enumerate(people)}
        self.people = people
        self.load = np.zeros(len(people))
        self.shared = np.zeros((len(people), len(people)))
        self.pairs: Pairs = []
        if before is not None:
            for (_,), rows in before.group_by("item_id", maintain_order=True):
                self._count([self.place[a] for a in rows["annotator"] if a in self.place])

    def give(
        self,
        item: str,
        many: int,
        allowed: list[str],
        rng: Generator,
        tier: str = "",
        first: Collection[str] = (),
    ) -> list[str]:
        """Give an item to those who have least and have shared least with one another.

        Those of *allowed* who are named in *first* come before everybody else. Returns who got it.
        """
        if many < 1 or len(allowed) < many:
            who = f"of tier {tier!r} " if tier else ""
            raise LabelError(
                f"item {item!r} is to go to {many} annotators; {len(allowed)} {who}can have it. "
                "Invite more, or ask for less overlap"
            )
        cost = np.full(len(self.people), np.inf)
        places = (
            [self.place[p] for p in allowed] if len(allowed) < len(self.people) else slice(None)
        )
        drawn = rng.random(len(self.people))
        cost[places] = (self.load * 1e9 + drawn)[places]
        early = np.full(len(self.people), np.inf)
        early[[self.place[p] for p in first]] = 0
        chosen: list[int] = []
        for turn in range(many):
            best = int((cost + early if turn < len(first) else cost).argmin())
            chosen.append(best)
            cost[best] = np.inf
            cost += self.shared[best] * 10.0
        self._count(chosen)
        names = [self.people[i] for i in chosen]
        self.pairs += [(item, name) for name in names]
        return names

    def _count(self, chosen: list[int]) -> None:
        self.load[chosen] += 1
        for a, b in combinations(chosen, 2):
            self.shared[a, b] += 1
            self.shared[b, a] += 1


def listed(
    pairs: Pairs,
    round: int,
    rng: Generator,
    *,
    priority: Mapping[str, float] | None = None,
    checks: Mapping[str, tuple[list[str], int]] | None = None,
    sided: bool = False,
) -> pl.DataFrame:
    """Order each annotator's items, lay the checks between them, and choose sides."""
    lists: dict[str, list[str]] = defaultdict(list)
    for item, annotator in pairs:
        lists[annotator].append(item)
    rows = []
    for annotator in sorted(lists):
        items = sorted(lists[annotator])
        order = [items[int(i)] for i in rng.permutation(len(items))]
        if priority:
            order.sort(key=lambda item: -priority.get(item, float("-inf")))
        laid = [(item, WORK) for item in order]
        for kind, (ids, every) in (checks or {}).items():
            laid = _interspersed(laid, ids, every, kind, rng)
        rows += [
            (item, annotator, round, at, kind, None, None) for at, (item, kind) in enumerate(laid)
        ]
    found = pl.DataFrame(rows, schema=ASSIGNMENT_SCHEMA, orient="row")
    if not sided:
        return found
    # The work and the checks each by themselves, or gold could take up what balances the work.
    parts = [found.filter(pl.col("kind") == WORK), found.filter(pl.col("kind") != WORK)]
    both = pl.concat([part.with_columns(_sides(part, rng)) for part in parts])
    return both.sort("annotator", "place")


def _interspersed(
    laid: list[tuple[str, str]], ids: list[str], every: int, kind: str, rng: Generator
) -> list[tuple[str, str]]:
    """Lay a check at a drawn place in each stretch of *every* items, no id twice."""
    count = min(len(ids), -(-len(laid) // every))
    if not count:
        return laid
    chosen = [ids[int(i)] for i in rng.permutation(len(ids))[:count]]
    edges = np.linspace(0, len(laid), count + 1)
    at = [int(rng.integers(int(a), int(b) + 1)) for a, b in pairwise(edges)]
    found: list[tuple[str, str]] = []
    start = 0
    for place, item in zip(at, chosen, strict=True):
        found += [*laid[start:place], (item, kind)]
        start = place
    return found + laid[start:]


def _sides(found: pl.DataFrame, rng: Generator) -> pl.Series:
    """Choose who sees the first on the left: balanced for each annotator and each item.

    The table is a bipartite graph of annotators and items. A vertex more on each side takes up the
    odd degrees; then every walk along unused edges closes, with an even number of them, and taking
    them in turn halves each vertex's edges exactly (Euler splitting).
    """
    edges: list[tuple[Any, Any]] = [
        (("a", a), ("i", i)) for a, i in found.select("annotator", "item_id").iter_rows()
    ]
    real = len(edges)
    degree: dict[Any, int] = defaultdict(int)
    for a, b in edges:
        degree[a] += 1
        degree[b] += 1
    odd = [vertex for vertex, count in degree.items() if count % 2]
    edges += [(("a", None), v) if v[0] == "i" else (v, ("i", None)) for v in odd]
    if sum(v[0] == "i" for v in odd) % 2:
        edges.append((("a", None), ("i", None)))
    around: dict[Any, list[int]] = defaultdict(list)
    for number in rng.permutation(len(edges)):
        for vertex in edges[number]:
            around[vertex].append(int(number))
    turn = np.full(len(edges), -1, dtype=np.int8)
    for start in list(around):
        while _open_edge(around[start], turn) is not None:
            vertex, side = start, int(rng.integers(2))
            while (number := _open_edge(around[vertex], turn)) is not None:
                turn[number] = side
                side = 1 - side
                a, b = edges[number]
                vertex = b if vertex == a else a
    names = ["first" if t == 0 else "second" for t in turn[:real]]
    return pl.Series("side", names, dtype=pl.String)


def _open_edge(numbers: list[int], turn: NDArray[np.int8]) -> int | None:
    """Take an edge that was not walked yet off the end of a list."""
    while numbers:
        if turn[numbers[-1]] < 0:
            return numbers[-1]
        numbers.pop()
    return None


def mark(*parts: Any) -> str:
    """Return a digest of the parts: an order that nobody can guess from the ids."""
    return sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()


def generator(*parts: Any) -> Generator:
    """Return a generator that these parts alone decide."""
    return np.random.default_rng(int(mark(*parts), 16))
