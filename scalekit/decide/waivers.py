"""Waivers: a closed gate let through for a while, shown as waived until it closes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from scalekit.decide.ledger import Ledger
from scalekit.decide.outcome import Entry
from scalekit.decide.records import DecisionRefusedError, to_minute
from scalekit.decide.routing import gate_subject

__all__ = ["Waiver", "granted", "waiver_of", "waiver_table"]

SCHEMA = {
    "gate": pl.String, "checks": pl.String, "standing": pl.String, "until": pl.String,
    "signed by": pl.String, "reason": pl.String, "decision": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class Waiver:
    """A waiver that holds: of which checks, until when, signed by whom, and why."""

    decision: str
    stage: str
    checks: tuple[str, ...]
    until: str
    signed: tuple[str, ...]
    reason: str

    @property
    def said(self) -> str:
        """The waiver in one sentence."""
        return (
            f"waived, not passed, until {self.until[:10]} by {', '.join(self.signed)} "
            f"(decision {self.decision}): {self.reason}"
        )


def waiver_of(
    ledger: Ledger, stage: str, checks: Sequence[Mapping[str, str]], now: str
) -> Waiver | None:
    """Return the waiver that covers a closed gate as it was judged, if one holds at *now*.

    It covers what was signed: the same failed checks with the same measured values.
    """
    subject = gate_subject(stage, checks)
    for entry in reversed(ledger.on("waive_gate", subject)):
        stands = entry.outcome(now)
        if stands.status == "approved":
            names = tuple(c["check"] for c in subject["failed"])
            decision = entry.decision
            until = decision.expires
            return Waiver(decision.id, stage, names, until, stands.signed, decision.reason)
    return None


def granted(ledger: Ledger, kind: str, subject: object, now: str) -> Entry:
    """Return the approved decision of a kind on a subject that holds at *now*.

    Raises
    ------
    DecisionRefusedError
        Saying what became of the last one that was asked for, or that none was.
    """
    found = ledger.on(kind, subject)
    for entry in reversed(found):
        if entry.outcome(now).status == "approved":
            return entry
    if not found:
        raise DecisionRefusedError(
            f"{kind}: nobody has decided this yet. Ask for it: project.decide.propose({kind!r}, …)"
        )
    last = found[-1]
    stands = last.outcome(now)
    raise DecisionRefusedError(
        f"{kind}: decision {last.decision.id} is {stands.status}: {stands.why}"
    )


def waiver_table(ledger: Ledger, now: str) -> pl.DataFrame:
    """Return every waiver that was ever signed: open ones first, then what became of the rest."""
    rows = []
    for entry in ledger.entries.values():
        decision, stands = entry.decision, entry.outcome(now)
        if decision.kind != "waive_gate" or not entry.approved_at:
            continue
        checks = "; ".join(f"{c['check']}: {c['measured']}" for c in decision.subject["failed"])
        standing = "open" if stands.status == "approved" else stands.status
        rows.append(
            {
                "gate": decision.subject["gate"], "checks": checks, "standing": standing,
                "until": to_minute(decision.expires),
                "signed by": ", ".join(stands.signed), "reason": decision.reason,
                "decision": decision.id,
            }
        )  # fmt: skip
    table = pl.DataFrame(rows, schema=SCHEMA)
    return table.sort(pl.col("standing") != "open", maintain_order=True)
