"""Named slices of the items: kept in a journal, described against the rest, and handed on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.display import View, block, counted, note, table
from scalekit.frames import FrameError, ids_unique, require, to_polars
from scalekit.intervals import wilson
from scalekit.journal import Event, Journal, read

__all__ = ["Slice", "SliceBook", "SliceStatistics", "WordCounts", "slice_statistics"]

COMPARED = ("category", "batch_id", "source", "tier")
WORD = r"[\p{L}\p{N}_][\p{L}\p{M}\p{N}_'’]+"
TYPICAL = 12
NAME_LENGTH = 80


class WordCounts:
    """The words of many texts, counted once, so that any slice's are counted fast.

    A word is two or more letters, digits, underscores or apostrophes, in lower case.
    """

    def __init__(self, texts: pl.Series) -> None:
        said = texts.fill_null("").str.to_lowercase().str.extract_all(WORD)
        self._text = np.repeat(np.arange(len(texts)), said.list.len().to_numpy())
        found = said.explode(empty_as_null=False)
        self.words = found.unique().sort()
        places = found.replace_strict(self.words, np.arange(len(self.words)), return_dtype=pl.Int64)
        self._word = places.cast(pl.Int64).to_numpy()

    def of(self, rows: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """Return how often each word stands in the texts (marked in *rows*)."""
        word = self._word if rows is None else self._word[rows[self._text]]
        return np.bincount(word, minlength=len(self.words))

    def typical(self, rows: NDArray[np.bool_], most: int = TYPICAL) -> pl.DataFrame:
        """Return the words most typical of the texts marked in *rows* against the others.

        By log-odds with an informative Dirichlet prior (Monroe, Colaresi and Quinn 2008, Political
        Analysis 16, equations 15, 16, 20 and 22). The prior is the words of all texts, and weighs
        as much as the smaller of the two sides has words.

        Returns
        -------
        polars.DataFrame
            ``word, in slice, elsewhere, log-odds, z``, by z; only words with z of at least 1.96.
        """
        inside, every = self.of(rows), self.of()
        outside = every - inside
        weight = max(1, min(inside.sum(), outside.sum()))
        prior = weight * every / max(1, every.sum())
        delta = _log_odds(inside, prior) - _log_odds(outside, prior)
        with np.errstate(divide="ignore"):
            error = np.sqrt(1 / (inside + prior) + 1 / (outside + prior))
        z = np.divide(delta, error, out=np.zeros_like(delta), where=np.isfinite(error))
        found = pl.DataFrame(
            {
                "word": self.words, "in slice": inside, "elsewhere": outside,
                "log-odds": delta, "z": z,
            }
        )  # fmt: skip
        typical = found.filter(pl.col("z") >= 1.96, pl.col("in slice") > 1)
        return typical.sort(["z", "word"], descending=[True, False]).head(most)


def _log_odds(counts: NDArray[np.int64], prior: NDArray[np.float64]) -> NDArray[np.float64]:
    own = counts + prior
    odds: NDArray[np.float64] = np.log(own) - np.log(own.sum() - own + 1e-300)
    return odds


@dataclass(frozen=True)
class SliceStatistics(View):
    """What a slice is made of, against the whole.

    ``table`` has one row for each value of each column: ``column, value, items, share, from, to,
    whole, says``. The interval is Wilson's for the share in the slice, ``whole`` the share among
    all items, and ``says`` is "more" or "fewer" where that lies outside the interval. ``lengths``
    are quartiles of words in a text, ``words`` the words typical of the slice.
    """

    table: pl.DataFrame
    lengths: pl.DataFrame
    words: pl.DataFrame
    items: int
    whole: int

    @property
    def notable(self) -> pl.DataFrame:
        """The values of which the slice has more or fewer than the whole."""
        return self.table.filter(pl.col("says") != "")

    def to_html(self) -> str:
        """Show the size, the words, the lengths and how values differ from the whole."""
        share = self.items / self.whole if self.whole else 0.0
        typical = ", ".join(self.words["word"].to_list())
        return block(
            f"{counted(self.items, 'item')} of {self.whole:,} ({share:.1%})",
            note(f"Typical words: {typical}." if typical else "No word is typical of it."),
            table(self.table, empty="There is no column to compare."),
            note("Words in a text:"),
            table(self.lengths),
        )


def slice_statistics(
    items: Any,
    slice_ids: Iterable[str],
    *,
    marks: Any = None,
    columns: Iterable[str] = COMPARED,
    counts: WordCounts | None = None,
) -> SliceStatistics:
    """Describe a slice of the items against the whole.

    Parameters
    ----------
    items
        ``item_id, text`` and columns to compare.
    slice_ids
        The items of the slice.
    marks
        ``item_id, rule``: what the audit marked; the share of items with each rule is compared too.
    columns
        What is compared, where the items have it.
    counts
        The words of the items' texts in their order, where they were counted before.

    Raises
    ------
    FrameError
        When a column is missing, an item_id repeats, or the slice is empty or holds an item that is
        not among *items*.
    """
    frame = require(to_polars(items, "items"), ("item_id", "text"), "items")
    frame = ids_unique(frame, "item_id", "items")
    inside = _inside(frame, slice_ids)
    rows = [
        row
        for name in columns
        if name in frame.columns
        for row in _shares(name, frame[name].cast(pl.String).fill_null("(none)"), inside)
    ]
    if marks is not None:
        rows += _marked(frame["item_id"], to_polars(marks, "marks"), inside)
    shares = dict.fromkeys(("share", "from", "to", "whole"), pl.Float64)
    schema = {
        "column": pl.String, "value": pl.String, "items": pl.Int64, **shares, "says": pl.String,
    }  # fmt: skip
    compared = pl.DataFrame(rows, schema=schema, orient="row")
    words = (counts or WordCounts(frame["text"])).typical(inside)
    size = int(inside.sum())
    return SliceStatistics(compared, _lengths(frame["text"], inside), words, size, len(frame))


def _inside(frame: pl.DataFrame, slice_ids: Iterable[str]) -> NDArray[np.bool_]:
    wanted = pl.Series("item_id", list(dict.fromkeys(slice_ids)), dtype=pl.String)
    if not len(wanted):
        raise FrameError("the slice holds no item")
    known = wanted.is_in(frame["item_id"].implode())
    if not known.all():
        strange = wanted.filter(~known)
        raise FrameError(
            f"{len(strange)} items of the slice are not among the items, first {strange[0]!r}"
        )
    inside: NDArray[np.bool_] = frame["item_id"].is_in(wanted.implode()).to_numpy()
    return inside


Row = tuple[str, str, int, float, float, float, float, str]


def _shares(name: str, values: pl.Series, inside: NDArray[np.bool_]) -> list[Row]:
    """Compare the values that the slice has, the most frequent first, then those it lacks."""
    whole = dict(values.value_counts().iter_rows())
    own = dict(values.filter(pl.Series(inside)).value_counts().iter_rows())
    order = sorted(whole, key=lambda v: (-own.get(v, 0), -whole[v], v))
    size = int(inside.sum())
    return [_row(name, v, own.get(v, 0), size, whole[v] / len(values)) for v in order]


def _row(name: str, value: str, there: int, size: int, whole: float) -> Row:
    low, high = wilson(there, size)
    says = "more" if whole < low else "fewer" if whole > high else ""
    return name, value, there, there / size, low, high, whole, says


def _marked(ids: pl.Series, marks: pl.DataFrame, inside: NDArray[np.bool_]) -> list[Row]:
    require(marks, ("item_id", "rule"), "marks")
    found = marks.filter(pl.col("item_id").is_in(ids.implode())).unique(("item_id", "rule"))
    size, rows = int(inside.sum()), []
    for rule, of_rule in sorted(found.group_by("rule"), key=lambda group: str(group[0][0])):
        has = ids.is_in(of_rule["item_id"].implode()).to_numpy()
        share = float(has.mean())
        rows.append(_row("marked", str(rule[0]), int((has & inside).sum()), size, share))
    return rows


def _lengths(texts: pl.Series, inside: NDArray[np.bool_]) -> pl.DataFrame:
    lengths = texts.fill_null("").str.count_matches(r"\S+").to_numpy()
    cuts = {"shortest": 0.0, "a quarter below": 0.25, "half below": 0.5,
            "three quarters below": 0.75, "longest": 1.0}  # fmt: skip
    return pl.DataFrame(
        [
            {"items": name, **{k: float(np.quantile(own, q)) for k, q in cuts.items()}}
            for name, own in (("slice", lengths[inside]), ("whole", lengths))
        ]
    )


@dataclass(frozen=True)
class Slice(View):
    """A named slice: its items, and what they are made of.

    ``missing`` counts those of its items that are not among the items any more.
    """

    name: str
    items: pl.DataFrame
    statistics: SliceStatistics
    missing: int = 0

    @property
    def item_ids(self) -> list[str]:
        """The ids of its items, to label, review or leave out."""
        return self.items["item_id"].to_list()

    @property
    def table(self) -> pl.DataFrame:
        """The statistics' table."""
        return self.statistics.table

    def review(self, most: int | None = None, *, seed: int = 0) -> pl.DataFrame:
        """Return a list for review: the items, what is known of them, empty ``verdict, note``.

        Of more than *most* items as many are drawn with *seed*.
        """
        found = self.items
        if most is not None and most < len(found):
            drawn = np.random.default_rng(seed).choice(len(found), most, replace=False)
            found = found[np.sort(drawn)]
        known = [c for c in COMPARED if c in found.columns]
        blank = [pl.lit(None, dtype=pl.String).alias(c) for c in ("verdict", "note")]
        return found.select(pl.lit(self.name).alias("slice"), "item_id", "text", *known, *blank)

    def request(self, share: float) -> pl.DataFrame:
        """Return what to collect so that items like these make up *share* of the set.

        Returns
        -------
        polars.DataFrame
            ``slice, category, items, still needed, like``: the need is spread over the categories
            as the slice has them now; ``like`` are words typical of the slice.

        Raises
        ------
        ValueError
            When *share* is not between 0 and 1.
        """
        if not 0 < share < 1:
            raise ValueError(f"a share between 0 and 1 is needed, got {share}")
        there, rest = len(self.items), self.statistics.whole - len(self.items)
        # The others stay as many as they are: there + need = share * (there + need + rest).
        need = max(0, math.ceil(round(share * rest / (1 - share), 9)) - there)
        category = pl.lit("(none)")
        if "category" in self.items.columns:
            category = pl.col("category").cast(pl.String).fill_null("(none)")
        counts = self.items.select(category.alias("category"))["category"].value_counts()
        counts = counts.sort(["count", "category"], descending=[True, False])
        return pl.DataFrame(
            {
                "slice": [self.name] * len(counts),
                "category": counts["category"],
                "items": counts["count"].cast(pl.Int64),
                "still needed": _spread(need, counts["count"].to_list()),
                "like": [", ".join(self.statistics.words["word"].head(5))] * len(counts),
            }
        )

    def to_html(self) -> str:
        """Show the statistics under the name."""
        lost = f"{counted(self.missing, 'item')} of it went out of the set since."
        return block(self.name, note(lost) if self.missing else "", self.statistics.to_html())


