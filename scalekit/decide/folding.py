"""The fold: what stands after the journal's events, and why an event does not count.

An event that breaks a rule does not count and is named with its reason; the same fold is asked
before an event is written, so what is refused is never recorded. Order is that of the journal; an
event counts as no earlier than the one before it, so that nobody can date a signature back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from scalekit.decide.ledger import OTHER_POLICY, Enacted, Ledger, Refusal
from scalekit.decide.outcome import Cast, Entry
from scalekit.decide.policy import Policy, PolicyError, policy_of
from scalekit.decide.records import (
    Closing,
    Decision,
    DecisionRefusedError,
    Retiering,
    Review,
    Vote,
    is_signed,
    moment,
    record_of,
    to_minute,
)
from scalekit.decide.routing import FIXED, hardness, hardness_of_check
from scalekit.journal import Event

__all__ = ["fold", "refusal"]


def fold(events: Sequence[Event]) -> Ledger:
    """Return what stands after *events* of ``decisions.jsonl``."""
    ledger = Ledger()
    latest = ""
    for event in events:
        if event.kind == "recovered":
            continue
        at = max(latest or event.at, event.at, key=moment)
        try:
            _take(ledger, event.kind, event.data, at)
            latest = at
        except DecisionRefusedError as error:
            ledger.refusals.append(Refusal(event.seq, event.kind, str(error)))
    _apply_revocations(ledger)
    return ledger


def refusal(ledger: Ledger, kind: str, data: Mapping[str, Any], at: str) -> str:
    """Return why an event would not count if it were written at *at*; empty when it would.

    *ledger* takes the event; it is not to be used afterwards.
    """
    try:
        _take(ledger, kind, data, at)
    except DecisionRefusedError as error:
        return str(error)
    return ""


def _take(ledger: Ledger, kind: str, data: Mapping[str, Any], at: str) -> None:
    if not {"record", "signature"} <= set(data):
        raise DecisionRefusedError("a record and its signature are needed")
    if kind == "policy":
        _take_policy(ledger, data, at)
    elif kind in _TAKERS:
        _TAKERS[kind](ledger, record_of(kind, data["record"]), data, at)
    else:
        raise DecisionRefusedError(f"{kind!r} is no kind of record")


def _refuse_unless(holds: bool, reason: str) -> None:
    if not holds:
        raise DecisionRefusedError(reason)


def _signed_by(policy: Policy, who: str, kind: str, data: Mapping[str, Any]) -> None:
    _refuse_unless(who in policy.people, f"{who} is not named in the policy")
    person = policy.people[who]
    since = to_minute(person.revoked)
    _refuse_unless(not since, f"the key of {who} was revoked on {since}")
    _refuse_unless(
        is_signed(kind, data, person.public),
        f"this is not signed with the key of {who}, or it was changed after signing",
    )


def _take_policy(ledger: Ledger, data: Mapping[str, Any], at: str) -> None:
    try:
        policy = policy_of(data["record"])
    except PolicyError as error:
        raise DecisionRefusedError(str(error)) from error
    by = str(data.get("by", ""))
    judges = policy
    if ledger.policies:
        entry = ledger.entry(str(data.get("decision", "")))
        judges = entry.judges
        fits = entry.decision.kind == "policy_change" and entry.decision.subject == policy.plain
        _refuse_unless(fits, "this is not the policy that was decided on")
        stands = entry.outcome(at)
        _refuse_unless(stands.status == "approved", f"the change is {stands.status}: {stands.why}")
    _refuse_unless(bool(judges.may_sign(by, 3)), f"{by or 'nobody'} may not sign a policy (tier 3)")
    _signed_by(judges, by, "policy", data)
    for name, entry in ledger.entries.items():
        if entry.outcome(at).status == "pending":
            ledger.entries[name] = entry.changed(void=OTHER_POLICY)
    ledger.policies.append(Enacted(at, policy, data["signature"]))


def _take_decision(ledger: Ledger, decision: Decision, data: Mapping[str, Any], at: str) -> None:
    policy = ledger.policy
    _refuse_unless(
        decision.policy == policy.digest, "it names another policy than the one in force"
    )
    _signed_by(policy, decision.actor, "decision", data)
    _refuse_unless(decision.id not in ledger.entries, f"decision {decision.id} is there already")
    if decision.kind == "waive_gate":
        _check_waivable(policy, decision.subject)
    if decision.kind == "policy_change":
        _check_successor(policy, decision.subject)
    if decision.expires:
        _check_expiry(policy, decision.expires, at)
    if decision.supersedes:
        ledger.entry(decision.supersedes)
    needed = ledger.routed(decision, at)
    _refuse_unless(
        decision.tier >= needed.tier,
        f"tier {decision.tier} is too low: {needed.reason} goes to tier {needed.tier}. A tier can "
        "be raised by anyone, and lowered only by the tier above",
    )
    if decision.tier == 1:
        _refuse_unless(
            bool(policy.may_sign(decision.actor, 1)), f"{decision.actor} may not decide at tier 1"
        )
    judges = policy
    if decision.kind == "policy_change" and len(policy.signers) == 1:
        # Nobody else is there to sign: whom the new policy names signs that they join.
        judges = policy_of(decision.subject)
    ledger.entries[decision.id] = Entry(decision, at, decision.tier, needed, judges, policy)
    ledger.topics.setdefault(decision.topic, []).append(at)


def _check_waivable(policy: Policy, subject: Mapping[str, Any]) -> None:
    if hardness(policy, subject) != "never":
        return
    fixed = [
        c["check"]
        for c in subject["failed"]
        if hardness_of_check(policy, subject["gate"], c) == "never"
    ]
    raise DecisionRefusedError(
        f"“{fixed[0]}” can't be waived by anyone, of whatever tier; what is wrong has to be mended"
    )


def _check_successor(policy: Policy, subject: Any) -> None:
    try:
        new = policy_of(subject)
    except (PolicyError, TypeError) as error:
        raise DecisionRefusedError(f"subject: no policy: {error}") from error
    _refuse_unless(new.plain == subject, "subject: the policy is not in its plain form")
    _refuse_unless(
        new.version == policy.version + 1,
        f"the policy in force has version {policy.version}, so the next has {policy.version + 1}",
    )


def _check_expiry(policy: Policy, expires: str, at: str) -> None:
    try:
        end = moment(expires)
    except ValueError:
        raise DecisionRefusedError(f"expires: {expires!r} is no time") from None
    _refuse_unless(end > moment(at), f"expires: {to_minute(expires)} is over already")
    _refuse_unless(
        end <= moment(at) + timedelta(days=policy.waiver_days),
        f"expires: at most {policy.waiver_days} days are granted",
    )


def _take_vote(ledger: Ledger, vote: Vote, data: Mapping[str, Any], at: str) -> None:
    entry = ledger.entry(vote.decision)
    _refuse_unless(vote.content == entry.decision.digest, "it signs another content")
    if fault := ledger.vote_fault(entry, vote.approver, at):
        raise DecisionRefusedError(fault)
    _signed_by(entry.judges, vote.approver, "vote", data)
    roles = [role for role, names in entry.judges.roles.items() if vote.approver in names]
    _refuse_unless(vote.role in roles, f"{vote.approver} does not have the role {vote.role!r}")
    last = entry.last_votes().get(vote.approver)
    _refuse_unless(
        last is None or last.vote.verdict != vote.verdict,
        f"{vote.approver} has signed this already; one person counts once",
    )
    ledger.entries[vote.decision] = entry.changed(votes=(*entry.votes, Cast(vote, at)))


def _about(
    ledger: Ledger, kind: str, change: Retiering | Closing, data: Mapping[str, Any]
) -> Entry:
    """Return the decision that a signed change is about."""
    entry = ledger.entry(change.decision)
    _refuse_unless(change.content == entry.decision.digest, "it is about another content")
    _signed_by(ledger.policy, change.by, kind, data)
    return entry


def _in(entry: Entry, at: str, *statuses: str) -> None:
    stands = entry.outcome(at)
    _refuse_unless(stands.status in statuses, f"it is {stands.status}: {stands.why}")


def _take_escalation(ledger: Ledger, change: Retiering, data: Mapping[str, Any], at: str) -> None:
    entry = _about(ledger, "escalation", change, data)
    _in(entry, at, "pending")
    _refuse_unless(change.tier > entry.tier, f"it is at tier {entry.tier} already")
    ledger.entries[change.decision] = entry.changed(
        tier=change.tier, changes=(*entry.changes, (at, change))
    )


def _take_lowering(ledger: Ledger, change: Retiering, data: Mapping[str, Any], at: str) -> None:
    entry = _about(ledger, "lowering", change, data)
    _in(entry, at, "pending")
    _refuse_unless(change.tier < entry.tier, f"it is at tier {entry.tier}, not above")
    above = entry.tier + 1
    allowed = above <= 3 and bool(ledger.policy.may_sign(change.by, above))
    _refuse_unless(
        allowed and change.by != entry.decision.actor,
        f"tier {entry.tier} is lowered only by a signer of the tier above, who did not ask for it",
    )
    floor = FIXED.get(entry.decision.kind, 1)
    _refuse_unless(change.tier >= floor, f"{entry.decision.kind} is always at tier {floor}")
    ledger.entries[change.decision] = entry.changed(
        tier=change.tier, changes=(*entry.changes, (at, change))
    )


def _take_closing(ledger: Ledger, closing: Closing, data: Mapping[str, Any], at: str) -> None:
    entry = _about(ledger, "closing", closing, data)
    _in(entry, at, "pending", "approved")
    own = closing.by == entry.decision.actor
    _refuse_unless(
        own or bool(ledger.policy.may_sign(closing.by, entry.tier)),
        f"{closing.by} neither asked for it nor may sign tier {entry.tier}",
    )
    ledger.entries[closing.decision] = entry.changed(closing=(at, closing))


def _take_review(ledger: Ledger, review: Review, data: Mapping[str, Any], at: str) -> None:
    for name in review.decisions:
        ledger.entry(name)
    _signed_by(ledger.policy, review.by, "review", data)
    _refuse_unless(
        bool(ledger.policy.may_sign(review.by, review.tier)),
        f"{review.by} may not sign a review of tier {review.tier}",
    )
    said = ledger.reviews.get(review.id, [])
    _refuse_unless(
        all(_same_meeting(r, review) for r in said), "another review has this id and other content"
    )
    _refuse_unless(all(r.by != review.by for r in said), f"{review.by} has signed this review")
    ledger.reviews[review.id] = [*said, review]


def _same_meeting(one: Review, other: Review) -> bool:
    own = {"by", "remarks"}
    return one.model_dump(exclude=own) == other.model_dump(exclude=own)


_TAKERS: Mapping[str, Callable[[Ledger, Any, Mapping[str, Any], str], None]] = {
    "decision": _take_decision,
    "vote": _take_vote,
    "escalation": _take_escalation,
    "lowering": _take_lowering,
    "closing": _take_closing,
    "review": _take_review,
}


def _apply_revocations(ledger: Ledger) -> None:
    """Take out what was signed with a key after the time from which it is revoked.

    The time may lie before the policy that says so: a key may be known to be lost only later.
    """
    lost: dict[str, datetime] = {}
    for enacted in ledger.policies:
        for person in enacted.policy.people.values():
            if person.revoked:
                lost[person.key] = moment(person.revoked)

    def sound(policy: Policy, who: str, at: str) -> bool:
        held = policy.people[who].key
        return held not in lost or moment(at) < lost[held]

    for name, entry in ledger.entries.items():
        votes = tuple(c for c in entry.votes if sound(entry.judges, c.vote.approver, c.at))
        void = entry.void
        if not sound(entry.policy, entry.decision.actor, entry.at):
            void = f"the key of {entry.decision.actor} was revoked before it was asked for"
        ledger.entries[name] = entry.changed(votes=votes, void=void)
    _apply_supersedence(ledger)


def _apply_supersedence(ledger: Ledger) -> None:
    for entry in list(ledger.entries.values()):
        old = entry.decision.supersedes
        if old and entry.approved_at:
            by = (entry.approved_at, entry.decision.id)
            ledger.entries[old] = ledger.entries[old].changed(superseded=by)
