"""A quality classifier learnt from marks: what a person would keep, as a probability.

Words and pairs of words by TF-IDF, logistic regression, probabilities by Platt's sigmoid on values
of texts that were not learnt from. Every figure shown comes from texts that neither the model nor
the sigmoid had seen: texts that say the same stand in the same fold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.display import View, block, note, table
from scalekit.figures import error_bars, figure
from scalekit.frames import FrameError, ids_unique, require, texts_given, to_polars
from scalekit.intervals import Z95, wilson
from scalekit.roc import roc_area
from scalekit.text import fold

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["QualityClassifier", "quality_classifier"]

VALUES = ("drop", "keep")
AT_LEAST = (
    20  # different texts of each mark; with fewer the interval is as wide as what it measures
)
FOLDS, BINS = 5, 5
BLOCK = 10_000  # texts scored at a time: memory stays bounded
Flags = NDArray[np.bool_]
Chances = NDArray[np.float64]
Splits = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


@dataclass(frozen=True)
class QualityClassifier(View):
    """What was learnt from the marks, and how well it tells texts apart that it has not seen.

    ``table``: ``figure, value, from, to, of`` with 95 % intervals, cross-validated.
    ``calibration``: for texts of like probability, what was said and what share was marked "keep".
    ``words``: those that speak most for each mark, with their weight. ``checked``: each marked item
    with the probability that it got while it was held out.
    """

    table: pl.DataFrame
    calibration: pl.DataFrame
    words: pl.DataFrame
    checked: pl.DataFrame
    model: Any

    def scores(self, items: Any) -> pl.DataFrame:
        """Return the probability that each item would be kept: ``item_id, score``.

        Raises
        ------
        FrameError
            When a column is missing, an item_id repeats or a text is null.
        """
        given = _items(items)
        parts = [
            self.model.predict_proba(part["text"].to_list())[:, 1]
            for part in given.iter_slices(BLOCK)
            if len(part)
        ]
        found = np.concatenate([np.empty(0), *parts])
        return given.select("item_id", pl.Series("score", found, dtype=pl.Float64))

    def marks(self, items: Any, below: float) -> pl.DataFrame:
        """Return the items of a lower probability as the audit's marks; nothing is dropped.

        ``item_id, rule, reason, kept_id, score``, the least likely first. Raises as :meth:`scores`.
        """
        found = self.scores(items).filter(pl.col("score") < below).sort("score", "item_id")
        return found.select(
            "item_id",
            pl.lit("quality").alias("rule"),
            pl.format("would be kept with probability {}", pl.col("score").round(2)).alias(
                "reason"
            ),
            pl.lit(None, dtype=pl.String).alias("kept_id"),
            "score",
        )

    def plot(self) -> go.Figure:
        """Return the calibration: what was said, what was so, with intervals."""
        import plotly.graph_objects as go

        rows = self.calibration.to_dicts()
        error = error_bars(self.calibration, "kept", 4)
        drawn = figure("Kept, by the probability said", x="probability said", y="share kept")
        said, kept = ([round(r[c], 4) for r in rows] for c in ("said", "kept"))
        drawn.add_trace(go.Scatter(name="held out", x=said, y=kept, mode="markers", error_y=error))
        drawn.add_trace(go.Scatter(name="as said", x=[0, 1], y=[0, 1], mode="lines"))
        return drawn

    def to_html(self) -> str:
        """Show the figures, the calibration, the words, and the marks it would not have guessed."""
        low = self.table.filter(figure="AUC")["from"][0]
        chance = low is None or low <= 0.5
        said = (
            "No better than chance: mark more items, or leave it. " if chance else ""
        ) + "It drops nothing: look at .scores(items) before you choose what goes."
        amiss = self.checked.with_columns(
            (pl.col("score") - (pl.col("mark") == "keep").cast(pl.Float64)).abs().alias("amiss")
        )
        amiss = amiss.filter(pl.col("amiss") > 0.5).sort(
            "amiss", "item_id", descending=[True, False]
        )
        return block(
            "Quality classifier",
            note(said),
            table(self.table),
            note("Held-out texts by the probability said:"),
            table(self.calibration),
            note("Words that speak most for a mark:"),
            table(self.words),
            note("Marks that it would not have guessed:"),
            table(amiss.select("item_id", "mark", "score", "text").head(10), empty="None."),
        )


def quality_classifier(items: Any, marks: Any, *, seed: int = 0) -> QualityClassifier:
    """Learn from a person's marks which texts would be kept.

    Parameters
    ----------
    items
        ``item_id, text``; more than the marked ones may be there.
    marks
        ``item_id, mark``, the mark being "keep" or "drop".
    seed
        Of the folds.

    Raises
    ------
    FrameError
        When a column is missing, an item_id repeats, a text is null, a mark is another word or of
        an item that is not there, or fewer than 20 different texts have one of the marks.
    """
    marked = _marked(_items(items), marks)
    texts = marked["text"].to_list()
    keep = (marked["mark"] == "keep").to_numpy()
    _, group = np.unique([fold(text) for text in texts], return_inverse=True)
    _enough(keep, group)
    held = np.zeros(len(texts))
    for rest, out in _splits(keep, group, seed):
        model = _fitted([texts[i] for i in rest], keep[rest], group[rest], seed)
        held[out] = model.predict_proba([texts[i] for i in out])[:, 1]
    model = _fitted(texts, keep, group, seed)
    return QualityClassifier(
        pl.DataFrame(list(_figures(keep, held)), infer_schema_length=None),
        _calibration(keep, held),
        _words(model),
        marked.with_columns(pl.Series("score", held)),
        model,
    )


def _items(items: Any) -> pl.DataFrame:
    given = require(to_polars(items, "items"), ("item_id", "text"), "items")
    given = texts_given(ids_unique(given, "item_id", "items"), "items")
    return given.select(pl.col("item_id").cast(pl.String), pl.col("text").cast(pl.String))


def _marked(items: pl.DataFrame, marks: Any) -> pl.DataFrame:
    given = require(to_polars(marks, "marks"), ("item_id", "mark"), "marks")
    given = ids_unique(given, "item_id", "marks").select(
        pl.col("item_id").cast(pl.String), pl.col("mark").cast(pl.String)
    )
    strange = given.filter(~pl.col("mark").is_in(VALUES).fill_null(False))
    if len(strange):
        item, mark = strange.row(0)
        raise FrameError(f"marks: item {item!r} is marked {mark!r}; a mark is 'keep' or 'drop'")
    lost = given.join(items, on="item_id", how="anti")
    if len(lost):
        raise FrameError(f"marks: there is no item {lost['item_id'][0]!r} among the items")
    return given.join(items, on="item_id", maintain_order="left")


def _enough(keep: Flags, group: NDArray[np.int64]) -> None:
    for value, flags in zip(VALUES, (~keep, keep), strict=True):
        many = len(np.unique(group[flags]))
        if many < AT_LEAST:
            raise FrameError(
                f"marks: {many} different texts are marked {value!r}, {AT_LEAST} are needed to "
                f"learn from and to check with; mark {AT_LEAST - many} more"
            )


def _splits(keep: Flags, group: NDArray[np.int64], seed: int) -> Splits:
    """Return folds with about the same share of each mark; a group is not parted."""
    from sklearn.model_selection import StratifiedGroupKFold

    deal = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    return list(deal.split(np.zeros(len(keep)), keep, group))


def _fitted(texts: list[str], keep: Flags, group: NDArray[np.int64], seed: int) -> Any:
    """Return the model, its sigmoid fitted on values of held-out folds (Platt 1999)."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(
        preprocessor=fold,
        token_pattern=r"\w+",
        ngram_range=(1, 2),
        sublinear_tf=True,
        max_features=200_000,
    )
    learner = make_pipeline(words, LogisticRegression(C=10, max_iter=1000))
    splits = _splits(keep, group, seed)
    model = CalibratedClassifierCV(learner, method="sigmoid", cv=splits, ensemble=False)
    return model.fit(texts, keep)


