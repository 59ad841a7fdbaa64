"""What a proxy is trained on and asked: inputs, labels and domains, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.evaluate.proxy import MakeProxy
from scalekit.frames import FrameError, ids_unique, require, texts_given, to_polars

__all__ = ["Examples", "examples", "inputs", "predicted", "right"]


@dataclass(frozen=True)
class Examples:
    """Items in one order: ``inputs`` are texts (object) or rows of features (float)."""

    ids: NDArray[Any]
    inputs: NDArray[Any]
    labels: NDArray[Any]
    domains: NDArray[Any]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Any) -> Examples:
        return Examples(self.ids[rows], self.inputs[rows], self.labels[rows], self.domains[rows])

    def labelled(self, labels: NDArray[Any]) -> Examples:
        """Return the same items under other labels."""
        return Examples(self.ids, self.inputs, labels, self.domains)

    def join(self, other: Examples) -> Examples:
        """Return these items, then the others."""
        mine, theirs = vars(self).values(), vars(other).values()
        return Examples(*(np.concatenate(pair) for pair in zip(mine, theirs, strict=True)))


def examples(items: Any, features: pl.DataFrame | None, what: str) -> Examples:
    """Return the items as examples.

    Parameters
    ----------
    items
        ``item_id, category`` and, without *features*, ``text``; ``domain`` if there are domains.
    features
        ``item_id`` and one column for each feature, of these items among others.

    Raises
    ------
    FrameError
        When a column or a value is missing, or an item has no features.
    """
    needed = ("item_id", "category") if features is not None else ("item_id", "category", "text")
    table = ids_unique(require(to_polars(items, what), needed, what), "item_id", what)
    if not len(table):
        raise FrameError(f"{what}: there are no rows")
    labels = table["category"].cast(pl.String)
    if labels.null_count():
        raise FrameError(f"{what}: {labels.null_count()} rows have no category; leave them out")
    named = table["domain"] if "domain" in table.columns else pl.repeat("", len(table), eager=True)
    return Examples(
        table["item_id"].to_numpy(),
        inputs(table, features, what),
        labels.to_numpy(),
        named.cast(pl.String).fill_null("").to_numpy(),
    )


def inputs(table: pl.DataFrame, features: pl.DataFrame | None, what: str) -> NDArray[Any]:
    """Return the texts of a table, or its rows of features.

    Raises
    ------
    FrameError
        When a text is missing, or an item has no features or not all of them.
    """
    if features is None:
        return np.array(texts_given(table, what)["text"].to_list(), dtype=object)
    ids_unique(require(features, ("item_id",), "features"), "item_id", "features")
    unknown = table.join(features, on="item_id", how="anti")["item_id"]
    if len(unknown):
        raise FrameError(f"features: no row for item {unknown[0]!r} of the {what}")
    found = table.select("item_id").join(features, on="item_id", maintain_order="left")
    rows = found.drop("item_id").to_numpy().astype(np.float64)
    if not np.isfinite(rows).all():
        item = found["item_id"][int(np.flatnonzero(~np.isfinite(rows).all(1))[0])]
        raise FrameError(f"features: a value of item {item!r} is missing or not finite")
    return rows


def predicted(make_proxy: MakeProxy, train: Examples, asked: Examples) -> NDArray[Any]:
    """Return what a proxy trained on *train* answers to *asked*."""
    if len(set(train.labels)) == 1:  # a classifier refuses one class; its answer is known
        return np.full(len(asked), train.labels[0])
    proxy = make_proxy()
    proxy.fit(train.inputs, train.labels.tolist())
    return np.asarray(proxy.classes_[proxy.predict_proba(asked.inputs).argmax(1)])


def right(make_proxy: MakeProxy, train: Examples, asked: Examples) -> NDArray[np.float64]:
    """Return 1 for each item of *asked* that such a proxy answers rightly, else 0."""
    hits: NDArray[np.bool_] = predicted(make_proxy, train, asked) == asked.labels
    return hits.astype(np.float64)