def _spread(need: int, counts: list[int]) -> list[int]:
    """Share *need* out in proportion to *counts*, by largest remainders: the parts make *need*."""
    exact = [need * c / sum(counts) for c in counts]
    parts = [math.floor(e) for e in exact]
    order = sorted(range(len(counts)), key=lambda i: (parts[i] - exact[i], i))
    for i in order[: need - sum(parts)]:
        parts[i] += 1
    return parts


class SliceBook:
    """The named slices in a journal: an event for each saving, the last of a name counts."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _events(self) -> list[Event]:
        return [e for e in read(self.path) if e.kind == "slice"] if self.path.exists() else []

    def ids(self) -> dict[str, list[str]]:
        """Return the item ids of each slice, by name."""
        return {e.data["name"]: e.data["item_ids"] for e in self._events()}

    def save(self, name: str, item_ids: Iterable[str], *, by: str = "", act: str = "") -> None:
        """Keep a slice; it is on disk when this returns.

        *act* is the id of what asked for it: asked for twice, it is kept once.

        Raises
        ------
        ValueError
            When the name is empty or too long, or no item is given.
        """
        name, ids = " ".join(name.split()), list(dict.fromkeys(item_ids))
        if not name:
            raise ValueError("a slice needs a name")
        if len(name) > NAME_LENGTH:
            raise ValueError(f"the name of a slice has at most {NAME_LENGTH} characters")
        if not ids:
            raise ValueError(f"the slice {name!r} holds no item")
        if act and any(e.data["act"] == act for e in self._events()):
            return
        data = {"name": name, "item_ids": ids, "by": by, "act": act}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with Journal(self.path) as journal:
            journal.append("slice", data)

    def slice(
        self,
        name: str,
        items: Any,
        *,
        marks: Any = None,
        counts: WordCounts | None = None,
    ) -> Slice:
        """Return a slice of *items* with its statistics (as :func:`slice_statistics`).

        Raises
        ------
        FrameError
            When there is no slice of this name, or none of its items is among *items*.
        """
        known = self.ids()
        if name not in known:
            there = ", ".join(map(repr, known)) or "none yet"
            raise FrameError(f"there is no slice {name!r}; there are {there}")
        frame = require(to_polars(items, "items"), ("item_id", "text"), "items")
        own = frame.filter(pl.col("item_id").is_in(known[name]))
        if own.is_empty():
            raise FrameError(f"no item of the slice {name!r} is among the items any more")
        found = slice_statistics(frame, own["item_id"], marks=marks, counts=counts)
        return Slice(name, own, found, len(known[name]) - len(own))
