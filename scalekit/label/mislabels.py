"""Labels that are probably wrong, by confident learning from out-of-fold probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray

from scalekit.display import View, block, counted, note, table
from scalekit.frames import ids_unique, require, texts_given, to_polars
from scalekit.label.events import LabelError
from scalekit.text import fold, words

__all__ = ["Mislabels", "confident_joint", "joint", "mislabel_candidates", "out_of_fold"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Mislabels(View):
    """Items whose given value is probably wrong, the likeliest first.

    ``table`` has ``item_id, given, suggested, self_confidence, margin, rank``; ``noise`` is the
    estimated share of wrong labels among the *items*; ``joint`` the estimated joint distribution:
    a row for each given value, a column for each true one; ``not_judged`` the values that have too
    few distinct items to be predicted.
    """

    table: pl.DataFrame
    noise: float
    items: int
    joint: pl.DataFrame
    not_judged: tuple[str, ...]

    def to_html(self) -> str:
        """Show how many labels are probably wrong, then the likeliest."""
        said = f"{counted(len(self.table), 'candidate')} in {counted(self.items, 'item')}"
        few = ", ".join(self.not_judged)
        return block(
            "Probably mislabelled",
            note(f"{said}; {self.noise:.2%} of the labels are estimated to be wrong."),
            note(f"Not judged, as there are too few items of them: {few}.") if few else "",
            table(self.table, empty="No label is probably wrong."),
        )


def mislabel_candidates(
    items: Any, given: Any, probabilities: Any = None, *, folds: int = 5, seed: int = 0
) -> Mislabels:
    """Find the items whose given value is probably wrong.

    Confident learning (Northcutt, Jiang & Chuang 2021, JAIR 70): the confident joint, calibrated to
    the counts of the given values, says how many labels are wrong in which way; of each such way,
    the items with the largest normalized margin are pruned (the paper's "prune by noise rate"). An
    item is no candidate unless the suggested value is likelier than the given one.

    Parameters
    ----------
    items
        ``item_id`` with ``text``, or with columns of numbers; not read if *probabilities* are
        given. Items with the same words (or numbers) stay in the same fold.
    given
        ``item_id, value``.
    probabilities
        ``item_id`` and a column for each value, predicted by a model that has not seen the item.
        By default, those of a logistic regression (of words and characters weighted by TF-IDF, or
        of the numbers, standardised) trained on the other folds. Values with fewer distinct items
        than *folds* are then not judged.
    folds, seed
        Number of folds, and the seed by which items are dealt to them.

    Raises
    ------
    FrameError
        When a column is missing, an item has no text, or an item repeats.
    LabelError
        When an item or value has no probability, rows of probabilities do not sum to 1, a number is
        not finite, or fewer than two values have enough items.
    """
    labels = require(to_polars(given, "given"), ("item_id", "value"), "given")
    labels = labels.select(pl.col("item_id", "value").cast(pl.String)).drop_nulls("value")
    labels = ids_unique(labels, "item_id", "given").sort("item_id")
    not_judged: tuple[str, ...] = ()
    if probabilities is None:
        features, groups = _features(items, labels)
        kept = _enough(labels["value"], groups, folds)
        not_judged = tuple(sorted(set(labels["value"]) - set(labels["value"].filter(kept))))
        labels = labels.filter(kept)
        values = sorted(set(labels["value"]))
        code = _codes(labels["value"], values)
        rows = np.flatnonzero(kept.to_numpy())
        chances = out_of_fold(features[rows], code, groups[rows], folds=folds, seed=seed)
    else:
        chances, values = _given_chances(probabilities, labels)
        code = _codes(labels["value"], values)
    distribution = joint(confident_joint(chances, code), code)
    return Mislabels(
        table=_pruned(labels, chances, code, distribution, values),
        noise=float(distribution.sum() - np.trace(distribution)),
        items=len(labels),
        joint=pl.DataFrame({"given": values, **dict(zip(values, distribution.T, strict=True))}),
        not_judged=not_judged,
    )


def confident_joint(chances: Array, code: Codes) -> NDArray[np.int64]:
    """Count items by given value and by the value they are confidently of (equations 1, 2).

    An item counts for the likeliest value whose probability reaches that value's threshold: the
    mean probability of the value over the items that are given it. No such value, no count.
    """
    n, k = chances.shape
    sizes = np.bincount(code, minlength=k)
    own = np.bincount(code, chances[np.arange(n), code], k)
    threshold = np.where(sizes > 0, own / np.maximum(sizes, 1), np.inf)
    confident = np.where(chances >= threshold, chances, -1.0)
    best = confident.argmax(axis=1)
    sure = confident.max(axis=1) >= 0
    return np.bincount(code[sure] * k + best[sure], minlength=k * k).reshape(k, k)


def joint(counts: NDArray[np.int64], code: Codes) -> Array:
    """Return the joint distribution of given and true values, from the confident joint.

    Rows are calibrated to the counts of the given values (equation 3). A given value without any
    confident item is taken to be right.
    """
    k = len(counts)
    counts = np.where((counts.sum(axis=1) == 0)[:, None], np.eye(k, dtype=np.int64), counts)
    sizes = np.bincount(code, minlength=k)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True) * (sizes / sizes.sum())[:, None])


def _pruned(
    labels: pl.DataFrame, chances: Array, code: Codes, distribution: Array, values: Sequence[str]
) -> pl.DataFrame:
    """Return the candidates: of each given and other value, as many as the joint expects."""
    n, k = chances.shape
    own = chances[np.arange(n), code]
    expected = np.rint(distribution * n).astype(np.int64)
    suggested, margin = np.full(n, -1), np.zeros(n)
    for i, j in zip(*np.nonzero(expected * (1 - np.eye(k, dtype=np.int64))), strict=True):
        rows = np.flatnonzero(code == i)
        gap = chances[rows, j] - own[rows]
        first = np.argsort(-gap, kind="stable")[: expected[i, j]]
        better = rows[first][gap[first] > margin[rows[first]]]
        suggested[better], margin[better] = j, chances[better, j] - own[better]
    found = np.flatnonzero(suggested >= 0)
    return (
        labels.select("item_id", given="value")[found]
        .with_columns(
            pl.Series("suggested", [values[j] for j in suggested[found]], dtype=pl.String),
            pl.Series("self_confidence", own[found]),
            pl.Series("margin", margin[found]),
        )
        .sort("margin", "item_id", descending=[True, False])
        .with_columns(rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int64))
    )


def out_of_fold(features: Any, code: Codes, groups: Codes, *, folds: int, seed: int) -> Array:
    """Return probabilities of each row from a logistic regression on the other folds.

    Rows of one group share a fold; groups are dealt so that folds have about the same of each
    value.
    """
    from sklearn.linear_model import LogisticRegression

    fold_of = _dealt(code, groups, folds, seed)
    chances = np.zeros((len(code), int(code.max()) + 1))
    for k in range(folds):
        out = np.flatnonzero(fold_of == k)
        rest = np.flatnonzero(fold_of != k)
        model = LogisticRegression(C=10, tol=1e-3, max_iter=1000).fit(features[rest], code[rest])
        chances[np.ix_(out, model.classes_)] = model.predict_proba(features[out])
    return chances


def _dealt(code: Codes, groups: Codes, folds: int, seed: int) -> Codes:
    """Deal groups to folds in turn, shuffled within the value of their first row."""
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    chance = np.random.default_rng(seed).random(len(first))
    turn = np.empty(len(first), dtype=np.int64)
    turn[np.lexsort((chance, code[first]))] = np.arange(len(first)) % folds
    return turn[place]


def _features(items: Any, labels: pl.DataFrame) -> tuple[Any, Codes]:
    """Return a row of features for each label, and the group of rows that are the same."""
    rows = require(to_polars(items, "items"), ("item_id",), "items")
    rows = ids_unique(rows.with_columns(pl.col("item_id").cast(pl.String)), "item_id", "items")
    lacking = labels.join(rows, on="item_id", how="anti")
    if len(lacking):
        raise LabelError(
            f"items: item {lacking['item_id'][0]!r} is given a value but is not there "
            f"({counted(len(lacking), 'such item')})"
        )
    rows = labels.select("item_id").join(rows, on="item_id", how="left", maintain_order="left")
    if "text" in rows.columns:
        texts = texts_given(rows, "items")["text"].to_list()
        same = [" ".join(w.folded for w in words(t)) or fold(t) for t in texts]
        return _tfidf(texts), np.unique(same, return_inverse=True)[1]
    numbers = rows.drop("item_id").select(cs.numeric()).cast(pl.Float64)
    grid = numbers.to_numpy()
    if not grid.shape[1] or not np.isfinite(grid).all():
        raise LabelError("items: a column 'text', or columns of finite numbers, is needed")
    spread = grid.std(axis=0)
    scaled = (grid - grid.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return scaled, np.unique(grid, axis=0, return_inverse=True)[1].ravel()


def _tfidf(texts: Sequence[str]) -> Any:
    """Return words, pairs of words, and characters within words, weighted by TF-IDF.

    The weights come from all texts: they know no label. What only one text has is left out.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    form = {"sublinear_tf": True, "dtype": np.float32}
    whole = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", **form)
    parts = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), **form)
    try:
        features = make_union(whole, parts).fit_transform(texts).tocsc()
    except ValueError as error:
        raise LabelError(f"items: nothing can be learnt from the texts ({error})") from error
    shared = np.diff(features.indptr) > 1
    if not shared.any():
        raise LabelError("items: nothing can be learnt from the texts: no two share a word")
    return features[:, shared].tocsr()


