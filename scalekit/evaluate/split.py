"""Group-aware, stratified split: what belongs together never straddles two sets."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from scalekit.frames import ids_unique, require, to_polars
from scalekit.text import jaccard_pairs

__all__ = ["groups", "split"]

SHARES = {"train": 0.7, "dev": 0.15, "sealed": 0.15}


def groups(items: Any, *, together: Sequence[str] = (), threshold: float = 0.5) -> pl.Series:
    """Return a group number for each item; items in one group must stay in one set.

    Items are together when their texts are alike (Jaccard similarity of word 3-grams of at least
    *threshold*), or when they share a value in one of the columns *together* (a conversation, a
    source document); and so on through others.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    table = require(to_polars(items, "items"), ("text", *together), "items")
    n = len(table)
    pairs = jaccard_pairs(table["text"].to_list(), 3, threshold)
    left, right = [pairs.left], [pairs.right]
    for column in together:
        known = table.select(pl.int_range(pl.len()).alias("row"), column).drop_nulls(column)
        first = known.with_columns(pl.col("row").first().over(column).alias("first"))
        left.append(first["first"].to_numpy())
        right.append(first["row"].to_numpy())
    rows, columns = np.concatenate(left), np.concatenate(right)
    graph = coo_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(n, n))
    _, number = connected_components(graph, directed=False)
    return pl.Series("group", number, dtype=pl.Int64)


def split(
    items: Any,
    *,
    shares: Mapping[str, float] = SHARES,
    together: Sequence[str] = (),
    threshold: float = 0.5,
    seed: int = 0,
    pinned: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """Split items into sets: ``item_id, group, set``.

    Groups go whole, in an order drawn from *seed* and their content, large ones first; each to the
    set that lacks most of its categories (iterative stratification, Sechidis et al. 2011, with a
    group in place of an item). The same items give the same split whatever their order.

    Parameters
    ----------
    items
        ``item_id, text`` and, to stratify, ``category``.
    shares
        Set to share; they make 1.
    together, threshold
        As in :func:`groups`.
    seed
        Another seed, another split.
    pinned
        Items whose set is settled (item_id to set); their groups go with them.

    Raises
    ------
    ValueError
        When the shares do not make 1.
    FrameError
        When a column is missing or an id repeats.
    """
    if abs(sum(shares.values()) - 1) > 1e-9 or min(shares.values()) < 0:
        raise ValueError(f"shares must make 1, got {dict(shares)}")
    table = require(to_polars(items, "items"), ("item_id", "text"), "items")
    table = table.with_columns(pl.col("item_id").cast(pl.String))
    table = ids_unique(table, "item_id", "items").sort("item_id")
    category = table["category"] if "category" in table.columns else pl.Series([""] * len(table))
    kinds = category.cast(pl.String).fill_null("").to_list()
    number = groups(table, together=together, threshold=threshold).to_list()
    members: dict[int, list[int]] = defaultdict(list)
    for row, group in enumerate(number):
        members[group].append(row)
    ids, pinned = table["item_id"].to_list(), pinned or {}
    settled = {g: pinned[ids[r]] for g, rows in members.items() for r in rows if ids[r] in pinned}
    chosen = _assign(members, ids, kinds, shares, seed, settled)
    return pl.DataFrame(
        {"item_id": ids, "group": number, "set": [chosen[g] for g in number]},
        schema={"item_id": pl.String, "group": pl.Int64, "set": pl.String},
    )


def _assign(
    members: Mapping[int, list[int]],
    ids: Sequence[str],
    kinds: Sequence[str],
    shares: Mapping[str, float],
    seed: int,
    settled: Mapping[int, str],
) -> dict[int, str]:
    whole = Counter(kinds)
    lacks = {s: {k: share * whole[k] for k in whole} for s, share in shares.items()}
    left = {s: share * len(ids) for s, share in shares.items()}

    def drawn(group: int) -> tuple[int, str]:
        name = f"{seed}:{ids[members[group][0]]}"
        return -len(members[group]), hashlib.sha256(name.encode()).hexdigest()

    chosen = {}
    for group in sorted(members, key=lambda g: (g not in settled, drawn(g))):
        rows = members[group]
        here = Counter(kinds[r] for r in rows)

        def wanting(name: str, here: Counter[str] = here) -> tuple[float, float]:
            return sum(lacks[name][k] * c for k, c in here.items()), left[name]

        best = settled.get(group) or max(shares, key=wanting)
        chosen[group] = best
        left[best] -= len(rows)
        for kind, count in here.items():
            lacks[best][kind] -= count
    return chosen
