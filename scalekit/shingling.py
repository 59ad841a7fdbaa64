"""The hashed word n-grams of many texts at once: sorted sets, in one array.

A word is as in :mod:`scalekit.text`: letters, digits, underscores and the marks on them, without
case, compatibility forms and invisible characters. ASCII texts go through a table of bytes; the
others through polars first, so that a copy differs in nothing that is not seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = [
    "HASH_BITS", "Codes", "Matches", "Places", "Shingles", "Wanted", "folds_otherwise",
    "matching_windows", "shingle_hashes", "windows", "with_windows",
]  # fmt: skip

Codes = NDArray[np.uint64]
Places = NDArray[np.int64]
HASH_BITS = 44  # the rest of 64 is the text's place in its block: both sort as one number
BLOCK = 300_000  # bytes of text hashed at a time
INVISIBLE = "[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
# Cherokee, Cyrillic Extended-C, the newest planes: folded otherwise, or newer than Python's tables.
OTHERWISE = "[\u13a0-\u13fd\u1c80-\u1c8f\uab70-\uabbf\U00010d40-\U00016fff\U00030000-\U0010ffff]"
_U = np.uint64
_ODD = _U(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Shingles:
    """Each text's set of shingles: ``hashes[starts[i]:starts[i + 1]]``, sorted, of 44 bits."""

    hashes: Codes
    starts: Places

    @property
    def sizes(self) -> Places:
        """How many different shingles each text has."""
        return np.diff(self.starts)


def shingle_hashes(texts: pl.Series, n: int) -> Shingles:
    """Return the sets of hashed word *n*-grams.

    A text of fewer than *n* words is one shingle, a text without words none. Two shingles that
    differ have the same hash with probability 2**-44.
    """
    hashes: list[Codes] = []
    sizes: list[Places] = []
    for data, starts in _blocks(texts):
        found, counts = _of_block(data, starts, n)
        hashes.append(found)
        sizes.append(counts)
    ends = np.zeros(len(texts) + 1, dtype=np.int64)
    if sizes:
        np.cumsum(np.concatenate(sizes), out=ends[1:])
    return Shingles(np.concatenate(hashes) if hashes else np.empty(0, np.uint64), ends)


def windows(texts: pl.Series, n: int) -> Codes:
    """Return the different hashes, of 64 bits, of all runs of *n* words in any of the texts."""
    found = []
    for data, starts in _blocks(texts):
        word, text = _words(data, starts)
        found.append(_runs(word, text, n)[0])
    return np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.uint64)


@dataclass(frozen=True)
class Matches:
    """Runs of words of some texts that are among those wanted, text by text, in their order.

    ``hash`` is the place in the sorted hashes asked for, ``text`` that of the text, ``at`` the
    number of the run's first word in it.
    """

    hash: Places
    text: Places
    at: Places


class Wanted:
    """Hashes from :func:`windows`, ready to be looked for among many more.

    A bit for each of some ranges of hashes answers most look-ups without a search.
    """

    def __init__(self, hashes: Codes) -> None:
        self.hashes = hashes
        self.shift = _U(64 - max(10, min(24, len(hashes).bit_length() + 4)))
        self.some = np.zeros(1 << (64 - int(self.shift)), dtype=bool)
        self.some[hashes >> self.shift] = True

    def find(self, run: Codes) -> tuple[Places, Places]:
        """Return which of *run* are wanted, and which of the wanted each is."""
        maybe = np.flatnonzero(self.some[run >> self.shift])
        place = np.searchsorted(self.hashes, run[maybe])
        place[place == len(self.hashes)] = 0
        same = self.hashes[place] == run[maybe] if len(self.hashes) else np.empty(0, dtype=bool)
        return maybe[same], place[same]


def matching_windows(
    texts: pl.Series, wanted: Mapping[int, Wanted], anchor: int | None = None
) -> Iterator[tuple[int, Places, dict[int, Matches]]]:
    """Find the runs of words that are wanted (by their number of words), some texts at a time.

    Where all runs that are wanted and longer than *anchor* words are made of those wanted of just
    as many, they are looked for at such places alone. Yields the place of the first text, the
    number of words of each, and the matches, whose texts are counted from that place. A text that
    :func:`folds_otherwise` is not to be judged by this.
    """
    first = 0
    for data, starts in _blocks(texts):
        word, text = _words(data, starts)
        begin = np.searchsorted(text, np.arange(len(starts)))
        found = {}
        anchored = np.zeros(len(word), dtype=bool)
        for n, hashes in sorted(wanted.items()):
            if anchor is not None and n > anchor:
                at = np.flatnonzero(anchored[: max(0, len(word) - n + 1)])
                at = at[anchored[at + n - anchor] & (text[at] == text[at + n - 1])]
                run = _run_hashes(word[at[:, None] + np.arange(n)], n)[:, 0]
            else:
                at, run, _ = _runs_at(word, text, n)
            hit, which = hashes.find(run)
            at = at[hit]
            if n == anchor:
                anchored[at] = True
            found[n] = Matches(which, text[at], at - begin[text[at]])
        yield first, np.diff(begin), found
        first += len(starts) - 1


