"""What labels cost: active time, money for each label and for each item that is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import polars as pl

from scalekit.display import View, block, counted, money, note, table
from scalekit.frames import require, to_polars
from scalekit.label.tasks import LabelError

__all__ = ["Cost", "cost"]

GROUPS = ("all", "tier", "category", "round", "annotator")
UNKNOWN = "(unknown)"


@dataclass(frozen=True)
class Cost(View):
    """What labels cost, of all and by group.

    ``table`` has ``by`` ("all", "tier", "category", "round", "annotator")``, group, labels,
    untimed`` (labels whose time is not known)``, hours`` (active, of the timed)``, median seconds,
    cost`` (the untimed at the group's mean)``, per label, from, to`` (95 %)``, accepted,
    per accepted``.
    """

    table: pl.DataFrame
    unit: str
    currency: str

    def to_html(self) -> str:
        """Show the whole first, then each grouping."""
        whole = self.table.row(0, named=True)
        said = [f"{whole['hours']:.2f} active hours on {counted(whole['labels'], 'label')}."]
        if whole["per label"] is not None:
            said.append(f"{money(whole['per label'], self.currency)} a label")
        if whole["per accepted"] is not None:
            said[-1] += f", {money(whole['per accepted'], self.currency)} an accepted {self.unit}."
        if whole["untimed"]:
            share = f"{counted(whole['untimed'], 'label')} came without a time"
            said.append(f"{share}: counted at the mean of the others.")
        shown = self.table.drop("untimed") if not self.table["untimed"].sum() else self.table
        return block("Cost", note(" ".join(said)), table(shown))


def cost(
    labels: Any,
    rates: float | Mapping[str, float],
    *,
    accepted: Any = None,
    items: Any = None,
    tiers: Mapping[str, str] | None = None,
    unit: str = "item",
    currency: str = "",
) -> Cost:
    """Return what labels cost.

    Parameters
    ----------
    labels
        ``item_id, annotator, seconds`` (active seconds, null where not known) and, if there,
        ``round``.
    rates
        Money for an hour: one number, or one for each annotator or tier.
    accepted
        ``item_id`` of what the labels yielded: items with a consensus, or preference pairs (then
        say so with *unit*). Everything that was spent counts towards them, also what was spent on
        items that were not accepted.
    items
        ``item_id, category``, for the cost by category.
    tiers
        Each annotator's tier.

    Raises
    ------
    FrameError
        When a column is missing.
    LabelError
        When there are no labels, a time or a rate is negative, or an annotator has no rate.
    """
    given = require(to_polars(labels, "labels"), ("item_id", "annotator", "seconds"), "labels")
    if given.is_empty():
        raise LabelError("there are no labels yet, so nothing was spent")
    given = given.with_columns(pl.col("seconds").cast(pl.Float64, strict=False).fill_nan(None))
    if len(wrong := given.filter(pl.col("seconds") < 0)):
        raise LabelError(f"seconds: {wrong['seconds'][0]:g} is under 0; no label takes such a time")
    names = given["annotator"].cast(pl.String).unique().sort().to_list()
    paid = _rates(names, rates, tiers or {})
    told = given.with_columns(
        pl.col("annotator").cast(pl.String),
        pl.lit("all").alias("all"),
    ).with_columns(
        pl.col("annotator").replace_strict(paid, return_dtype=pl.Float64).alias("rate"),
        _named(given, "annotator", tiers or {}).alias("tier"),
        _named(given, "item_id", _categories(items)).alias("category"),
    )
    told = told.with_columns((pl.col("seconds") / 3600 * pl.col("rate")).alias("cost"))
    got = _accepted(accepted, items)
    known = {"all", "annotator"} | ({"tier"} if tiers else set())
    known |= ({"category"} if items is not None else set()) | (set(told.columns) & {"round"})
    parts = [_grouped(told, by, got) for by in GROUPS if by in known]
    return Cost(pl.concat(parts), unit, currency)


def _rates(
    names: list[str], rates: float | Mapping[str, float], tiers: Mapping[str, str]
) -> dict[str, float]:
    found = {}
    if isinstance(rates, Mapping):
        for who, asked in rates.items():
            if not asked >= 0:
                raise LabelError(f"the rate of {who!r} is {asked}; it can't be under 0")
    for name in names:
        if isinstance(rates, Mapping):
            rate = rates.get(name, rates.get(tiers.get(name, ""), None))
            if rate is None:
                raise LabelError(f"no rate for {name!r}, nor for a tier of theirs")
        else:
            rate = rates
        if not rate >= 0:
            raise LabelError(f"the rate of {name!r} is {rate}; it can't be under 0")
        found[name] = float(rate)
    return found


def _named(labels: pl.DataFrame, column: str, names: Mapping[str, str]) -> pl.Series:
    keys = labels[column].cast(pl.String)
    return pl.Series([names.get(key) or UNKNOWN for key in keys], dtype=pl.String)


def _categories(items: Any) -> dict[str, str]:
    if items is None:
        return {}
    rows = require(to_polars(items, "items"), ("item_id", "category"), "items")
    return dict(rows.select(pl.col("item_id", "category").cast(pl.String)).iter_rows())


def _accepted(accepted: Any, items: Any) -> pl.DataFrame | None:
    """Return what was accepted, with its category."""
    if accepted is None:
        return None
    rows = require(to_polars(accepted, "accepted"), ("item_id",), "accepted")
    if "value" in rows.columns:
        rows = rows.drop_nulls("value")
    return rows.select("item_id", _named(rows, "item_id", _categories(items)).alias("category"))


def _grouped(told: pl.DataFrame, by: str, accepted: pl.DataFrame | None) -> pl.DataFrame:
    rows = []
    for (group,), own in told.group_by(by, maintain_order=True):
        timed = own.drop_nulls("cost")["cost"]
        mean, low, high = _mean(timed)
        whole = None if mean is None else mean * len(own)
        count = None
        if accepted is not None and by in ("all", "category"):
            count = len(accepted) if by == "all" else int((accepted["category"] == group).sum())
        rows.append(
            {
                "by": by,
                "group": str(group),
                "labels": len(own),
                "untimed": len(own) - len(timed),
                "hours": float(own["seconds"].sum()) / 3600,
                "median seconds": own["seconds"].median(),
                "cost": whole,
                "per label": mean,
                "from": low,
                "to": high,
                "accepted": count,
                "per accepted": whole / count if whole is not None and count else None,
            }
        )
    numbers = ("median seconds", "cost", "per label", "from", "to", "per accepted")
    schema: dict[str, Any] = {**dict.fromkeys(numbers, pl.Float64), "accepted": pl.Int64}
    return pl.DataFrame(rows, schema_overrides=schema).sort("group")


def _mean(values: pl.Series) -> tuple[float | None, float | None, float | None]:
    """Return the mean with its 95 % interval (Student's t)."""
    from scipy.stats import t

    if not len(values):
        return None, None, None
    mean = float(values.mean())  # type: ignore[arg-type]
    if len(values) < 2:
        return mean, None, None
    half = float(t.ppf(0.975, len(values) - 1)) * float(values.std()) / sqrt(len(values))  # type: ignore[arg-type]
    return mean, max(0.0, mean - half), mean + half
