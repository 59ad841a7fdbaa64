"""Keyed tags of sealed items: training text is searched for copies without opening the seal."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from scalekit.evaluate.contamination import LEAK_COVER, covered
from scalekit.evaluate.overlap import N
from scalekit.shingling import windows, with_windows
from scalekit.text import folded_words

__all__ = ["folded", "rows_holding", "tag_index"]


def folded(text: str) -> str:
    """Return the folded words of a text, a space around each: what holds it holds it whole."""
    return f" {' '.join(folded_words(text))} "


def tag_index(texts: pl.Series, key: bytes) -> dict[str, Any]:
    """Return the tags of each text's windows, and the hashes by which rows are passed over."""
    tags = _tags(texts.to_list(), key)
    sizes = pl.Series([min(N, tag["words"]) for tag in tags], dtype=pl.Int64)
    codes = {n: windows(texts.filter(sizes == n), n) for n in sorted(set(sizes)) if n}
    return {"items": tags, "windows": {str(n): c.tolist() for n, c in codes.items()}}


def rows_holding(rows: pl.DataFrame, index: Mapping[str, Any], key: bytes) -> pl.DataFrame:
    """Return the rows that hold a tagged text: ``item_id, batch_id, cover``."""
    items = index["items"]
    # Most rows share no window with any sealed item: they need no keyed tags.
    rows = rows.filter(_may_hold(rows["text"], index["windows"]))
    where: dict[str, list[tuple[int, int]]] = {}
    for number, item in enumerate(items):
        for place, tag in enumerate(item["tags"]):
            where.setdefault(tag, []).append((number, place))
    sizes = {min(N, item["words"]) for item in items}
    batches = rows["batch_id"] if "batch_id" in rows.columns else [""] * len(rows)
    found = []
    for row, text, batch in zip(rows["item_id"], rows["text"], batches, strict=True):
        folded = folded_words(text)
        hits: dict[int, set[int]] = {}
        for window in {w for n in sizes for w in _windows(folded, n)}:
            for number, place in where.get(_tag(key, window), ()):
                hits.setdefault(number, set()).add(place)
        cover = max((_cover(items[n], p, len(folded)) for n, p in hits.items()), default=0.0)
        if cover >= LEAK_COVER:
            found.append((row, batch, cover))
    schema = {"item_id": pl.String, "batch_id": pl.String, "cover": pl.Float64}
    return pl.DataFrame(found, schema=schema, orient="row")


def _windows(folded: Sequence[str], n: int) -> list[str]:
    return [" ".join(folded[at : at + n]) for at in range(len(folded) - n + 1)] if n else []


def _tag(key: bytes, window: str) -> str:
    return hmac.new(key, window.encode(), hashlib.sha256).hexdigest()[:16]


def _tags(texts: Sequence[str], key: bytes) -> list[dict[str, Any]]:
    """Keyed tags of each item's windows, in order: they say nothing without the key."""
    found = []
    for text in texts:
        folded = folded_words(text)
        tags = [_tag(key, w) for w in _windows(folded, min(N, len(folded)))]
        found.append({"words": len(folded), "different": len(set(folded)), "tags": tags})
    return found


def _may_hold(texts: pl.Series, codes: Mapping[str, Sequence[int]]) -> pl.Series:
    """Say which texts may have one of these windows (by number of words)."""
    wanted = {int(n): np.array(found, dtype=np.uint64) for n, found in codes.items()}
    return pl.Series(with_windows(texts, wanted), dtype=pl.Boolean)


def _cover(item: Mapping[str, Any], places: set[int], row_words: int) -> float:
    size = int(item["words"])
    if size < N and row_words > size and item["different"] < 4:
        return 0.0  # a stub such as "thank you" counts only when the row says nothing else
    return covered(places, min(N, size)) / size
