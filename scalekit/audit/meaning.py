"""Copies in other words: alike by an encoder that the researcher brings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.frames import FrameError, ids_unique, require, texts_given, to_polars

__all__ = ["meaning_pairs"]

ROWS = 1024  # texts compared with all others at a time
ENCODED = 4096  # texts handed to the encoder at a time
SCHEMA = {"item_id": pl.String, "other_id": pl.String, "score": pl.Float64}


def meaning_pairs(
    items: Any, encoder: Callable[[list[str]], Any], *, lowest: float = 0.9
) -> pl.DataFrame:
    """Return pairs of items whose vectors are alike: ``item_id, other_id, score`` (cosine).

    Every pair is compared, so the time grows with the square of the number of items. Which of a
    pair goes, if one does, says :func:`scalekit.audit.resolved`, as for near-copies.

    Parameters
    ----------
    items
        ``item_id, text``.
    encoder
        From texts to an array, texts x dimensions (``model.encode`` of a sentence encoder).
    lowest
        Cosine from which a pair is named, in (0, 1].

    Raises
    ------
    FrameError
        When a column is missing, or the encoder does not give a vector of numbers for each text.
    ValueError
        When *lowest* is not in (0, 1].
    """
    if not 0 < lowest <= 1:
        raise ValueError(f"lowest must be in (0, 1], got {lowest}")
    table = require(to_polars(items, "items"), ("item_id", "text"), "items")
    table = texts_given(ids_unique(table, "item_id", "items"), "items")
    ids = table["item_id"].cast(pl.String)
    vectors = _vectors(encoder, table["text"].to_list())
    parts = [pl.DataFrame(schema=SCHEMA)]
    for start in range(0, len(vectors), ROWS):
        cosine = vectors[start : start + ROWS] @ vectors[start:].T
        # Each pair once; rounding must not hide a word-for-word copy.
        one, other = np.nonzero(np.triu(cosine, 1) >= lowest - 1e-6)
        found = {
            "item_id": ids.gather(one + start),
            "other_id": ids.gather(other + start),
            "score": np.minimum(cosine[one, other], 1.0).astype(np.float64),
        }
        parts.append(pl.DataFrame(found, schema=SCHEMA))
    return pl.concat(parts)


def _vectors(encoder: Callable[[list[str]], Any], texts: list[str]) -> NDArray[np.float32]:
    made = []
    for start in range(0, len(texts), ENCODED):
        told = texts[start : start + ENCODED]
        found = np.asarray(encoder(told), dtype=np.float32)
        if found.ndim != 2 or len(found) != len(told) or not np.isfinite(found).all():
            raise FrameError(
                f"the encoder was given {len(told)} texts and made an array of shape "
                f"{found.shape}; a vector of finite numbers for each is needed"
            )
        made.append(found)
    none = np.empty((0, 1), dtype=np.float32)
    vectors: NDArray[np.float32] = np.concatenate(made) if made else none
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.zeros_like(vectors)
    np.divide(vectors, length, out=unit, where=length > 0)
    return unit
