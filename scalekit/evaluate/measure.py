"""Measure any model: scores by set, by category and by slice, each with its interval."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection
from dataclasses import KW_ONLY, dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.display import View, block, counted, note, table
from scalekit.evaluate.answers import Cost, PredictionError, ask
from scalekit.evaluate.predictors import predictor
from scalekit.evaluate.scores import FEW, SMALLEST, Sliced, few_failures, score_cells, sliced
from scalekit.evaluate.scores import macro_f1 as _macro_f1
from scalekit.evaluate.scoring import CATEGORY, Scorer
from scalekit.figures import error_bars, figure
from scalekit.frames import FrameError, require, to_polars
from scalekit.intervals import wilson

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Measured", "PredictionError", "measure"]

SETS = ("handwritten", "dev", "sealed", "train")
MADE = ("score", "prediction")
FAILURES = {
    "set": pl.String, "failures": pl.Int64, "n": pl.Int64, "failing, at most": pl.Float64
}  # fmt: skip
UNKNOWN = {"set": pl.String, "prediction": pl.String, "nearest": pl.String, "n": pl.Int64}


@dataclass(frozen=True)
class Measured(View):
    """Scores by set and by category; ``results`` has the single items (not of a sealed set).

    ``sets``: ``set, right, n, accuracy, from, to``; of graded scores ``set, n, score, from, to``;
    ``categories`` likewise within each set. The intervals are Wilson's, of graded scores
    Student's, 95 %, and Student's over clusters where these were given.

    ``unknown`` counts answers that are no category: ``set, prediction, nearest, n``, with the
    category that is spelt nearly so. ``contents`` has a digest of the text and category of each
    item, ``protocol`` that of how answers were scored, ``cost`` what asking took;
    :func:`~scalekit.evaluate.compare` holds two measurements to them.
    """

    sets: pl.DataFrame
    categories: pl.DataFrame
    results: pl.DataFrame
    _: KW_ONLY
    unknown: pl.DataFrame | None = None
    contents: pl.DataFrame | None = None
    protocol: str = CATEGORY.protocol
    metric: str = CATEGORY.name
    cost: Cost | None = None

    @property
    def table(self) -> pl.DataFrame:
        """Scores of each set."""
        return self.sets

    @property
    def failures(self) -> pl.DataFrame:
        """Sets with at most three failures: ``set, failures, n, failing, at most``.

        The last is the exact 95 % bound (Clopper and Pearson) of the share that fails: what a
        claim of safety may say. Of graded scores and of clusters it says nothing: no rows.
        """
        if "right" not in self.sets.columns or "clusters" in self.sets.columns:
            return pl.DataFrame(schema=FAILURES)
        failures = (pl.col("n") - pl.col("right")).alias("failures")
        bound = self.sets.select("set", failures, "n", few_failures(self.sets))
        return bound.filter(pl.col("failures") <= FEW)

    def by(self, *columns: str, cluster: str | None = None, smallest: int = SMALLEST) -> Sliced:
        """Return scores by the values of columns of the items, together, within each set.

        Parameters
        ----------
        columns
            Columns that the measured items had, besides their text.
        cluster
            Column of what items share: intervals then count clusters.
        smallest
            Slices of fewer items are marked as too small to judge.

        Raises
        ------
        FrameError
            When a column is missing, or there are no single items: a sealed set gives none.
        """
        if self.results.is_empty():
            raise FrameError(
                "results: there are no single items to slice (a sealed set gives none)"
            )
        return sliced(self.results, columns, cluster=cluster, smallest=smallest)

    def macro_f1(self, *, draws: int = 2000, seed: int = 0) -> pl.DataFrame:
        """Return the mean F1 over the categories of each set, with a bootstrap interval.

        As :func:`scalekit.evaluate.scores.macro_f1`: under 100 items there is no interval, and the
        score is not resolvable.
        """
        return _macro_f1(self.results, draws=draws, seed=seed)

    def aggregates(self, smallest: int) -> Measured:
        """Return the scores without single items, categories under *smallest* merged into one."""
        # The rest must be large enough too: who knows the whole could subtract what is told.
        ordered = self.categories.sort("n", "category")
        upto = ordered["n"].cum_sum()
        merged = int((ordered["n"] < smallest).sum())
        while 0 < merged < len(ordered) and upto[merged - 1] < smallest:
            merged += 1
        small, kept = ordered.head(merged), ordered.slice(merged).sort("category")
        if int(small["n"].sum()) >= smallest:
            name = f"{len(small)} smaller categories"
            kept = pl.concat([kept, self._together(small, name).select(kept.columns)])
        unknown = self.unknown
        if unknown is not None:  # what a model wrote may quote the item
            hidden = (pl.lit(None, pl.String).alias(name) for name in ("prediction", "nearest"))
            unknown = unknown.group_by("set").agg(pl.col("n").sum()).select("set", *hidden, "n")
        return replace(
            self, categories=kept, results=self.results.clear(), unknown=unknown, contents=None
        )

    def _together(self, small: pl.DataFrame, name: str) -> pl.DataFrame:
        """Return one row for several categories."""
        if "right" in small.columns and "clusters" not in small.columns:
            right, n = int(small["right"].sum()), int(small["n"].sum())
            low, high = wilson(right, n)
            counts = {"right": right, "n": n, "accuracy": right / n, "from": low, "to": high}
            row = {"set": small["set"][0], "category": name, **counts}
            return pl.DataFrame([row], schema=small.schema)
        within = self.results.join(small.select("set", "category"), on=["set", "category"])
        return score_cells(within.with_columns(pl.lit(name).alias("category")), CELL)

    def join(self, other: Measured) -> Measured:
        """Return both, sets in their usual order.

        Raises
        ------
        ValueError
            When they were scored in different ways.
        """
        if self.protocol != other.protocol:
            raise ValueError(
                f"these were scored in different ways ({self.metric}, {other.metric}) and can't "
                "be shown in one table"
            )
        order = pl.col("set").replace_strict({s: i for i, s in enumerate(SETS)}, default=len(SETS))

        def both(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
            return pl.concat([a, b], how="diagonal")

        known = [c for c in (self.contents, other.contents) if c is not None]
        paid = [c for c in (self.cost, other.cost) if c is not None]
        return Measured(
            both(self.sets, other.sets).sort(order, maintain_order=True),
            both(self.categories, other.categories).sort(order, maintain_order=True),
            both(self.results, other.results),
            unknown=both(_frame(self.unknown), _frame(other.unknown)),
            contents=pl.concat(known) if len(known) == 2 else None,
            protocol=self.protocol,
            metric=self.metric,
            cost=paid[0].plus(paid[1]) if len(paid) == 2 else None,
        )

    def plot(self) -> go.Figure:
        """Return the score by category and set, with intervals."""
        import plotly.graph_objects as go

        value = "accuracy" if "accuracy" in self.categories.columns else "score"
        title = f"{self.metric.capitalize()} by category, with 95 % intervals"
        drawn = figure(title, y=self.metric)
        sets = self.categories["set"].unique(maintain_order=True).to_list()
        for name in [s for s in sets if s != "train"]:
            rows = self.categories.filter(pl.col("set") == name)
            names, heights = rows["category"].to_list(), rows[value].round(4).to_list()
            error = error_bars(rows, value, 4)
            drawn.add_trace(go.Bar(name=name, x=names, y=heights, error_y=error))
        return drawn.update_yaxes(range=[0, 1.05])

    def __str__(self) -> str:
        """Return the scores of each set and what is to be known of them, for a terminal."""
        return "\n".join([super().__str__(), *self._warnings()])

    def to_html(self) -> str:
        """Show the sets, then the categories."""
        said = "The handwritten examples are few: read their interval, not only their score."
        hint = note(said) if "handwritten" in self.sets["set"].to_list() else ""
        cells = self.categories.filter(pl.col("set") != "train")
        scored = "" if self.metric == CATEGORY.name else f"scored by {self.metric}"
        paid = self.cost is not None and (self.cost.price, self.cost.tokens_out) != (None, None)
        return block(
            "Evaluation", scored, table(self.sets), hint, *map(note, self._warnings()),
            note(self.cost.said()) if self.cost is not None and paid else "",
            table(cells, limit=30),
        )  # fmt: skip

    def _warnings(self) -> list[str]:
        found = []
        for row in self.failures.filter(pl.col("set") != "train").to_dicts():
            found.append(
                f"{counted(row['failures'], 'failure')} in {row['n']:,} items of {row['set']}: at "
                f"most {100 * row['failing, at most']:.1f} % fail (exact bound, 95 %)."
            )
        unknown = _frame(self.unknown)
        if len(unknown):
            names = unknown.group_by("prediction", "nearest", maintain_order=True)
            most = names.agg(pl.col("n").sum()).drop_nulls("prediction")
            most = most.sort("n", descending=True, maintain_order=True).head(5)
            shown = ", ".join(
                f"{said[:40]!r} ({n:,}{f', nearly {near!r}' if near else ''})"
                for said, near, n in most.iter_rows()
            )
            said = counted(int(unknown["n"].sum()), "answer")
            shown = f": {shown}" if shown else ""
            found.append(f"{said} named no known category and counted as wrong{shown}.")
        return found


CELL = ["set", "category"]


def _frame(unknown: pl.DataFrame | None) -> pl.DataFrame:
    return pl.DataFrame(schema=UNKNOWN) if unknown is None else unknown


def measure(
    predict: Any,
    items: Any,
    *,
    batch: int = 64,
    progress: Callable[[int, int], None] | None = None,
    scorer: Scorer = CATEGORY,
    categories: Collection[str] = (),
    cluster: str | None = None,
    store: Path | None = None,
    model: str = "",
) -> Measured:
    """Score a model on items.

    Parameters
    ----------
    predict
        A callable from a list of texts to as many answers, or what
        :func:`~scalekit.evaluate.predictor` takes.
    items
        ``item_id, text, category, set``, and columns to slice by. With a *scorer* of its own the
        columns that it needs; ``category`` may then be missing.
    batch
        Texts handed over at a time.
    progress
        Called as ``progress(done, total)``.
    scorer
        How an answer is judged; by default it must be the category.
    categories
        The names that an answer may be, where items do not show them all.
    cluster
        Column of what items share (a conversation, a source document): intervals then count
        clusters.
    store
        A file in which answers are kept batch by batch (JSON lines): measured again, after a crash
        or with another scorer, only what is missing is asked. Not for a sealed set.
    model
        The model's digest, or a name that changes when the model does; a store needs it, unless
        the predictor knows it.

    Raises
    ------
    FrameError
        When a column or a category is missing, or an item has a column named as a result.
    PredictionError
        When the number of answers is not that of the texts, or an answer is not text.
    ValueError
        When a store is given and no model, or the scorer gives what is no score.
    """
    asked = _items(items, scorer, cluster)
    ready = predictor(predict)
    answers, cost = ask(
        ready, asked["text"].to_list(), batch=batch, progress=progress,
        store=None if store is None else Path(store), model=model or ready.digest,
        protocol=ready.protocol,
    )  # fmt: skip
    scored = asked.drop("text").with_columns(
        scorer(answers, asked), pl.Series("prediction", answers, dtype=pl.String)
    )
    first = ("item_id", "set", "score", "prediction", "category")
    results = scored.select(
        *(c for c in first if c in scored.columns), *(c for c in scored.columns if c not in first)
    )
    cells = results if "category" in results.columns else _without_category(results)
    return Measured(
        score_cells(results, CELL[:1], cluster),
        score_cells(cells, CELL, cluster),
        results,
        unknown=_unknown(results, categories) if scorer is CATEGORY else None,
        contents=_contents(asked, scorer),
        protocol=scorer.protocol,
        metric=scorer.name,
        cost=cost,
    )


def _items(items: Any, scorer: Scorer, cluster: str | None) -> pl.DataFrame:
    wanted = ["item_id", "text", *scorer.columns, "set", *([cluster] if cluster else [])]
    found = require(to_polars(items, "items"), dict.fromkeys(wanted), "items")
    taken = [name for name in MADE if name in found.columns]
    if taken:
        raise FrameError(
            f"items: column {taken[0]!r} is made by measuring; give the one that is there another "
            "name"
        )
    return found


def _without_category(results: pl.DataFrame) -> pl.DataFrame:
    return results.clear().with_columns(pl.lit(None, pl.String).alias("category"))


def _unknown(results: pl.DataFrame, categories: Collection[str]) -> pl.DataFrame:
    known = {*results["category"].cast(pl.String), *categories}
    strange = results.filter(~pl.col("prediction").is_in(sorted(known)))
    found = strange.group_by("set", "prediction", maintain_order=True).len("n")
    near = {said: _nearest(said, sorted(known)) for said in found["prediction"].unique()}
    nearest = pl.Series("nearest", [near[said] for said in found["prediction"]], dtype=pl.String)
    return found.with_columns(nearest).select(pl.col(name).cast(t) for name, t in UNKNOWN.items())


def _nearest(said: str, categories: Collection[str]) -> str | None:
    """Return the category that *said* is obviously a spelling of, or None.

    Never its opposite or neighbour: "unsafe" is not "safe", "class 2" not "class 3".
    """
    forms = {" ".join(re.split(r"[\W_]+", c.casefold())).strip(): c for c in categories}
    form = " ".join(re.split(r"[\W_]+", said[:100].casefold())).strip()
    near = get_close_matches(form, filter(None, forms), n=1, cutoff=0.92)
    same = near and re.sub(r"\D", "", near[0]) == re.sub(r"\D", "", form)
    return forms[near[0]] if same else None


def _contents(asked: pl.DataFrame, scorer: Scorer) -> pl.DataFrame:
    """Return a digest of what of each item decides its score."""
    columns = list(dict.fromkeys(("text", *scorer.columns)))
    found = [
        hashlib.blake2b("\x1f".join(map(str, row)).encode(), digest_size=16).hexdigest()
        for row in asked.select(columns).iter_rows()
    ]
    return asked.select("item_id", "set").with_columns(pl.Series("content", found, dtype=pl.String))
