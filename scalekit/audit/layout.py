"""Texts to vectors to places in the plane: what is alike lies together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalekit.frames import FrameError

__all__ = ["LAID_OUT", "LAYOUT_VERSION", "given_places", "given_vectors", "layout", "text_vectors"]

LAYOUT_VERSION = 1
"""Raised when the same texts and seed come to lie elsewhere than before."""

LAID_OUT = 5_000
"""Items that are laid out themselves; the others are placed beside those they are nearest to."""
FITTED = 20_000  # texts from which words and directions are learned
CUT = 2_000  # characters of a text that are looked at
DIMENSIONS = 100
FEATURES = 30_000  # words, and as many pieces of words
BLOCK = 10_000  # rows handled at a time
ANGLE = 0.7  # of the Barnes-Hut form: half the work of 0.5, and neighbours as true (BANKING77)
NEIGHBOURS = 5
SHARPNESS = 8  # power of the similarity with which a neighbour counts
NEAR = 0.1  # of the map's half width

Array = NDArray[np.float32]


def text_vectors(texts: Sequence[str], *, seed: int = 0) -> Array:
    """Return a vector for each text: TF-IDF of its words and pieces of words, reduced by SVD.

    Pieces (3 and 4 characters) make inflected and misspelt words alike, and serve languages that
    are written without spaces. Words and directions are learned from at most 20,000 texts, drawn
    with *seed*; of each text the first 2,000 characters count.

    Returns
    -------
    numpy.ndarray
        float32, texts x at most 100, each row of length 1 (0 for a text without a known word).
    """
    from scipy.sparse import hstack
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    cut = [text[:CUT] for text in texts]
    fitted = [cut[i] for i in _drawn(len(cut), FITTED, seed)]
    common = {
        "sublinear_tf": True,
        "max_features": FEATURES,
        "min_df": 2 if len(fitted) >= 50 else 1,
        "dtype": np.float32,
    }
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), **common)
    parts = [_fit(TfidfVectorizer(**common), fitted), _fit(pieces, fitted)]
    parts = [part for part in parts if part is not None]
    if not parts:
        return np.zeros((len(cut), 1), np.float32)
    learned = hstack([part.transform(fitted) for part in parts]).tocsr()
    size = min(DIMENSIONS, learned.shape[0] - 1, learned.shape[1] - 1)
    if size < 1:
        return np.zeros((len(cut), 1), np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):  # the variance of equal texts is 0
        reduction = TruncatedSVD(size, n_iter=3, random_state=seed).fit(learned)
    blocks = [
        reduction.transform(hstack([part.transform(block) for part in parts]).tocsr())
        for block in (cut[at : at + BLOCK] for at in range(0, len(cut), BLOCK))
    ]
    return _unit(np.vstack(blocks))


def _fit(vectoriser: Any, texts: Sequence[str]) -> Any:
    try:
        return vectoriser.fit(texts)
    except ValueError:  # no word, or none in two texts
        return None


def given_vectors(vectors: Any, rows: int, *, seed: int = 0) -> Array:
    """Return the researcher's own vectors, each of length 1, reduced by SVD where they are long.

    Raises
    ------
    FrameError
        When there is not one vector of finite numbers for each of *rows* items.
    """
    found = _unit(_numbers(vectors, rows, "vectors"))
    size = min(DIMENSIONS, rows - 1)
    if found.shape[1] <= DIMENSIONS or size < 1:
        return found
    from sklearn.decomposition import TruncatedSVD

    drawn = found[_drawn(rows, FITTED, seed)]
    with np.errstate(divide="ignore", invalid="ignore"):
        reduction = TruncatedSVD(size, n_iter=3, random_state=seed).fit(drawn)
    return _unit(reduction.transform(found))


def given_places(places: Any, rows: int) -> Array:
    """Return places made by other means, or by an earlier map, moved and scaled into [-1, 1].

    Raises
    ------
    FrameError
        When there are not two finite numbers for each of *rows* items.
    """
    found = _numbers(places, rows, "places")
    if found.shape[1] != 2:
        raise FrameError(f"places: x and y are needed, got {found.shape[1]} columns")
    if np.abs(found).max(initial=0) <= 1:
        return found
    low, high = found.min(axis=0), found.max(axis=0)
    return np.asarray((found - (low + high) / 2) / ((high - low).max() / 2 or 1), np.float32)


def _numbers(values: Any, rows: int, what: str) -> Array:
    try:
        found = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise FrameError(f"{what}: not readable as an array of numbers ({error})") from error
    if found.ndim != 2 or len(found) != rows or not found.shape[1]:
        raise FrameError(f"{what}: {rows} rows are needed, one an item, got shape {found.shape}")
    if not np.isfinite(found).all():
        first = int(np.flatnonzero(~np.isfinite(found).all(1))[0])
        raise FrameError(f"{what}: row {first} holds a number that is not finite")
    return found


def layout(vectors: Array, *, seed: int = 0, laid_out: int = LAID_OUT) -> Array:
    """Return a place for each vector: t-SNE of a drawn sample, the rest beside their nearest.

    t-SNE (van der Maaten and Hinton 2008, JMLR 9) by its Barnes-Hut form, begun from the first two
    principal components, so that the large picture is kept too (Kobak and Berens 2019, Nature
    Communications 10). Of more than *laid_out* vectors as many are drawn with *seed*; each of the
    others lies amid those of its five nearest that lie together. Same input, same places.

    Returns
    -------
    numpy.ndarray
        float32, vectors x 2, within [-1, 1]. Near means alike; directions and the distances
        between far groups mean nothing.
    """
    rows = len(vectors)
    laid = _drawn(rows, laid_out, seed)
    places = np.zeros((rows, 2), np.float32)
    places[laid] = _tsne(vectors[laid], seed)
    places -= places[laid].mean(axis=0, keepdims=True) if rows else 0
    widest = float(np.abs(places[laid]).max(initial=0))
    if widest:
        places /= widest
    rest = np.setdiff1d(np.arange(rows), laid, assume_unique=True)
    for at in range(0, len(rest), BLOCK):
        some = rest[at : at + BLOCK]
        places[some] = _beside(vectors[some], vectors[laid], places[laid])
    return places


def _tsne(vectors: Array, seed: int) -> Array:
    from sklearn.manifold import TSNE

    rows = len(vectors)
    if rows < 4:
        return np.pad(vectors, ((0, 0), (0, 2)))[:, :2]
    if np.ptp(vectors, axis=0).max() < 1e-5:  # all say the same
        return np.zeros((rows, 2), np.float32)
    if vectors.shape[1] < 2:
        vectors = np.pad(vectors, ((0, 0), (0, 1)))
    perplexity = min(30.0, (rows - 1) / 3)
    found: Array = TSNE(
        init="pca", perplexity=perplexity, angle=ANGLE, max_iter=400, random_state=seed, n_jobs=-1
    ).fit_transform(vectors)
    return found


def _beside(vectors: Array, anchors: Array, places: Array) -> Array:
    """Return for each vector the mean place of its nearest anchors, but those that lie apart."""
    alike = vectors @ anchors.T
    nearest = np.argpartition(-alike, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    weight = np.maximum(np.take_along_axis(alike, nearest, 1), 1e-3) ** SHARPNESS
    there = places[nearest]
    apart = np.linalg.norm(there[:, :, None] - there[:, None], axis=-1)
    # A mean of places in two groups would lie between them, where nothing is.
    middle = apart.sum(axis=2).argmin(axis=1)
    weight = weight * (np.take_along_axis(apart, middle[:, None, None], 1)[:, 0] < NEAR)
    mean = (there * (weight / weight.sum(axis=1, keepdims=True))[..., None]).sum(axis=1)
    return np.asarray(mean, np.float32)


def _drawn(rows: int, most: int, seed: int) -> NDArray[np.int64]:
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _unit(vectors: NDArray[Any]) -> Array:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), np.float32)
