"""The language of each text, and the texts that are in none of those expected.

With py3langid (BSD; after Lui & Baldwin 2012, ACL system demonstrations, langid.py), whose model
comes with the package: nothing is fetched. Of a few words no model can tell related languages
apart, and a text that mixes languages gets the one that it has most of.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

import polars as pl

from scalekit.display import View, block, counted, note, table
from scalekit.frames import ids_unique, require, texts_given, to_polars

__all__ = ["Languages", "languages"]

SIGNS = 300
"""Characters of a text that are looked at: more make it slower, not surer."""
UNSURE = "und"
"""The code of ISO 639 for a language that is not determined."""
NONE = "zxx"
"""The code of ISO 639 for what is in no language: lists of numbers, programs."""


@dataclass(frozen=True)
class Languages(View):
    """Which language each text is in.

    ``found``: ``item_id, language, confidence``, a row for each text looked at; the language is a
    code of ISO 639, "und" where the model is not sure. ``marks``: the texts in a language that
    is not expected, as the audit's marks (``item_id, rule, reason, kept_id, score``, the score
    being the confidence). ``shown`` has the beginnings of a few of these. ``items`` is how many
    there were.
    """

    found: pl.DataFrame
    marks: pl.DataFrame
    shown: pl.DataFrame
    expected: tuple[str, ...]
    items: int

    @property
    def table(self) -> pl.DataFrame:
        """One row for each language: items, their share, the median confidence, if expected."""
        counts = self.found.group_by("language").agg(
            pl.len().alias("items"),
            (pl.len() / max(len(self.found), 1)).alias("share"),
            pl.col("confidence").median().alias("median confidence"),
        )
        if self.expected:
            fits = pl.col("language").is_in(list(self.expected))
            counts = counts.with_columns(
                pl.when(pl.col("language").is_in([UNSURE, NONE]))
                .then(None)
                .otherwise(fits)
                .alias("expected")
            )
        return counts.sort("items", "language", descending=[True, False])

    def to_html(self) -> str:
        """Show the languages, and the beginnings of texts that are in none of those expected."""
        said = f"{counted(self.items, 'text')}. "
        if self.items > len(self.found):
            said += f"{len(self.found):,} of them, drawn at random, were looked at. "
        if self.expected:
            said += (
                f"{len(self.marks):,} are in another language than {', '.join(self.expected)}. "
                "They are marked, not dropped."
            )
        return block("Languages", note(said), table(self.table), table(self.shown))


def languages(
    items: Any,
    expected: Collection[str] | None = None,
    *,
    sure: float = 0.5,
    sample: int = 1_000_000,
    seed: int = 0,
) -> Languages:
    """Say which language each text is in, by its first 300 characters.

    Parameters
    ----------
    items
        ``item_id, text``.
    expected
        Codes of ISO 639, such as "en"; texts in other languages are marked. None marks nothing.
    sure
        Confidence, in [0, 1], below which a text is of no determined language and not marked.
    sample
        Of more items than this, only so many are looked at, drawn with *seed*.

    Raises
    ------
    FrameError
        When a column is missing, an item_id repeats or a text is null.
    ValueError
        When a code is not one that the model knows.
    """
    wanted = tuple(dict.fromkeys([expected] if isinstance(expected, str) else expected or ()))
    model = _model()
    if strange := [code for code in wanted if code not in model.labels]:
        raise ValueError(f"language {strange[0]!r} is not one of {', '.join(sorted(model.labels))}")
    given = require(to_polars(items, "items"), ("item_id", "text"), "items")
    given = texts_given(ids_unique(given, "item_id", "items"), "items")
    given = given.select(pl.col("item_id").cast(pl.String), pl.col("text").cast(pl.String))
    some = given.sample(sample, seed=seed) if len(given) > sample else given
    begun = some["text"].str.slice(0, SIGNS)
    told = [model.classify(text) for text in begun]
    found = some.select("item_id").with_columns(
        pl.Series("language", [c if p >= sure else UNSURE for c, p in told], dtype=pl.String),
        pl.Series("confidence", [p for _, p in told], dtype=pl.Float64),
    )
    return Languages(found, *_outside(found.with_columns(begun), wanted), wanted, len(given))


def _outside(found: pl.DataFrame, wanted: tuple[str, ...]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the marks of texts in other languages, and the surest of them to be shown."""
    fits = pl.col("language").is_in([*wanted, UNSURE, NONE])
    other = found.filter(~fits) if wanted else found.clear()
    reason = pl.format(
        "looks like {} with confidence {}, expected {}",
        "language", pl.col("confidence").round(2), pl.lit(", ".join(wanted)),
    )  # fmt: skip
    marks = other.select(
        "item_id",
        pl.lit("language").alias("rule"),
        reason.alias("reason"),
        pl.lit(None, dtype=pl.String).alias("kept_id"),
        pl.col("confidence").alias("score"),
    )
    shown = other.sort("confidence", "item_id", descending=[True, False]).head(10)
    return marks, shown.select("item_id", "language", "confidence", "text")


@cache
def _model() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
