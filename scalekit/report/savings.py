"""What a way of working saved: targeted against full re-annotation, runs not wasted, the return.

Every line names the records that it rests on and what it assumes; a line without records is
refused. What was not done (labelling everything again, a run on bad data) is a counterfactual and
is called one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from scalekit.display import View, block, counted, money, note, table
from scalekit.journal import read

__all__ = ["Line", "Return", "avoided_runs", "remediation_line", "return_on_cost", "reuse_line"]

SCHEMA: dict[str, Any] = {
    "line": pl.String, "amount": pl.Float64, "from": pl.Float64, "to": pl.Float64,
    "counts": pl.Boolean, "records": pl.List(pl.String), "assumption": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One line of the account: money gained (or spent, for a cost), its interval and its ground.

    ``counts`` is False where the gain is shown but may not be counted, as ``assumption`` says.
    """

    name: str
    kind: Literal["gain", "cost"]
    amount: float
    low: float
    high: float
    records: tuple[str, ...]
    assumption: str
    counts: bool = True

    def __post_init__(self) -> None:
        if not self.records or not all(r.strip() for r in self.records):
            raise ValueError(f"{self.name}: name the records that it rests on")
        if not self.assumption.strip():
            raise ValueError(f"{self.name}: say what it assumes")
        if not self.low <= self.amount <= self.high:
            raise ValueError(f"{self.name}: {self.amount} lies outside {self.low} to {self.high}")


def remediation_line(
    *,
    items: int,
    flagged: int,
    unit_cost: float,
    interval: tuple[float, float] | None = None,
    finding_cost: float = 0.0,
    records: Sequence[str],
) -> Line:
    """Return what labelling only the flagged items again saved against labelling all again.

    Parameters
    ----------
    items, flagged
        All items, and those labelled again.
    unit_cost, interval
        What labelling one item costs, and its 95 % interval.
    finding_cost
        What finding the flagged items cost.
    records
        The events of the targeted queue and of what was labelled again.

    Raises
    ------
    ValueError
        When more items are flagged than there are, or a cost is under 0.
    """
    if not 0 <= flagged <= items or not items:
        raise ValueError(f"flagged must be between 0 and items, got {flagged} of {items}")
    if unit_cost < 0 or finding_cost < 0:
        raise ValueError("a cost can't be under 0")
    low, high = interval or (unit_cost, unit_cost)
    spared = items - flagged
    said = (
        f"full re-annotation was not done: {items:,} items at {money(unit_cost)} each would have "
        f"cost {items * unit_cost:,.2f}, {flagged:,} flagged ({flagged / items:.1%}) cost "
        f"{flagged * unit_cost:,.2f} and finding them {finding_cost:,.2f}; it assumes that the "
        "rest needed no new label, which the next evaluation shows"
    )
    return Line(
        "targeted instead of full re-annotation", "gain", spared * unit_cost - finding_cost,
        spared * low - finding_cost, spared * high - finding_cost, tuple(records), said,
    )  # fmt: skip


def avoided_runs(
    journal: Path, *, run_cost: float, share_failing: float, stages: Sequence[str] = ("audit",
    "label", "evaluate"), waived: Sequence[str] = ()
) -> Line | None:  # fmt: skip
    """Return what runs would have cost on data that a gate held back; None when none did.

    Of consecutive judgements of one stage that failed on the same inputs one counts, and only
    where the stage passed later on other inputs: then the data had really to be mended.

    Parameters
    ----------
    journal
        The project's ``gates.jsonl``.
    run_cost
        What one training run costs.
    share_failing
        The share of such runs that would have been thrown away, in [0, 1]: an assumption, and the
        interval is from none to all of them.
    waived
        Inputs of judgements that were waived: those runs took place.

    Raises
    ------
    ValueError
        When *share_failing* is not a share or *run_cost* under 0.
    """
    if not 0 <= share_failing <= 1 or run_cost < 0:
        raise ValueError("share_failing must be in [0, 1] and run_cost not under 0")
    held: list[str] = []
    for stage in stages:
        judged = [e for e in read(journal) if e.kind == "gate" and e.data["stage"] == stage]
        open_ones: dict[str, str] = {}
        for event in judged:
            if event.data["passed"]:
                held += [
                    mark for inputs, mark in open_ones.items() if inputs != event.data["inputs"]
                ]
                open_ones = {}
            elif event.data["inputs"] not in waived:
                open_ones.setdefault(event.data["inputs"], event.hash)
    if not held:
        return None
    n = len(held)
    said = (
        f"{counted(n, 'time')} a gate was closed on data that was then mended; it assumes that "
        f"each would have cost one run of {run_cost:,.2f}, and that {share_failing:.0%} of them "
        "would have been thrown away; the interval is from none to all"
    )
    records = tuple(f"{journal.name}#{mark[:16]}" for mark in held)
    return Line("training runs not wasted", "gain", n * run_cost * share_failing, 0.0,
                n * run_cost, records, said)  # fmt: skip


def reuse_line(
    *,
    criteria: int,
    cost_of_one: float,
    records: Sequence[str],
    non_inferior: bool,
) -> Line:
    """Return what criteria reused unchanged saved; it counts only where quality is not inferior.

    *cost_of_one*: what writing and piloting one criterion cost before.
    """
    said = f"{criteria} criteria at {cost_of_one:,.2f} each, as writing one cost before"
    if not non_inferior:
        said += "; not counted: quality was not shown to be non-inferior"
    saved = criteria * cost_of_one
    name = "criteria reused unchanged"
    return Line(name, "gain", saved, saved, saved, tuple(records), said, non_inferior)


@dataclass(frozen=True)
class Return(View):
    """Gains against costs, line by line.

    ``table`` has ``line, amount, from, to, counts, records, assumption``; costs are negative.
    """

    table: pl.DataFrame
    currency: str

    @property
    def net(self) -> float:
        """What is left of the gains that count when the costs are taken off."""
        return float(self.table.filter("counts")["amount"].sum())

    @property
    def range(self) -> tuple[float, float]:
        """The net when every line that counts is at its lower, and at its upper, end."""
        kept = self.table.filter("counts")
        return float(kept["from"].sum()), float(kept["to"].sum())

    def to_html(self) -> str:
        """Show the net with its range, the lines, and their assumptions."""
        low, high = self.range
        ends = f"all lines at their ends: {low:,.2f} to {high:,.2f}"
        said = f"net {money(self.net, self.currency)} ({ends})"
        rest = note("Before/after and counterfactual, not randomised.")
        return block("Return", said, table(self.table), rest)


def return_on_cost(lines: Sequence[Line | None], *, currency: str = "") -> Return:
    """Return the account of *lines*: relabelling and runs avoided, reuse, less tools and review.

    None among them (nothing was avoided) is left out.
    """
    rows: list[Mapping[str, Any]] = []
    for line in lines:
        if line is None:
            continue
        gain = line.kind == "gain"
        ends = (line.low, line.high) if gain else (-line.high, -line.low)
        rows.append(
            {
                "line": line.name, "amount": line.amount if gain else -line.amount,
                "from": ends[0], "to": ends[1], "counts": line.counts,
                "records": list(line.records), "assumption": line.assumption,
            }
        )  # fmt: skip
    return Return(pl.DataFrame(rows, schema=SCHEMA), currency)
