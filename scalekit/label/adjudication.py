"""Adjudication: decide items on which votes differ, say why they differed, sharpen the rules.

A resolution has a value, one of five reasons and, where the instructions left something open, the
rule that would have decided it. The rule is an edge case of the next version of the instructions;
the items that it touches are labelled again, and agreement on them is measured before and after.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from scalekit.coefficients import Array, Coefficient, alpha_change, krippendorff_alpha
from scalekit.display import View, block, counted, note, table
from scalekit.frames import require, to_polars
from scalekit.label.consensus import majority
from scalekit.label.events import Judgement, LabelSession, fold, labels_of
from scalekit.label.tasks import LabelError

__all__ = [
    "REASONS",
    "AdjudicationSession",
    "AgreementChange",
    "agreement_change",
    "disputed",
    "labels_until",
    "notes_of",
    "resolutions",
    "settled",
    "touched",
]

REASONS: Mapping[str, str] = {
    "ambiguous text": "the item itself can be read in two ways",
    "guideline gap": "the instructions do not say what to do here",
    "edge case": "the instructions say it in general, but not for this",
    "annotator error": "the instructions decide it; somebody slipped",
    "subjective": "careful people differ; no answer is wrong",
}
"""Why votes differ. The first three can be mended in the instructions, the last should stand."""
NEEDS_RULE = ("guideline gap", "edge case")
RESOLVED = {
    "item_id": pl.String, "value": pl.String, "reason": pl.String, "rule": pl.String,
    "adjudicator": pl.String, "at": pl.String,
}  # fmt: skip


class AdjudicationSession(LabelSession):
    """One adjudicator's decisions, kept as a :class:`LabelSession` keeps labels.

    An act of kind ``adjudicate`` has ``item``, ``reason`` (of :data:`REASONS`), ``value`` (may be
    missing where the reason is "subjective") and ``rule``, one sentence for the instructions, which
    a guideline gap and an edge case need.
    """

    KINDS = ("adjudicate", "skip", "flag", "note", "undo")

    def _encoded(self, act: Mapping[str, Any], where: str) -> dict[str, Any]:
        if act["kind"] != "adjudicate":
            return super()._encoded(act, where)
        reason, rule = act.get("reason"), str(act.get("rule") or "").strip()
        if reason not in REASONS:
            raise LabelError(f"{where}: the reason {reason!r} is not one of {', '.join(REASONS)}")
        if reason in NEEDS_RULE and not rule:
            raise LabelError(f"{where}: for this reason ({reason}) write the rule that decides it")
        if act.get("value") is None and reason != "subjective":
            raise LabelError(f"{where}: no value is chosen; only what is subjective may go without")
        said = {k: v for k, v in act.items() if k not in ("value", "rule")}
        if rule:
            said["rule"] = rule
        if act.get("value") is not None:
            said["value"] = self._value(act, where)
        return said


def disputed(labels: Any, notes: Any = None) -> pl.DataFrame:
    """Return the items on which votes differ, the most divided first.

    Parameters
    ----------
    labels
        ``item_id, annotator, value`` and, if known, ``seconds``.
    notes
        What annotators noted: ``item_id, annotator, note``.

    Returns
    -------
    polars.DataFrame
        ``item_id``; ``votes``, a list of ``annotator, value, seconds, note``; ``values``, the
        different ones, sorted; ``n`` votes; ``entropy`` of the votes in bits.

    Raises
    ------
    FrameError
        When a column is missing.
    """
    given = require(to_polars(labels, "labels"), ("item_id", "annotator", "value"), "labels")
    given = given.drop_nulls("value")
    if "seconds" not in given.columns:
        given = given.with_columns(pl.lit(None, pl.Float64).alias("seconds"))
    if notes is None:
        given = given.with_columns(pl.lit("").alias("note"))
    else:
        kept = require(to_polars(notes, "notes"), ("item_id", "annotator", "note"), "notes")
        kept = kept.select("item_id", "annotator", "note").unique(["item_id", "annotator"])
        given = given.join(kept, on=["item_id", "annotator"], how="left")
    vote = pl.struct("annotator", "value", "seconds", pl.col("note").fill_null(""))
    return (
        given.sort("item_id", "annotator")
        .group_by("item_id", maintain_order=True)
        .agg(
            vote.alias("votes"),
            pl.col("value").unique().sort().alias("values"),
        )
        .filter(pl.col("values").list.len() > 1)
        .join(majority(given).select("item_id", "n", "entropy"), on="item_id")
        .sort("entropy", "item_id", descending=[True, False])
    )


def notes_of(judgements: Iterable[Judgement]) -> pl.DataFrame:
    """Return what annotators noted: ``item_id, annotator, note``."""
    rows = [
        (item, annotator, kinds["note"].event.data["text"])
        for (annotator, item), kinds in fold(judgements).items()
        if "note" in kinds and kinds["note"].event.data.get("text")
    ]
    schema = dict.fromkeys(("item_id", "annotator", "note"), pl.String)
    return pl.DataFrame(rows, schema=schema, orient="row")


def resolutions(judgements: Iterable[Judgement]) -> pl.DataFrame:
    """Return the resolution of each adjudicated item, the last one given.

    Columns ``item_id, value`` (null where it is subjective and none was chosen)``, reason, rule``
    (empty where none was needed)``, adjudicator, at``.
    """
    last: dict[str, tuple[str, Judgement]] = {}
    for (_, item), kinds in fold(judgements).items():
        found = kinds.get("adjudicate")
        if found and (item not in last or found.event.at >= last[item][0]):
            last[item] = (found.event.at, found)
    rows = [
        {
            "item_id": item,
            "value": judgement.event.data.get("value"),
            "reason": judgement.event.data["reason"],
            "rule": judgement.event.data.get("rule", ""),
            "adjudicator": judgement.annotator,
            "at": at,
        }
        for item, (at, judgement) in last.items()
    ]
    return pl.DataFrame(rows, schema=RESOLVED).sort("item_id")


def settled(consensus: Any, resolved: Any) -> pl.DataFrame:
    """Return a consensus in which resolutions stand before votes.

    *consensus* is from :func:`scalekit.label.majority`, *resolved* from :func:`resolutions`. A
    resolved item takes the resolution's value and is no longer ``tied``; ``adjudicated`` says so.
    What is subjective keeps its votes.
    """
    votes = to_polars(consensus, "consensus")
    decided = to_polars(resolved, "resolutions").drop_nulls("value")
    decided = decided.select("item_id", pl.col("value").alias("resolution"))
    joined = votes.join(decided, on="item_id", how="left", maintain_order="left")
    chosen = pl.col("resolution").is_not_null()
    return joined.with_columns(
        pl.coalesce("resolution", "value").alias("value"),
        (pl.col("tied") & ~chosen).alias("tied"),
        chosen.alias("adjudicated"),
    ).drop("resolution")


def touched(disputes: Any, resolved: Any) -> pl.DataFrame:
    """Return the items to label again under the new rules: ``item_id, rule``.

    A rule that decides between values of a resolved item touches every item on which votes differ
    between two of the same values, the resolved one too: whoever labels it again shows whether the
    rule is understood. *disputes* is from :func:`disputed`, *resolved* from :func:`resolutions`;
    resolutions without a rule touch nothing.
    """
    open_ = to_polars(disputes, "disputes").select("item_id", "values")
    rules = to_polars(resolved, "resolutions").filter(pl.col("rule") != "")
    between = rules.join(open_, on="item_id").select("rule", pl.col("values").alias("between"))
    pairs = between.join(open_, how="cross")
    shared = pl.col("values").list.set_intersection("between").list.len()
    return (
        pairs.filter(shared >= 2)
        .select("item_id", "rule")
        .unique("item_id", keep="first", maintain_order=True)
        .sort("item_id")
    )


@dataclass(frozen=True)
class AgreementChange(View):
    """Nominal alpha on the same items before and after, with the interval of the difference.

    The interval resamples items, the same ones on both sides, so it is narrower than two intervals
    side by side would suggest. ``items`` have at least two labels on both sides; ``observed`` is
    the share of pairs of labels that agree, before and after, whatever chance would give: alpha is
    not defined once everybody gives all items the same value.
    """

    before: Coefficient
    after: Coefficient
    observed: tuple[float | None, float | None]
    difference: float | None
    interval: tuple[float, float] | None
    items: int

    @property
    def table(self) -> pl.DataFrame:
        """One row: alpha and pairs that agree, before and after; the difference of alpha."""
        low, high = self.interval or (None, None)
        row = {
            "pairs agree before": self.observed[0], "agree after": self.observed[1],
            "alpha before": self.before.value, "alpha after": self.after.value,
            "difference": self.difference, "from": low, "to": high, "items": self.items,
        }  # fmt: skip
        numbers = [name for name in row if name != "items"]
        return pl.DataFrame([row], schema_overrides=dict.fromkeys(numbers, pl.Float64))

    def to_html(self) -> str:
        """Show the change, and what it may be taken for."""
        if self.interval is None:
            why = self.before.undefined or self.after.undefined
            said = f"The change of alpha is not defined: {why}."
        elif self.interval[0] > 0:
            said = "Agreement rose, beyond what the choice of items explains."
        elif self.interval[1] < 0:
            said = "Agreement fell, beyond what the choice of items explains."
        else:
            said = "The interval holds 0: no change is shown."
        said = f"{said} The same {counted(self.items, 'item')} before and after."
        return block("Agreement before and after", table(self.table), note(said))


def agreement_change(before: Any, after: Any, *, seed: int = 0) -> AgreementChange:
    """Compare nominal agreement of two label tables on the items that both label at least twice.

    Raises
    ------
    FrameError
        When ``item_id, annotator, value`` are not there.
    """
    tables = [
        require(to_polars(labels, what), ("item_id", "annotator", "value"), what)
        .drop_nulls("value")
        .filter(pl.len().over("item_id") > 1)
        for labels, what in ((before, "labels before"), (after, "labels after"))
    ]
    items = tables[0].select("item_id").unique().join(tables[1], on="item_id", how="semi")
    both = [labels.join(items, on="item_id", how="semi") for labels in tables]
    names = pl.concat([t.select(pl.col("value").cast(pl.String)) for t in both]).to_series()
    order = names.unique().sort().to_list()
    place = {item: row for row, item in enumerate(items["item_id"].sort())}
    column = {value: i for i, value in enumerate(order)}
    counts = []
    for labels in both:
        grid = np.zeros((len(place), len(order)))
        for item, value in labels.select("item_id", "value").iter_rows():
            grid[place[item], column[str(value)]] += 1
        counts.append(grid)
    first, second = (krippendorff_alpha(grid) for grid in counts)
    defined = first.value is not None and second.value is not None
    return AgreementChange(
        first,
        second,
        (_observed(counts[0]), _observed(counts[1])),
        second.value - first.value if defined else None,  # type: ignore[operator]
        alpha_change(counts[0], counts[1], seed=seed) if defined else None,
        len(place),
    )


def _observed(counts: Array) -> float | None:
    """Return the share of pairs of labels on the same item that agree."""
    labels = counts.sum(axis=1)
    pairs = float((labels * (labels - 1)).sum())
    return float((counts * (counts - 1)).sum()) / pairs if pairs else None


def labels_until(judgements: Iterable[Judgement], round: int) -> pl.DataFrame:
    """Return the labels that stood after a round, as :func:`scalekit.label.labels_of` does."""
    return labels_of(j for j in judgements if j.event.data["round"] <= round)
