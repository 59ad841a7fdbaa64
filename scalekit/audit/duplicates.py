"""Duplicates: which copy stays, which goes, and how alike they are."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from typing import Any, Literal

import polars as pl

from scalekit.audit.minhash import minhash_pairs
from scalekit.frames import TIERS, ids_unique, require, texts_given, to_polars
from scalekit.text import fold, jaccard_pairs

__all__ = ["exact_duplicates", "keep_order", "near_duplicates"]

EXACT_UP_TO = 20_000  # texts: all pairs are looked at in some seconds
SCHEMA = {"item_id": pl.String, "kept_id": pl.String, "score": pl.Float64}


def keep_order(items: pl.DataFrame) -> pl.DataFrame:
    """Return *items* in the order in which copies are kept: best source first, then as given."""
    if "tier" not in items.columns:
        return items
    order = {t: i for i, t in enumerate(TIERS)}
    rank = pl.col("tier").cast(pl.String).replace_strict(order, default=len(TIERS))
    return items.sort(rank, maintain_order=True)


def _checked(items: Any) -> pl.DataFrame:
    table = require(to_polars(items, "items"), ("item_id", "text"), "items")
    table = texts_given(ids_unique(table, "item_id", "items"), "items")
    return keep_order(table).with_columns(pl.col("item_id").cast(pl.String))


def _as_compared(text: str) -> str:
    """Drop case, punctuation and spacing; signs such as $, < and emoji are words of their own."""
    kept = (c if unicodedata.category(c)[0] in "LMNS" else " " for c in fold(text))
    return " ".join("".join(kept).split()) or text


def exact_duplicates(items: Any) -> pl.DataFrame:
    """Return texts that say word for word what a kept one says: ``item_id, kept_id, score``.

    Case, punctuation, spacing and invisible characters are ignored. *items* needs ``item_id,
    text``; with ``tier`` the copy from the better source is kept, else the first.
    """
    table = _checked(items)
    first: dict[str, str] = {}
    rows = []
    for item, text in zip(table["item_id"], map(_as_compared, table["text"]), strict=True):
        kept = first.setdefault(text, item)
        if kept != item:
            rows.append((item, kept, 1.0))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def near_duplicates(
    items: Any,
    *,
    threshold: float = 0.7,
    n: int = 3,
    method: Literal["auto", "exact", "minhash"] = "auto",
) -> pl.DataFrame:
    """Return near-copies of a kept text: ``item_id, kept_id, score``.

    By the exact Jaccard similarity of word *n*-grams; a text goes only if it is alike, by at least
    *threshold*, to one that stays (no chains). Word-for-word copies count as well.

    Parameters
    ----------
    items
        As in :func:`exact_duplicates`.
    threshold
        In (0, 1].
    n
        Words in a shingle; a shorter text is one whole shingle.
    method
        "exact" looks at every pair that shares a shingle and misses none. "minhash" first finds
        candidates by locality-sensitive hashing (:func:`scalekit.audit.minhash.minhash_pairs`): a
        pair just at .7 is missed with a chance of one in a hundred, one at .8 with one in ten
        thousand. "auto" is exact up to 20,000 texts.

    Raises
    ------
    ValueError
        When the threshold or the method can't be.
    """
    if method not in ("auto", "exact", "minhash"):
        raise ValueError(f"method {method!r} is not one of auto, exact, minhash")
    table = _checked(items)
    ids = table["item_id"].to_list()
    if method == "minhash" or (method == "auto" and len(table) > EXACT_UP_TO):
        pairs = minhash_pairs(table["text"], n, threshold)
    else:
        pairs = jaccard_pairs(table["text"].to_list(), n, threshold)
    earlier: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for left, right, score in zip(pairs.left, pairs.right, pairs.score, strict=True):
        earlier[int(right)].append((float(score), int(left)))
    gone: set[int] = set()
    rows = []
    for row in sorted(earlier):
        kept = [(score, left) for score, left in earlier[row] if left not in gone]
        if kept:
            score, left = max(kept, key=lambda pair: (pair[0], -pair[1]))
            gone.add(row)
            rows.append((ids[row], ids[left], score))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")
