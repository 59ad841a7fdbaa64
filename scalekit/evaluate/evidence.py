"""Evidence for each training label: does a model that never saw it disagree, more than usual?

The reference model is fitted on the last accepted release alone: a model that has seen the suspect
labels can learn a systematic fault and excuse it. How often it disagrees where nothing is wrong is
measured on that release, out of fold, by domain, label and how sure the model is: without this, the
hardest domain is always accused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray

from scalekit.evaluate.proxy import MakeProxy, text_proxy
from scalekit.frames import FrameError, ids_unique, require, texts_given, to_polars

__all__ = ["LabelEvidence", "inputs_of", "label_evidence", "taken"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
PSEUDO = 10.0  # labels that a cell's parent counts for
LEAST, MOST = 0.05, 0.95  # bounds of an expected share, where it sets a weight
FEW = 20  # accepted labels under which a domain's difficulty counts as unknown
COLUMNS = ("item_id", "value", "domain")


@dataclass(frozen=True)
class LabelEvidence:
    """One row for each training label, in the order given.

    ``table`` has ``disagrees`` (0 or 1; null: not judged, as the reference does not know the
    value)``, expected`` (the share that disagrees where nothing is wrong)``, cell`` (what it was
    measured on) and ``probability`` (the reference's, of the label given). ``cells`` has
    ``cell, expected, variance`` (of the expected share). ``by`` says what the reference is:
    "accepted release" or "cross-validation". ``unknown`` are the domains of unknown difficulty.
    """

    table: pl.DataFrame
    cells: pl.DataFrame
    by: str
    unknown: tuple[str, ...]


def label_evidence(
    training: Any,
    accepted: Any = None,
    *,
    features: Any = None,
    make_proxy: MakeProxy = text_proxy,
    folds: int = 5,
    seed: int = 0,
) -> LabelEvidence:
    """Compare each training label with a reference model that has not seen it.

    The accepted items are dealt to *folds*; each is judged by the model of the other folds. So is
    each training item, dealt likewise (to the same fold where it stands in both), so that what
    is expected and what is found come from models of the same strength.

    Parameters
    ----------
    training
        ``item_id, value, domain`` with ``text``; one row for each judgement.
    accepted
        The last accepted release, with the same columns. None (a first release): the reference
        comes from cross-validation on *training*; a fault of a whole domain is then not to be seen.
    features
        ``item_id`` and columns of numbers, for the items of both, in place of ``text``. Give
        *make_proxy* with it.
    make_proxy
        Makes the reference model.
    folds, seed
        Number of folds, and the seed by which items are dealt to them.

    Raises
    ------
    FrameError
        When a column is missing, an item has no text or no features, or there are fewer than two
        values to learn.
    """
    new = _judgements(training, "training")
    old = new if accepted is None else _judgements(accepted, "accepted")
    new_inputs = inputs_of(new, features, make_proxy, "training")
    old_inputs = (
        new_inputs if accepted is None else inputs_of(old, features, make_proxy, "accepted")
    )
    fold_old, fold_new = _dealt(old, new, folds, seed)
    values = sorted(set(old["value"]))
    if len(values) < 2:
        raise FrameError(f"accepted: two values are needed to learn from, got {values}")
    chance_old = np.zeros((len(old), len(values)))
    chance_new = np.zeros((len(new), len(values)))
    labels = old["value"].to_numpy()
    for fold in range(folds):
        rest = np.flatnonzero(fold_old != fold)
        if len(set(labels[rest])) < 2:
            raise FrameError(f"accepted: too few items of {values[0]!r} for {folds} folds")
        model = make_proxy()
        model.fit(taken(old_inputs, rest), labels[rest].tolist())
        columns = np.searchsorted(values, model.classes_)
        parts = [(chance_new, fold_new, new_inputs)]
        parts += [] if accepted is None else [(chance_old, fold_old, old_inputs)]
        for chance, fold_of, inputs in parts:
            own = np.flatnonzero(fold_of == fold)
            if len(own):
                chance[np.ix_(own, columns)] = model.predict_proba(taken(inputs, own))
    if accepted is None:
        chance_old = chance_new
    return _referenced(old, new, chance_old, chance_new, values, accepted is None)


def inputs_of(frame: pl.DataFrame, features: Any, make_proxy: MakeProxy, what: str) -> Any:
    """Return what a proxy reads: the list of texts, or the features as rows of numbers.

    Raises
    ------
    FrameError
        When there is neither text nor features, or an item lacks them.
    """
    if features is None:
        return texts_given(require(frame, ("text",), what), what)["text"].to_list()
    if make_proxy is text_proxy:
        raise FrameError("features: give make_proxy, a model that reads numbers, with them")
    known = require(to_polars(features, "features"), ("item_id",), "features")
    known = known.with_columns(pl.col("item_id").cast(pl.String))
    known = ids_unique(known, "item_id", "features").with_row_index("row")
    found = frame.select("item_id").join(
        known.select("item_id", "row"), on="item_id", how="left", maintain_order="left"
    )
    if found["row"].null_count():
        lacking = found.filter(pl.col("row").is_null())["item_id"][0]
        raise FrameError(f"features: item {lacking!r} of {what} has none")
    grid = known.drop("item_id", "row").select(cs.numeric()).to_numpy()
    return grid[found["row"].to_numpy()]


def taken(inputs: Any, rows: Codes) -> Any:
    """Return *rows* of what :func:`inputs_of` gave."""
    return [inputs[i] for i in rows] if isinstance(inputs, list) else inputs[rows]


def _judgements(frame: Any, what: str) -> pl.DataFrame:
    table = require(to_polars(frame, what), COLUMNS, what)
    table = table.with_columns(pl.col(COLUMNS).cast(pl.String))
    for column in COLUMNS:
        if table[column].null_count():
            first = int(table[column].is_null().arg_max() or 0)
            raise FrameError(f"{what}: row {first} has no {column!r}")
    if table.is_empty():
        raise FrameError(f"{what}: there are no labels")
    return table


def _dealt(old: pl.DataFrame, new: pl.DataFrame, folds: int, seed: int) -> tuple[Codes, Codes]:
    """Deal items to folds within their value; an item of both releases stays in one fold.

    Items of the same text are one.
    """
    key = "text" if "text" in old.columns and "text" in new.columns else "item_id"
    both = pl.concat([t.select(pl.col(key).alias("key"), "value") for t in (old, new)])
    first = both.unique("key", keep="first", maintain_order=True)
    chance = np.random.default_rng(seed).random(len(first))
    order = np.lexsort((chance, first["value"].rank("dense").to_numpy()))
    turn = np.empty(len(first), dtype=np.int64)
    turn[order] = np.arange(len(first)) % folds
    dealt = first.select("key").with_columns(pl.Series("fold", turn))
    fold = both.join(dealt, on="key", how="left", maintain_order="left")["fold"].to_numpy()
    return fold[: len(old)], fold[len(old) :]


def _referenced(
    old: pl.DataFrame, new: pl.DataFrame, chance_old: Array, chance_new: Array,
    values: Sequence[str], own: bool,
) -> LabelEvidence:  # fmt: skip
    place = {v: i for i, v in enumerate(values)}
    both = pl.concat([t.select(COLUMNS) for t in (old, new)])
    code = np.array([place.get(v, -1) for v in both["value"]])
    chance = np.concatenate([chance_old, chance_new])
    differs = chance.argmax(1) != code
    paths = _cells(both["domain"], code, chance.max(1), len(old))
    items = (old["item_id"].rank("dense") - 1).to_numpy()
    share = 1 / np.bincount(items)[items]  # several labels of an item count as one
    expected, variance = _expected(paths, differs[: len(old)].astype(float), share)
    leaf, judged = paths[len(old) :, -1], code[len(old) :] >= 0
    given = chance_new[np.arange(len(new)), np.maximum(code[len(old) :], 0)]
    table = pl.DataFrame(
        {
            "disagrees": differs[len(old) :].astype(np.int64),
            "expected": expected[leaf],
            "cell": leaf,
            "probability": np.where(judged, given, 0.0),
        }
    ).with_columns(pl.when(pl.Series(judged)).then("disagrees").alias("disagrees"))
    # Measured on the very labels that are judged, the expected share has no error of its own.
    variance = np.zeros_like(variance) if own else variance
    cells = pl.DataFrame(
        {"cell": np.arange(len(expected)), "expected": expected, "variance": variance}
    )
    counts = dict(old["domain"].value_counts().iter_rows())
    unknown = tuple(sorted(d for d in new["domain"].unique() if counts.get(d, 0) < FEW))
    by = "cross-validation" if own else "accepted release"
    return LabelEvidence(table, cells, by, unknown)


def _cells(domain: pl.Series, code: Codes, confidence: Array, accepted: int) -> Codes:
    """Return each row's cell at four depths [N, 4]: all; domain; and label; and confidence.

    Confidence, the reference's highest probability, is cut into thirds of the accepted items of
    the domain: it knows the item, not its label.
    """
    where = (domain.rank("dense") - 1).to_numpy().astype(np.int64)
    third = np.zeros(len(code), dtype=np.int64)
    for d in range(int(where.max()) + 1):
        own = where == d
        known = confidence[:accepted][own[:accepted]]
        if len(known):
            third[own] = np.searchsorted(np.quantile(known, [1 / 3, 2 / 3]), confidence[own])
    labels = int(code.max()) + 2
    pair = where * labels + code + 1
    depths = [np.zeros_like(where), where, pair, pair * 3 + third]
    return np.stack([np.unique(depth, return_inverse=True)[1] for depth in depths], axis=1)


def _expected(paths: Codes, differs: Array, share: Array) -> tuple[Array, Array]:
    """Return the expected share of each finest cell, and its variance.

    A cell's share is drawn towards that of the cell it lies in, which counts for PSEUDO labels
    (a Beta posterior); the variance is the posterior's.
    """
    expected = variance = np.full(1, np.average(differs, weights=share))
    for depth in range(paths.shape[1]):
        cells = int(paths[:, depth].max()) + 1
        own = paths[: len(differs), depth]
        count, hits = np.bincount(own, share, cells), np.bincount(own, share * differs, cells)
        above = np.zeros(cells, dtype=np.int64)
        above[paths[:, depth]] = paths[:, max(depth - 1, 0)]
        expected = (hits + PSEUDO * expected[above]) / (count + PSEUDO)
        variance = expected * (1 - expected) / (count + PSEUDO + 1)
    return expected, variance
