"""Compare two measurements of the same items: what changed, how surely, and what n can't show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalekit.display import View, block, note, table
from scalekit.evaluate.measure import Measured
from scalekit.evaluate.multiplicity import benjamini_hochberg, holm
from scalekit.evaluate.paired import mcnemar_p, non_inferiority, sign_flip, t_p, tango
from scalekit.evaluate.resolution import least_detectable, minimum_detectable
from scalekit.evaluate.scores import SMALLEST, mean_bounds, standard_error, unit_cells, unseen
from scalekit.figures import INK, error_bars, figure
from scalekit.frames import FrameError, ids_unique, require, to_polars

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Comparison", "ComparisonError", "compare"]

ALPHA = 0.05
KEYS = ["set", "item_id"]
FLIPPED_UP_TO = 2000  # units; above, a sign flip says what t says
SHOWN = 30


class ComparisonError(ValueError):
    """Two measurements can't be held against each other; the message says on how many items."""


@dataclass(frozen=True)
class Comparison(View):
    """Differences b - a on the same items, one row for each set and then for each slice.

    ``table``: ``set, column, value`` (the last two null for a whole set), ``n`` items in
    ``units`` (items, or clusters), the mean scores ``a`` and ``b``, ``difference, from, to`` (95 %:
    Tango's interval for right and wrong, Student's otherwise), ``only_a, only_b`` (items on which
    one side scores more), ``test`` with its ``p``, ``p_check`` (exact McNemar, or sign flips),
    ``adjusted`` (Holm over declared claims; Benjamini and Hochberg over all other rows),
    ``detectable`` (the smallest true difference that so many items find 4 times in 5 at 0.05),
    ``verdict``, and ``against_margin`` when there is one.

    ``items`` has the joined single items with ``score_a, score_b, difference``.
    """

    table: pl.DataFrame
    items: pl.DataFrame
    names: tuple[str, str]
    metric: str
    margin: float | None
    q: float

    @property
    def changed(self) -> pl.DataFrame:
        """The items on which the two differ, what became worse first."""
        return self.items.filter(pl.col("difference") != 0).sort("difference", maintain_order=True)

    def plot(self) -> go.Figure:
        """Return a forest plot: differences with intervals, the line of no change, the margin."""
        import plotly.graph_objects as go

        shown = self.table.head(SHOWN + 10).reverse()
        labels = [_label(row) for row in shown.to_dicts()]
        a, b = self.names
        drawn = figure(
            f"{b} minus {a}, with 95 % intervals", x=f"difference in {self.metric}",
            height=140 + 24 * len(shown),
        )  # fmt: skip
        error = error_bars(shown, "difference")
        drawn.add_trace(
            go.Scatter(x=shown["difference"].to_list(), y=labels, error_x=error, mode="markers")
        )
        for at in [0.0] if self.margin is None else [0.0, -self.margin]:
            drawn.add_vline(x=at, line={"color": INK, "dash": "dot" if at else "solid"})
        return drawn

    def to_html(self) -> str:
        """Say each declared claim in a sentence, then show the sets and the slices."""
        a, b = self.names
        whole = pl.col("column").is_null()
        sets, slices = self.table.filter(whole), self.table.filter(~whole)
        said = [note(self._sentence(row)) for row in sets.to_dicts()]
        legend = (
            f"Difference: {b} minus {a}, in {self.metric}. Detectable: the smallest true "
            "difference that so many items find 4 times in 5 at 0.05, before adjustment. p_check: "
            "the exact test, or sign flips. Declared claims are "
            f"adjusted by Holm (0.05), slices by Benjamini and Hochberg (q = {self.q:g})."
        )
        return block(
            f"{b} against {a}", *said, table(self._named(sets)),
            note("By slice") if len(slices) else "", table(self._named(slices), limit=SHOWN),
            note(legend),
        )  # fmt: skip

    def _named(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows as they are shown, the measurements by their names."""
        a, b = self.names
        if a == b:
            return _shown(rows)
        said = {"a": f"mean of {a}", "b": f"mean of {b}"}
        return _shown(rows).rename({**said, "only_a": f"only {a}", "only_b": f"only {b}"})

    def _sentence(self, row: dict[str, Any]) -> str:
        said = (
            f"{row['set']}: {_points(row['difference'])} points ({_points(row['from'])} to "
            f"{_points(row['to'])}) on {row['n']:,} items, {row['verdict']}."
        )
        if row["verdict"].startswith("not resolvable"):
            if row["from"] > 0 or row["to"] < 0:
                said += f" (Of this claim alone; with the others p = {row['adjusted']:.3f}.)"
            said += f" A true difference of {100 * row['detectable']:.1f} points would be found."
        if self.margin is not None:
            said += f" Against the margin of {100 * self.margin:g} points: {row['against_margin']}."
        return said


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def _label(row: dict[str, Any]) -> str:
    part = "" if row["column"] is None else f" · {row['column']} = {row['value']}"
    return f"{row['set']}{part} (n = {row['n']:,})"


def _shown(rows: pl.DataFrame) -> pl.DataFrame:
    empty = [name for name in ("column", "value") if rows[name].is_null().all()]
    said = [
        pl.Series(name, [_p(p) for p in rows[name]], dtype=pl.String)
        for name in ("p", "p_check", "adjusted")
    ]
    units = ["units"] if (rows["units"] == rows["n"]).all() else []
    return rows.with_columns(said).drop(*empty, *units)


def _p(p: float | None) -> str | None:
    return None if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def compare(
    a: Any,
    b: Any,
    *,
    by: Sequence[str] = (),
    primary: Sequence[str] | None = None,
    margin: float | None = None,
    cluster: str | None = None,
    names: tuple[str, str] = ("A", "B"),
    q: float = 0.1,
    smallest: int = SMALLEST,
) -> Comparison:
    """Compare two measurements item by item; differences are b - a.

    Right and wrong is tested by McNemar's mid-p, graded scores by the paired t test, and both by t
    over whole clusters where items share something. What a model was trained on (set ``train``) is
    left out.

    Parameters
    ----------
    a, b
        What :func:`~scalekit.evaluate.measure` returned, or tables ``item_id, set, score``.
    by
        Columns to slice by, each by itself, within each set.
    primary
        The sets about which a claim was declared before looking; by default all. Holm guards them;
        what else is looked at counts as a slice.
    margin
        The loss that would not matter, declared before looking, such as 0.02.
    cluster
        Column of what items share.
    names
        What the two are called.
    q
        The share of findings among slices that may be wrong.
    smallest
        Slices of fewer items are not tested.

    Raises
    ------
    ComparisonError
        When items, their contents or the scoring differ, saying on how many items.
    FrameError
        When a column is missing, an item is there twice, or an item has no score.
    """
    first, second = _side(a, names[0]), _side(b, names[1])
    _same_protocol(a, b, names, len(first))
    _same_items(first, second, names)
    _same_contents(a, b, first, second, names)
    columns = list(dict.fromkeys([*by, *([cluster] if cluster else [])]))
    require(first, columns, f"results of {names[0]}")
    joined = _joined(first, second)
    sets = joined["set"].unique(maintain_order=True).to_list()
    declared = list(sets if primary is None else primary)
    if not set(declared) <= set(sets):
        raise ComparisonError(f"primary: there is no set {set(declared) - set(sets)}, only {sets}")
    parts = [_cells(joined, None, cluster)]
    parts += [_cells(joined, column, cluster).sort(_set_place(sets), "difference") for column in by]
    found = pl.concat(parts)
    found = _checked_by_flips(found, joined, cluster)
    metric = a.metric if isinstance(a, Measured) else "score"
    judged = _judged(found, declared, names, q, smallest)
    if margin is not None:
        ends = judged.select("from", "to").iter_rows()
        said = [non_inferiority(low, high, margin) for low, high in ends]
        judged = judged.with_columns(pl.Series("against_margin", said, dtype=pl.String))
    return Comparison(judged, joined, names, metric, margin, q)


def _set_place(sets: Sequence[str]) -> pl.Expr:
    return pl.col("set").replace_strict({name: i for i, name in enumerate(sets)})


def _side(given: Any, name: str) -> pl.DataFrame:
    what = f"results of {name}"
    found = given.results if isinstance(given, Measured) else to_polars(given, what)
    found = require(found, ("item_id", "set", "score"), what).filter(pl.col("set") != "train")
    if found.is_empty():
        raise ComparisonError(f"{what}: there are no single items (a sealed set gives none)")
    if missing := found["score"].null_count():
        raise FrameError(f"{what}: {missing:,} items have no score")
    score = found["score"].cast(pl.Float64)
    if not score.is_between(0, 1).all():
        raise FrameError(f"{what}: scores must lie between 0 and 1")
    for (_,), own in found.group_by("set"):
        ids_unique(own, "item_id", what)
    return found.with_columns(score)


def _same_protocol(a: Any, b: Any, names: tuple[str, str], items: int) -> None:
    if isinstance(a, Measured) and isinstance(b, Measured) and a.protocol != b.protocol:
        raise ComparisonError(
            f"all {items:,} items were scored in different ways: {names[0]} by {a.metric}, "
            f"{names[1]} by {b.metric} (protocols {a.protocol[-8:]} and {b.protocol[-8:]}); "
            "measure both with the same scorer"
        )


def _same_items(first: pl.DataFrame, second: pl.DataFrame, names: tuple[str, str]) -> None:
    only_a = first.join(second, on=KEYS, how="anti")
    only_b = second.join(first, on=KEYS, how="anti")
    if len(only_a) or len(only_b):
        example = (only_a if len(only_a) else only_b)["item_id"][0]
        raise ComparisonError(
            f"these are not the same items: {len(only_a):,} of {len(first):,} only in {names[0]}, "
            f"{len(only_b):,} of {len(second):,} only in {names[1]} (first {example!r}); measure "
            "both on the same items, or leave these out of both results"
        )


def _same_contents(
    a: Any, b: Any, first: pl.DataFrame, second: pl.DataFrame, names: tuple[str, str]
) -> None:
    known = [m.contents for m in (a, b) if isinstance(m, Measured) and m.contents is not None]
    column, what = "content", "text or right answer"
    if len(known) == 2:
        first, second = (c.filter(pl.col("set") != "train") for c in known)
    elif "category" in first.columns and "category" in second.columns:
        column, what = "category", "category"
    else:
        return
    both = first.select(*KEYS, column).join(second.select(*KEYS, pl.col(column).alias("other")),
                                            on=KEYS)  # fmt: skip
    changed = both.filter(pl.col(column).cast(pl.String) != pl.col("other").cast(pl.String))
    if len(changed):
        raise ComparisonError(
            f"the {what} of {len(changed):,} of {len(both):,} items is not the same in {names[0]} "
            f"and {names[1]} (first {changed['item_id'][0]!r}); measure both on the same items"
        )


def _joined(first: pl.DataFrame, second: pl.DataFrame) -> pl.DataFrame:
    theirs = [c for c in ("score", "prediction") if c in second.columns]
    right = second.select(*KEYS, pl.col(theirs).name.suffix("_b"))
    ours = [c for c in ("score", "prediction") if c in first.columns]
    joined = first.rename({name: f"{name}_a" for name in ours}).join(
        right, on=KEYS, maintain_order="left"
    )
    # What differs by less than rounding does not differ.
    difference = (pl.col("score_b") - pl.col("score_a")).round(12)
    return joined.with_columns(difference.alias("difference"))


def _cells(joined: pl.DataFrame, column: str | None, cluster: str | None) -> pl.DataFrame:
    """Return one untested row for each set, or for each value of *column* in each set."""
    by = ["set"] if column is None else ["set", column]
    sides = joined.group_by(by, maintain_order=True).agg(
        pl.col("score_a").mean().alias("a"),
        pl.col("score_b").mean().alias("b"),
        (pl.col("difference") < 0).sum().cast(pl.Int64).alias("only_a"),
        (pl.col("difference") > 0).sum().cast(pl.Int64).alias("only_b"),
    )
    units = unit_cells(joined, "difference", by, cluster)
    cells = sides.join(units, on=by, nulls_equal=True, maintain_order="left")
    scores = joined.select("score_a", "score_b")
    counted = cluster is None and scores.select(pl.all().is_in([0.0, 1.0]).all()).row(0) == (
        True,
        True,
    )
    tested = _right_or_wrong(cells) if counted else _means(cells, cluster)
    value = pl.lit(None, pl.String) if column is None else pl.col(column).cast(pl.String)
    return cells.select(
        "set",
        pl.lit(column, pl.String).alias("column"),
        (value if column is None else value.fill_null("(none)")).alias("value"),
        pl.col("n").cast(pl.Int64),
        "units", "a", "b", pl.col("mean").alias("difference"), "only_a", "only_b",
    ).hstack(tested)  # fmt: skip


def _right_or_wrong(cells: pl.DataFrame) -> pl.DataFrame:
    only_a, only_b, n = cells.select("only_a", "only_b", "n").to_numpy().T
    low, high = tango(only_a, only_b, n)
    exact, mid_p = mcnemar_p(only_a.astype(np.int64), only_b.astype(np.int64))
    shares = zip(n.astype(int).tolist(), ((only_a + only_b) / n).tolist(), strict=True)
    # The second: however few items differ here, so many must for a difference to be found.
    found = [max(minimum_detectable(k, share), least_detectable(k)) for k, share in shares]
    return pl.DataFrame(
        {"from": low, "to": high, "test": ["McNemar, mid-p"] * len(n), "p": mid_p,
         "p_check": exact, "detectable": found},
        schema_overrides={"test": pl.String, "detectable": pl.Float64},
    )  # fmt: skip


def _means(cells: pl.DataFrame, cluster: str | None) -> pl.DataFrame:
    from scipy.special import stdtrit

    mean, squares, n, units = cells.select("mean", "squares", "n", "units").to_numpy().T
    low, high = mean_bounds(mean, squares, n, units, lowest=-1.0)
    error, df = standard_error(squares, n, units), np.maximum(units - 1, 1)
    flat = error == 0
    p = np.where(flat, np.where(mean == 0, 1.0, 2.0 ** (1 - units)),
                 t_p(mean, np.where(flat, 1.0, error), df))  # fmt: skip
    reach = (stdtrit(df, 1 - ALPHA / 2) + stdtrit(df, 0.8)) * error
    test = "paired t" if cluster is None else "t over clusters"
    return pl.DataFrame(
        {"from": low, "to": high, "test": [test] * len(n),
         "p": np.where(units < 2, np.nan, p), "p_check": np.full(len(n), np.nan),
         "detectable": np.minimum(np.where(flat, unseen(units), reach), 1.0)},
        schema_overrides={"test": pl.String},
    )  # fmt: skip


def _checked_by_flips(
    found: pl.DataFrame, joined: pl.DataFrame, cluster: str | None
) -> pl.DataFrame:
    """Add the permutation test to the rows of whole sets that have none."""
    wanted = pl.col("column").is_null() & pl.col("p_check").is_nan() & (pl.col("units") > 1)
    wanted &= pl.col("units") <= FLIPPED_UP_TO
    p = {}
    for name in found.filter(wanted)["set"]:
        own = joined.filter(pl.col("set") == name)
        clusters = None if cluster is None else own[cluster].rank("dense").to_numpy()
        p[name] = sign_flip(own["difference"].to_numpy(), clusters=clusters)
    flips = pl.col("set").replace_strict(p, default=None, return_dtype=pl.Float64)
    return found.with_columns(
        pl.when(wanted).then(flips).otherwise(pl.col("p_check").fill_nan(None)).alias("p_check")
    )


def _judged(
    found: pl.DataFrame, declared: Sequence[str], names: tuple[str, str], q: float, smallest: int
) -> pl.DataFrame:
    """Adjust p within the claims and within the rest, and say what each row shows."""
    claim = (found["column"].is_null() & found["set"].is_in(list(declared))).to_numpy()
    n = found["n"].to_numpy()
    p = np.where(claim | (n >= smallest), found["p"].to_numpy(), np.nan)
    adjusted = np.full(len(p), np.nan)
    adjusted[claim], adjusted[~claim] = holm(p[claim]), benjamini_hochberg(p[~claim])
    level = np.where(claim, ALPHA, q)
    said = []
    for value, most, difference, size in zip(
        adjusted.tolist(), level.tolist(), found["difference"].to_list(), n.tolist(), strict=True
    ):
        if np.isnan(value):
            said.append("n too small")
        elif value <= most:
            said.append(f"{names[1]} {'better' if difference > 0 else 'worse'}")
        else:
            said.append(f"not resolvable at n = {size:,}")
    order = ("set", "column", "value", "n", "units", "a", "b", "difference", "from", "to", "only_a",
             "only_b", "test", "p", "p_check")  # fmt: skip
    return found.select(
        *order,
        pl.Series("adjusted", adjusted).fill_nan(None),
        "detectable",
        pl.Series("verdict", said, dtype=pl.String),
    ).with_columns(pl.Series("p", p).fill_nan(None))
