"""What a cycle brought: four outcomes against the cycle before, each with its interval.

Benchmark uplift, fewer task errors, lower cost, fewer escalations. Cycles follow each other, so
this is before and after, not an experiment. A lower cost counts only where quality is shown to be
non-inferior, in agreement and on gold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalekit.display import View, block, note, table
from scalekit.evaluate.paired import non_inferiority, paired_t, tango
from scalekit.figures import figure
from scalekit.frames import FrameError, ids_unique, require, to_polars
from scalekit.intervals import newcombe
from scalekit.report.spending import TaskCost

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Cycle", "Outcomes", "Quality", "four_outcomes", "mover"]

WAY = "before/after, not randomised"
BENCHMARK, ERRORS, COST, ESCALATIONS = (
    "benchmark uplift", "task-error reduction", "cost reduction", "escalation reduction",
)  # fmt: skip
SCHEMA: dict[str, Any] = {
    "outcome": pl.String, "before": pl.Float64, "after": pl.Float64, "better by": pl.Float64,
    "from": pl.Float64, "to": pl.Float64, "unit": pl.String, "n before": pl.Int64,
    "n after": pl.Int64, "compared": pl.String, "verdict": pl.String,
}  # fmt: skip
MEASURES = ("before", "after", "better by", "from", "to")


@dataclass(frozen=True)
class Cycle:
    """One turn of the loop; what was not measured stays None.

    Parameters
    ----------
    name
        As in the report.
    results
        ``item_id, score`` in [0, 1], of one set and one version of it.
    gold
        Labels that were wrong, and all that were checked on gold.
    cost
        Of an accepted task.
    agreement
        Krippendorff's alpha with its 95 % interval.
    escalated
        Decisions that went to tier 2 or 3, and the tasks done.
    """

    name: str
    results: Any = None
    gold: tuple[int, int] | None = None
    cost: TaskCost | None = None
    agreement: tuple[float, float, float] | None = None
    escalated: tuple[int, int] | None = None


@dataclass(frozen=True)
class Quality:
    """Whether quality is shown to be non-inferior: the verdicts on agreement and on gold."""

    agreement: str
    gold: str
    margins: tuple[float, float]

    def __bool__(self) -> bool:
        return self.agreement == self.gold == "non-inferior"

    @property
    def said(self) -> str:
        """The verdicts in a sentence."""
        of_alpha, of_gold = self.margins
        return (
            f"agreement {self.agreement} (margin {of_alpha:g} of alpha), "
            f"gold {self.gold} (margin {of_gold:.1%})"
        )


@dataclass(frozen=True)
class Outcomes(View):
    """The four outcomes of a cycle.

    ``table`` has ``outcome, before, after, better by, from, to`` (95 %)``, unit, n before, n after,
    compared, verdict``; better by is positive where the later cycle is better. Verdicts: better,
    worse, not resolvable, not counted, not measured.
    """

    table: pl.DataFrame
    quality: Quality
    names: tuple[str, str]

    def record(self) -> dict[str, Any]:
        """Return the outcomes for a journal, which holds no fractions: numbers as text."""
        rows = self.table.with_columns(pl.col(pl.Float64).cast(pl.String)).to_dicts()
        quality = {**asdict(self.quality), "margins": [str(m) for m in self.quality.margins]}
        return {"names": list(self.names), "quality": quality, "outcomes": rows}

    @classmethod
    def from_record(cls, told: Mapping[str, Any]) -> Outcomes:
        """Return what :meth:`record` told."""
        text = dict.fromkeys((n for n, kind in SCHEMA.items() if kind == pl.Float64), pl.String)
        rows = pl.DataFrame(told["outcomes"], schema={**SCHEMA, **text})
        agreement, gold, (of_alpha, of_gold) = (
            told["quality"][name] for name in ("agreement", "gold", "margins")
        )
        quality = Quality(agreement, gold, (float(of_alpha), float(of_gold)))
        return cls(rows.cast(pl.Schema(SCHEMA)), quality, tuple(told["names"]))

    def plot(self) -> go.Figure:
        """Draw the change of each outcome in percent of its value before, with its interval."""
        import plotly.graph_objects as go

        known = self.table.filter(pl.col("before") > 0).drop_nulls("from").reverse()
        base = 100 / known["before"]
        at = (known["better by"] * base).to_list()
        up = ((known["to"] - known["better by"]) * base).to_list()
        down = ((known["better by"] - known["from"]) * base).to_list()
        title = f"{self.names[1]} against {self.names[0]}: better by"
        drawn = figure(title, x="% of the value before", height=260)
        bars = {"type": "data", "array": up, "arrayminus": down, "symmetric": False}
        drawn.add_trace(go.Bar(x=at, y=known["outcome"].to_list(), orientation="h", error_x=bars))
        return drawn

    def to_html(self) -> str:
        """Show the four outcomes, and whether quality held."""
        title = f"Outcomes of {self.names[1]} against {self.names[0]}"
        return block(title, WAY, _table(self.table), note(f"Quality: {self.quality.said}."))


def _table(rows: pl.DataFrame) -> str:
    """Return the outcomes as a table, each row with decimals of its own: their units differ."""
    shown = []
    for row in rows.to_dicts():
        digits = 3 if max(abs(row[n] or 0) for n in MEASURES) < 1 else 2
        said = {n: "" if row[n] is None else f"{row[n]:z.{digits}f}" for n in MEASURES}
        shown.append({**row, **said})
    return table(shown, right=MEASURES)


def four_outcomes(
    before: Cycle,
    after: Cycle,
    *,
    agreement_margin: float = 0.05,
    gold_margin: float = 0.02,
    cluster: Any = None,
) -> Outcomes:
    """Hold a cycle against the one before it.

    Where both have results on the same items, these are compared in pairs: Tango's interval for
    right and wrong, Student's of the differences for graded scores (or with *cluster*, a mapping
    of item to what it shares with others). Without shared items, and for errors and escalations,
    Newcombe's interval of two independent shares; of costs and agreements :func:`mover`.

    Parameters
    ----------
    agreement_margin, gold_margin
        By how much alpha, and accuracy on gold, may be worse; declared before looking.

    Raises
    ------
    FrameError
        When results lack a column, repeat an item, share only some of their items, or costs are
        of other units or currencies.
    """
    quality = _quality(before, after, agreement_margin, gold_margin)
    rows = [
        _benchmark(before, after, cluster),
        _errors(before, after),
        _cost(before, after, quality),
        _escalations(before, after),
    ]
    return Outcomes(pl.DataFrame(rows, schema=SCHEMA), quality, (before.name, after.name))


def mover(
    a: tuple[float, float, float], b: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Return a - b with its interval, from two independent estimates with theirs.

    The method of variance estimates recovery (Zou and Donner 2008, Statistics in Medicine 27):
    each is ``value, low, high`` at one level.
    """
    down = sqrt((a[0] - a[1]) ** 2 + (b[2] - b[0]) ** 2)
    up = sqrt((a[2] - a[0]) ** 2 + (b[0] - b[1]) ** 2)
    return a[0] - b[0], a[0] - b[0] - down, a[0] - b[0] + up


