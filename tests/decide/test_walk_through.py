"""A walk through the policy: every rule routes to its tier, every refusal says why."""

from __future__ import annotations

from typing import Any

import pytest
from people import REASON, Room, hours, waiver

from scalekit.decide import Policy, default_policy, fold, gate_subject, refusal
from scalekit.decide.records import to_minute
from scalekit.signing import Signer

SOFT, HARD = waiver(), waiver(waiver="hard")
RULES: list[tuple[str, int, dict[str, Any]]] = [
    ("a soft gate is waived", 2, {"kind": "waive_gate", "subject": SOFT}),
    ("a hard gate is waived", 3, {"kind": "waive_gate", "subject": HARD}),
    ("the look budget is extended", 2, {"kind": "extend_budget", "subject": "seal a1"}),
    ("an annotator is left out", 2, {"kind": "exclude_annotator", "subject": "emil"}),
    ("over 10% of the items are labelled again", 2, {"kind": "relabel", "share": 11}),
    ("it costs more than the cap", 2, {"kind": "relabel", "cost": 501}),
    ("a guideline is changed", 2, {"kind": "change_guideline"}),
    ("a threshold is changed", 2, {"kind": "change_threshold"}),
    ("an asset is promoted", 2, {"kind": "asset_promote"}),
    ("it can't be taken back", 2, {"reversible": False}),
    ("it reaches more than one domain", 2, {"domains": ("billing", "fault")}),
    ("it is severe", 2, {"severity": "high"}),
    ("a gate is waived in the safety domain", 3,
     {"kind": "waive_gate", "subject": SOFT, "domains": ("safety",)}),
    ("the vault is opened", 3, {"kind": "open_vault"}),
    ("shipped with a known regression", 3, {"kind": "accept_residual"}),
    ("the root of the taxonomy is changed", 3, {"kind": "change_taxonomy"}),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "tier", "fields"), RULES, ids=[r[0] for r in RULES])
def test_each_rule_routes_to_its_tier_and_cannot_be_undercut(
    rule: str, tier: int, fields: dict[str, Any]
) -> None:
    room = Room()
    made, said = room.propose("tim", 1, **fields)
    assert said == ""
    entry = room.ledger.entries[made.id]
    assert entry.tier == tier
    assert rule in entry.route.rules
    assert room.status(made, 1) == "pending"
    low, said = room.propose("tim", 1, **fields, tier=tier - 1)
    assert f"tier {tier - 1} is too low" in said
    assert rule in said
    assert low.id not in room.ledger.entries
    # The wrong role can't sign it, the right one can.
    wrong, right = {2: ("tom", "pia"), 3: ("pia", "dan")}[tier]
    assert f"may not sign tier {tier}" in room.vote(wrong, made, 2)
    assert room.vote(right, made, 3) == ""
    assert room.status(made, 4) == "approved"


def test_the_policy_itself_is_changed_at_tier_3_whatever_its_rules_say() -> None:
    room = Room()
    rules = [r for r in room.policy.plain["rules"] if "policy_change" not in r["kind"]]
    loose = Policy.model_validate({**room.policy.plain, "version": 2, "rules": rules})
    assert room.change_policy(loose, 1, signed_by="pia", asked_by="tim") == (
        "pia (tpm) may not sign tier 3: director is needed"
    )
    assert room.change_policy(loose, 10, signed_by="dan", asked_by="tim") == ""
    assert room.ledger.policy == loose
    looser = Policy.model_validate({**loose.plain, "version": 3})
    _, said = room.propose("tim", 20, kind="policy_change", subject=looser.plain, tier=2)
    assert "tier 2 is too low" in said


def test_what_is_reversible_in_one_domain_and_within_budget_is_decided_and_logged() -> None:
    room = Room()
    made, said = room.propose("tim", 1, domains=("billing",), cost=500, items=3)
    assert said == ""
    assert room.status(made, 1) == "approved"
    assert room.ledger.entries[made.id].tier == 1
    # One tier up may say no.
    assert room.vote("pia", made, 2, "reject") == ""
    assert room.status(made, 3) == "overturned"
    assert REASON in room.why(made, 3)


def test_nobody_approves_their_own_from_tier_2_up() -> None:
    room = Room()
    made, _ = room.propose("pia", 1, kind="change_threshold")
    assert "nobody approves their own" in room.vote("pia", made, 2)
    assert room.status(made, 3) == "pending"
    assert "pol, dan" in room.why(made, 3)
    top, _ = room.propose("dan", 1, kind="open_vault")
    assert "nobody approves their own" in room.vote("dan", top, 2)
    assert "unapproved" in room.why(top, 3)


