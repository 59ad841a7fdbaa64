"""Group-aware, stratified split: what belongs together never straddles two sets."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import polars as pl

from scalekit.frames import FrameError, ids_unique, require, to_polars
from scalekit.text import jaccard_pairs

__all__ = ["SETS", "SHARES", "groups", "split"]

SETS = ("train", "dev", "sealed", "vault")
"""What items are split into: learned from, looked at, scored in totals, opened once."""
OPEN = ("train", "dev")  # what people may look at
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
    shown: Collection[str] = (),
    by: str | None = None,
) -> pl.DataFrame:
    """Split items into sets: ``item_id, group, set``.

    Groups go whole, in an order drawn from *seed* and their content, large ones first; each to the
    set that lacks most of its categories (iterative stratification, Sechidis et al. 2011, with a
    group in place of an item). The same items give the same split whatever their order.

    Split *by* a time, the earliest groups go to train and the latest to the other sets, among
    which they are stratified; a group counts as old as its latest item, so that no training item is
    later than what any test group reaches.

    Parameters
    ----------
    items
        ``item_id, text`` and, to stratify, ``category``.
    shares
        Set (of train, dev, sealed, vault) to share; they make 1.
    together, threshold
        As in :func:`groups`.
    seed
        Another seed, another split.
    pinned
        Items whose set is settled (item_id to set); their groups go with them.
    shown
        Items that somebody has looked at: they and their groups go to train or dev.
    by
        Column of dates, times, numbers, or text in ISO 8601.

    Raises
    ------
    ValueError
        When the shares do not make 1, name another set, or leave what was shown no set.
    FrameError
        When a column is missing, an id repeats, or *by* can't be ordered.
    """
    if unknown := sorted(set(shares) - set(SETS)):
        raise ValueError(f"shares: there is no set {unknown[0]!r}; there are {', '.join(SETS)}")
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
    seen = set(shown)
    opened = {g for g, rows in members.items() if any(ids[r] in seen for r in rows)}
    if by is None:
        chosen = _assign(members, ids, kinds, shares, seed, settled, opened)
    else:
        at = _ordered(require(table, (by,), "items")[by])
        latest = {g: max(at[r] for r in rows) for g, rows in members.items()}
        chosen = _assign_by_time(members, ids, kinds, shares, seed, settled, opened, latest)
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
    opened: Collection[int],
) -> dict[int, str]:
    whole = Counter(kinds)
    # A settled set may have no share any more: it takes what is its own, and nothing else.
    none = {s: 0.0 for s in settled.values() if s not in shares}
    open_to, shares = list(shares), {**shares, **none}
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

        may = [s for s in open_to if s in OPEN] if group in opened else open_to
        if not may and group not in settled:
            raise ValueError(
                f"item {ids[rows[0]]!r} was shown, so it can't be in {', '.join(open_to)}: give "
                "train or dev a share"
            )
        best = settled.get(group) or max(may, key=wanting)
        chosen[group] = best
        left[best] -= len(rows)
        for kind, count in here.items():
            lacks[best][kind] -= count
    return chosen


def _assign_by_time(
    members: Mapping[int, list[int]],
    ids: Sequence[str],
    kinds: Sequence[str],
    shares: Mapping[str, float],
    seed: int,
    settled: Mapping[int, str],
    opened: Collection[int],
    latest: Mapping[int, float],
) -> dict[int, str]:
    """Give the earliest groups to train, then stratify the later ones among the other sets."""

    def spread(groups: Iterable[int], among: Mapping[str, float]) -> dict[int, str]:
        own = {g: members[g] for g in groups}
        rows = [r for members in own.values() for r in members]
        place = {r: n for n, r in enumerate(rows)}
        near = {g: [place[r] for r in members] for g, members in own.items()}
        told = [ids[r] for r in rows], [kinds[r] for r in rows]
        known = {g: s for g, s in settled.items() if g in own}
        return _assign(near, *told, among, seed, known, opened)

    of_time: dict[float, list[int]] = defaultdict(list)
    for group in members:
        if group not in settled:
            of_time[latest[group]].append(group)
    train = [g for g, name in settled.items() if name == "train"]
    later = [g for g, name in settled.items() if name != "train"]
    wanted = shares.get("train", 0.0) * len(ids) - sum(len(members[g]) for g in train)
    for _, groups in sorted(of_time.items()):
        size = sum(len(members[g]) for g in groups)
        share = min(max(wanted / size, 0.0), 1.0)
        wanted -= size
        if 0 < share < 1:  # where the cut falls, what is equally old is stratified too
            sides = spread(groups, {"train": share, "later": 1 - share})
            train += [g for g in groups if sides[g] == "train"]
            later += [g for g in groups if sides[g] != "train"]
        else:
            (train if share else later).extend(groups)
    rest = 1 - shares.get("train", 0.0)
    others = {s: share / rest for s, share in shares.items() if s != "train"} if rest else shares
    return {**dict.fromkeys(train, "train"), **spread(later, others)}


def _ordered(column: pl.Series) -> list[float]:
    """Return values as numbers in order of time."""
    if column.null_count():
        raise FrameError(
            f"items: {column.null_count()} rows have no {column.name!r}, by which to split"
        )
    if column.dtype.is_numeric():
        return column.cast(pl.Float64).to_list()
    return [_seconds(value, column.name) for value in column]


def _seconds(value: Any, column: str) -> float:
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        elif isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)
        at = value if value.tzinfo else value.replace(tzinfo=UTC)
        return float(at.timestamp())
    except (ValueError, AttributeError) as error:
        raise FrameError(
            f"items: {value!r} in column {column!r} is no date; give it as YYYY-MM-DD, with a time "
            "if known"
        ) from error
