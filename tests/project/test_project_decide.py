"""Decisions in a project: waivers at the gates, grants and a policy on disk."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from teams import LABEL, WHY, Team, state, waived

import scalekit as sk
from scalekit import GateClosedError
from scalekit.decide import DecisionRefusedError, Policy, PolicyError, read_policy
from scalekit.project.decisions import Decisions
from scalekit.signing import Signer


def later(monkeypatch: pytest.MonkeyPatch, **delta: int) -> None:
    now = (datetime.now(UTC) + timedelta(**delta)).isoformat()
    monkeypatch.setattr(Decisions, "now", lambda self: now)


def test_a_waiver_lets_the_next_stage_start_and_shows_everywhere_as_waived(team: Team) -> None:
    project = team.project
    with pytest.raises(GateClosedError, match="the gate of Audit is closed"):
        project.label.import_table(LABEL)
    asked = team.ana.propose("waive_gate", "audit", reason=WHY, evidence=("audit/report",))
    assert (asked.status, asked.tier) == ("pending", 2)
    with pytest.raises(GateClosedError, match="closed"):
        project.label.import_table(LABEL)
    assert team.ben.approve(asked.id).status == "approved"
    project.label.import_table(LABEL)

    board = project.board()
    row = board.table.filter(stage="audit").row(0, named=True)
    assert row["gate"] == "◌\u00a0waived"
    assert "waived, not passed, until" in row["what to do"]
    assert "no category missing" in row["what to do"]
    assert not board.passed
    assert "Label has not been judged" in board.next
    gate = project.audit.gate()
    assert not gate.passed
    gate.require()
    for html in (board.to_html(), gate.to_html(), project.audit.to_html()):
        assert "by ben" in html
        assert WHY in html
    report = project.report().path
    assert "Gates that were waived, not passed" in report.read_text()
    journals = [h["journal"] for h in json.loads(report.with_suffix(".json").read_text())["heads"]]
    assert "decisions.jsonl" in journals


def test_a_manifest_delivered_behind_a_waived_gate_names_the_waiver(labelled: Any) -> None:
    team = Team(labelled)
    wrong = {"T-1001": "returns", "T-1002": "returns", "T-1003": "returns", "T-1004": "returns"}
    for name in ("ana", "ben", "chloe"):
        rows = [{"item_id": i, "annotator": name, "value": v} for i, v in wrong.items()]
        labelled.label.import_table(rows, round=3)
    ties = [{"item_id": f"T-10{n}", "annotator": "ana", "value": "returns"} for n in range(10, 99)]
    known = set(labelled.audit.item_ids())
    labelled.label.import_table([r for r in ties if r["item_id"] in known], round=4)
    assert not labelled.label.gate().passed
    with pytest.raises(GateClosedError, match="Nothing can be delivered"):
        labelled.label.deliver()
    asked = team.ana.propose("waive_gate", "label", reason=WHY)
    team.ben.approve(asked.id)
    made = labelled.label.deliver()
    assert made.about["waivers"] == [f"label: {asked.id}"]
    assert labelled.label.manifest().about["waivers"] == [f"label: {asked.id}"]


def test_a_waiver_ends_by_itself(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    waived(team, days=3)
    later(monkeypatch, days=2, hours=23)
    assert state(team.project) == "waived"
    later(monkeypatch, days=3)
    assert state(team.project) == "closed"
    with pytest.raises(GateClosedError, match="Label can't start"):
        team.project.label.import_table(LABEL)
    with pytest.raises(DecisionRefusedError, match="is expired: it ended on"):
        team.ana.grant("waive_gate", "audit")
    # What it was is still in every report.
    assert team.ana.waivers()["standing"].to_list() == ["expired"]
    assert "expired" in team.project.report().path.read_text()


def test_a_waiver_covers_what_was_signed_and_no_other_result(team: Team, add: Any) -> None:
    waived(team)
    add(team.project, "synthetic_delivery.jsonl")
    team.project.collect.gate()
    assert state(team.project) == "stale"
    team.project.audit.run()
    judged = team.project.audit.gate()
    assert not judged.passed
    assert judged.waived == ""
    assert state(team.project) == "closed"


def test_only_a_gate_that_is_closed_can_be_waived(team: Team) -> None:
    for stage, is_ in (("specify", "passed"), ("label", "open"), ("lunch", "not known")):
        with pytest.raises(DecisionRefusedError, match=f"that of '{stage}' is {is_}"):
            team.ana.propose("waive_gate", stage, reason=WHY)


def test_a_contaminated_set_is_waived_by_nobody(sealed: Any) -> None:
    spec = sealed.specify.spec.model_dump(mode="json")
    team = Team(sealed)
    sealed.evaluate.measure(lambda texts: ["billing"] * len(texts), sealed="a claim")
    # A handwritten example that stands in training, after everything was judged.
    row = sealed.evaluate.train_items().row(0, named=True)
    known = [*spec["examples"], {"text": row["text"], "category": row["category"]}]
    sealed.specify.save({**spec, "examples": known})
    for stage in sealed.stages:
        stage.gate()
    failed = [c.name for c in sealed.evaluate.gate().failed]
    assert "nothing of the test sets in training" in failed
    for person in (team.ana, team.ben, team.dora):
        with pytest.raises(DecisionRefusedError, match="can't be waived by anyone, of whatever"):
            person.propose("waive_gate", "evaluate", reason=WHY)


@pytest.mark.parametrize("who", ["ana", "ben"])
def test_nobody_signs_for_themselves_or_out_of_their_role(team: Team, who: str) -> None:
    asked = getattr(team, who).propose("waive_gate", "audit", reason=WHY)
    said = {"ana": "may not sign tier 2|nobody approves", "ben": "nobody approves their own"}
    with pytest.raises(DecisionRefusedError, match=said[who]):
        getattr(team, who).approve(asked.id)
    assert team.dora.approve(asked.id).status == "approved"


def test_a_short_reason_and_an_unknown_kind_are_refused(team: Team) -> None:
    with pytest.raises(DecisionRefusedError, match=r"reason: .*at least 20 characters, got 5"):
        team.ana.propose("resolve", "item 7", reason="never")
    with pytest.raises(DecisionRefusedError, match="kind: "):
        team.ana.propose("celebrate", "item 7", reason=WHY)
    with pytest.raises(DecisionRefusedError, match="at most 14 days"):
        team.ana.propose("waive_gate", "audit", reason=WHY, days=30)
    assert team.ana.table.is_empty()


def test_a_budget_and_the_vault_are_granted_by_decision(team: Team) -> None:
    with pytest.raises(DecisionRefusedError, match="nobody has decided this yet"):
        team.ana.grant("extend_budget", "a1b2")
    asked = team.ana.propose("extend_budget", "a1b2", reason=WHY)
    with pytest.raises(DecisionRefusedError, match="is pending: waits for 1 of ben, dora"):
        team.ana.grant("extend_budget", "a1b2")
    team.ben.approve(asked.id)
    assert team.ana.grant("extend_budget", "a1b2").decision.looks == 2
    assert [e.decision.id for e in team.ana.grants("extend_budget", "a1b2")] == [asked.id]
    assert team.ana.grants("extend_budget", "other") == []
    vault = team.ana.propose("open_vault", "a1b2", reason=WHY)
    with pytest.raises(DecisionRefusedError, match=r"ben \(tpm\) may not sign tier 3"):
        team.ben.approve(vault.id)
    team.dora.reject(vault.id, "the sealed set has three looks left")
    with pytest.raises(DecisionRefusedError, match="is rejected: dora: the sealed set has three"):
        team.ana.grant("open_vault", "a1b2")


def test_a_guideline_and_an_annotator_left_out_are_decisions_unapproved_until_signed(
    team: Team,
) -> None:
    waived(team)
    team.project.label.sharpen("A refund asked for twice is billing.", "two tickets")
    team.project.label.leave_out("ana", "too fast")
    waits = team.ben.pending()
    assert waits.who == "ben"
    assert waits.table["kind"].to_list() == ["change_guideline", "exclude_annotator"]
    assert waits.table["yours"].all()
    assert team.ana.pending().table["why"].str.contains("nobody approves their own").all()
    assert "Not approved yet" in team.project.report().path.read_text()
    for decision in waits.table["decision"]:
        team.ben.approve(decision)
    assert team.ben.pending().table.is_empty()
    assert "Nothing waits" in team.ben.pending().to_html()


def test_a_threshold_counts_once_it_is_decided(team: Team) -> None:
    waived(team)
    path = team.project.folder / "project.toml"
    path.write_text(path.read_text().replace("[thresholds]", "[thresholds]\nalpha = 0.5"))
    project = sk.Project(team.project.folder.root)
    for stage in project.stages[:2]:
        stage.gate()
    with pytest.raises(GateClosedError, match=r"alpha is 0\.5, decided is 0\.667"):
        project.audit.run()
    assert "thresholds were changed without a decision" in project.board().next
    change = {"threshold": "alpha", "value": "0.5"}
    asked = project.decide.propose("change_threshold", change, reason=WHY)
    project.decide.acting(Signer.load("ben")).approve(asked.id)
    project.audit.run()


# --- the policy on disk ---------------------------------------------------------------------------


def test_an_edited_policy_decides_nothing(team: Team) -> None:
    asked = waived(team)
    path = team.project.folder / "policy.toml"
    signed = path.read_text()
    path.write_text(signed.replace("tier = 3", "tier = 1"))
    for act in (
        lambda: team.ana.propose("resolve", "item 7", reason=WHY),
        lambda: team.ben.reject(asked.id, WHY),
        lambda: team.ana.grant("waive_gate", "audit"),
    ):
        with pytest.raises(DecisionRefusedError, match="an edited policy decides nothing"):
            act()
    assert state(team.project) == "closed"
    assert "It decides nothing now" in team.ana.to_html()
    path.write_text("# the same, with a remark\n" + signed)
    assert state(team.project) == "waived"
    path.write_text(signed.replace("tier = 3", "tier = 1"))
    assert team.ana.restore_policy() == team.ana.policy
    assert path.read_text() == signed
    path.write_text(signed.replace("[roles]", "[roles"))
    with pytest.raises(DecisionRefusedError, match=r"policy\.toml: not readable as TOML"):
        team.ana.propose("resolve", "item 7", reason=WHY)


@pytest.mark.parametrize("how", ["gone", "by another key", "of another policy", "not JSON"])
def test_an_unsigned_policy_decides_nothing(team: Team, how: str) -> None:
    path = team.project.folder / "policy.dsse.json"
    kind = json.loads(path.read_text())["payloadType"]
    if how == "gone":
        path.unlink()
    elif how == "not JSON":
        path.write_text("{")
    else:
        signer = Signer.load("ben" if how == "by another key" else "dora")
        plain = team.ana.policy.plain
        plain["waiver_days"] = 14 if how == "by another key" else 13
        path.write_text(json.dumps(signer.envelope(plain, kind)))
    with pytest.raises(DecisionRefusedError, match="an unsigned policy decides nothing"):
        team.ana.propose("resolve", "item 7", reason=WHY)
    team.ana.restore_policy()
    assert team.ana.propose("resolve", "item 7", reason=WHY).status == "approved"


def test_a_policy_is_changed_by_the_director_and_then_written_and_signed(team: Team) -> None:
    path = team.project.folder / "policy.toml"
    before = path.read_text()
    with pytest.raises(DecisionRefusedError, match="nothing is changed"):
        team.ana.change_policy(reason=WHY)
    path.write_text(before.replace("waiver_days = 14", "waiver_days = 5"))
    asked = team.ana.change_policy(reason="two weeks are too long for us")
    assert (asked.status, asked.tier) == ("pending", 3)
    assert read_policy(path).waiver_days == 14  # put back until it is signed
    assert team.dora.approve(asked.id).status == "approved"
    assert team.ana.policy.waiver_days == 5
    assert (read_policy(path).version, team.ana.policy.version) == (2, 2)
    with pytest.raises(DecisionRefusedError, match="at most 5 days"):
        team.ana.propose("waive_gate", "audit", reason=WHY, days=6)
    with pytest.raises(DecisionRefusedError, match="in force already"):
        team.dora.found("dora")


def test_a_stranger_is_told_which_key_to_hand_in(team: Team) -> None:
    eve = team.ana.acting(Signer.load("eve"))
    with pytest.raises(DecisionRefusedError, match=Signer.load("eve").public.hex()):
        eve.propose("resolve", "item 7", reason=WHY)


def test_a_person_alone_works_on_and_what_needs_two_stays_unapproved(audited: Any) -> None:
    audited.decide.found("ana")
    assert audited.decide.propose("resolve", "item 7", reason=WHY).status == "approved"
    asked = audited.decide.propose("waive_gate", "audit", reason=WHY)
    assert "unapproved: tier 2 needs somebody else than ana" in asked.to_html()
    with pytest.raises(DecisionRefusedError, match="nobody approves their own"):
        audited.decide.approve(asked.id)
    assert state(audited) == "closed"
    audited.label.sharpen("A refund asked for twice is billing.", "two tickets differ")
    assert "unapproved" in audited.report().path.read_text()
    # Ben joins: he signs the policy that names him.
    plain = audited.decide.policy.plain
    plain["people"]["ben"] = {"key": Signer.load("ben").public.hex()}
    plain["roles"] = {"team": ["ana"], "tpm": ["ben"], "director": ["ben"]}
    change = audited.decide.change_policy(
        Policy.model_validate(plain), reason="ben joins us from today on"
    )
    ben = audited.decide.acting(Signer.load("ben"))
    assert ben.approve(change.id).status == "approved"
    assert ben.policy.signers == ["ana", "ben"]
    again = audited.decide.propose("waive_gate", "audit", reason=WHY)
    ben.approve(again.id)
    assert state(audited) == "waived"


def test_a_wrong_key_is_named(audited: Any) -> None:
    with pytest.raises(DecisionRefusedError, match="the key of ben is no public key"):
        audited.decide.found("ana", {"ben": "xyz"})
    with pytest.raises(PolicyError, match=r"people\.ben\.key: a public key is 64"):
        audited.decide.found("ana", {"ben": "abcd"})
    assert not audited.decide.files.in_force


def test_without_a_policy_nothing_is_decided_and_nothing_else_changes(audited: Any) -> None:
    with pytest.raises(DecisionRefusedError, match="no signed policy is in force"):
        audited.decide.propose("waive_gate", "audit", reason=WHY)
    assert "No policy is signed" in audited.decide.to_html()
    assert audited.decide.grants("extend_budget", "x") == []
    assert state(audited) == "closed"
    assert "No policy is signed" in audited.report().path.read_text()


def test_reviews_and_figures_of_a_project(team: Team) -> None:
    asked = waived(team)
    team.ana.propose("resolve", "item 7", reason=WHY)
    wrong = team.ana.propose("resolve", "item 8", reason=WHY)
    page = team.ben.review(1)
    assert len(page.decisions) == 2
    signed = team.ben.sign_review(
        page, {wrong.id: "overturn"}, "item 8 was decided against the instructions"
    )
    assert signed["overturn"].to_list() == [1]
    assert team.ana.look(wrong.id).status == "overturned"
    assert team.dora.sign_review(page, {wrong.id: "overturn"})["signed by"].to_list() == [
        "ben, dora"
    ]
    assert team.ana.review(2).decisions == (asked.id,)
    team.project.label.import_table(LABEL)
    figures = team.ana.statistics()
    assert figures.table["tasks"].sum() == 1
    assert figures.escalation_rate == pytest.approx(1 / 3)
    assert figures.waivers_open == 1
    assert team.ana.escalations()["trigger"].to_list() == ["rule"]


def test_sending_up_lowering_and_taking_back(team: Team) -> None:
    asked = team.ana.propose("change_guideline", "x", reason=WHY)
    assert team.ana.escalate(asked.id, "this concerns every project we have").tier == 3
    with pytest.raises(DecisionRefusedError, match="may not sign tier 3"):
        team.ben.approve(asked.id)
    with pytest.raises(DecisionRefusedError, match="there is none above"):
        team.ana.escalate(asked.id, "and even further up than that")
    assert team.ana.close(asked.id, "asked for by mistake, sorry").status == "closed"
    other = team.ana.propose("change_guideline", "y", reason=WHY)
    assert team.dora.lower(other.id, 1, "the wording does not change anything").status == "approved"
