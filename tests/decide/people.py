"""Four people with real keys, and a ledger on which they act at times that a test chooses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from scalekit.decide import (
    Closing,
    Decision,
    Ledger,
    Policy,
    Retiering,
    Vote,
    default_policy,
    fold,
    refusal,
    signed_record,
)
from scalekit.journal import Event
from scalekit.signing import Signer

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
REASON = "the gap is closed by the next delivery"
ROLES = {"team": ("tim", "tom"), "tpm": ("pia", "pol"), "director": ("dan",)}
FAILED = {"check": "few categories thin", "measured": "2 thin", "needed": "at most 0",
          "waiver": "soft"}  # fmt: skip


def hours(count: float) -> str:
    """The time *count* hours after the start."""
    return (START + timedelta(hours=count)).isoformat()


def keys_of(*names: str) -> dict[str, Signer]:
    return {name: Signer.load(name) for name in names}


class Room:
    """A ledger kept in memory, written to by people with keys."""

    def __init__(self, policy: Policy | None = None, **roles: tuple[str, ...]) -> None:
        roles = roles or ROLES
        names = [name for people in roles.values() for name in people]
        self.keys = keys_of(*dict.fromkeys(names))
        public = {name: signer.public for name, signer in self.keys.items()}
        self.policy = policy or default_policy(public, **roles)
        self.events: list[Event] = []
        founder = self.policy.roles["director"][0]
        self.put("policy", self.policy.plain, founder, 0, by=founder)

    def data(self, kind: str, record: dict[str, Any], who: str, **more: str) -> dict[str, Any]:
        return {**signed_record(kind, record, self.keys[who]), **more}

    def put(self, kind: str, record: dict[str, Any], who: str, at: float, **more: str) -> str:
        """Write an event, whatever it says; return why it does not count."""
        data = self.data(kind, record, who, **more)
        said = refusal(fold(self.events), kind, data, hours(at))
        self.events.append(Event(len(self.events), hours(at), kind, data, "", ""))
        return said

    def decision(self, actor: str, at: float, **fields: Any) -> Decision:
        given = {
            "kind": "resolve", "subject": "item 7", "options": ["keep it", "drop it"],
            "choice": "keep it", "reason": REASON, "policy": self.ledger.policy.digest, **fields,
        }  # fmt: skip
        if given["kind"] in ("waive_gate", "extend_budget", "open_vault"):
            given.setdefault("expires", hours(at + 24 * 7))
        if given["kind"] == "extend_budget":
            given.setdefault("looks", 2)
        made = Decision(actor=actor, at=hours(at), tier=fields.pop("tier", 3), **without(given))
        tier = fields.get("tier") or self.ledger.routed(made, hours(at)).tier
        return made.model_copy(update={"tier": given.get("tier", tier)})

    def propose(self, actor: str, at: float, **fields: Any) -> tuple[Decision, str]:
        made = self.decision(actor, at, **fields)
        return made, self.put("decision", made.plain, actor, at)

    def vote(
        self, who: str, on: Decision, at: float, verdict: str = "approve", **changed: str
    ) -> str:
        roles = [r for r, names in self.ledger.entries[on.id].judges.roles.items() if who in names]
        role = roles[0] if roles else "team"
        said = "" if verdict == "approve" else REASON
        fields = {"decision": on.id, "content": on.digest, "approver": who, "role": role,
                  "verdict": verdict, "reason": said, **changed}  # fmt: skip
        return self.put("vote", Vote.model_validate(fields).plain, who, at)

    def retier(self, kind: str, who: str, on: Decision, tier: int, at: float) -> str:
        made = Retiering(decision=on.id, content=on.digest, by=who, tier=tier, reason=REASON)
        return self.put(kind, made.plain, who, at)

    def close(self, who: str, on: Decision, at: float) -> str:
        made = Closing(decision=on.id, content=on.digest, by=who, reason=REASON)
        return self.put("closing", made.plain, who, at)

    def change_policy(self, to: Policy, at: float, *, signed_by: str, asked_by: str) -> str:
        """Ask for another policy, sign it, and bring it in; return the first refusal."""
        made, said = self.propose(asked_by, at, kind="policy_change", subject=to.plain)
        said = said or self.vote(signed_by, made, at + 1)
        return said or self.put("policy", to.plain, signed_by, at + 2, by=signed_by,
                                decision=made.id)  # fmt: skip

    @property
    def ledger(self) -> Ledger:
        return fold(self.events)

    def status(self, of: Decision, at: float) -> str:
        return self.ledger.entries[of.id].outcome(hours(at)).status

    def why(self, of: Decision, at: float) -> str:
        return self.ledger.entries[of.id].outcome(hours(at)).why


def without(fields: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in fields.items() if k != "tier"}


def waiver(**changed: str) -> dict[str, Any]:
    """The subject of a waiver of the gate of Audit."""
    return {"gate": "audit", "failed": [{**FAILED, **changed}]}
