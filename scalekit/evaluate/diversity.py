"""How varied texts are: distinct n-grams, and how evenly they cover what is real."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.frames import FrameError
from scalekit.text import folded_words

__all__ = ["distinct_n", "diversity", "neighbour_entropy"]

SIZES = (1, 2, 3)


def distinct_n(texts: Sequence[str], n: int, words: int | None = None) -> float:
    """Return the share of word n-grams that are distinct (Li et al. 2016, arXiv 1510.03055).

    The share falls with the length of what is counted: compare texts of the same number of *words*
    (so many of the first; by default all).
    """
    grams: list[tuple[str, ...]] = []
    left = words
    for text in texts:
        found = folded_words(text)[: left if left is not None else None]
        grams += [tuple(found[i : i + n]) for i in range(len(found) - n + 1)]
        if left is not None:
            left -= len(found)
            if left <= 0:
                break
    return len(set(grams)) / len(grams) if grams else 0.0


def neighbour_entropy(texts: Sequence[str], real: Sequence[str]) -> float:
    """Return how evenly *texts* fall to the real ones that are nearest to them, 0 to 1.

    The entropy of how often each real text is the nearest by the cosine of TF-IDF of words, over
    that of as many texts spread as evenly as can be: 0 if all are nearest to one.

    Raises
    ------
    FrameError
        When no real text has a word in it.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.neighbors import NearestNeighbors

    vectors = TfidfVectorizer(sublinear_tf=True, analyzer=folded_words)
    try:
        around = vectors.fit_transform(real)
    except ValueError as error:
        raise FrameError("real texts: no text has a word in it") from error
    index = NearestNeighbors(n_neighbors=1, metric="cosine", algorithm="brute").fit(around)
    nearest = index.kneighbors(vectors.transform(texts), return_distance=False)[:, 0]
    counts = np.bincount(nearest, minlength=len(real)).astype(np.float64)
    even = np.full(len(real), len(texts) // len(real), dtype=np.float64)
    even[: len(texts) % len(real)] += 1
    most = _entropy(even)
    return _entropy(counts) / most if most else 1.0


def _entropy(counts: NDArray[np.float64]) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def diversity(real: Sequence[str], synthetic: Sequence[str], seed: int = 0) -> pl.DataFrame:
    """Compare synthetic texts with real ones: ``measure, real, synthetic, drop``.

    Distinct-n of as many words of both; the neighbour entropy of synthetic texts, and of as many
    real ones, among the other half of the real texts. ``drop`` is the share that is lost.
    """
    rng = np.random.default_rng(seed)
    known = [real[i] for i in rng.permutation(len(real))]
    made = [synthetic[i] for i in rng.permutation(len(synthetic))]
    words = min(sum(len(folded_words(t)) for t in texts) for texts in (known, made))
    rows = [
        (f"distinct-{n}", distinct_n(known, n, words), distinct_n(made, n, words)) for n in SIZES
    ]
    half = len(known) // 2
    if half:
        asked = min(half, len(made))
        of_real, of_made = (neighbour_entropy(t[:asked], known[half:]) for t in (known, made))
        rows.append(("nearest-neighbour entropy", of_real, of_made))
    table = pl.DataFrame(rows, schema=["measure", "real", "synthetic"], orient="row")
    lost = (pl.col("real") - pl.col("synthetic")) / pl.col("real")
    return table.with_columns(pl.when(pl.col("real") > 0).then(lost).alias("drop"))
