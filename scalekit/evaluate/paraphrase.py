"""Texts that may say the same in other words: candidates to be looked at, never verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from scalekit.display import View, block, note, table
from scalekit.frames import require, to_polars

__all__ = ["ParaphraseCandidates", "paraphrase_candidates"]

ROWS = 2048  # training rows compared at a time
SCHEMA = {
    "item_id": pl.String, "train_id": pl.String, "similarity": pl.Float64, "text": pl.String,
    "training text": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class ParaphraseCandidates(View):
    """For each test item the most similar training rows: ``item_id, train_id, similarity``, texts.

    ``by`` says what was compared. A similarity is not evidence of a leak: texts on one subject are
    alike too. Nothing is decided by it.
    """

    table: pl.DataFrame
    by: str
    items: int

    def to_html(self) -> str:
        """Show the most similar first."""
        said = (
            f"Candidates, not verdicts: training rows most like each of {self.items:,} test items, "
            f"by {self.by}. Look whether one says the same in other words."
        )
        shown = table(self.table, limit=20, empty="No training row is similar enough.")
        return block("Candidates for a paraphrase", note(said), shown)


def paraphrase_candidates(
    test: Any,
    train: Any,
    *,
    encoder: Callable[[list[str]], Any] | None = None,
    top: int = 3,
    at_least: float = 0.3,
) -> ParaphraseCandidates:
    """Return the training rows most similar to each test item.

    By the cosine of TF-IDF vectors of single words and pairs (fitted on both), or of what *encoder*
    makes of the texts.

    Parameters
    ----------
    test, train
        ``item_id, text``.
    encoder
        From texts to an array, texts x dimensions (of a sentence encoder, say ``model.encode``).
    top
        Rows for each item.
    at_least
        Cosine from which a row is named.

    Raises
    ------
    FrameError
        When a column is missing.
    ValueError
        When *encoder* does not give a vector for each text.
    """
    tests = require(to_polars(test, "test"), ("item_id", "text"), "test items")
    trains = require(to_polars(train, "train"), ("item_id", "text"), "training rows")
    if tests.is_empty() or trains.is_empty():
        return ParaphraseCandidates(pl.DataFrame(schema=SCHEMA), "nothing", len(tests))
    said, told = tests["text"].to_list(), trains["text"].to_list()
    own, others = _tf_idf(said, told) if encoder is None else _encoded(encoder, said, told)
    parts = []
    for start in range(0, len(trains), ROWS):
        cosine = own @ others[start : start + ROWS].T
        cosine = cosine if isinstance(cosine, np.ndarray) else cosine.toarray()
        item, row = np.nonzero(cosine >= at_least)
        found = {"item": item, "row": row + start, "similarity": cosine[item, row]}
        parts.append(_first(pl.DataFrame(found), top))
    best = _first(pl.concat(parts), top)
    rows = best.select(
        tests["item_id"].cast(pl.String).gather(best["item"]),
        trains["item_id"].cast(pl.String).gather(best["row"]).alias("train_id"),
        pl.col("similarity").cast(pl.Float64),
        tests["text"].gather(best["item"]),
        trains["text"].gather(best["row"]).alias("training text"),
    )
    by = "words and pairs of words (TF-IDF)" if encoder is None else "the encoder given"
    return ParaphraseCandidates(rows, by, len(tests))


def _first(found: pl.DataFrame, top: int) -> pl.DataFrame:
    """Return the best *top* of each item, the most similar first."""
    ordered = found.sort("similarity", "item", "row", descending=[True, False, False])
    return ordered.group_by("item", maintain_order=True).head(top).sort(
        "similarity", "item", "row", descending=[True, False, False]
    )  # fmt: skip


def _tf_idf(said: list[str], told: list[str]) -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    # A word that stands in one text alone can make no two alike.
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, dtype=np.float32)
    try:
        both = vectors.fit_transform([*said, *told])
    except ValueError:  # no two texts share a word
        from scipy.sparse import csr_array

        return csr_array((len(said), 1)), csr_array((len(told), 1))
    return both[: len(said)], both[len(said) :]


def _encoded(
    encoder: Callable[[list[str]], Any], said: list[str], told: list[str]
) -> tuple[Any, Any]:
    made = []
    for texts in (said, told):
        vectors = np.asarray(encoder(texts), dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise ValueError(
                f"the encoder was given {len(texts)} texts and made an array of shape "
                f"{vectors.shape}; one vector for each is needed"
            )
        norm = np.linalg.norm(vectors, axis=1, keepdims=True)
        made.append(vectors / np.where(norm, norm, 1))
    return made[0], made[1]
