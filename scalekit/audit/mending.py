"""Mending: texts normalised and masked, with what was found in each."""

from __future__ import annotations

import polars as pl

from scalekit.audit.junk import junk_rules
from scalekit.audit.normalise import normalised
from scalekit.audit.personal import masked
from scalekit.frames import texts_given

__all__ = ["MENDED", "MEND_VERSION", "mend"]

MEND_VERSION = 2
"""Raised when :func:`mend` finds or changes something else than before."""
MENDED = ("original", "changes", "junk", "personal")
"""Columns that :func:`mend` adds."""
BLOCK = 5000  # items mended at a time: their texts stay in the processor's cache


def mend(items: pl.DataFrame) -> pl.DataFrame:
    """Return one part's items with ``text`` mended and masked, and what was found in each.

    Adds ``original`` (as collected), ``changes`` (which mends), ``junk`` (the rule, or null) and
    ``personal`` (kinds of personal data and secrets). Works row by row, so parts can be mended on
    their own.
    """
    texts_given(items, "items")
    parts = [_mended(part) for part in items.iter_slices(BLOCK)]
    return pl.concat(parts) if parts else _mended(items)


def _mended(items: pl.DataFrame) -> pl.DataFrame:
    texts, changes = normalised(items["text"].cast(pl.String))
    told, personal = masked(texts)
    return items.with_columns(
        pl.col("text").alias("original"), told.alias("text"), changes, junk_rules(texts), personal
    )
