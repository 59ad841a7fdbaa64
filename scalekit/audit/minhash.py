"""Near-duplicates of many texts: one-permutation MinHash finds candidates, exact sets decide.

Signatures by Li, Owen & Zhang (2012, NIPS: one permutation hashing) with empty bins filled by
rotation (Shrivastava & Li 2014, ICML), banded for locality-sensitive hashing (Broder 1997; Indyk &
Motwani 1998). Every candidate's Jaccard similarity is then counted, so no score is an estimate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.shingling import HASH_BITS, Codes, Places, Shingles, shingle_hashes
from scalekit.text import Pairs

__all__ = ["BANDS", "ROWS", "band_keys", "candidates", "jaccard", "minhash_pairs", "recall_of"]

BANDS, ROWS = 24, 5
EVERY = 256  # texts in a bucket up to which all its pairs are looked at
HELD = 16_000_000  # candidates held before those found twice are merged
VERIFIED = 400_000  # shingles compared at a time
SIGNED = 1024  # texts signed at a time
SLICE = 25_000  # texts whose shingles are held at a time
COMPARED = 100_000  # pairs whose texts are shingled again at a time
_U = np.uint64


def recall_of(similarity: float, bands: int = BANDS, rows: int = ROWS) -> float:
    """Return the chance that a pair of this Jaccard similarity becomes a candidate."""
    return 1 - (1 - similarity**rows) ** bands


def minhash_pairs(
    texts: pl.Series, n: int, threshold: float, *, bands: int = BANDS, rows: int = ROWS
) -> Pairs:
    """Return pairs of texts whose sets of word n-grams have Jaccard similarity >= threshold.

    Every score is exact; a pair is missed with the chance that :func:`recall_of` leaves. The same
    texts give the same pairs everywhere: nothing is drawn.

    Raises
    ------
    ValueError
        When *threshold* is not in (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be in (0, 1], got {threshold}")
    keys = pl.concat(
        band_keys(part, n, bands, rows).with_columns(pl.col("row") + start)
        for start, part in _slices(texts)
    )
    left, right = candidates(keys["row"].to_numpy(), (keys[b].to_numpy() for b in keys.columns[1:]))
    score = np.empty(len(left))
    for start in range(0, len(left), COMPARED):
        own = slice(start, start + COMPARED)
        score[own] = jaccard(texts, left[own], right[own], n)
    keep = score >= threshold
    return Pairs(left[keep], right[keep], score[keep])


def _slices(texts: pl.Series) -> Iterator[tuple[int, pl.Series]]:
    for start in range(0, max(1, len(texts)), SLICE):
        yield start, texts.slice(start, SLICE)


def band_keys(texts: pl.Series, n: int, bands: int = BANDS, rows: int = ROWS) -> pl.DataFrame:
    """Return a key of each text for each band; two texts with the same key are candidates.

    ``row`` (the text's place), then a column of 64-bit keys for each band. Texts without words are
    left out.
    """
    sets = shingle_hashes(texts, n)
    there = np.flatnonzero(sets.sizes)
    signature = _signatures(sets, there, bands * rows)
    columns: dict[str, NDArray[Any]] = {"row": there}
    for band in range(bands):
        key = np.zeros(len(there), dtype=np.uint64)
        for row in range(rows):
            key = (key ^ signature[:, band * rows + row]) * _U(0x9E3779B97F4A7C15)
            key ^= key >> _U(29)
        columns[f"band{band}"] = key
    return pl.DataFrame(columns)


def candidates(row: Places, keys: Iterable[Codes]) -> tuple[Places, Places]:
    """Return the pairs of rows that have the same key in a band, each once, ``left < right``.

    *keys* has those of one band after another, in the order of *row*, which ascends.
    """
    codes: list[NDArray[np.int64]] = []
    for key in keys:
        for one, other in _alike(key):
            low, high = np.minimum(one, other), np.maximum(one, other)
            codes.append(row[low] << 32 | row[high])
        if sum(map(len, codes)) > HELD:
            codes = [np.unique(np.concatenate(codes))]
    pairs = np.unique(np.concatenate(codes)) if codes else np.empty(0, dtype=np.int64)
    return pairs >> 32, pairs & 0xFFFFFFFF


def jaccard(texts: pl.Series, left: Places, right: Places, n: int) -> NDArray[np.float64]:
    """Return the exact Jaccard similarity of each pair's sets of word n-grams."""
    own, place = np.unique(np.concatenate([left, right]), return_inverse=True)
    sets = shingle_hashes(texts.gather(own), n)
    one, other = place[: len(left)], place[len(left) :]
    shared = _shared(sets, one, other)
    union = sets.sizes[one] + sets.sizes[other] - shared
    score: NDArray[np.float64] = shared / np.maximum(union, 1)
    return score


def _signatures(sets: Shingles, there: Places, bins: int) -> Codes:
    """Return the least hash of each text in each of *bins* ranges; an empty one takes the next's.

    A text's hashes are sorted, so the first of a range is the least: nothing is searched.
    """
    made = np.empty((len(there), bins), dtype=np.uint64)
    for start in range(0, len(there), SIGNED):
        own = there[start : start + SIGNED]
        hashes = sets.hashes[sets.starts[own[0]] : sets.starts[own[-1] + 1]]
        owner = np.repeat(np.arange(len(own)), sets.sizes[own])
        bin_of = (hashes >> _U(HASH_BITS - 32)) * _U(bins) >> _U(32)
        place = owner * bins + bin_of.astype(np.int64)
        first = np.flatnonzero(np.concatenate([[True], place[1:] != place[:-1]]))
        table = np.zeros(len(own) * bins, dtype=np.uint64)
        table[place[first]] = hashes[first] + _U(1)
        made[start : start + SIGNED] = _filled(table.reshape(len(own), bins))
    return made


def _filled(table: Codes) -> Codes:
    """Give each empty bin what the next filled one to its right has, and how far that is."""
    rows, bins = table.shape
    index = np.where(table != 0, np.arange(bins, dtype=np.int32), np.int32(2 * bins))
    first = index.min(axis=1, keepdims=True)  # where the way round begins again
    following = np.minimum.accumulate(index[:, ::-1], axis=1)[:, ::-1]
    following = np.where(following < bins, following, first + bins)
    distance = (following - np.arange(bins, dtype=np.int32)).astype(np.uint64)
    flat = (following % bins) + np.arange(rows, dtype=np.int64)[:, None] * bins
    moved: Codes = np.take(table.ravel(), flat) + distance * _U(0xC2B2AE3D27D4EB4F)
    return moved


def _alike(key: Codes) -> Iterator[tuple[Places, Places]]:
    """Return places with the same key, in pairs.

    In a bucket of more than 256, each is paired with the first and with its neighbours: what is
    alike there is alike to a kept one, and the number of pairs stays linear.
    """
    order = np.argsort(key)
    ordered = key[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    size = np.diff([*starts, len(ordered)])
    few = np.repeat((size > 1) & (size <= EVERY), size)
    step = 1
    at = np.flatnonzero(few)
    while len(at):
        at = at[at + step < len(ordered)]
        at = at[ordered[at + step] == ordered[at]]
        if len(at):
            yield order[at], order[at + step]
        step += 1
    for start, many in zip(starts[size > EVERY], size[size > EVERY], strict=True):
        own = np.sort(order[start : start + many])
        yield np.repeat(own[0], many - 1), own[1:]
        for near in range(1, 9):
            yield own[:-near], own[near:]


def _shared(sets: Shingles, left: Places, right: Places) -> Places:
    """Return how many shingles the two of each pair share, by merging their sorted sets."""
    sizes = sets.sizes
    work = np.cumsum(sizes[left] + sizes[right])
    found = np.zeros(len(left), dtype=np.int64)
    start = 0
    while start < len(left):
        done = int(work[start - 1]) if start else 0
        stop = max(int(np.searchsorted(work, done + VERIFIED, side="right")), start + 1)
        stop = min(stop, start + 1_000_000)  # their places have 20 bits
        one = _gathered(sets, left[start:stop])
        other = _gathered(sets, right[start:stop])
        both = np.concatenate([one, other])
        both.sort(kind="stable")  # two runs in order already: merged, not sorted
        same = both[1:][both[1:] == both[:-1]]  # a set has no shingle twice
        pair = (same >> _U(HASH_BITS)).astype(np.int64)
        found[start:stop] = np.bincount(pair, minlength=stop - start)
        start = stop
    return found


def _gathered(sets: Shingles, texts: Places) -> Codes:
    """Return the shingles of these texts, each with its place in the list in the upper bits."""
    size = sets.sizes[texts]
    owner = np.repeat(np.arange(len(texts)), size)
    within = np.arange(int(size.sum())) - np.repeat(np.cumsum(size) - size, size)
    own: Codes = sets.hashes[sets.starts[texts][owner] + within]
    own |= owner.astype(np.uint64) << _U(HASH_BITS)
    return own
