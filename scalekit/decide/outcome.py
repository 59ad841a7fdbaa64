"""Outcome: what a decision has come to, from its votes, its tier and the time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

from scalekit.decide.policy import Policy
from scalekit.decide.records import Closing, Decision, Retiering, Vote, moment, to_minute
from scalekit.decide.routing import Route

__all__ = ["Cast", "Entry", "Outcome", "Status"]

Status = Literal[
    "pending", "approved", "rejected", "overturned", "expired", "closed", "void", "superseded"
]


@dataclass(frozen=True)
class Cast:
    """A vote, and when it was given."""

    vote: Vote
    at: str


@dataclass(frozen=True)
class Outcome:
    """Where a decision stands: status, tier, when it was decided, who signed it, and why so."""

    status: Status
    tier: int
    decided: str
    signed: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Entry:
    """A decision with what was done about it.

    ``judges`` is the policy whose people sign it: the one it was asked for under, or, when that one
    names a single person, the one that it would bring in.
    """

    decision: Decision
    at: str
    tier: int
    route: Route
    judges: Policy
    policy: Policy
    votes: tuple[Cast, ...] = ()
    changes: tuple[tuple[str, Retiering], ...] = ()
    closing: tuple[str, Closing] | None = None
    superseded: tuple[str, str] | None = None
    void: str = ""

    def changed(self, **fields: Any) -> Entry:
        """Return the entry with some fields replaced."""
        return replace(self, **fields)

    def last_votes(self) -> dict[str, Cast]:
        """Return the last vote of each person: one person counts once."""
        return {c.vote.approver: c for c in self.votes}

    @property
    def due(self) -> str:
        """When it should be decided at the latest."""
        hours = self.judges.at(self.tier).sla_hours
        return (moment(self.at) + timedelta(hours=hours)).isoformat()

    @property
    def _sides(self) -> tuple[dict[str, str], dict[str, str]]:
        """Who is for it and who against, with the time; at tier 1 who asked is for it."""
        cast = self.last_votes().values()
        by = {v: {c.vote.approver: c.at for c in cast if c.vote.verdict == v}
              for v in ("approve", "reject")}  # fmt: skip
        own = {self.decision.actor: self.at} if self.tier == 1 else {}
        return own | by["approve"], by["reject"]

    @property
    def _above(self) -> int:
        """The highest tier that anybody against it may sign: only a higher one outweighs it."""
        return max(map(self.judges.rank, self._sides[1]), default=0)

    @property
    def _quorum(self) -> int:
        return self.judges.at(self.tier).quorum if self.tier > 1 else 1

    def _counting(self, above: int) -> list[tuple[str, str]]:
        """Return when and who of the signatures that count, earliest first."""
        return sorted(
            (at, who)
            for who, at in self._sides[0].items()
            if self.judges.rank(who) > above and self.judges.may_sign(who, self.tier)
        )

    @property
    def approved_at(self) -> str:
        """When enough had signed, none of the same tier or above against it; empty before."""
        counting = self._counting(self._above)
        return counting[self._quorum - 1][0] if len(counting) >= self._quorum else ""

    @property
    def disputed(self) -> bool:
        """Whether signers of the same tier are for and against it: the next tier decides."""
        ranks = [self.judges.rank(who) for who in self._sides[0]]
        return self._above > 0 and not self.approved_at and max(ranks, default=0) == self._above

    @property
    def waits_for(self) -> int:
        """The tier that decides it now."""
        return min(3, max(self.tier, self._above + 1)) if self.disputed else self.tier

    def outcome(self, now: str) -> Outcome:
        """Return where it stands at *now*."""
        against = sorted((at, who) for who, at in self._sides[1].items())
        signed = tuple(who for _, who in self._counting(self._above))
        expires = self.decision.expires
        over = bool(expires) and moment(now) >= moment(expires)

        def said(status: Status, why: str, decided: str = "") -> Outcome:
            return Outcome(status, self.waits_for, decided, signed, why)

        if self.void:
            return said("void", self.void)
        if self.closing:
            at, closing = self.closing
            return said("closed", f"{closing.by}: {closing.reason}", at)
        if self.superseded:
            return said("superseded", f"by decision {self.superseded[1]}", self.superseded[0])
        if self.approved_at:
            if over:
                return said("expired", f"it ended on {to_minute(expires)}", self.approved_at)
            return said("approved", f"signed by {', '.join(signed)}", self.approved_at)
        if against and not (self.disputed and self._above < 3):
            at, who = against[-1]
            reason = self.last_votes()[who].vote.reason
            overturned = len(self._counting(0)) >= self._quorum
            return said("overturned" if overturned else "rejected", f"{who}: {reason}", at)
        if over:
            return said("expired", f"nobody had signed it by {to_minute(expires)}")
        return said("pending", self._why_pending())

    def _why_pending(self) -> str:
        tier, people = self.waits_for, self.judges
        able = [
            who
            for who in people.people
            if people.may_sign(who, tier) and (who != self.decision.actor or tier == 1)
        ]
        if not able:
            return (
                f"unapproved: tier {tier} needs somebody else than {self.decision.actor}, and the "
                "policy names nobody who may sign there"
            )
        given = len(self._counting(self._above))
        more = f", {given} given" if given else ""
        dispute = "signers differ; " if self.disputed else ""
        return f"{dispute}waits for {self._quorum} of {', '.join(able)} (tier {tier}{more})"