def _figures(keep: Flags, held: Chances) -> Iterator[dict[str, Any]]:
    value, low, high = roc_area(keep, held)
    yield {"figure": "AUC", "value": value, "from": low, "to": high, "of": len(keep)}
    right = int(((held >= 0.5) == keep).sum())
    low, high = wilson(right, len(keep))
    share = right / len(keep)
    yield {"figure": "guessed right", "value": share, "from": low, "to": high, "of": len(keep)}
    error = (held - keep) ** 2
    spread = Z95 * float(error.std(ddof=1)) / len(keep) ** 0.5
    brier = float(error.mean())
    low, high = max(0.0, brier - spread), min(1.0, brier + spread)
    yield {"figure": "Brier score", "value": brier, "from": low, "to": high, "of": len(keep)}
    low, high = wilson(int(keep.sum()), len(keep))
    kept = float(keep.mean())
    yield {"figure": "marked keep", "value": kept, "from": low, "to": high, "of": len(keep)}


def _calibration(keep: Flags, held: Chances) -> pl.DataFrame:
    rows = []
    for part in np.array_split(np.argsort(held, kind="stable"), BINS):
        low, high = wilson(int(keep[part].sum()), len(part))
        said, kept = float(held[part].mean()), float(keep[part].mean())
        rows.append({"said": said, "kept": kept, "from": low, "to": high, "of": len(part)})
    return pl.DataFrame(rows)


def _words(model: Any, many: int = 10) -> pl.DataFrame:
    """Return the words of the greatest weight for each mark."""
    learnt = model.calibrated_classifiers_[0].estimator
    weight = learnt[-1].coef_[0]
    # Of equal weights the word that comes first, so that the table is the same each time.
    order = np.argsort(weight, kind="stable")
    name = learnt[0].get_feature_names_out()
    parts = [("keep", order[::-1][:many]), ("drop", order[:many])]
    rows = [(mark, str(name[i]), float(weight[i])) for mark, places in parts for i in places]
    return pl.DataFrame(rows, schema=["speaks for", "words", "weight"], orient="row")
