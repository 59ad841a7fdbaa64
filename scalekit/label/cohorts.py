"""Agreement within groups of annotators and over time: is disagreement error, or a perspective?

Low agreement need not be bad work: people of different backgrounds may read an item differently
(perspectivism; Cabitza, Campagner & Basile 2023, AAAI 37). Then annotators agree more within their
cohort than within random groups of the same sizes, and one label an item would silence a cohort.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.coefficients import bootstrap_alpha, krippendorff_alpha
from scalekit.display import View, block, counted, note, table
from scalekit.frames import require, to_polars
from scalekit.label.tasks import LabelError

__all__ = ["CohortAgreement", "agreement_by_cohort", "agreement_over_time"]

Codes = NDArray[np.int64]
SCHEMA = {
    "annotators": pl.Int64, "items": pl.Int64, "labels": pl.Int64, "alpha": pl.Float64,
    "from": pl.Float64, "to": pl.Float64, "undefined because": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class CohortAgreement(View):
    """Alpha within each cohort, against alpha of all.

    ``within`` is the mean of the cohorts' alphas, weighted by their pairable labels; ``p`` the
    share of random groupings of the same annotators into cohorts of the same sizes that agree
    within at least as much (None: undefined); ``left_out`` counts labels of annotators without a
    cohort.
    """

    by: str
    table: pl.DataFrame
    overall: float | None
    within: float | None
    p: float | None
    left_out: int

    @property
    def perspectives(self) -> bool:
        """Whether annotators agree more within cohorts than chance groupings do, at 5 %."""
        return self.p is not None and self.p < 0.05

    def to_html(self) -> str:
        """Show alpha of each cohort, and whether disagreement follows the cohorts."""
        out = f"{counted(self.left_out, 'label')} of annotators without {self.by} left out."
        shown = self.table
        if not (shown["undefined because"] != "").any():
            shown = shown.drop("undefined because")
        return block(
            f"Agreement by {self.by}",
            note(self._said()),
            note(out) if self.left_out else "",
            table(shown),
        )

    def _said(self) -> str:
        if self.p is None:
            why = "there is one cohort only" if len(self.table) == 1 else "alpha is undefined"
            return f"It can not be told whether disagreement follows {self.by}: {why}."
        said = f"Alpha is {self.overall:.3f} over all, {self.within:.3f} within"
        return f"{said} (p = {self.p:.3f}). " + (
            f"Disagreement follows {self.by}: keep the cohorts' labels apart, or say whose view "
            "the label is."
            if self.perspectives
            else f"It does not follow {self.by} more than chance groupings do."
        )


def agreement_by_cohort(
    labels: Any, annotators: Any, by: str, *, draws: int = 500, seed: int = 0
) -> CohortAgreement:
    """Measure nominal agreement within cohorts of annotators, and test it against chance groups.

    Parameters
    ----------
    labels
        ``item_id, annotator, value``.
    annotators
        ``annotator`` and the column *by*, which names each one's cohort (null: none).
    draws, seed
        Random groupings for the test, bootstrap resamples for the intervals, and their seed.

    Raises
    ------
    FrameError
        When a column is missing.
    LabelError
        When an annotator stands in two cohorts, or no label is by an annotator of one.
    """
    given = require(to_polars(labels, "labels"), ("item_id", "annotator", "value"), "labels")
    given = given.select(pl.col("item_id", "annotator", "value").cast(pl.String)).drop_nulls()
    people = require(to_polars(annotators, "annotators"), ("annotator", by), "annotators")
    people = people.select(pl.col("annotator", by).cast(pl.String)).drop_nulls().unique()
    twice = people.filter(pl.col("annotator").is_duplicated())
    if len(twice):
        raise LabelError(f"annotators: {twice['annotator'][0]!r} stands in two cohorts of {by}")
    known = given.join(people, on="annotator")
    if known.is_empty():
        raise LabelError(f"no label is by an annotator whose {by} is known")
    item, rater, value = (_codes(known[c]) for c in ("item_id", "annotator", "value"))
    raters = known.select("annotator", by).unique().sort("annotator")
    names = raters[by].unique().sort().to_list()
    cohort = _codes(raters[by])
    shape = (int(item.max()) + 1, int(value.max()) + 1)

    rows = []
    for place, name in enumerate(names):
        own = cohort[rater] == place
        rows.append({by: name, **_measured(item[own], rater[own], value[own], shape, draws, seed)})
    overall = krippendorff_alpha(_counts(item, value, shape)).value
    within = _within(item, value, cohort[rater], shape)
    rng = np.random.default_rng(seed)
    drawn = [_within(item, value, rng.permutation(cohort)[rater], shape) for _ in range(draws)]
    p = None
    if within is not None and len(names) > 1:
        # One more than counted: the grouping itself is one of those possible.
        as_high = sum(d is not None and d >= within - 1e-12 for d in drawn)
        p = (as_high + 1) / (draws + 1)
    return CohortAgreement(
        by=by,
        table=pl.DataFrame(rows, schema={by: pl.String, **SCHEMA}).sort("alpha", nulls_last=True),
        overall=overall,
        within=within,
        p=p,
        left_out=len(given) - len(known),
    )


def agreement_over_time(labels: Any, *, windows: int = 5, seed: int = 0) -> pl.DataFrame:
    """Measure nominal agreement in windows of equally many labels, in the order they were given.

    Returns ``window, first, last`` (times)``, annotators, items, labels, alpha, from, to,
    undefined because``. An item counts in a window with the labels it got there.

    Raises
    ------
    FrameError
        When ``item_id, annotator, value, at`` are not there.
    LabelError
        When there are fewer labels than *windows*.
    """
    columns = ("item_id", "annotator", "value", "at")
    given = require(to_polars(labels, "labels"), columns, "labels")
    given = given.select(pl.col(columns).cast(pl.String)).drop_nulls().sort("at", "item_id")
    if windows < 1 or len(given) < windows:
        raise LabelError(f"{counted(len(given), 'label')} with a time can't fill {windows} windows")
    item, rater, value = (_codes(given[c]) for c in ("item_id", "annotator", "value"))
    shape = (int(item.max()) + 1, int(value.max()) + 1)
    rows = []
    for number, part in enumerate(np.array_split(np.arange(len(given)), windows), 1):
        span = {"first": given["at"][int(part[0])], "last": given["at"][int(part[-1])]}
        found = _measured(item[part], rater[part], value[part], shape, 500, seed)
        rows.append({"window": number, **span, **found})
    head = {"window": pl.Int64, "first": pl.String, "last": pl.String}
    return pl.DataFrame(rows, schema={**head, **SCHEMA})


def _codes(column: pl.Series) -> Codes:
    return (column.rank("dense") - 1).cast(pl.Int64).to_numpy()


def _counts(item: Codes, value: Codes, shape: tuple[int, int]) -> NDArray[np.float64]:
    items, k = shape
    return np.bincount(item * k + value, minlength=items * k).reshape(shape).astype(float)


def _measured(
    item: Codes, rater: Codes, value: Codes, shape: tuple[int, int], samples: int, seed: int
) -> dict[str, Any]:
    counts = _counts(item, value, shape)
    alpha = krippendorff_alpha(counts)
    low, high = bootstrap_alpha(counts, samples=samples, seed=seed) or (None, None)
    return {
        "annotators": len(np.unique(rater)), "items": int((counts.sum(1) >= 2).sum()),
        "labels": len(item), "alpha": alpha.value, "from": low, "to": high,
        "undefined because": alpha.undefined,
    }  # fmt: skip


def _within(item: Codes, value: Codes, cohort: Codes, shape: tuple[int, int]) -> float | None:
    """Return the mean alpha of cohorts, weighted by their pairable labels."""
    total, weight = 0.0, 0.0
    for place in range(int(cohort.max()) + 1):
        own = cohort == place
        counts = _counts(item[own], value[own], shape)
        alpha = krippendorff_alpha(counts).value
        if alpha is not None:
            each = counts.sum(1)
            pairable = float(each[each >= 2].sum())
            total, weight = total + alpha * pairable, weight + pairable
    return total / weight if weight else None
