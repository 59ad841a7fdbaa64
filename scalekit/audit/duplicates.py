"""Duplicates: which copy stays, which goes, and how alike they are."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from hashlib import blake2b
from typing import Any, Literal

import polars as pl

from scalekit.audit.minhash import minhash_pairs
from scalekit.frames import TIERS, FrameError, ids_unique, require, texts_given, to_polars
from scalekit.text import fold, jaccard_pairs

__all__ = [
    "EXACT_UP_TO", "exact_duplicates", "keep_order", "near_duplicates", "resolved", "similar_pairs",
]  # fmt: skip

EXACT_UP_TO = 20_000  # texts: all pairs are looked at in some seconds
PAIRS = {"item_id": pl.String, "other_id": pl.String, "score": pl.Float64}
REMOVED = {"item_id": pl.String, "kept_id": pl.String, "score": pl.Float64}
Method = Literal["auto", "exact", "minhash"]


def keep_order(items: pl.DataFrame) -> pl.DataFrame:
    """Return *items* in the order in which copies are kept.

    The better source first (``tier``), then the batch that came first (``batch_id``, so that what
    was labelled is not displaced by a later copy), the higher ``quality``, the text of more words,
    the lower id; what is not there decides nothing.
    """
    keys: list[pl.Expr] = []
    if "tier" in items.columns:
        order = {t: i for i, t in enumerate(TIERS)}
        keys.append(pl.col("tier").cast(pl.String).replace_strict(order, default=len(TIERS)))
    if "batch_id" in items.columns:
        batch = pl.col("batch_id").cast(pl.String).fill_null("")
        keys.append(pl.col("#").min().over(batch))
    if "quality" in items.columns:
        keys.append(-pl.col("quality").cast(pl.Float64).fill_null(float("-inf")))
    keys.append(-pl.col("text").str.count_matches(r"\w+").cast(pl.Int64))
    numbered = items.with_row_index("#")
    return numbered.sort(*keys, pl.col("item_id").cast(pl.String)).drop("#")


def _checked(items: Any) -> pl.DataFrame:
    table = require(to_polars(items, "items"), ("item_id", "text"), "items")
    table = texts_given(ids_unique(table, "item_id", "items"), "items")
    return keep_order(table).with_columns(pl.col("item_id").cast(pl.String))


def _as_compared(text: str) -> str:
    """Drop case, punctuation and spacing; signs such as $, < and emoji are words of their own."""
    if text.isascii():
        return " ".join(text.lower().translate(_PLAIN).split()) or text
    kept = (c if unicodedata.category(c)[0] in "LMNS" else " " for c in fold(text))
    return " ".join("".join(kept).split()) or text


_PLAIN = {n: " " for n in range(128) if unicodedata.category(chr(n))[0] not in "LMNS"}


def exact_duplicates(items: Any) -> pl.DataFrame:
    """Return texts that say word for word what a kept one says: ``item_id, kept_id, score``.

    Case, punctuation, spacing and invisible characters are ignored. *items* needs ``item_id,
    text``; which copy is kept is as in :func:`keep_order`.
    """
    table = _checked(items)
    first: dict[bytes, str] = {}
    rows = []
    for item, text in table.select("item_id", "text").iter_rows():
        # Sixteen bytes instead of the text: a million texts need no second copy of themselves.
        mark = blake2b(_as_compared(text).encode("utf-8", "replace"), digest_size=16).digest()
        kept = first.setdefault(mark, item)
        if kept != item:
            rows.append((item, kept, 1.0))
    return pl.DataFrame(rows, schema=REMOVED, orient="row")


def similar_pairs(
    items: Any, *, lowest: float = 0.5, n: int = 3, method: Method = "auto"
) -> pl.DataFrame:
    """Return pairs of items whose texts are alike: ``item_id, other_id, score``.

    By the exact Jaccard similarity of word *n*-grams, from *lowest* in (0, 1] on; a shorter text is
    one whole shingle. *method* is as in :func:`near_duplicates`, and so is what it raises.
    """
    if method not in ("auto", "exact", "minhash"):
        raise ValueError(f"method {method!r} is not one of auto, exact, minhash")
    table = _checked(items)
    if method == "minhash" or (method == "auto" and len(table) > EXACT_UP_TO):
        pairs = minhash_pairs(table["text"], n, lowest)
    else:
        pairs = jaccard_pairs(table["text"].to_list(), n, lowest)
    ids = table["item_id"]
    return pl.DataFrame(
        {"item_id": ids.gather(pairs.left), "other_id": ids.gather(pairs.right),
         "score": pairs.score}, schema=PAIRS,
    )  # fmt: skip


def resolved(items: Any, pairs: Any, threshold: float) -> pl.DataFrame:
    """Say which items go, given how alike they are: ``item_id, kept_id, score``.

    In the order of :func:`keep_order` an item goes only if it is alike, by at least *threshold*, to
    one that stays (no chains); named is the kept one most alike.

    Raises
    ------
    FrameError
        When a column is missing, or a pair names an item that is not there.
    """
    ids = _checked(items)["item_id"].to_list()
    place = {item: n for n, item in enumerate(ids)}
    alike = require(to_polars(pairs, "pairs"), tuple(PAIRS), "pairs")
    earlier: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for one, other, score in alike.filter(pl.col("score") >= threshold).iter_rows():
        if one not in place or other not in place:
            raise FrameError(f"pairs: {one!r} or {other!r} is not among the items")
        left, right = sorted((place[one], place[other]))
        earlier[right].append((score, left))
    gone: set[int] = set()
    rows = []
    for row in sorted(earlier):
        kept = [(score, left) for score, left in earlier[row] if left not in gone]
        if kept:
            score, left = max(kept, key=lambda pair: (pair[0], -pair[1]))
            gone.add(row)
            rows.append((ids[row], ids[left], score))
    return pl.DataFrame(rows, schema=REMOVED, orient="row")


def near_duplicates(
    items: Any, *, threshold: float = 0.7, n: int = 3, method: Method = "auto"
) -> pl.DataFrame:
    """Return near-copies of a kept text: ``item_id, kept_id, score``.

    By the exact Jaccard similarity of word *n*-grams; a text goes only if it is alike, by at least
    *threshold*, to one that stays (:func:`resolved`). Word-for-word copies count as well.

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
    pairs = similar_pairs(items, lowest=threshold, n=n, method=method)
    return resolved(items, pairs, threshold)