def test_an_actor_can_not_be_put_forward_by_another_key() -> None:
    room = Room()
    made = room.decision("tim", 1, kind="change_threshold")
    assert "not signed with the key of tim" in room.put("decision", made.plain, "pia", 1)
    assert room.ledger.entries == {}


def test_one_person_counts_once() -> None:
    room = Room()
    plain = room.policy.plain
    plain["tiers"]["2"]["quorum"] = 2
    plain["version"] = 2
    assert (
        room.change_policy(Policy.model_validate(plain), 1, signed_by="dan", asked_by="tim") == ""
    )
    made, _ = room.propose("tim", 5, kind="change_threshold")
    assert room.vote("pia", made, 6) == ""
    assert "signed this already; one person counts once" in room.vote("pia", made, 7)
    assert room.status(made, 8) == "pending"
    assert room.vote("pol", made, 9) == ""
    assert room.status(made, 10) == "approved"


def test_a_signature_is_for_one_content_only() -> None:
    room = Room()
    made, _ = room.propose("tim", 1, kind="change_threshold")
    other = room.decision("tim", 1, kind="change_threshold", choice="drop it")
    assert room.vote("pia", made, 2, content=other.digest) == "it signs another content"
    said = {"decision": made.id, "content": made.digest, "role": "tpm", "verdict": "approve"}
    as_pol = {**said, "approver": "pol", "reason": ""}
    assert room.put("vote", as_pol, "pia", 3).startswith("this is not signed with the key of pol")
    assert room.status(made, 4) == "pending"


def test_a_grant_ends_and_nothing_counts_after_that() -> None:
    room = Room()
    made, _ = room.propose("tim", 1, kind="extend_budget", subject="seal", expires=hours(48))
    late, _ = room.propose("tim", 1, kind="extend_budget", subject="other", expires=hours(48))
    assert room.vote("pia", made, 2) == ""
    assert room.status(made, 47.9) == "approved"
    assert room.status(made, 48) == "expired"
    assert room.vote("pia", late, 48) == (
        f"it expired on {to_minute(hours(48))}; nothing counts after that"
    )
    assert room.status(late, 49) == "expired"
    assert "expired" in room.vote("pol", made, 50, "reject")


@pytest.mark.parametrize("days", [15, 400])
def test_nothing_is_granted_for_longer_than_14_days(days: int) -> None:
    room = Room()
    end = hours(1 + 24 * days)
    _, said = room.propose("tim", 1, kind="waive_gate", subject=SOFT, expires=end)
    assert said == "expires: at most 14 days are granted"
    _, said = room.propose("tim", 1, kind="waive_gate", subject=SOFT, expires=hours(0.5))
    assert "is over already" in said


def test_a_revoked_key_signs_nothing_and_what_it_signed_since_counts_no_more() -> None:
    room = Room()
    early, _ = room.propose("tim", 1, kind="change_threshold", subject="early")
    later, _ = room.propose("tim", 1, kind="change_threshold", subject="later")
    assert room.vote("pia", early, 2) == ""
    assert room.vote("pia", later, 20) == ""
    # Pia's key turns out to have been lost ten hours after the start.
    plain = room.policy.plain
    plain["version"], plain["people"]["pia"]["revoked"] = 2, hours(10)
    without_pia = Policy.model_validate(plain)
    assert room.change_policy(without_pia, 30, signed_by="dan", asked_by="tim") == ""
    assert room.status(early, 40) == "approved"
    assert room.status(later, 40) == "pending"
    made, _ = room.propose("tim", 40, kind="change_threshold", subject="new")
    assert room.vote("pia", made, 41) == f"the key of pia was revoked on {to_minute(hours(10))}"
    _, said = room.propose("pia", 42)
    assert said == f"the key of pia was revoked on {to_minute(hours(10))}"