def _enough(value: pl.Series, groups: Codes, folds: int) -> pl.Series:
    """Return which rows are of a value with at least as many groups as *folds*."""
    if folds < 2:
        raise LabelError(f"folds must be at least 2, got {folds}")
    rows = pl.DataFrame({"value": value, "group": groups})
    kept = rows.select(pl.col("group").n_unique().over("value") >= folds).to_series()
    if value.filter(kept).n_unique() < 2:
        raise LabelError(f"given: fewer than two values have {folds} distinct items, one a fold")
    return kept


def _codes(value: pl.Series, values: Sequence[str]) -> Codes:
    places = {v: i for i, v in enumerate(values)}
    return np.array([places[v] for v in value], dtype=np.int64)


def _given_chances(probabilities: Any, labels: pl.DataFrame) -> tuple[Array, list[str]]:
    """Return the probabilities in the order of *labels*, and the values they are of."""
    known = require(to_polars(probabilities, "probabilities"), ("item_id",), "probabilities")
    known = known.with_columns(pl.col("item_id").cast(pl.String))
    ids_unique(known, "item_id", "probabilities")
    values = sorted(c for c in known.columns if c != "item_id")
    unknown = sorted(set(labels["value"]) - set(values))
    if unknown:
        raise LabelError(f"probabilities: there is no column for the value {unknown[0]!r}")
    rows = labels.join(known, on="item_id", how="left", maintain_order="left")
    grid = rows.select(pl.col(values).cast(pl.Float64)).to_numpy()
    sound = (grid >= 0).all(axis=1) & (np.abs(grid.sum(axis=1) - 1) <= 1e-2)
    if not sound.all():
        first = rows["item_id"][int(np.argmin(sound))]
        raise LabelError(
            f"probabilities: item {first!r} has none that sum to 1 "
            f"({counted(int((~sound).sum()), 'such item')})"
        )
    return grid, values
