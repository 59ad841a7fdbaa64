"""Statistics of decisions: how many go to which tier, how fast, and what is turned over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.decide.ledger import REPEATS, Ledger
from scalekit.decide.outcome import Entry
from scalekit.decide.records import moment, to_minute
from scalekit.decide.waivers import waiver_table
from scalekit.display import View, block, note, table
from scalekit.figures import figure

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["DecisionStatistics", "decision_statistics", "escalations"]

PERIOD = timedelta(days=14)
PERIODS = {
    "from": pl.String, "to": pl.String, "tasks": pl.Int64, "tier 1": pl.Int64, "tier 2": pl.Int64,
    "tier 3": pl.Int64, "escalated": pl.Float64, "tier 1 per 1,000 tasks": pl.Float64,
    "tier 2 per 1,000 tasks": pl.Float64, "tier 3 per 1,000 tasks": pl.Float64,
}  # fmt: skip
SPEED = {
    "tier": pl.Int64, "asked for": pl.Int64, "decided": pl.Int64, "median hours": pl.Float64,
    "90% within hours": pl.Float64, "late": pl.Int64, "turned over": pl.Int64,
}  # fmt: skip
RULES = {"rule": pl.String, "decisions": pl.Int64, "most in 14 days": pl.Int64,
         "repeats": pl.Int64}  # fmt: skip
ESCALATIONS = {
    "decision": pl.String, "from": pl.Int64, "to": pl.Int64, "trigger": pl.String,
    "opened": pl.String, "closed": pl.String, "outcome": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class DecisionStatistics(View):
    """Decisions by tier in periods of 14 days, time to decide, and which rules keep coming up.

    ``table`` has a row for each period; ``speed`` one for each tier, hours from asking to the last
    signature needed; ``rules`` one for each rule that sent something up. A decision is late when it
    was, or still is, open beyond its tier's hours; turned over when a higher tier signed against
    it after it had been approved. Rates over tasks are null where no task was done.
    """

    table: pl.DataFrame
    speed: pl.DataFrame
    rules: pl.DataFrame
    escalation_rate: float | None
    overturn_rate: float | None
    waivers_open: int
    waivers_ended: int
    before_run: tuple[int, int]

    def plot(self) -> go.Figure:
        """Draw the decisions of tiers 2 and 3 per 1,000 tasks, period by period."""
        import plotly.graph_objects as go

        drawn = figure("Decisions per 1,000 tasks", x="14 days from", y="per 1,000 tasks")
        for tier in (1, 2, 3):
            rate = self.table[f"tier {tier} per 1,000 tasks"].fill_null(0).to_list()
            drawn.add_trace(go.Bar(x=self.table["from"].to_list(), y=rate, name=f"tier {tier}"))
        return drawn

    def to_html(self) -> str:
        """Show the rates, then periods, speed and rules."""
        parts = []
        if self.escalation_rate is not None:
            parts.append(f"{self.escalation_rate:.0%} went to tier 2 or 3")
        if self.overturn_rate is not None:
            parts.append(f"{self.overturn_rate:.0%} of what was decided was turned over")
        parts.append(f"waivers: {self.waivers_open} open, {self.waivers_ended} ended")
        if sum(self.before_run):
            before, after = self.before_run
            parts.append(f"{before} decided before the last run, {after} after")
        often = self.rules.filter(pl.col("repeats") > 0)["rule"].to_list()
        hint = ""
        if often:
            hint = note(f"Comes up again and again, so its tier may be wrong: {'; '.join(often)}.")
        shown = (table(self.table), table(self.speed), table(self.rules), hint)
        return block("Decisions in numbers", *parts, *shown)


def decision_statistics(
    ledger: Ledger, now: str, *, tasks: Sequence[str] = (), run: str = ""
) -> DecisionStatistics:
    """Count the decisions of *ledger*.

    Parameters
    ----------
    ledger
        From :func:`scalekit.decide.fold`.
    now
        Until when.
    tasks
        When each task was done (ISO times): the rates are per 1,000 of them.
    run
        When the last training run ended, if there was one.
    """
    entries = list(ledger.entries.values())
    tiers = [e.outcome(now).tier for e in entries]
    decided = [(e, e.outcome(now)) for e in entries if e.outcome(now).decided]
    over = sum(stands.status == "overturned" for _, stands in decided)
    standing = waiver_table(ledger, now)["standing"].to_list()
    signed = [e.approved_at for e in entries if e.approved_at and e.tier > 1]
    early = sum(moment(at) <= moment(run) for at in signed) if run else 0
    return DecisionStatistics(
        _periods(ledger, entries, now, tasks),
        pl.DataFrame([_speed(entries, t, now) for t in (1, 2, 3)], schema=SPEED),
        _rules(entries),
        sum(t > 1 for t in tiers) / len(tiers) if tiers else None,
        over / len(decided) if decided else None,
        standing.count("open"),
        len(standing) - standing.count("open"),
        (early, len(signed) - early) if run else (0, 0),
    )


def _periods(
    ledger: Ledger, entries: Sequence[Entry], now: str, tasks: Sequence[str]
) -> pl.DataFrame:
    times = [e.at for e in entries] + [enacted.at for enacted in ledger.policies] + list(tasks)
    if not times:
        return pl.DataFrame(schema=PERIODS)
    begin, end = min(map(moment, times)), moment(now)
    asked = [(moment(e.at), e.outcome(now).tier) for e in entries]
    done = [moment(at) for at in tasks]
    rows: list[dict[str, Any]] = []
    while begin < end or not rows:
        stop = begin + PERIOD
        here = [tier for at, tier in asked if begin <= at < stop]
        work = sum(begin <= at < stop for at in done)
        counts = {f"tier {t}": here.count(t) for t in (1, 2, 3)}
        rates = {f"{k} per 1,000 tasks": 1000 * n / work if work else None
                 for k, n in counts.items()}  # fmt: skip
        rows.append(
            {
                "from": begin.strftime("%Y-%m-%d"), "to": stop.strftime("%Y-%m-%d"), "tasks": work,
                **counts, **rates,
                "escalated": sum(t > 1 for t in here) / len(here) if here else None,
            }
        )  # fmt: skip
        begin = stop
    return pl.DataFrame(rows, schema=PERIODS)


def _speed(entries: Sequence[Entry], tier: int, now: str) -> dict[str, Any]:
    """Return the row of one tier: the tier that a decision has come to."""
    own = [(e, e.outcome(now)) for e in entries if e.outcome(now).tier == tier]
    ended = [(e, stands) for e, stands in own if stands.decided]
    hours = pl.Series([_hours(e.at, stands.decided) for e, stands in ended], dtype=pl.Float64)
    late = sum(
        moment(stands.decided or now) > moment(e.due)
        for e, stands in own
        if stands.decided or stands.status == "pending"
    )
    return {
        "tier": tier, "asked for": len(own), "decided": len(ended), "median hours": hours.median(),
        "90% within hours": hours.quantile(0.9, interpolation="linear"), "late": late,
        "turned over": sum(stands.status == "overturned" for _, stands in own),
    }  # fmt: skip


def _hours(begin: str, end: str) -> float:
    return (moment(end) - moment(begin)).total_seconds() / 3600


def _rules(entries: Sequence[Entry]) -> pl.DataFrame:
    """Count decisions by the rule that sent them up, and how many stand within 14 days at most."""
    by_rule: dict[str, list[Entry]] = {}
    for entry in entries:
        for rule in entry.route.rules:
            by_rule.setdefault(rule, []).append(entry)
    rows: list[dict[str, Any]] = []
    for rule, found in by_rule.items():
        at = sorted(moment(e.at) for e in found)
        most = max(sum(a <= b < a + PERIOD for b in at) for a in at)
        repeated = sum(e.route.repeats >= REPEATS for e in found)
        rows.append({"rule": rule, "decisions": len(at), "most in 14 days": most,
                     "repeats": repeated})  # fmt: skip
    return pl.DataFrame(rows, schema=RULES).sort("decisions", "rule", descending=[True, False])


def escalations(ledger: Ledger, now: str) -> pl.DataFrame:
    """Return every time a decision went up a tier: why, when, and how it ended.

    Triggers: ``rule``, ``repeat`` (asked for three times in 14 days), ``person`` (raised by
    somebody), ``disagreement`` (signers of one tier differ), ``sla`` (open beyond its hours; the
    tier above may sign it as well).
    """
    rows: list[dict[str, Any]] = []
    for entry in ledger.entries.values():
        stands, first = entry.outcome(now), entry.route.tier
        ended = stands.decided
        steps: list[tuple[int, int, str, str]] = []
        by_rule = first - entry.route.raised
        if by_rule > 1:
            steps.append((1, by_rule, "rule", entry.at))
        if entry.route.raised:
            steps.append((by_rule, first, "repeat", entry.at))
        if entry.decision.tier > first:
            steps.append((first, entry.decision.tier, "person", entry.at))
        at_tier = entry.decision.tier
        for at, change in entry.changes:
            if change.tier > at_tier:
                steps.append((at_tier, change.tier, "person", at))
            at_tier = change.tier
        if stands.tier > entry.tier:
            when = max(c.at for c in entry.last_votes().values())
            steps.append((entry.tier, stands.tier, "disagreement", when))
        if moment(ended or now) > moment(entry.due) and entry.tier < 3:
            steps.append((entry.tier, entry.tier + 1, "sla", entry.due))
        rows += [
            {"decision": entry.decision.id, "from": low, "to": high, "trigger": trigger,
             "opened": to_minute(opened), "closed": to_minute(ended), "outcome": stands.status}
            for low, high, trigger, opened in steps
        ]  # fmt: skip
    return pl.DataFrame(rows, schema=ESCALATIONS)