def test_a_stranger_and_a_policy_signed_by_nobody_entitled_decide_nothing() -> None:
    room = Room()
    room.keys["eve"] = Signer.load("eve")
    made = room.decision("tim", 1).model_copy(update={"actor": "eve"})
    assert room.put("decision", made.plain, "eve", 1) == "eve is not named in the policy"
    # A policy that eve writes and signs herself, over the one in force.
    public = {"eve": room.keys["eve"].public}
    own = default_policy(public, director=("eve",))
    assert "no decision" in room.put("policy", own.plain, "eve", 2, by="eve")
    assert room.ledger.policy == room.policy
    forged = Policy.model_validate({**room.policy.plain, "version": 2})
    change, _ = room.propose("tim", 3, kind="policy_change", subject=forged.plain)
    said = room.put("policy", forged.plain, "tim", 4, by="tim", decision=change.id)
    assert said.startswith("the change is pending")


def test_nothing_is_decided_before_a_policy_is_signed_by_a_director() -> None:
    room = Room()
    founding = room.events.pop()
    assert room.ledger.policies == []
    assert "may not sign a policy" in room.put("policy", room.policy.plain, "pia", 0, by="pia")
    data = {**founding.data, "record": {**founding.data["record"], "waiver_days": 3}}
    assert "changed after signing" in refusal(fold([]), "policy", data, hours(1))


def test_nobody_can_date_a_signature_back() -> None:
    room = Room()
    made, _ = room.propose("tim", 1, kind="extend_budget", subject="seal", expires=hours(48))
    room.propose("tim", 60)
    # Written after what was written at 60, so it is no earlier, whatever it says.
    assert room.vote("pia", made, 2) == ""
    assert room.status(made, 61) == "expired"
    assert room.ledger.entries[made.id].votes == ()
    assert "nothing counts after that" in room.ledger.refusals[-1].reason


def test_another_policy_leaves_what_waits_to_be_asked_for_again() -> None:
    room = Room()
    waits, _ = room.propose("tim", 1, kind="change_threshold")
    signed, _ = room.propose("tim", 1, kind="extend_budget", subject="seal")
    assert room.vote("pia", signed, 2) == ""
    new = Policy.model_validate({**room.policy.plain, "version": 2, "waiver_days": 7})
    assert room.change_policy(new, 3, signed_by="dan", asked_by="tim") == ""
    assert room.status(waits, 6) == "void"
    assert "propose it again" in room.vote("pia", waits, 6)
    assert room.status(signed, 6) == "approved"


def test_a_contaminated_set_can_not_be_waived_by_anyone() -> None:
    room = Room()
    subject = waiver(check="nothing of the test sets in training", waiver="never")
    for who in ("tim", "pia", "dan"):
        _, said = room.propose(who, 1, kind="waive_gate", subject=subject)
        assert "can't be waived by anyone, of whatever tier" in said
    assert room.ledger.entries == {}
    # Nor together with something that could be.
    both = {"gate": "evaluate", "failed": [SOFT["failed"][0], subject["failed"][0]]}
    assert "test sets in training" in room.propose("dan", 1, kind="waive_gate", subject=both)[1]


def test_a_policy_can_make_a_check_harder_to_waive_and_never_easier() -> None:
    room = Room()
    gates = [{"stage": "audit", "check": "*", "waiver": "never"}]
    strict = Policy.model_validate({**room.policy.plain, "version": 2, "gates": gates})
    assert room.change_policy(strict, 1, signed_by="dan", asked_by="tim") == ""
    assert "can't be waived" in room.propose("tim", 5, kind="waive_gate", subject=SOFT)[1]
    gates = [{"stage": "evaluate", "check": "leaks", "waiver": "soft"}]
    with pytest.raises(ValueError, match="'hard' or 'never'"):
        Policy.model_validate({**room.policy.plain, "gates": gates})


def test_a_judgement_from_before_waivers_can_not_be_waived() -> None:
    old = {"check": "clean", "passed": "False", "measured": "3", "needed": "2"}
    passed = {**old, "check": "other", "passed": "True"}
    subject = gate_subject("audit", [old, passed])
    assert [c["waiver"] for c in subject["failed"]] == ["never"]


def test_a_tier_is_raised_by_anyone_and_lowered_only_by_the_tier_above() -> None:
    room = Room()
    made, _ = room.propose("tim", 1, kind="change_threshold")
    assert "lowered only by a signer of the tier above" in room.retier(
        "lowering", "pia", made, 1, 2
    )
    assert room.retier("escalation", "tom", made, 3, 3) == ""
    assert "may not sign tier 3" in room.vote("pia", made, 4)
    assert "lowered only" in room.retier("lowering", "dan", made, 2, 5)  # nobody is above 3
    other, _ = room.propose("tim", 6, kind="change_threshold", subject="other")
    assert room.retier("lowering", "dan", other, 1, 7) == ""
    assert room.status(other, 8) == "approved"
    mine, _ = room.propose("dan", 6, kind="change_threshold", subject="mine")
    assert "who did not ask for it" in room.retier("lowering", "dan", mine, 1, 7)
    raised, _ = room.propose("tim", 9, tier=2, subject="raised at once")
    assert room.status(raised, 9) == "pending"


