"""Contamination: test items whose words stand in the training text, with the matching span."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from scalekit.display import Markup, View, block, marked, note, table
from scalekit.frames import require, to_polars
from scalekit.shingling import windows, with_windows
from scalekit.text import Word, words

__all__ = ["TIERS", "Contamination", "contamination", "spans_of"]

N = 8
LEAK_COVER = 0.5
SPAN_WORDS = 13
TIERS = ("LEAK", "SPAN", "CLEAN")
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "item_id": pl.String,
    "tier": pl.String,
    "cover": pl.Float64,
    "run": pl.Int64,
    "train_id": pl.String,
    "batch_id": pl.String,
    "text": pl.String,
    "spans": pl.List(pl.List(pl.Int64)),
}


@dataclass(frozen=True)
class Contamination(View):
    """One row for each test item: the worst training row for it.

    ``tier``: LEAK (at least half its words lie in 8-word windows that the training row has, or a
    short item is that row word for word), SPAN (13 or more words in a row are shared: look at it),
    CLEAN. ``cover`` is that share, ``run`` the longest shared run in words, ``spans`` the
    characters of the test text that match. ``leaking`` names every training row that is a LEAK of
    some test item, not only the worst.
    """

    table: pl.DataFrame
    train_rows: int
    leaking: tuple[str, ...] = ()

    @property
    def leaks(self) -> pl.DataFrame:
        """The rows of tier LEAK."""
        return self.table.filter(pl.col("tier") == "LEAK")

    def to_html(self) -> str:
        """Show counts by tier, then each hit with the matching words highlighted."""
        counts = dict(self.table["tier"].value_counts().iter_rows())
        said = ", ".join(f"{counts.get(t, 0)} {t}" for t in TIERS)
        hits = self.table.filter(pl.col("tier") != "CLEAN").sort("cover", descending=True)
        rows = [
            {
                "test item": h["item_id"],
                "tier": h["tier"],
                "cover": h["cover"],
                "run": h["run"],
                "training row": h["train_id"],
                "batch": h["batch_id"],
                "test text, shared words marked": Markup(marked(h["text"], h["spans"])),
            }
            for h in hits.to_dicts()
        ]
        blind = "Words are compared, so a paraphrase is not seen."
        searched = (
            f"{len(self.table):,} test items against {self.train_rows:,} training rows: {said}."
        )
        shown = table(rows, empty="No test item stands in the training text.")
        return block("Contamination", note(f"{searched} {blind}"), shown)


def spans_of(found: Sequence[Word], hit: Iterable[int], n: int) -> list[tuple[int, int]]:
    """Return character spans covered by the windows of *n* words that start at words *hit*."""
    spans: list[tuple[int, int]] = []
    for at in sorted(hit):
        start, end = found[at].start, found[min(at + n, len(found)) - 1].end
        if spans and start <= spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


def covered(places: Iterable[int], n: int) -> int:
    """Return how many words the windows of *n* words that start at *places* cover."""
    total, last = 0, -1
    for at in sorted(places):
        total += n if at > last else at + n - 1 - last
        last = at + n - 1
    return total


def _longest_run(hits: Iterable[tuple[int, int]], n: int) -> int:
    """Return the longest run of words that stand one after another on both sides."""
    best = run = 0
    last = (0, 0)
    for place, at in sorted(set(hits), key=lambda hit: (hit[1] - hit[0], hit[0])):
        follows = (place, at) == (last[0] + 1, last[1] + 1) and run > 0
        run = run + 1 if follows else n
        best, last = max(best, run), (place, at)
    return best


def _tier(cover: float, run: int) -> str:
    return "LEAK" if cover >= LEAK_COVER else "SPAN" if run >= SPAN_WORDS else "CLEAN"


def contamination(test: Any, train: Any) -> Contamination:
    """Search the training text for test items.

    Folded words are compared (case, punctuation, width and invisible characters do not hide a
    copy). Windows have 8 words, or all words of a shorter item; a short item counts as a LEAK only
    if the training row has no other words, or if it has at least 4 different words; the rule
    spares stubs such as "thank you".

    Parameters
    ----------
    test
        ``item_id, text``.
    train
        ``item_id, text`` and, if known, ``batch_id``.

    Raises
    ------
    FrameError
        When a column is missing.
    """
    tests = require(to_polars(test, "test"), ("item_id", "text"), "test items")
    trains = require(to_polars(train, "train"), ("item_id", "text"), "training rows")
    split_tests = [words(t) for t in tests["text"]]
    index: dict[int, dict[tuple[str, ...], list[tuple[int, int]]]] = defaultdict(dict)
    for number, found in enumerate(split_tests):
        n = min(N, len(found))
        for at in range(len(found) - n + 1) if n else ():
            gram = tuple(w.folded for w in found[at : at + n])
            index[n].setdefault(gram, []).append((number, at))
    # Most training rows share no window with any test item: they need no look at their words.
    sizes = pl.Series([min(N, len(found)) for found in split_tests], dtype=pl.Int64)
    wanted = {n: windows(tests["text"].filter(sizes == n), n) for n in index}
    rows = len(trains)
    trains = trains.filter(pl.Series(with_windows(trains["text"], wanted), dtype=pl.Boolean))
    batches = trains["batch_id"].to_list() if "batch_id" in trains.columns else [""] * len(trains)
    best: dict[int, _Hit] = {}
    leaking: dict[str, None] = {}
    for train_id, text, batch in zip(trains["item_id"], trains["text"], batches, strict=True):
        folded = [w.folded for w in words(text)]
        for number, hits in _hits(folded, index).items():
            found = split_tests[number]
            n = min(N, len(found))
            if n < N and len(folded) > n and len({w.folded for w in found}) < 4:
                continue
            places = {place for place, _ in hits}
            cover, run = covered(places, n) / len(found), _longest_run(hits, n)
            hit = _Hit(_tier(cover, run), cover, run, train_id, batch)
            if hit.tier == "LEAK":
                leaking[train_id] = None
            if number not in best or hit.gravity > best[number].gravity:
                spans = [list(s) for s in spans_of(found, places, n)]
                best[number] = replace(hit, spans=spans)
    return Contamination(_table(tests, best), rows, tuple(leaking))


@dataclass(frozen=True)
class _Hit:
    """What one training row has of a test item."""

    tier: str = "CLEAN"
    cover: float = 0.0
    run: int = 0
    train_id: str | None = None
    batch_id: str | None = None
    spans: list[list[int]] = field(default_factory=list)

    @property
    def gravity(self) -> tuple[int, float, int]:
        return -TIERS.index(self.tier), self.cover, self.run


def _hits(
    folded: list[str], index: dict[int, dict[tuple[str, ...], list[tuple[int, int]]]]
) -> dict[int, list[tuple[int, int]]]:
    """Return for each test item the windows it shares, as (place in it, place in the row)."""
    hits: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for n, grams in index.items():
        for at in range(len(folded) - n + 1):
            for number, place in grams.get(tuple(folded[at : at + n]), ()):
                hits[number].append((place, at))
    return hits


def _table(tests: pl.DataFrame, best: dict[int, _Hit]) -> pl.DataFrame:
    rows = []
    for number, (item, text) in enumerate(tests.select("item_id", "text").iter_rows()):
        hit = best.get(number, _Hit())
        found = (hit.tier, hit.cover, hit.run, hit.train_id, hit.batch_id)
        rows.append((item, *found, text, hit.spans))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")
