"""Where errors lie: far from the training items, or where these contradict each other."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.display import View, block, counted, note, table
from scalekit.evaluate.examples import inputs
from scalekit.frames import FrameError, ids_unique, require, to_polars
from scalekit.intervals import newcombe
from scalekit.text import folded_words

__all__ = ["ErrorFactors", "error_factors"]

FACTORS = ("support", "surprise")
SHOWN, BESIDE = 5, 5  # failed items in the view, and training items beside each
Floats = NDArray[np.float64]
Places = NDArray[np.intp]

SCHEMA = {
    "factor": pl.String, "z": pl.Float64, "gap": pl.Float64, "from": pl.Float64,
    "to": pl.Float64, "error there": pl.Float64, "error elsewhere": pl.Float64, "items": pl.Int64,
}  # fmt: skip


@dataclass(frozen=True)
class ErrorFactors(View):
    """What goes with errors on dev, one row for each factor.

    ``support`` is the mean similarity of a dev item to its nearest training items; ``surprise`` the
    mean share of neighbours of these with another label than theirs. ``z`` is Wald's, of both
    together in one logistic regression of the error, positive where errors go with little support
    or much surprise; ``gap`` the error rate in the worst fifth less that elsewhere, with its 95 %
    interval. ``items``: ``item_id, category, error, support, surprise``; ``nearest``: failed items
    of least support beside the training items nearest to them; ``conflicts``: training items of the
    same words with different labels, in ``pairs`` of the same words altogether.
    """

    table: pl.DataFrame
    items: pl.DataFrame
    nearest: pl.DataFrame
    conflicts: pl.DataFrame
    pairs: int
    left_out: int

    def z(self, factor: str) -> float:
        """Return how surely errors go with this factor."""
        return float(self.table.filter(pl.col("factor") == factor)["z"].item())

    def gap(self, factor: str) -> float:
        """Return how much higher the error rate is in the worst fifth by this factor."""
        return float(self.table.filter(pl.col("factor") == factor)["gap"].item())

    def to_html(self) -> str:
        """Show the factors, the failed items beside their neighbours, the conflicting pairs."""
        said = f"{counted(len(self.items), 'clean dev item')}"
        said += f"; {self.left_out} left out as seen in training." if self.left_out else "."
        pairs = (
            f"{len(self.conflicts)} of {self.pairs} pairs of training items with the same words "
            "have different labels:"
        )
        return block(
            "What goes with errors",
            note(said),
            table(self.table),
            note("Failed items of least support, and the training items nearest to them:"),
            table(self.nearest, limit=SHOWN * BESIDE),
            note(pairs) if len(self.conflicts) else "",
            table(self.conflicts),
        )


def error_factors(
    results: Any,
    dev: Any,
    train: Any,
    *,
    features: Any = None,
    seen: Collection[str] = (),
    k: int = 10,
) -> ErrorFactors:
    """Ask whether errors on dev go with thin support or with contradicting labels.

    Items are compared by the cosine of TF-IDF of their words, or of *features*. The label surprise
    of a training item is the share of its *k* nearest that have another label, so a dev item's own
    label says nothing here. Both factors also vary by nature where classes meet: go by the
    thresholds of :func:`scalekit.evaluate.diagnose`, not by z alone.

    Parameters
    ----------
    results
        ``item_id, score`` (1 right, 0 wrong), as in ``Measured.results``.
    dev, train
        ``item_id, category`` and, without *features*, ``text``.
    features
        ``item_id`` and a column for each feature, of all these items.
    seen
        Ids of dev items that stand in training; they are left out.
    k
        How many neighbours.

    Raises
    ------
    FrameError
        When a column or value is missing, no dev item was measured, or training has not more than
        k items.
    """
    columns = ("item_id", "category") if features is not None else ("item_id", "category", "text")
    known, asked = (
        ids_unique(require(to_polars(frame, what), columns, what), "item_id", what).with_columns(
            pl.col("category").cast(pl.String)
        )
        for frame, what in ((train, "train"), (dev, "dev"))
    )
    scores = require(to_polars(results, "results"), ("item_id", "score"), "results")
    measured = asked.join(scores.select("item_id", "score"), on="item_id", maintain_order="left")
    clean = measured.filter(~pl.col("item_id").is_in(list(seen)))
    if clean.is_empty():
        raise FrameError("results: no clean dev item was measured; measure on dev first")
    if len(known) <= k:
        raise FrameError(f"train: {len(known)} items, more than k={k} are needed")
    left, right = _vectors(clean, known, features)
    support, surprise, beside = _neighbours(left, right, known["category"].to_numpy(), k)
    wrong = 1 - clean["score"].to_numpy().astype(np.float64)
    items = clean.select("item_id", "category").with_columns(
        error=pl.Series(wrong), support=pl.Series(support), surprise=pl.Series(surprise)
    )
    zs = _wald(np.column_stack([-support, surprise]), wrong)
    rows = [
        {"factor": name, "z": float(z), **_gap(value, wrong)}
        for name, z, value in zip(FACTORS, zs, (-support, surprise), strict=True)
    ]
    pairs, conflicts = _conflicts(known)
    return ErrorFactors(
        pl.DataFrame(rows, schema=SCHEMA),
        items,
        _beside(clean.with_columns(items["support"]), known, beside),
        conflicts,
        pairs,
        len(measured) - len(clean),
    )


def _vectors(dev: pl.DataFrame, train: pl.DataFrame, features: Any) -> tuple[Any, Any]:
    known = None if features is None else to_polars(features, "features")
    asked, there = inputs(dev, known, "dev"), inputs(train, known, "train")
    if known is not None:
        return asked, there
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(sublinear_tf=True, analyzer=folded_words)
    try:
        right = vectors.fit_transform(there)
    except ValueError as error:
        raise FrameError("train: no text has a word in it") from error
    return vectors.transform(asked), right


def _neighbours(left: Any, right: Any, labels: Any, k: int) -> tuple[Floats, Floats, Places]:
    """Return support and surprise of each dev item, and the places of its neighbours."""
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(right)
    distance, beside = index.kneighbors(left)
    near = np.unique(beside)
    around = index.kneighbors(right[near], n_neighbors=k + 1, return_distance=False)
    # A training item is its own nearest; among copies any of them may stand first.
    itself = around == near[:, None]
    itself[~itself.any(1), -1] = True
    others = around[~itself].reshape(len(near), k)
    surprised = np.zeros(len(labels))
    surprised[near] = (labels[others] != labels[near][:, None]).mean(1)
    return 1 - distance.mean(1), surprised[beside].mean(1), beside


def _wald(factors: Floats, wrong: Floats) -> Floats:
    """Return Wald's z of each factor in a logistic regression; 0 of one that does not vary."""
    spread = factors.std(0)
    varies = spread > 1e-12
    found = np.zeros(factors.shape[1])
    if not varies.any() or wrong.min() == wrong.max():
        return found
    own = factors[:, varies]
    x = np.column_stack([np.ones(len(own)), (own - own.mean(0)) / spread[varies]])
    beta = np.zeros(x.shape[1])
    # A weak pull to 0 keeps the steps finite where a factor separates right from wrong.
    pull = 1e-3 * np.eye(len(beta))
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        information = (x * (p * (1 - p))[:, None]).T @ x + pull
        step = np.linalg.solve(information, x.T @ (wrong - p) - pull @ beta)
        beta += step
        if np.abs(step).max() < 1e-8:
            break
    error = np.sqrt(np.diag(np.linalg.inv(information)))
    found[varies] = (beta / error)[1:]
    return found


