"""The search behind contamination: which runs of words do test items share with training rows.

Words are hashed (:mod:`scalekit.shingling`) and looked up in one pass over the training text; what
is found is then summed for each pair of an item and a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.shingling import Matches, Wanted, matching_windows, windows
from scalekit.text import words

__all__ = ["RARE_N", "N", "Overlap", "Search"]

N = 8
"""Words in a window; a shorter item is one window."""
RARE_N = 4
"""Words in a window that is looked at only if few training rows have it."""
RARE_ROWS = 2
SUMMED = 300_000  # hits held before they are summed for each pair

Places = NDArray[np.int64]
PAIRS = {"item": pl.Int64, "row": pl.Int64, "covered": pl.Int64, "run": pl.Int64}


@dataclass(frozen=True)
class Overlap:
    """What was found: items by their place, rows by their place in all that was searched.

    ``pairs``: ``item, row, covered`` (words of the item in shared windows)``, run`` (the longest
    run of shared words): of each item the row that covers most, and each row that is enough.
    ``rare``: ``item, row, covered, places`` by windows of 4 words that at most 2 training rows
    have, with the places of their first words.
    """

    pairs: pl.DataFrame
    rare: pl.DataFrame
    rows: int


class Search:
    """A search for test items; training rows are added a part at a time.

    Parameters
    ----------
    tests
        The items' texts.
    enough
        From pairs (``item, row, covered, run``, and ``words`` of the item) to which are all kept;
        of the others only an item's best row is.
    """

    def __init__(self, tests: pl.Series, enough: pl.Expr) -> None:
        self.enough = enough
        self.sizes = word_counts(tests)
        self.stub = _stubs(tests, self.sizes)
        window = np.minimum(self.sizes, N)
        ns = [int(n) for n in np.unique(window) if n]
        self.whole = {n: _Occurrences(tests, window == n, n) for n in ns}
        self.rare = _Occurrences(tests, self.sizes >= N, RARE_N)
        # A longer window is only looked for where those of 4 words match.
        fours = windows(tests.filter(pl.Series(self.sizes >= RARE_N)), RARE_N)
        self.wanted = {n: own.wanted for n, own in self.whole.items()} | {RARE_N: Wanted(fours)}
        for own in (self.rare, self.whole.get(RARE_N)):
            if own is not None:
                own.count_by(fours)
        self.rare_rows = np.zeros(len(self.rare.wanted.hashes), dtype=np.int64)
        self.rare_hits: list[tuple[Places, Places]] = []
        self.held: list[tuple[Places, ...]] = []
        self.kept: list[pl.DataFrame] = []
        self.best = pl.DataFrame(schema=PAIRS)
        self.rows = 0

    def add(self, texts: pl.Series) -> None:
        """Search training texts."""
        held = 0
        for first, words_of, matches in matching_windows(texts, self.wanted, RARE_N):
            start = self.rows + first
            for n, own in self.whole.items():
                item, place, row, at = own.hits(own.among(matches[n]))
                # "thank you" inside a longer text is no copy of a test item.
                spared = self.stub[item] & (words_of[row] > n)
                self.held.append(tuple(p[~spared] for p in (item, row + start, place, at)))
                held += len(item)
            self._count_rare(self.rare.among(matches[RARE_N]), start)
            if held > SUMMED:
                self._sum()
                held = 0
        self._sum()
        self.rows += len(texts)

    def result(self) -> Overlap:
        """Return what was found so far."""
        hashes = _joined([h for h, _ in self.rare_hits])
        rows = _joined([r for _, r in self.rare_hits])
        rare = self.rare_rows[hashes] <= RARE_ROWS
        item, place, row, _ = self.rare.hits(Matches(hashes[rare], rows[rare], rows[rare]))
        hits = pl.DataFrame({"item": item, "row": row, "places": place})
        found = _covered(item, row, place, np.full(len(item), RARE_N)).join(
            hits.group_by("item", "row").agg(pl.col("places").unique().sort()), on=["item", "row"]
        )
        pairs = pl.concat([*self.kept, self.best]).unique(["item", "row"]).sort("item", "row")
        return Overlap(pairs, found.sort("item", "row"), self.rows)

    def places(self, item: Places, texts: pl.Series) -> list[list[int]]:
        """Return where the windows that each item shares with the text beside it begin in it."""
        found: list[list[int]] = [[] for _ in item]
        for first, _, matches in matching_windows(texts, self.wanted, RARE_N):
            for n, own in self.whole.items():
                of, place, row, _ = own.hits(own.among(matches[n]))
                same = of == item[first + row]
                for r, p in zip((first + row[same]).tolist(), place[same].tolist(), strict=True):
                    found[r].append(p)
        return found

    def _sum(self) -> None:
        """Sum the hits of each pair; keep those that are enough, and of each item the best."""
        if not self.held:
            return
        item, row, place, at = (_joined(list(part)) for part in zip(*self.held, strict=True))
        self.held = []
        size = np.minimum(self.sizes[item], N)
        covered = _covered(item, row, place, size)
        pairs = covered.join(_longest(item, row, place, at, size), on=["item", "row"])
        words_of = pl.Series("words", self.sizes).gather(pairs["item"])
        self.kept.append(pairs.filter(pairs.with_columns(words_of).select(self.enough)[:, 0]))
        every = pl.concat([self.best, pairs]).sort(
            "covered", "run", "row", descending=[True, True, False]
        )
        self.best = every.unique("item", keep="first", maintain_order=True)

    def _count_rare(self, found: Matches, start: int) -> None:
        """Count the rows that have each rare window, and hold its first ones."""
        pairs = np.unique(found.hash << 32 | found.text)
        hashes = pairs >> 32
        self.rare_rows += np.bincount(hashes, minlength=len(self.rare_rows))
        still = self.rare_rows[hashes] <= RARE_ROWS
        self.rare_hits.append((hashes[still], (pairs[still] & 0xFFFFFFFF) + start))


class _Occurrences:
    """Where the windows of *n* words stand in the test items that are *chosen*."""

    def __init__(self, tests: pl.Series, chosen: NDArray[np.bool_], n: int) -> None:
        places = np.flatnonzero(chosen)
        texts = tests.gather(places)
        self.wanted = Wanted(windows(texts, n))
        parts = [(first, m[n]) for first, _, m in matching_windows(texts, {n: self.wanted})]
        which = _joined([m.hash for _, m in parts])
        order = np.argsort(which, kind="stable")
        self.item = places[_joined([first + m.text for first, m in parts])[order]]
        self.place = _joined([m.at for _, m in parts])[order]
        self.starts = np.searchsorted(which[order], np.arange(len(self.wanted.hashes) + 1))
        self.number: Places | None = None

    def count_by(self, hashes: NDArray[np.uint64]) -> None:
        """Expect matches numbered by a longer list of *hashes*."""
        self.number = np.full(len(hashes), -1, dtype=np.int64)
        place = np.searchsorted(hashes, self.wanted.hashes)
        self.number[place] = np.arange(len(place))

    def among(self, found: Matches) -> Matches:
        """Return the matches with these windows, by their own numbers."""
        if self.number is None:
            return found
        hashes = self.number[found.hash]
        own = hashes >= 0
        return Matches(hashes[own], found.text[own], found.at[own])

    def hits(self, found: Matches) -> tuple[Places, Places, Places, Places]:
        """Return the item, the place in it, the row and the place there of each match."""
        begin = self.starts[found.hash]
        many = self.starts[found.hash + 1] - begin
        nth = np.arange(int(many.sum())) - np.repeat(np.cumsum(many) - many, many)
        of = np.repeat(begin, many) + nth
        return self.item[of], self.place[of], np.repeat(found.text, many), np.repeat(found.at, many)


def word_counts(texts: pl.Series) -> Places:
    """Return how many words each text has."""
    return _joined([counts for _, counts, _ in matching_windows(texts, {})])


def _stubs(tests: pl.Series, sizes: Places) -> NDArray[np.bool_]:
    """Say which items are shorter than a window and have fewer than 4 different words."""
    stub = np.zeros(len(tests), dtype=bool)
    for item in np.flatnonzero(sizes < N):
        stub[item] = len({word.folded for word in words(tests[int(item)] or "")}) < 4
    return stub


def _covered(item: Places, row: Places, place: Places, size: Places) -> pl.DataFrame:
    """Return how many words of each item the windows of *size* words at *place* cover."""
    order = np.lexsort((place, row, item))
    i, r, p, n = (part[order] for part in (item, row, place, size))
    same = (i[1:] == i[:-1]) & (r[1:] == r[:-1])
    # Up to the next window, but no more than its own words.
    new = np.where(np.append(same, False), np.minimum(np.append(np.diff(p), 0), n), n)
    first = np.flatnonzero(np.append(True, ~same)[: len(i)])
    total = np.add.reduceat(new, first) if len(first) else new
    return pl.DataFrame({"item": i[first], "row": r[first], "covered": total})


def _longest(item: Places, row: Places, place: Places, at: Places, size: Places) -> pl.DataFrame:
    """Return the longest run of words one after another in both the item and the row."""
    order = np.lexsort((place, at - place, row, item))
    i, r, p, a, n = (part[order] for part in (item, row, place, at, size))
    follows = (i[1:] == i[:-1]) & (r[1:] == r[:-1]) & (np.diff(p) == 1) & (np.diff(a) == 1)
    first = np.flatnonzero(np.append(True, ~follows)[: len(i)])
    length = np.diff(np.append(first, len(i))) + n[first] - 1
    runs = pl.DataFrame({"item": i[first], "row": r[first], "run": length})
    return runs.group_by("item", "row").agg(pl.col("run").max())


def _joined(parts: list[Places]) -> Places:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
