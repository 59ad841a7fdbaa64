"""Measure any callable: accuracy by set and by category, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.display import View, block, note, table
from scalekit.figures import INK, figure
from scalekit.frames import require, to_polars
from scalekit.intervals import wilson

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Measured", "PredictionError", "measure"]

Predict = Callable[[list[str]], Sequence[str]]
SETS = ("handwritten", "dev", "sealed", "train")


class PredictionError(ValueError):
    """What was measured did not answer as asked; the message says how."""


@dataclass(frozen=True)
class Measured(View):
    """Scores by set and by category; ``results`` has the single items (not of a sealed set).

    ``sets``: ``set, right, n, accuracy, from, to``; ``categories`` likewise within each set. The
    intervals are Wilson's, 95 %.
    """

    sets: pl.DataFrame
    categories: pl.DataFrame
    results: pl.DataFrame

    @property
    def table(self) -> pl.DataFrame:
        """Accuracy of each set."""
        return self.sets

    def aggregates(self, smallest: int) -> Measured:
        """Return the scores without single items, categories under *smallest* merged into one."""
        # The rest must be large enough too: who knows the whole could subtract what is told.
        ordered = self.categories.sort("n", "category")
        upto = ordered["n"].cum_sum()
        merged = int((ordered["n"] < smallest).sum())
        while 0 < merged < len(ordered) and upto[merged - 1] < smallest:
            merged += 1
        small, kept = ordered.head(merged), ordered.slice(merged).sort("category")
        right, n = int(small["right"].sum()), int(small["n"].sum())
        if n >= smallest:
            name = f"{len(small)} smaller categories"
            row = _row({"set": small["set"][0], "category": name}, right, n)
            kept = pl.concat([kept, pl.DataFrame([row], schema=kept.schema)])
        return Measured(self.sets, kept, self.results.clear())

    def join(self, other: Measured) -> Measured:
        """Return both, sets in their usual order."""
        order = pl.col("set").replace_strict({s: i for i, s in enumerate(SETS)}, default=len(SETS))
        return Measured(
            pl.concat([self.sets, other.sets]).sort(order, maintain_order=True),
            pl.concat([self.categories, other.categories]).sort(order, maintain_order=True),
            pl.concat([self.results, other.results]),
        )

    def plot(self) -> go.Figure:
        """Return accuracy by category and set, with intervals."""
        import plotly.graph_objects as go

        drawn = figure("Accuracy by category, with 95 % intervals", y="accuracy")
        sets = self.categories["set"].unique(maintain_order=True).to_list()
        for name in [s for s in sets if s != "train"]:
            rows = self.categories.filter(pl.col("set") == name)
            share = rows["accuracy"].to_list()
            error = {
                "array": [round(t - s, 4) for t, s in zip(rows["to"], share, strict=True)],
                "arrayminus": [round(s - f, 4) for f, s in zip(rows["from"], share, strict=True)],
                "color": INK,
            }
            heights = [round(s, 4) for s in share]
            drawn.add_trace(
                go.Bar(name=name, x=rows["category"].to_list(), y=heights, error_y=error)
            )
        return drawn.update_yaxes(range=[0, 1.05])

    def to_html(self) -> str:
        """Show the sets, then the categories."""
        said = "The handwritten examples are few: read their interval, not only their score."
        hint = note(said) if "handwritten" in self.sets["set"].to_list() else ""
        cells = self.categories.filter(pl.col("set") != "train")
        return block("Evaluation", table(self.sets), hint, table(cells, limit=30))


def _row(names: dict[str, str], right: int, n: int) -> dict[str, Any]:
    low, high = wilson(right, n)
    return {**names, "right": right, "n": n, "accuracy": right / n, "from": low, "to": high}


def measure(
    predict: Predict,
    items: Any,
    *,
    batch: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Score a callable on items.

    Parameters
    ----------
    predict
        From a list of texts to as many categories.
    items
        ``item_id, text, category, set``.
    batch
        Texts handed over at a time.
    progress
        Called as ``progress(done, total)``.

    Raises
    ------
    FrameError
        When a column is missing.
    PredictionError
        When the number of answers is not that of the texts, or an answer is not text.
    """
    table = require(to_polars(items, "items"), ("item_id", "text", "category", "set"), "items")
    answers: list[str] = []
    texts = table["text"].to_list()
    for start in range(0, len(texts), batch):
        part = texts[start : start + batch]
        said = predict(part)
        if isinstance(said, str) or not isinstance(said, Sized) or len(said) != len(part):
            got = f"{len(said)} answers" if isinstance(said, Sized) else type(said).__name__
            got = "one text" if isinstance(said, str) else got
            raise PredictionError(
                f"predict was given {len(part)} texts and returned {got}; a list with one "
                "category name for each is needed"
            )
        wrong = [s for s in said if not isinstance(s, str)]
        if wrong:
            raise PredictionError(f"predict must return category names, got {wrong[0]!r}")
        answers.extend(said)
        if progress is not None:
            progress(len(answers), len(texts))
    results = table.select("item_id", "set", "category").with_columns(
        pl.Series("prediction", answers, dtype=pl.String)
    )
    results = results.with_columns(
        (pl.col("prediction") == pl.col("category")).cast(pl.Int64).alias("score")
    )
    return Measured(
        _scores(results, ["set"]),
        _scores(results, ["set", "category"]),
        results.select("item_id", "set", "score", "prediction", "category"),
    )


def _scores(results: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    cells = results.group_by(by, maintain_order=True).agg(
        pl.col("score").sum().alias("right"), pl.len().cast(pl.Int64).alias("n")
    )
    rows = [
        _row({name: cell[name] for name in by}, cell["right"], cell["n"])
        for cell in cells.sort(by[1:], maintain_order=True).to_dicts()
    ]
    numbers = {"right": pl.Int64, "n": pl.Int64, "accuracy": pl.Float64}
    ends = {"from": pl.Float64, "to": pl.Float64}
    return pl.DataFrame(rows, schema={**dict.fromkeys(by, pl.String), **numbers, **ends})
