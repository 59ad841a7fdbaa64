"""What an accepted task, or preference pair, costs with all its parts.

Its parts are labour, review, gold, panel, rework, set-up, tools and compute. Time is costed by
:func:`scalekit.label.cost`; what nobody measured is entered by hand and says so; what is neither is
listed as missing, and the sum is then a least amount.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from scalekit.display import View, block, counted, money, note, table
from scalekit.figures import figure
from scalekit.frames import FrameError, require, to_polars
from scalekit.label import Cost, cost

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["PARTS", "Amount", "TaskCost", "amortised", "entered", "measured", "task_cost",
           "time_by_part"]  # fmt: skip

PARTS = ("labour", "review", "gold", "panel", "rework", "setup", "tools", "compute")
"""What a task's cost is made of."""
BY_TIME = ("labour", "gold", "rework")
SCHEMA = {
    "part": pl.String, "cost": pl.Float64, "from": pl.Float64, "to": pl.Float64,
    "per accepted": pl.Float64, "share": pl.Float64, "known by": pl.String, "source": pl.String,
    "assumption": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class Amount:
    """What one part cost, with its 95 % interval where time was measured."""

    part: str
    cost: float
    low: float
    high: float
    known_by: Literal["measured", "entered"]
    source: str
    assumption: str

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise ValueError(f"part {self.part!r} is not one of {', '.join(PARTS)}")
        if not 0 <= self.cost < float("inf"):
            raise ValueError(f"{self.part}: {self.cost} is no cost; it must be 0 or more")


def measured(part: str, spent: Cost, *, source: str) -> Amount:
    """Return the cost of a part from a table of :func:`scalekit.label.cost`.

    The interval is that of the mean cost of a label, times the labels. *source* names the journal
    or file that the labels are from.

    Raises
    ------
    ValueError
        When no label of the table has a time.
    """
    whole = spent.table.filter(by="all").row(0, named=True)
    if whole["cost"] is None:
        raise ValueError(f"{part}: no label has a time, so its cost can't be measured; enter it")
    low, high = (whole[end] if whole[end] is not None else whole["per label"]
                 for end in ("from", "to"))  # fmt: skip
    said = "active seconds at the rates given"
    if whole["untimed"]:
        said += f"; {counted(whole['untimed'], 'label')} without a time at the mean of the others"
    if whole["from"] is None:
        said += "; one timed label, so no interval"
    n = whole["labels"]
    return Amount(part, whole["cost"], n * low, n * high, "measured", source, said)


def entered(part: str, amount: float, *, source: str, assumption: str = "") -> Amount:
    """Return the cost of a part that somebody states; *source* says from where (an invoice…)."""
    if not source.strip():
        raise ValueError(f"{part}: say where the amount is from")
    said = assumption or "as stated"
    return Amount(part, amount, amount, amount, "entered", source, said)


def amortised(part: str, amount: float, *, uses: int, source: str) -> Amount:
    """Return this project's share of an *amount* that serves *uses* projects alike.

    Raises
    ------
    ValueError
        When *uses* is under 1.
    """
    if uses < 1:
        raise ValueError(f"{part}: uses must be 1 or more, got {uses}")
    said = f"{amount:,.2f} spread evenly over {counted(uses, 'project')}"
    return entered(part, amount / uses, source=source, assumption=said)


def time_by_part(
    labels: Any,
    rates: float | Mapping[str, float],
    *,
    gold: Collection[str] = (),
    source: str,
    **about: Any,
) -> list[Amount]:
    """Return labour, gold and rework from labels, each by :func:`scalekit.label.cost`.

    Gold are labels on the items of *gold* and those of round 0, a qualification; rework are labels
    of round 2 and later on other items; labour is the rest. A part without labels cost nothing.

    Parameters
    ----------
    labels, rates
        As for :func:`scalekit.label.cost`; ``round`` is needed too.
    about
        ``tiers``, ``currency``: as there.
    """
    rows = require(to_polars(labels, "labels"), ("item_id", "annotator", "seconds", "round"),
                   "labels")  # fmt: skip
    known = pl.col("item_id").is_in(list(gold)) | (pl.col("round") == 0)
    again = ~known & (pl.col("round") >= 2)
    found = []
    for part, which in zip(BY_TIME, (~known & ~again, known, again), strict=True):
        own = rows.filter(which)
        if own.is_empty():
            found.append(Amount(part, 0.0, 0.0, 0.0, "measured", source, "no such label"))
        else:
            found.append(measured(part, cost(own, rates, **about), source=source))
    return found


@dataclass(frozen=True)
class TaskCost(View):
    """The cost of an accepted task (or pair) by part.

    ``table`` has ``part, cost, from, to, per accepted, share, known by, source, assumption``; parts
    without a figure have null costs. ``total`` and ``per_accepted`` come with 95 % intervals:
    of measured time only, for what was entered has none.
    """

    table: pl.DataFrame
    accepted: int
    unit: str
    currency: str
    interval: tuple[float, float]

    @property
    def total(self) -> float:
        """All that was spent, as far as it is known."""
        return float(self.table["cost"].sum())

    @property
    def per_accepted(self) -> float:
        """The total over what was accepted."""
        return self.total / self.accepted

    @property
    def missing(self) -> list[str]:
        """The parts without a figure."""
        return self.table.filter(pl.col("cost").is_null())["part"].to_list()

    def plot(self) -> go.Figure:
        """Draw the parts of the cost of one accepted task."""
        import plotly.graph_objects as go

        known = self.table.drop_nulls("cost").reverse()
        title = f"Cost of an accepted {self.unit}, by part"
        drawn = figure(title, x=f"{self.currency} per accepted {self.unit}".strip(), height=300)
        bars = go.Bar(x=known["per accepted"].to_list(), y=known["part"].to_list(), orientation="h")
        drawn.add_trace(bars)
        return drawn

    def to_html(self) -> str:
        """Show the sum with its interval, what is missing, and each part with its assumption."""
        low, high = self.interval
        least = "at least " if self.missing else ""
        said = (
            f"{least}{money(self.per_accepted, self.currency)} per accepted {self.unit} "
            f"({money(low)} to {money(high)}), {money(self.total, self.currency)} in all on "
            f"{counted(self.accepted, f'accepted {self.unit}')}."
        )
        lacking = f"No figure for {', '.join(self.missing)}." if self.missing else ""
        rest = note("The interval is that of the measured times; amounts entered have none.")
        return block("Cost of a task", said, table(self.table), note(lacking) if lacking else "",
                     rest)  # fmt: skip


def task_cost(
    amounts: Sequence[Amount], accepted: int, *, unit: str = "task", currency: str = ""
) -> TaskCost:
    """Return the cost of an accepted task.

    Parameters
    ----------
    amounts
        What each part cost; several of one part add up.
    accepted
        How many tasks (or preference pairs, after adjudication) were accepted. Everything spent
        counts towards them, also what was spent on the others.

    Raises
    ------
    FrameError
        When nothing was accepted, or there are no amounts.
    """
    if accepted < 1:
        raise FrameError(f"no {unit} was accepted, so there is no cost per accepted {unit}")
    if not amounts:
        raise FrameError("there are no amounts: measured(…) and entered(…) make them")
    total = sum(a.cost for a in amounts)
    rows: list[dict[str, Any]] = []
    for part in PARTS:
        own = [a for a in amounts if a.part == part]
        if not own:
            rows.append({"part": part, "assumption": "no figure"})
            continue
        whole = sum(a.cost for a in own)
        low, high = _sum_interval(own)
        rows.append(
            {
                "part": part, "cost": whole, "from": low, "to": high,
                "per accepted": whole / accepted, "share": whole / total if total else 0.0,
                "known by": " and ".join(sorted({a.known_by for a in own}, reverse=True)),
                "source": "; ".join(dict.fromkeys(a.source for a in own)),
                "assumption": "; ".join(dict.fromkeys(a.assumption for a in own)),
            }
        )  # fmt: skip
    low, high = _sum_interval(amounts)
    frame = pl.DataFrame(rows, schema=SCHEMA)
    return TaskCost(frame, accepted, unit, currency, (low / accepted, high / accepted))


def _sum_interval(amounts: Sequence[Amount]) -> tuple[float, float]:
    """Return the interval of a sum of independent amounts (squared half-widths add up)."""
    total = sum(a.cost for a in amounts)
    down = sqrt(sum((a.cost - a.low) ** 2 for a in amounts))
    up = sqrt(sum((a.high - a.cost) ** 2 for a in amounts))
    return max(0.0, total - down), total + up
