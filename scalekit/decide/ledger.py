"""The ledger: the policy in force, decisions and reviews, as the journal's events leave them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from scalekit.decide.outcome import Entry
from scalekit.decide.policy import Policy
from scalekit.decide.records import Decision, DecisionRefusedError, Review, moment, to_minute
from scalekit.decide.routing import Route, route
from scalekit.signing import digest

__all__ = ["Enacted", "Ledger", "Refusal"]

OTHER_POLICY = "it was asked for under an earlier policy; propose it again"
REPEATS, WINDOW = 3, timedelta(days=14)


@dataclass(frozen=True)
class Refusal:
    """An event that does not count: its number, kind and why."""

    seq: int
    kind: str
    reason: str


@dataclass(frozen=True)
class Enacted:
    """A policy, since when it is in force, and the signature over it."""

    at: str
    policy: Policy
    signature: Mapping[str, str]


@dataclass
class Ledger:
    """What stands after the events: the policy in force, decisions, reviews, what was refused.

    ``topics`` has the times at which each topic was asked for.
    """

    policies: list[Enacted] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    topics: dict[str, list[str]] = field(default_factory=dict)
    reviews: dict[str, list[Review]] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def policy(self) -> Policy:
        """The policy in force.

        Raises
        ------
        DecisionRefusedError
            When there is none: then nobody may decide.
        """
        if not self.policies:
            raise DecisionRefusedError(
                "no signed policy is in force, so nothing can be decided: project.decide.found()"
            )
        return self.policies[-1].policy

    def entry(self, name: str) -> Entry:
        """Return the decision *name*, or raise DecisionRefusedError."""
        if name not in self.entries:
            raise DecisionRefusedError(f"there is no decision {name!r}")
        return self.entries[name]

    def on(self, kind: str, subject: Any) -> list[Entry]:
        """Return the decisions of one kind on one subject, by its digest; oldest first."""
        wanted = digest(subject)
        return [
            e
            for e in self.entries.values()
            if e.decision.kind == kind and digest(e.decision.subject) == wanted
        ]

    def repeats(self, topic: str, at: str) -> int:
        """Return how many decisions on *topic* were asked for in the 14 days before *at*."""
        end = moment(at)
        return sum(end - WINDOW < moment(asked) <= end for asked in self.topics.get(topic, ()))

    def routed(self, decision: Decision, at: str) -> Route:
        """Return where a decision goes at *at*: by rule, one tier up from the third repeat."""
        found = route(self.policy, decision)
        count = self.repeats(decision.topic, at) + 1
        raised = count >= REPEATS and found.tier < 3
        return replace(found, tier=found.tier + raised, repeats=count, raised=raised)

    def vote_fault(self, entry: Entry, who: str, at: str) -> str:
        """Return why *who* may not sign a decision at *at*; empty when they may."""
        decision = entry.decision
        if entry.void or self.policy.digest != decision.policy:
            return entry.void or OTHER_POLICY
        if entry.closing:
            return "it was closed before"
        if decision.expires and moment(at) >= moment(decision.expires):
            return f"it expired on {to_minute(decision.expires)}; nothing counts after that"
        judges = entry.judges
        if who not in judges.people:
            return f"{who} is not named in the policy"
        if judges.people[who].revoked:
            return f"the key of {who} was revoked on {to_minute(judges.people[who].revoked)}"
        if who == decision.actor and entry.tier > 1:
            return f"{who} asked for it, and from tier 2 up nobody approves their own"
        if not judges.may_sign(who, entry.tier):
            roles = [str(role) for role, names in judges.roles.items() if who in names]
            held = f"{who} ({', '.join(roles) or 'no role'})"
            needed = " or ".join(judges.at(entry.tier).who)
            return f"{held} may not sign tier {entry.tier}: {needed} is needed"
        return ""