def _quality(before: Cycle, after: Cycle, of_alpha: float, of_gold: float) -> Quality:
    agreement = gold = "not measured"
    if before.agreement and after.agreement:
        _, low, high = mover(after.agreement, before.agreement)
        agreement = non_inferiority(low, high, of_alpha)
    if before.gold and after.gold:
        right = [(n - wrong, n) for wrong, n in (after.gold, before.gold)]
        low, high = newcombe(*right[0], *right[1])
        gold = non_inferiority(low, high, of_gold)
    return Quality(agreement, gold, (of_alpha, of_gold))


def _benchmark(before: Cycle, after: Cycle, cluster: Any) -> dict[str, Any]:
    if before.results is None or after.results is None:
        return _unknown(BENCHMARK)
    first, second = (
        ids_unique(require(to_polars(c.results, c.name), ("item_id", "score"), c.name),
                   "item_id", c.name).select("item_id", pl.col("score").cast(pl.Float64))
        for c in (before, after)
    )  # fmt: skip
    both = first.join(second, on="item_id", suffix="_after")
    if both.is_empty():
        return _unpaired(first["score"].to_numpy(), second["score"].to_numpy())
    if len(both) < max(len(first), len(second)):
        raise FrameError(
            f"results: {len(both)} items are in both cycles, of {len(first)} and {len(second)}; "
            "compare one version of a set, or give the items that both have"
        )
    a, b = both["score"].to_numpy(), both["score_after"].to_numpy()
    if cluster is None and _binary(a) and _binary(b):
        low, high = tango(int((a > b).sum()), int((b > a).sum()), len(a))
        found, how = (float(low), float(high)), "paired, Tango"
    else:
        groups = None if cluster is None else [cluster[i] for i in both["item_id"]]
        fit = paired_t(b - a, clusters=groups)
        found, how = (fit.low, fit.high), f"paired, t on {fit.units} units"
    means = float(a.mean()), float(b.mean())
    return _row(BENCHMARK, *means, means[1] - means[0], found, "score", (len(a), len(b)), how)


