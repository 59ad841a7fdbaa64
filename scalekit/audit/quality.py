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
    measured = frame.with_columns(_of_text(wanted))
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
    words = text.str.extract_all(r"\S+")
    lines = text.str.split("\n").list.eval(
        pl.element().str.strip_chars().filter(pl.element().str.strip_chars() != "")
    )
    count, many = words.list.len(), lines.list.len()
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
        "mean word length": words.list.eval(pl.element().str.len_chars()).list.mean(),
        "symbols per word": text.str.count_matches(r"#|\.\.\.|…") / count,
        "words with a letter": words.list.eval(pl.element().str.contains(r"\pL")).list.mean(),
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
    words = frame.select("row", pl.col("text").str.to_lowercase().str.extract_all(r"\S+"))
    words = words.explode("text").drop_nulls("text")
    row = words["row"].to_numpy().astype(np.int64)
    size = words["text"].str.len_chars().to_numpy().astype(np.int64)
    word = words["text"].hash(seed=0).to_numpy()
    whole = np.bincount(row, weights=size, minlength=len(frame))
    shares: dict[str, Shares] = {}
    for n in range(2, 11):
        top, dup = f"characters in the top {n}-gram", f"characters in repeated {n}-grams"
        if not {top, dup} & set(wanted):
            continue
        at, key, length = _runs(row, word, size, n)
        if top in wanted:
            shares[top] = _most(row[at], key, length, len(frame))
        if dup in wanted:
            again = at[(~pl.Series(key).is_first_distinct()).to_numpy()]
            # A word lies in a repeated run where more of them have begun than ended.
            change = np.bincount(again, minlength=len(row) + n + 1)
            change -= np.bincount(again + n, minlength=len(row) + n + 1)
            inside = np.cumsum(change)[: len(row)] > 0
            chars = np.where(inside, size, 0).astype(np.float64)
            shares[dup] = np.bincount(row, weights=chars, minlength=len(frame)).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = {name: np.nan_to_num(found / whole) for name, found in shares.items()}
    return frame.select("row").with_columns(**{k: pl.Series(v) for k, v in parts.items()})


def _runs(row: Places, word: Hashes, size: Places, n: int) -> tuple[Places, Hashes, Places]:
    """Return where each run of *n* words begins, its hash (with the text's), its length."""
    count = max(0, len(row) - n + 1)
    at = np.flatnonzero(row[:count] == row[n - 1 :]) if count else np.empty(0, dtype=np.int64)
    key = row[at].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    length = np.zeros(len(at), dtype=np.int64)
    for step in range(n):
        key = (key ^ word[at + step]) * np.uint64(0xBF58476D1CE4E5B9)
        key ^= key >> np.uint64(31)
        length += size[at + step]
    return at, key, length


def _most(row: Places, key: Hashes, length: Places, texts: int) -> Shares:
    """Return how many characters the most frequent run of each text has, if it is repeated."""
    runs = pl.DataFrame({"row": row, "key": key, "length": length})
    counts = runs.group_by("key").agg(pl.len(), pl.col("row").first(), pl.col("length").first())
    repeated = counts.filter(pl.col("len") > 1)
    best = np.zeros(texts)
    chars = (repeated["len"] * repeated["length"]).to_numpy().astype(float)
    np.maximum.at(best, repeated["row"].to_numpy(), chars)
    return best
