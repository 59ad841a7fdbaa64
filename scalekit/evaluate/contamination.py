"""Contamination: test items whose words stand in the training text, with the matching span."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.display import Markup, View, block, marked, note, table
from scalekit.evaluate.overlap import RARE_N, N, Search
from scalekit.frames import require, to_polars
from scalekit.shingling import folds_otherwise
from scalekit.text import Word, folded_words, words

__all__ = ["LEAK_COVER", "TIERS", "Contamination", "contamination", "covered", "spans_of"]

LEAK_COVER = 0.5
SPAN_WORDS = 13
RARE_COVER = 0.15
TIERS = ("LEAK", "SPAN", "REVIEW", "CLEAN")
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "item_id": pl.String,
    "tier": pl.String,
    "cover": pl.Float64,
    "run": pl.Int64,
    "rare": pl.Float64,
    "rows": pl.Int64,
    "train_id": pl.String,
    "batch_id": pl.String,
    "text": pl.String,
    "spans": pl.List(pl.List(pl.Int64)),
}
SHOWN = 50  # hits in the view; the table has them all
_COVER = pl.col("covered") / pl.col("words")
_TIER = (
    pl.when(_COVER >= LEAK_COVER)
    .then(pl.lit(0))
    .when(pl.col("run") >= SPAN_WORDS)
    .then(pl.lit(1))
    .otherwise(pl.lit(3))
)


@dataclass(frozen=True)
class Contamination(View):
    """One row for each test item: the worst training row for it.

    ``tier``: LEAK (at least half its words lie in 8-word windows that the training row has, or a
    short item is that row word for word), SPAN (13 or more words in a row are shared: look at it),
    REVIEW (at least 15 % of its words lie in 4-word windows that it shares with that row and that
    hardly another row has: look whether it was reworded), CLEAN. ``cover`` is the first share,
    ``rare`` the second, ``run`` the longest shared run in words, ``rows`` how many training rows
    are a LEAK or SPAN of it (many: a common phrase, or copies), ``spans`` the characters of the
    test text that match (of a CLEAN item none). ``leaking`` names every training row that is a LEAK
    of some test item, not only the worst.
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
        order = pl.col("tier").replace_strict({t: n for n, t in enumerate(TIERS)})
        hits = self.table.filter(pl.col("tier") != "CLEAN").sort(
            order, "cover", "rare", descending=[False, True, True], maintain_order=True
        )
        rows = [
            {
                "test item": h["item_id"],
                "tier": h["tier"],
                "cover": h["cover"],
                "run": h["run"],
                "rare": h["rare"],
                "rows": h["rows"],
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
        legend = (
            "LEAK: half its words or more. SPAN: 13 words in a row, perhaps a common phrase. "
            "REVIEW: rare runs of four words, perhaps reworded."
        )
        shown = table(rows, limit=SHOWN, empty="No test item stands in the training text.")
        parts = (note(f"{searched} {blind}"), note(legend) if rows else "", shown)
        return block("Contamination", *parts)


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


def contamination(test: Any, train: Any) -> Contamination:
    """Search the training text for test items.

    Folded words are compared (case, punctuation, width and invisible characters do not hide a
    copy). Windows have 8 words, or all words of a shorter item; a short item counts as a LEAK only
    if the training row has no other words, or if it has at least 4 different words; the rule
    spares stubs such as "thank you". The training text is read once, so that memory does not grow
    with it when it comes as files.

    Parameters
    ----------
    test
        ``item_id, text``.
    train
        ``item_id, text`` and, if known, ``batch_id``: a data frame, or a list of Parquet files.

    Raises
    ------
    FrameError
        When a column is missing.
    """
    tests = require(to_polars(test, "test"), ("item_id", "text"), "test items")
    parts = _Parts(train)
    search = Search(tests["text"], _TIER < 3)
    odd = {
        int(n): words(tests["text"][int(n)]) for n in folds_otherwise(tests["text"]).nonzero()[0]
    }
    slow: list[dict[str, Any]] = []
    for part in parts.tables(("text",)):
        if odd:
            slow += _word_by_word(odd, part["text"], search.rows)
        search.add(part["text"])
    found = search.result()
    sizes = pl.DataFrame({"item": range(len(tests)), "words": search.sizes})
    pairs = found.pairs
    if slow:
        pairs = pl.concat([pairs, pl.DataFrame(slow, schema=pairs.schema)])
    pairs = pairs.join(sizes, on="item").with_columns(_TIER.alias("tier"), _COVER.alias("cover"))
    rare = found.rare.join(sizes, on="item").with_columns(_COVER.alias("rare"))
    best = _best(pairs, rare)
    leaking = sorted(set(pairs.filter(pl.col("tier") == 0)["row"]))
    wanted = sorted({*leaking, *best["row"]})
    rows = parts.rows(wanted)
    table = _table(tests, best, rows, search)
    return Contamination(table, found.rows, tuple(rows[row]["item_id"] for row in leaking))


def _best(pairs: pl.DataFrame, rare: pl.DataFrame) -> pl.DataFrame:
    """Return of each item that shares something the worst row, and how many are as bad."""
    order = ("tier", "cover", "run", "row")
    first = pairs.sort(*order, descending=[False, True, True, False])
    first = first.unique("item", keep="first", maintain_order=True)
    flagged = pairs.filter(pl.col("tier") < 3).group_by("item").agg(pl.col("row").n_unique())
    most = rare.sort("rare", "row", descending=[True, False])
    most = most.unique("item", keep="first", maintain_order=True)
    joined = first.select("item", *order).join(
        most.select("item", pl.col("row").alias("rare row"), "rare", "places"),
        on="item", how="full", coalesce=True,
    )  # fmt: skip
    joined = joined.join(flagged.rename({"row": "rows"}), on="item", how="left")
    tier = pl.col("tier").fill_null(3)
    review = (tier == 3) & (pl.col("rare") >= RARE_COVER)
    return joined.with_columns(
        pl.when(review).then(pl.lit(2)).otherwise(tier).alias("tier"),
        pl.when(review | pl.col("row").is_null()).then("rare row").otherwise("row").alias("row"),
        pl.col("cover", "rare").fill_null(0.0),
        pl.col("run", "rows").fill_null(0),
    )


def _table(
    tests: pl.DataFrame,
    best: pl.DataFrame,
    rows: Mapping[int, Mapping[str, Any]],
    search: Search,
) -> pl.DataFrame:
    hits = {hit["item"]: hit for hit in best.to_dicts()}
    beside = pl.Series([rows[row]["text"] for row in best["row"]], dtype=pl.String)
    shared = dict(zip(best["item"], search.places(best["item"].to_numpy(), beside), strict=True))
    out: list[tuple[Any, ...]] = []
    for number, (item, text) in enumerate(tests.select("item_id", "text").iter_rows()):
        hit = hits.get(number)
        if hit is None:
            out.append((item, "CLEAN", 0.0, 0, 0.0, 0, None, None, text, []))
            continue
        row, tier = rows[hit["row"]], TIERS[hit["tier"]]
        spans = []
        if tier != "CLEAN":
            found = words(text)
            places = hit["places"] if tier == "REVIEW" else shared[number]
            # The few scripts that only Python folds exactly leave no hits behind.
            places = places or {p for p, _ in _shared(found, folded_words(row["text"]))}
            spans = _spans(found, places, RARE_N if tier == "REVIEW" else N)
        about = (hit["cover"], hit["run"], hit["rare"], hit["rows"], row["item_id"])
        out.append((item, tier, *about, row.get("batch_id", ""), text, spans))
    return pl.DataFrame(out, schema=SCHEMA, orient="row")


def _spans(found: list[Word], places: Iterable[int], n: int) -> list[list[int]]:
    inside = {place for place in places if place < len(found)}
    return [list(span) for span in spans_of(found, inside, min(n, len(found)))]


def _shared(found: list[Word], folded: list[str]) -> Iterator[tuple[int, int]]:
    """Return the windows that an item shares with a row: place in it, place in the row."""
    n = min(N, len(found))
    where: dict[tuple[str, ...], list[int]] = {}
    for place in range(len(found) - n + 1) if n else ():
        gram = tuple(w.folded for w in found[place : place + n])
        where.setdefault(gram, []).append(place)
    for at in range(len(folded) - n + 1) if n else ():
        for place in where.get(tuple(folded[at : at + n]), ()):
            yield place, at


def _word_by_word(
    tests: Mapping[int, list[Word]], texts: pl.Series, start: int
) -> Iterator[dict[str, Any]]:
    """Compare items and rows in scripts that only Python folds exactly."""
    for row in folds_otherwise(texts).nonzero()[0]:
        folded = folded_words(texts[int(row)])
        for item, found in tests.items():
            hits = sorted(set(_shared(found, folded)), key=lambda h: (h[1] - h[0], h[0]))
            n = min(N, len(found))
            if not hits or (n < N and len(folded) > n and len({w.folded for w in found}) < 4):
                continue
            best = run = 0
            last = (-1, -1)
            for place, at in hits:
                run = run + 1 if (place, at) == (last[0] + 1, last[1] + 1) and run else n
                best, last = max(best, run), (place, at)
            many = covered({place for place, _ in hits}, n)
            yield {"item": item, "row": start + int(row), "covered": many, "run": best}


class _Parts:
    """Training rows in one table or in files, in one order."""

    def __init__(self, train: Any) -> None:
        files = isinstance(train, list | tuple) and all(isinstance(p, str | Path) for p in train)
        if files and len(train):
            self.parts = [(Path(p).name, pl.scan_parquet(p)) for p in train]
        else:
            self.parts = [("training rows", to_polars(train, "training rows").lazy())]

    def tables(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield the parts with these columns, and ``batch_id`` if it is there and asked for."""
        for name, part in self.parts:
            require(part.head(0).collect(), ("item_id", "text"), name)
            there = part.collect_schema().names()
            yield part.select(c for c in columns if c in there).collect()

    def rows(self, wanted: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return the rows at these places."""
        found: dict[int, dict[str, Any]] = {}
        start = 0
        for part in self.tables(("item_id", "text", "batch_id")):
            own = [row for row in wanted if start <= row < start + len(part)]
            found |= zip(own, part[[row - start for row in own]].to_dicts(), strict=True)
            start += len(part)
        return found
