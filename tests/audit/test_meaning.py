"""Copies by meaning: every pair of an encoder's vectors, against scikit-learn's cosine."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from scalekit.audit import meaning, meaning_pairs, resolved
from scalekit.frames import FrameError


def items(count: int) -> pl.DataFrame:
    texts = [f"text number {n}" for n in range(count)]
    return pl.DataFrame({"item_id": [f"i{n}" for n in range(count)], "text": texts})


def vectors(count: int) -> np.ndarray[Any, Any]:
    draw = np.random.default_rng(4)
    base = draw.normal(size=(count // 3 + 1, 8))
    return np.repeat(base, 3, axis=0)[:count] + draw.normal(scale=0.2, size=(count, 8))


@pytest.mark.parametrize(("rows", "encoded"), [(1024, 4096), (7, 5)])
def test_the_pairs_are_those_of_all_cosines(
    monkeypatch: pytest.MonkeyPatch, rows: int, encoded: int
) -> None:
    monkeypatch.setattr(meaning, "ROWS", rows)
    monkeypatch.setattr(meaning, "ENCODED", encoded)
    known = vectors(40)
    place = {text: n for n, text in enumerate(items(40)["text"])}
    found = meaning_pairs(items(40), lambda texts: known[[place[t] for t in texts]], lowest=0.9)
    cosine = cosine_similarity(known)
    expected = {
        (f"i{a}", f"i{b}"): cosine[a, b]
        for a in range(40) for b in range(a + 1, 40) if cosine[a, b] >= 0.9
    }  # fmt: skip
    assert len(expected) > 10
    got = {(a, b): score for a, b, score in found.iter_rows()}
    assert got.keys() == expected.keys()
    assert got == pytest.approx(expected, abs=1e-5)
    gone = resolved(items(40), found, 0.95)
    assert gone["score"].min() >= 0.95
    assert not set(gone["item_id"]) & set(gone["kept_id"])


def test_an_encoder_that_gives_no_vector_for_each_is_refused() -> None:
    for made in ([[1.0]], [[1.0], [float("nan")], [0.0]], [1.0, 2.0, 3.0]):
        with pytest.raises(FrameError, match="given 3 texts and made an array of shape"):
            meaning_pairs(items(3), lambda _, made=made: made)
    with pytest.raises(ValueError, match="lowest"):
        meaning_pairs(items(3), lambda texts: [[1.0]] * len(texts), lowest=0)
    assert meaning_pairs(items(0), lambda texts: []).is_empty()
    # A text that the encoder knows nothing of is like no other.
    assert meaning_pairs(items(3), lambda texts: [[0.0]] * len(texts)).is_empty()
