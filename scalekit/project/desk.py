"""What a decision desk is opened on: a project's ledger, as the widget asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalekit.decide import KINDS, Entry, Ledger

if TYPE_CHECKING:
    from scalekit.project.decide import Decide
    from scalekit.widgets.decision_desk import DecisionDesk

__all__ = ["open_desk"]

SETTLED = 12  # decisions that were settled last, shown below what waits


def open_desk(decide: Decide) -> DecisionDesk:
    """Return a desk for whoever holds the key that *decide* acts with."""
    from scalekit.widgets.decision_desk import DecisionDesk

    acts = {"sign": decide.approve, "decline": decide.reject, "escalate": decide.escalate}

    def act(kind: str, decision: str, reason: str) -> str:
        found = acts[kind](decision, reason)
        return f"{found.status}: {found.entry.outcome(found.now).why}"

    def cards() -> list[dict[str, Any]]:
        return decision_cards(decide)

    return DecisionDesk(decide.me, cards, act, decide.to_html)


def decision_cards(decide: Decide) -> list[dict[str, Any]]:
    """Return what the desk shows: what waits, the first due first, then what was settled last."""
    ledger, now, me = decide.files.ledger(), decide.files.now(), decide.me
    every = list(ledger.entries.values())
    waits = [e for e in every if e.outcome(now).status == "pending"]
    settled = [e for e in every if e.outcome(now).status != "pending" and e.tier > 1]
    waits.sort(key=lambda e: (bool(ledger.vote_fault(e, me, now)), e.due))
    shown = waits + settled[::-1][:SETTLED]
    return [_card(ledger, entry, me, now) for entry in shown]


def _card(ledger: Ledger, entry: Entry, me: str, now: str) -> dict[str, Any]:
    decision, stands = entry.decision, entry.outcome(now)
    failed = decision.subject["failed"] if decision.kind == "waive_gate" else []
    votes = [
        {"who": c.vote.approver, "verdict": c.vote.verdict, "reason": c.vote.reason, "at": c.at}
        for c in entry.last_votes().values()
    ]
    raised = [
        {"who": change.by, "tier": change.tier, "reason": change.reason, "at": at}
        for at, change in entry.changes
    ]
    return {
        "id": decision.id,
        "kind": KINDS[decision.kind],
        "about": decision.about,
        "tier": stands.tier,
        "rule": entry.route.reason,
        "actor": decision.actor,
        "asked": entry.at,
        "due": entry.due if stands.status == "pending" else "",
        "late": stands.status == "pending" and now > entry.due,
        "expires": decision.expires,
        "reason": decision.reason,
        "options": list(decision.options),
        "choice": decision.choice,
        "evidence": list(decision.evidence),
        "checks": [{k: c[k] for k in ("check", "measured", "needed")} for c in failed],
        "votes": votes,
        "raised": raised,
        "status": stands.status,
        "why": stands.why,
        "fault": ledger.vote_fault(entry, me, now) if stands.status == "pending" else "",
    }
