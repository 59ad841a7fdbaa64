"""Quality heuristics of web-scale corpora: what each rule would keep, shown before it is applied.

The rules of Gopher (Rae et al. 2021, arXiv:2112.11446, appendix A), C4 (Raffel et al. 2020, JMLR
21(140), section 2.2) and FineWeb (Penedo et al. 2024, arXiv:2406.17557, section 3.6). They were
made for web pages: on short messages or on technical prose most of them would drop nearly all, so
nothing is dropped unless a rule is named, and rules about lines are off where a text has few.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.display import View, block, note, table
from scalekit.frames import ids_unique, require, texts_given, to_polars

__all__ = ["RULES", "Quality", "Rule", "quality"]

Places = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Shares = NDArray[np.float64]
BLOCK = 1000  # texts whose runs of words are counted at a time: as much as the cache holds
LINES = 3  # a text of fewer lines says nothing about lines
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
ENDS = r"[.!?…\"”']\s*$"
POLICIES = r"(?i)terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies"


@dataclass(frozen=True)
class Rule:
    """A measure of a text and the bounds (both included) within which it is kept."""

    name: str
    family: str
    low: float | None = None
    high: float | None = None
    of_lines: bool = False

    @property
    def bounds(self) -> str:
        """The bounds in words."""
        if self.low is None:
            return f"at most {self.high:g}"
        return f"at least {self.low:g}" if self.high is None else f"{self.low:g} to {self.high:g}"


RULES = (
    Rule("words", "gopher", 50, 100_000),
    Rule("mean word length", "gopher", 3, 10),
    Rule("symbols per word", "gopher", high=0.1),
    Rule("words with a letter", "gopher", low=0.8),
    Rule("stop words", "gopher", low=2),
    Rule("bullet lines", "gopher", high=0.9, of_lines=True),
    Rule("ellipsis lines", "gopher", high=0.3, of_lines=True),
    Rule("repeated lines", "gopher repetition", high=0.3, of_lines=True),
    Rule("characters in repeated lines", "gopher repetition", high=0.2, of_lines=True),
    *(
        Rule(f"characters in the top {n}-gram", "gopher repetition", high=high)
        for n, high in ((2, 0.2), (3, 0.18), (4, 0.16))
    ),
    *(
        Rule(f"characters in repeated {n}-grams", "gopher repetition", high=high)
        for n, high in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.1))
    ),
    Rule("lorem ipsum", "c4", high=0),
    Rule("curly brackets", "c4", high=0),
    Rule("javascript lines", "c4", high=0),
    Rule("policy lines", "c4", high=0),
    Rule("sentences", "c4", low=5),
    Rule("lines ending in punctuation", "fineweb", low=0.12, of_lines=True),
    Rule("short lines", "fineweb", high=0.67, of_lines=True),
    Rule("newlines per word", "fineweb", high=0.3, of_lines=True),
)


@dataclass(frozen=True)
class Quality(View):
    """What each rule would keep of a set of texts.

    ``measures`` has ``item_id`` and a column for each rule, null where the rule is off.
    """

    measures: pl.DataFrame
    rules: tuple[Rule, ...]

    @property
    def table(self) -> pl.DataFrame:
        """One row for each rule: what it keeps of the texts it is on for, the strictest first."""
        rows = []
        for rule in self.rules:
            measured = self.measures[rule.name].drop_nulls()
            kept = int(self._kept(rule).filter(self.measures[rule.name].is_not_null()).sum())
            rows.append(
                {
                    "rule": rule.name,
                    "family": rule.family,
                    "kept if": rule.bounds,
                    "on for": len(measured),
                    "drops": len(measured) - kept,
                    "keeps": kept / len(measured) if len(measured) else None,
                    "median": measured.median() if len(measured) else None,
                }
            )
        numbers = {"keeps": pl.Float64, "median": pl.Float64}
        return pl.DataFrame(rows, schema_overrides=numbers).sort("keeps", "rule", nulls_last=True)

    def dropped(self, *names: str) -> pl.DataFrame:
        """Return what the rules of these names or families drop: ``item_id, rule, measure``.

        Raises
        ------
        ValueError
            When no rule or family has a name.
        """
        known = {r.name for r in self.rules} | {r.family for r in self.rules}
        if strange := [name for name in names if name not in known]:
            raise ValueError(
                f"no rule or family {strange[0]!r}; there are {', '.join(sorted(known))}"
            )
        parts = [
            self.measures.filter(~self._kept(rule)).select(
                "item_id", pl.lit(rule.name).alias("rule"), pl.col(rule.name).alias("measure")
            )
            for rule in self.rules
            if rule.name in names or rule.family in names
        ]
        schema = {"item_id": pl.String, "rule": pl.String, "measure": pl.Float64}
        return pl.concat(parts) if parts else pl.DataFrame(schema=schema)

    def _kept(self, rule: Rule) -> pl.Series:
        measure = self.measures[rule.name]
        kept = pl.repeat(True, len(measure), eager=True)
        if rule.low is not None:
            kept &= measure >= rule.low
        if rule.high is not None:
            kept &= measure <= rule.high
        return kept.fill_null(True)

    def to_html(self) -> str:
        """Show what each rule would keep, and that nothing was dropped."""
        said = (
            f"{len(self.measures):,} texts. Nothing is dropped: name the rules that fit your texts "
            "in .dropped(…)."
        )
        return block("Quality rules", note(said), table(self.table))


def quality(items: Any, *, families: Collection[str] = ()) -> Quality:
    """Measure texts by the rules of Gopher, C4 and FineWeb.

    Parameters
    ----------
    items
        ``item_id, text``.
    families
        Of "gopher", "gopher repetition", "c4", "fineweb"; all where empty.

    Raises
    ------
    FrameError
        When a column is missing, an item_id repeats or a text is null.
    ValueError
        When a family is not known.
    """
    known = dict.fromkeys(rule.family for rule in RULES)
    if strange := [family for family in families if family not in known]:
        raise ValueError(f"family {strange[0]!r} is not one of {', '.join(known)}")
    rules = tuple(rule for rule in RULES if not families or rule.family in families)
    given = require(to_polars(items, "items"), ("item_id", "text"), "items")
    given = texts_given(ids_unique(given, "item_id", "items"), "items")
    frame = given.select(pl.col("item_id").cast(pl.String), "text").with_row_index("row")
    wanted = {rule.name for rule in rules}
    measured = frame.lazy().with_columns(_of_text(wanted)).collect()  # lazily: shared parts once
    if any(name.startswith("characters in the top") or "-grams" in name for name in wanted):
        measured = measured.join(_repetition(frame, wanted), on="row", how="left")
    few = measured["text"].str.count_matches("\n") + 1 < LINES
    measures = measured.with_columns(
        pl.when(pl.lit(few) if rule.of_lines else pl.lit(False))
        .then(None)
        .otherwise(pl.col(rule.name).cast(pl.Float64).fill_nan(0.0))
        .alias(rule.name)
        for rule in rules
    )
    return Quality(measures.select("item_id", *(rule.name for rule in rules)), rules)


def _of_text(wanted: Collection[str]) -> Iterator[pl.Expr]:
    """Return the measures that a text alone gives."""
    text = pl.col("text")
    lines = text.str.split("\n").list.eval(
        pl.element().str.strip_chars().filter(pl.element().str.strip_chars() != "")
    )
    # Counted in place: lists of words take longer to make than to count.
    count, many = text.str.count_matches(r"\S+"), lines.list.len()
    signs = text.str.len_chars() - text.str.count_matches(r"\s")
    spread = lines.list.eval(pl.element().str.len_chars())
    # What stands a second time or later counts as repeated.
    repeated = lines.list.eval(~pl.element().is_first_distinct())
    repeated_chars = lines.list.eval(
        pl.when(pl.element().is_first_distinct()).then(0).otherwise(pl.element().str.len_chars())
    )

    def share(pattern: str) -> pl.Expr:
        return lines.list.eval(pl.element().str.contains(pattern)).list.sum() / many

    measures = {
        "words": count,
        "mean word length": pl.when(count > 0).then(signs / count),
        "symbols per word": text.str.count_matches(r"#|\.\.\.|…") / count,
        "words with a letter": pl.when(count > 0).then(
            text.str.count_matches(r"\S*\pL\S*") / count
        ),
        "stop words": _stop_words(text),
        "bullet lines": share(r"^[•‣▪*\-]"),
        "ellipsis lines": share(r"(\.\.\.|…)$"),
        "repeated lines": repeated.list.sum() / many,
        "characters in repeated lines": repeated_chars.list.sum() / spread.list.sum(),
        "lorem ipsum": text.str.contains("(?i)lorem ipsum").cast(pl.Int64),
        "curly brackets": text.str.count_matches("[{}]"),
        "javascript lines": lines.list.eval(pl.element().str.contains("(?i)javascript")).list.sum(),
        "policy lines": lines.list.eval(pl.element().str.contains(POLICIES)).list.sum(),
        "sentences": text.str.count_matches(r"[.!?…]+(?:[\"”')\]]*)(?:\s|$)"),
        "lines ending in punctuation": share(ENDS),
        "short lines": lines.list.eval(pl.element().str.len_chars() <= 30).list.sum() / many,
        "newlines per word": text.str.count_matches("\n") / count,
    }
    return (measure.alias(name) for name, measure in measures.items() if name in wanted)


def _stop_words(text: pl.Expr) -> pl.Expr:
    """Return how many different stop words a text has."""
    lower = text.str.to_lowercase()
    return pl.sum_horizontal(lower.str.contains(rf"\b{word}\b") for word in STOP_WORDS)


def _repetition(frame: pl.DataFrame, wanted: Collection[str]) -> pl.DataFrame:
    """Return the shares of characters in repeated runs of words, for each text."""
    parts = [_repetition_of(part, wanted) for part in frame.iter_slices(BLOCK)]
    return pl.concat(parts) if parts else _repetition_of(frame, wanted)


def _repetition_of(frame: pl.DataFrame, wanted: Collection[str]) -> pl.DataFrame:
    words = frame["text"].str.to_lowercase().str.extract_all(r"\S+")
    many = words.list.len().to_numpy()
    row = np.repeat(np.arange(len(frame)), many)
    said = words.explode().drop_nulls()
    size = said.str.len_chars().to_numpy().astype(np.int64)
    word = said.hash(seed=0).to_numpy()
    whole = np.bincount(row, weights=size, minlength=len(frame))
    before = np.concatenate([[0], np.cumsum(size)])
    shares: dict[str, Shares] = {}
    at, key = np.arange(len(row)), row.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for n in range(1, 11):
        # A run is repeated only if the run without its last word is.
        inside = at + n <= len(row)
        at, key = at[inside], key[inside]
        inside = row[at] == row[at + n - 1]
        at, key = at[inside], _mixed(key[inside], word[at[inside] + n - 1])
        again = pl.Series(key).is_duplicated().to_numpy()
        at, key = at[again], key[again]
        top, dup = f"characters in the top {n}-gram", f"characters in repeated {n}-grams"
        if top in wanted:
            shares[top] = _most(row[at], key, before[at + n] - before[at], len(frame))
        if dup in wanted:
            shares[dup] = _covered(row, size, at, key, n, len(frame))
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = {name: np.nan_to_num(found / whole) for name, found in shares.items()}
    return frame.select("row").with_columns(**{k: pl.Series(v) for k, v in parts.items()})


def _mixed(key: Hashes, word: Hashes) -> Hashes:
    key = (key ^ word) * np.uint64(0xBF58476D1CE4E5B9)
    return key ^ (key >> np.uint64(31))


def _covered(row: Places, size: Places, at: Places, key: Hashes, n: int, texts: int) -> Shares:
    """Return how many characters of each text lie in runs that stood before in it."""
    again = at[(~pl.Series(key).is_first_distinct()).to_numpy()]
    if not len(again):
        return np.zeros(texts)
    # A word lies in a repeated run where more of them have begun than ended.
    change = np.bincount(again, minlength=len(row) + n + 1)
    change -= np.bincount(again + n, minlength=len(row) + n + 1)
    inside = np.flatnonzero(np.cumsum(change)[: len(row)] > 0)
    chars = np.bincount(row[inside], weights=size[inside], minlength=texts)
    return chars.astype(np.float64)


def _most(row: Places, key: Hashes, length: Places, texts: int) -> Shares:
    """Return how many characters the most frequent of these repeated runs has, for each text."""
    runs = pl.DataFrame({"row": row, "key": key, "length": length})
    counts = runs.group_by("key").agg(pl.len(), pl.col("row").first(), pl.col("length").first())
    best = np.zeros(texts)
    chars = (counts["len"] * counts["length"]).to_numpy().astype(float)
    np.maximum.at(best, counts["row"].to_numpy(), chars)
    return best