def _gap(value: Floats, wrong: Floats) -> dict[str, float | int]:
    """Compare the error rate of the fifth with the highest value with that of the rest."""
    order = np.argsort(-value, kind="stable")
    fifth = max(len(value) // 5, 1)
    there, elsewhere = wrong[order[:fifth]], wrong[order[fifth:]]
    low, high = newcombe(int(there.sum()), len(there), int(elsewhere.sum()), len(elsewhere))
    rate, rest = float(there.mean()), float(elsewhere.mean()) if len(elsewhere) else 0.0
    ends = {"gap": rate - rest, "from": low, "to": high}
    return {**ends, "error there": rate, "error elsewhere": rest, "items": fifth}


def _beside(dev: pl.DataFrame, train: pl.DataFrame, beside: Places) -> pl.DataFrame:
    failed = dev.with_row_index("row").filter(pl.col("score") == 0)
    failed = failed.sort("support", maintain_order=True).head(SHOWN)
    shown = "text" if "text" in dev.columns and "text" in train.columns else "item_id"
    names = ("failed item", "failed", "category", "support", "nearest in training", "its label")
    rows = []
    for item in failed.to_dicts():
        first = (item["item_id"], item[shown], item["category"], item["support"])
        for at in beside[item["row"]][:BESIDE].tolist():
            rows.append((*first, train[shown][at], train["category"][at]))
            first = ("", "", "", None)  # said once, above its neighbours
    types = [pl.Float64 if name == "support" else pl.String for name in names]
    return pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")


def _conflicts(train: pl.DataFrame) -> tuple[int, pl.DataFrame]:
    """Return how many neighbouring pairs have the same words, and those with different labels."""
    names = ("item_id", "label", "other item", "other label", "text")
    if "text" not in train.columns:
        return 0, pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    keyed = train.select("item_id", "text", pl.col("category").alias("label"))
    words = [" ".join(folded_words(text or "")) for text in keyed["text"]]
    keyed = keyed.with_columns(pl.Series("words", words, dtype=pl.String))
    keyed = keyed.filter(pl.col("words") != "").sort("words", "item_id")
    after = keyed.with_columns(
        pl.col("item_id", "label").shift(-1).over("words").name.prefix("other ")
    ).drop_nulls("other item_id")
    after = after.rename({"other item_id": "other item"})
    return len(after), after.filter(pl.col("label") != pl.col("other label")).select(names)
