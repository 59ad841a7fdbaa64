"""Mending: texts normalised and masked, with what was found in each."""

from __future__ import annotations

import polars as pl

from scalekit.audit.junk import junk_rule
from scalekit.audit.normalise import normalise
from scalekit.audit.personal import find_personal, mask
from scalekit.frames import texts_given

__all__ = ["MENDED", "MEND_VERSION", "mend"]

MEND_VERSION = 1
"""Raised when :func:`mend` finds or changes something else than before."""
MENDED = ("original", "changes", "junk", "personal")
"""Columns that :func:`mend` adds."""


def mend(items: pl.DataFrame) -> pl.DataFrame:
    """Return one part's items with ``text`` mended and masked, and what was found in each.

    Adds ``original`` (as collected), ``changes`` (which mends), ``junk`` (the rule, or null) and
    ``personal`` (kinds of personal data). Works row by row, so parts can be mended on their own.
    """
    texts_given(items, "items")
    texts, changes, junk, personal = [], [], [], []
    for original in items["text"]:
        text, made = normalise(original)
        texts.append(mask(text))
        changes.append(list(made))
        junk.append(junk_rule(text))
        personal.append([f.kind for f in find_personal(text)])
    return items.with_columns(
        pl.col("text").alias("original"),
        pl.Series("text", texts, dtype=pl.String),
        pl.Series("changes", changes, dtype=pl.List(pl.String)),
        pl.Series("junk", junk, dtype=pl.String),
        pl.Series("personal", personal, dtype=pl.List(pl.String)),
    )
