"""Review: the page for the weekly meeting on tier 1 and the fortnightly one on tiers 2 and 3."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from scalekit.decide.ledger import Ledger
from scalekit.decide.outcome import Entry
from scalekit.decide.policy import KINDS
from scalekit.decide.records import moment, to_minute
from scalekit.decide.statistics import escalations
from scalekit.decide.waivers import waiver_table
from scalekit.display import View, block, counted, note, table

__all__ = ["ReviewPage", "decision_table", "review_page", "review_table", "titled"]

DECISIONS = {
    "decision": pl.String, "asked": pl.String, "by": pl.String, "tier": pl.Int64,
    "kind": pl.String, "about": pl.String, "choice": pl.String, "reason": pl.String,
    "status": pl.String, "why": pl.String,
}  # fmt: skip
REVIEWS = {
    "review": pl.String, "tier": pl.Int64, "from": pl.String, "to": pl.String,
    "decisions": pl.Int64, "revisit": pl.Int64, "overturn": pl.Int64, "signed by": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class ReviewPage(View):
    """What a review meeting looks at: a period's decisions of one tier and what went up.

    ``table`` has a row for each decision to be upheld, revisited or overturned; ``raised`` what
    went from this tier to a higher one; ``waivers`` every waiver that was open at some time of it.
    """

    tier: int
    begins: str
    ends: str
    due: str
    table: pl.DataFrame
    raised: pl.DataFrame
    waivers: pl.DataFrame
    waiting: pl.DataFrame

    @property
    def decisions(self) -> tuple[str, ...]:
        """The decisions that want a disposition."""
        return tuple(self.table["decision"])

    def to_html(self) -> str:
        """Show the page: decisions, what went up, what waits, waivers."""
        name = {1: "Weekly review, tier 1", 2: "Fortnightly review, tier 2"}
        said = f"{self.begins[:10]} to {self.ends[:10]}"
        count = counted(len(self.table), "decision")
        late = f"due since {self.due[:10]}" if self.due < self.ends else f"due {self.due[:10]}"
        parts = [table(titled(self.table), limit=60, empty="Nothing was decided at this tier.")]
        for title, rows in (
            ("Went up to a higher tier:", self.raised),
            ("Still waits for a signature:", self.waiting),
            ("Waivers:", self.waivers),
        ):
            if len(rows):
                parts += [note(title), table(titled(rows), limit=60)]
        closing = note(
            "Each decision is upheld, to be revisited, or overturned: "
            "project.decide.sign_review(page, {decision: …})."
        )
        title = name.get(self.tier, f"Review, tier {self.tier}")
        return block(title, said, count, late, *parts, closing)


def _row(entry: Entry, now: str) -> dict[str, object]:
    decision, stands = entry.decision, entry.outcome(now)
    return {
        "decision": decision.id, "asked": to_minute(entry.at), "by": decision.actor,
        "tier": stands.tier, "kind": decision.kind, "about": decision.about,
        "choice": decision.choice, "reason": decision.reason, "status": stands.status,
        "why": stands.why,
    }  # fmt: skip


def titled(rows: pl.DataFrame) -> pl.DataFrame:
    """Return decisions as they are shown: their kinds in words."""
    return rows.with_columns(pl.col("^kind$").replace(KINDS))


def decision_table(ledger: Ledger, now: str) -> pl.DataFrame:
    """Return one row for each decision, in the order in which they were asked for."""
    return pl.DataFrame([_row(e, now) for e in ledger.entries.values()], schema=DECISIONS)


def review_table(ledger: Ledger) -> pl.DataFrame:
    """Return one row for each review that was signed."""
    rows = []
    for name, signed in ledger.reviews.items():
        first = signed[0]
        said = list(first.dispositions.values())
        rows.append(
            {
                "review": name, "tier": first.tier, "from": first.begins[:10],
                "to": first.ends[:10], "decisions": len(first.decisions),
                "revisit": said.count("revisit"), "overturn": said.count("overturn"),
                "signed by": ", ".join(r.by for r in signed),
            }
        )  # fmt: skip
    return pl.DataFrame(rows, schema=REVIEWS)


def review_page(ledger: Ledger, tier: int, now: str) -> ReviewPage:
    """Return what a review of *tier* looks at: everything since the last one.

    A decision is listed once it was decided, and again for as long as the last review said that it
    is to be revisited. Tier 3 is looked at with tier 2.

    Raises
    ------
    DecisionRefusedError
        When no policy is in force.
    """
    policy = ledger.policy
    before = [said[0] for said in ledger.reviews.values() if said[0].tier == tier]
    begins = max((r.ends for r in before), default=ledger.policies[0].at, key=moment)
    last = before[-1].dispositions if before else {}
    again = {name for name, said in last.items() if said == "revisit"}
    known = [e for e in ledger.entries.values() if moment(e.at) <= moment(now)]
    every = [(e, e.outcome(now)) for e in known]
    own = [(e, s) for e, s in every if s.tier == tier or (tier == 2 and s.tier == 3)]
    listed = [
        _row(e, now)
        for e, s in own
        if e.decision.id in again
        or (s.decided and moment(begins) < moment(s.decided) <= moment(now))
    ]
    waiting = [_row(e, now) for e, s in own if s.status == "pending"]
    raised = escalations(ledger, now).filter(
        (pl.col("from") == tier) & (pl.col("opened") >= to_minute(begins))
    )
    waivers = waiver_table(ledger, now)
    if tier == 1:
        waivers = waivers.clear()
    due = moment(begins) + timedelta(days=policy.at(tier).review_days)
    return ReviewPage(
        tier, begins, now, due.isoformat(), pl.DataFrame(listed, schema=DECISIONS), raised,
        waivers, pl.DataFrame(waiting, schema=DECISIONS).drop("status"),
    )  # fmt: skip