def test_signers_of_one_tier_who_differ_send_it_up_and_the_director_settles_it() -> None:
    room = Room()
    made, _ = room.propose("tim", 1, kind="change_threshold")
    assert room.vote("pia", made, 2) == ""
    assert room.status(made, 3) == "approved"
    assert room.vote("pol", made, 3, "reject") == ""
    stands = room.ledger.entries[made.id].outcome(hours(4))
    assert (stands.status, stands.tier) == ("pending", 3)
    assert "signers differ; waits for 1 of dan" in stands.why
    assert room.vote("dan", made, 5) == ""
    assert room.status(made, 6) == "approved"
    assert room.vote("dan", made, 7, "reject") == ""
    assert room.status(made, 8) == "overturned"


def test_the_third_time_in_14_days_goes_one_tier_up() -> None:
    room = Room()
    tiers = []
    for day in (1, 2, 3, 40):
        made, _ = room.propose("tim", 24 * day, kind="extend_budget", subject="seal")
        tiers.append(room.ledger.entries[made.id].tier)
    assert tiers == [2, 2, 3, 2]
    again = [room.propose("tim", 24 * 41 + n)[0] for n in range(3)]
    assert [room.ledger.entries[d.id].tier for d in again] == [1, 1, 2]


def test_what_was_granted_can_be_ended_by_who_asked_and_by_its_signers_only() -> None:
    room = Room()
    made, _ = room.propose("tim", 1, kind="extend_budget", subject="seal")
    assert room.vote("pia", made, 2) == ""
    assert "neither asked for it nor may sign" in room.close("tom", made, 3)
    assert room.close("pol", made, 4) == ""
    assert room.status(made, 5) == "closed"
    assert "closed" in room.close("tim", made, 6)
    assert "closed" in room.vote("dan", made, 7)


def test_a_decision_that_supersedes_another_ends_it_once_it_is_signed() -> None:
    room = Room()
    old, _ = room.propose("tim", 1, kind="change_threshold", subject="alpha 0.6")
    assert room.vote("pia", old, 2) == ""
    new, said = room.propose("tim", 3, kind="change_threshold", subject="alpha 0.7",
                             supersedes=old.id)  # fmt: skip
    assert said == ""
    assert room.status(old, 4) == "approved"
    assert room.vote("pia", new, 5) == ""
    assert room.status(old, 6) == "superseded"
    assert "no decision 'x'" in room.propose("tim", 7, supersedes="x")[1]


# --- one person alone -----------------------------------------------------------------------------


def alone() -> Room:
    return Room(team=("ana",), tpm=("ana",), director=("ana",))


def test_one_person_alone_decides_tier_1_and_leaves_the_rest_unapproved() -> None:
    room = alone()
    logged, _ = room.propose("ana", 1)
    assert room.status(logged, 1) == "approved"
    waived, said = room.propose("ana", 2, kind="waive_gate", subject=SOFT)
    assert said == ""
    assert room.status(waived, 3) == "pending"
    assert "unapproved: tier 2 needs somebody else than ana" in room.why(waived, 3)
    assert "nobody approves their own" in room.vote("ana", waived, 4)
    assert "is alone here" in room.policy.to_html()


def test_a_second_person_joins_by_signing_the_policy_that_names_them() -> None:
    room = alone()
    room.keys["ben"] = Signer.load("ben")
    public = {name: signer.public for name, signer in room.keys.items()}
    plain = default_policy(public, team=("ana",), director=("ben",)).plain
    both = Policy.model_validate({**plain, "version": 2})
    assert "nobody approves their own" in room.change_policy(
        both, 1, signed_by="ana", asked_by="ana"
    )
    assert room.change_policy(both, 5, signed_by="ben", asked_by="ana") == ""
    made, _ = room.propose("ana", 10, kind="waive_gate", subject=SOFT)
    assert room.vote("ben", made, 11) == ""
    assert room.status(made, 12) == "approved"