def with_windows(texts: pl.Series, wanted: Mapping[int, Codes]) -> NDArray[np.bool_]:
    """Say of each text whether it may have one of these runs of words.

    *wanted* has hashes from :func:`windows` by number of words. What is said not to have one has
    none; what may have one is to be looked at word by word.
    """
    held = folds_otherwise(texts)
    looked_for = {n: Wanted(hashes) for n, hashes in wanted.items()}
    for first, _, matches in matching_windows(texts, looked_for):
        for found in matches.values():
            held[first + found.text] = True
    return held


def folds_otherwise(texts: pl.Series) -> NDArray[np.bool_]:
    """Say which texts have signs of the few scripts folded otherwise than in scalekit.text."""
    return texts.str.contains(OTHERWISE).fill_null(False).to_numpy(writable=True)


def _blocks(texts: pl.Series) -> Iterator[tuple[NDArray[np.uint8], Places]]:
    """Return runs of texts as bytes, 0 where no word is, and where each text starts in them."""
    data, starts = _bytes(texts)
    first = 0
    while first < len(texts):
        # As much at a time as the processor's cache holds, a million texts at most.
        last = int(np.searchsorted(starts, starts[first] + BLOCK, side="right")) - 1
        last = min(max(last, first + 1), first + 1_000_000)
        own = starts[first : last + 1]
        yield _TABLE[data[own[0] : own[-1]]], own - own[0]
        first = last


def _of_block(data: NDArray[np.uint8], starts: Places, n: int) -> tuple[Codes, Places]:
    word, text = _words(data, starts)
    gram, owner = _grams(word, text, n)
    key = np.sort((owner.astype(np.uint64) << _U(HASH_BITS)) | (gram >> _U(64 - HASH_BITS)))
    key = key[np.concatenate([[True], key[1:] != key[:-1]])] if len(key) else key
    counts = np.bincount((key >> _U(HASH_BITS)).astype(np.int64), minlength=len(starts) - 1)
    return key & _U((1 << HASH_BITS) - 1), counts.astype(np.int64)


def _bytes(texts: pl.Series) -> tuple[NDArray[np.uint8], Places]:
    """Return all texts' bytes, those that are not ASCII folded, and where each text starts."""
    given = texts.cast(pl.String).fill_null("")
    plain = given.str.len_bytes() == given.str.len_chars()
    if not plain.all():
        folded = (
            given.filter(~plain)
            .str.replace_all(INVISIBLE, "")
            .str.normalize("NFKC")
            .str.to_lowercase()
            .str.replace_many(_CASES)
            .str.normalize("NFKC")
            # Unicode's \w has enclosed letters and tie signs too; Python's, which rules here, not.
            .str.replace_all(r"(?:[^\w\p{N}]|[\p{So}\p{Pc}--_])+", " ")
            .str.replace_all(r"(^| )\p{M}+", "${1}")  # a mark on nothing begins no word
        )
        given = given.scatter((~plain).arg_true(), folded)
    _, offsets, data = given.rechunk().to_arrow().buffers()
    starts = np.frombuffer(offsets, dtype=np.int64)[: len(given) + 1]
    return np.frombuffer(data, dtype=np.uint8) if data else np.empty(0, np.uint8), starts


def _byte_table() -> NDArray[np.uint8]:
    """Return what stands for each byte: lower case for letters, itself from 128 on, else 0."""
    table = np.zeros(256, dtype=np.uint8)
    for sign in b"abcdefghijklmnopqrstuvwxyz0123456789_":
        table[sign] = sign
        table[ord(chr(sign).upper())] = sign
    table[128:] = np.arange(128, 256)
    return table


# Where lower case is not yet the case-folded form (Unicode's CaseFolding.txt, status F and C).
_CASES = {"ß": "ss", "ς": "σ", "\u0345": "ι"}
_TABLE = _byte_table()
# A random number for each byte: sums of their multiples tell words apart.
_SIGNS = np.random.default_rng(0).integers(1, 1 << 63, 256, dtype=np.uint64) | _U(1)