def _unpaired(a: Any, b: Any) -> dict[str, Any]:
    if not (_binary(a) and _binary(b)):
        raise FrameError("results: no item is in both cycles, and graded scores need pairs")
    low, high = newcombe(int(b.sum()), len(b), int(a.sum()), len(a))
    means = float(a.mean()), float(b.mean())
    how = "not the same items, Newcombe"
    return _row(BENCHMARK, *means, means[1] - means[0], (low, high), "score", (len(a), len(b)), how)


def _binary(scores: Any) -> bool:
    return bool(np.isin(scores, (0.0, 1.0)).all())


def _errors(before: Cycle, after: Cycle) -> dict[str, Any]:
    if before.gold is None or after.gold is None:
        return _unknown(ERRORS)
    return _shares(ERRORS, before.gold, after.gold, "wrong labels on gold", 1)


def _escalations(before: Cycle, after: Cycle) -> dict[str, Any]:
    if before.escalated is None or after.escalated is None:
        return _unknown(ESCALATIONS)
    return _shares(ESCALATIONS, before.escalated, after.escalated, "per 1,000 tasks", 1000)


def _shares(
    name: str, a: tuple[int, int], b: tuple[int, int], unit: str, times: int
) -> dict[str, Any]:
    if 0 in (a[1], b[1]):
        return _unknown(name)
    low, high = newcombe(*a, *b)
    first, second = (times * k / n for k, n in (a, b))
    found = (times * low, times * high)
    return _row(name, first, second, first - second, found, unit, (a[1], b[1]), "Newcombe")


def _cost(before: Cycle, after: Cycle, quality: Quality) -> dict[str, Any]:
    a, b = before.cost, after.cost
    if a is None or b is None:
        return _unknown(COST)
    if (a.unit, a.currency) != (b.unit, b.currency):
        raise FrameError(
            f"costs are per {a.unit} in {a.currency or '–'} and per {b.unit} in {b.currency or '–'}"
        )
    if set(a.missing) != set(b.missing):
        parts = sorted(set(a.missing) ^ set(b.missing))
        raise FrameError(f"costs: {', '.join(parts)} is known of one cycle only; enter it for both")
    saved, low, high = mover((a.per_accepted, *a.interval), (b.per_accepted, *b.interval))
    row = _row(COST, a.per_accepted, b.per_accepted, saved, (low, high),
               f"{a.currency} per accepted {a.unit}".strip(), (a.accepted, b.accepted),
               "MOVER")  # fmt: skip
    if row["verdict"] == "better" and not quality:
        row["verdict"] = "not counted: quality not shown to be non-inferior"
    return row


def _row(
    name: str, before: float, after: float, better: float, found: tuple[float, float],
    unit: str, n: tuple[int, int], how: str,
) -> dict[str, Any]:  # fmt: skip
    low, high = found
    verdict = "better" if low > 0 else "worse" if high < 0 else "not resolvable"
    return {
        "outcome": name, "before": before, "after": after, "better by": better, "from": low,
        "to": high, "unit": unit, "n before": n[0], "n after": n[1], "compared": how,
        "verdict": verdict,
    }  # fmt: skip


def _unknown(name: str) -> dict[str, Any]:
    return {"outcome": name, "verdict": "not measured"}