def _words(data: NDArray[np.uint8], starts: Places) -> tuple[Codes, Places]:
    """Return the hash of each word and the place of the text that it is in.

    The hash of a word is a polynomial in its bytes modulo 2**64, from two prefix sums: the base is
    odd, so it has an inverse and each word's sum can be brought to the same power.
    """
    inside = np.zeros(len(data) + 2, dtype=bool)
    np.not_equal(data, 0, out=inside[1:-1])
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    begin, end = edges[::2], edges[1::2]
    # Where one text ends in a word and the next begins with one, nothing lies between.
    inner = np.unique(starts[1:-1])
    met = inner[inside[inner] & inside[inner + 1]]
    begin = np.insert(begin, np.searchsorted(begin, met), met)
    end = np.insert(end, np.searchsorted(end, met), met)
    powers, inverses = _powers(len(data))
    sums = np.zeros(len(data) + 1, dtype=np.uint64)
    np.take(_SIGNS, data, out=sums[1:])
    sums[1:] *= powers
    np.cumsum(sums, out=sums)
    word = _mixed((sums[end] - sums[begin]) * inverses[begin])
    count = np.diff(np.searchsorted(begin, starts))
    return word, np.repeat(np.arange(len(count)), count)


_KNOWN: dict[str, tuple[Codes, Codes]] = {}


def _powers(length: int) -> tuple[Codes, Codes]:
    """Return the base's powers and those of its inverse, made once for the longest block."""
    known = _KNOWN.get("powers")
    if known is None or len(known[0]) < length:
        many = max(length, BLOCK)
        both = []
        for base in (0x9E3779B97F4A7C15, pow(0x9E3779B97F4A7C15, -1, 1 << 64)):
            factors = np.full(many, base, dtype=np.uint64)
            factors[0] = 1
            both.append(np.multiply.accumulate(factors))
        known = _KNOWN["powers"] = (both[0], both[1])
    return known[0][:length], known[1][:length]


def _grams(word: Codes, text: Places, n: int) -> tuple[Codes, Places]:
    """Return the hash of each run of *n* words within a text, and whose it is."""
    count = np.bincount(text) if len(text) else np.empty(0, dtype=np.int64)
    short = count[text] < n if len(text) else np.empty(0, dtype=bool)
    parts = [_runs(word, text, n)]
    if short.any():
        parts.append(_whole_texts(word[short], text[short]))
    return np.concatenate([g for g, _ in parts]), np.concatenate([o for _, o in parts])


def _runs(word: Codes, text: Places, n: int) -> tuple[Codes, Places]:
    """Return the hash of each run of exactly *n* words within a text, and whose it is."""
    _, run, owner = _runs_at(word, text, n)
    return run, owner


def _runs_at(word: Codes, text: Places, n: int) -> tuple[Places, Codes, Places]:
    """Return where each run of exactly *n* words in a text begins, its hash, and whose it is."""
    whole = len(word) - n + 1
    if whole <= 0:
        none = np.empty(0, dtype=np.int64)
        return none, np.empty(0, dtype=np.uint64), none
    at = np.flatnonzero(text[:whole] == text[n - 1 :])
    return at, _run_hashes(word, n)[at], text[at]


def _run_hashes(word: Codes, n: int) -> Codes:
    """Return a hash of each *n* words in a row (of the last axis), from runs half as long."""
    if n == 1:
        return _mixed(word * _ODD)
    half = _run_hashes(word, n // 2)
    step = n // 2
    run = _mixed(half[..., : half.shape[-1] - step] * _ODD + half[..., step:])
    if n % 2:
        run = _mixed(run[..., : run.shape[-1] - 1] * _ODD + word[..., n - 1 :])
    return run


def _whole_texts(word: Codes, text: Places) -> tuple[Codes, Places]:
    """Return one hash for each of these texts, of all its words in order."""
    first = np.flatnonzero(np.concatenate([[True], text[1:] != text[:-1]]))
    place = np.arange(len(text)) - np.repeat(first, np.diff([*first, len(text)]))
    own = _mixed(word + (place.astype(np.uint64) + _U(1)) * _ODD)
    return _mixed(np.add.reduceat(own, first)), text[first]


def _mixed(value: Codes) -> Codes:
    """Spread the bits (the finaliser of SplitMix64; Steele, Lea & Flood 2014, OOPSLA)."""
    value = value ^ (value >> _U(30))
    value *= _U(0xBF58476D1CE4E5B9)
    value ^= value >> _U(27)
    value *= _U(0x94D049BB133111EB)
    value ^= value >> _U(31)
    return value
