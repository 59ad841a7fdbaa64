"""The decision desk's Python half: acts answered once, refusals shown on the decision."""

from __future__ import annotations

from typing import Any

import pytest

from scalekit.decide import DecisionRefusedError
from scalekit.journal import JournalError
from scalekit.widgets import DecisionDesk

CARD = {"id": "d1", "status": "pending", "fault": ""}


class Desk:
    """A desk over one decision, and what it sent."""

    def __init__(self) -> None:
        self.cards = [dict(CARD)]
        self.acts: list[tuple[str, str, str]] = []
        self.fails: Exception | None = None
        self.sent: list[dict[str, Any]] = []
        self.widget = DecisionDesk("ben", lambda: self.cards, self.act, lambda: "<p>ledger</p>")
        self.widget.send = self.sent.append

    def act(self, kind: str, decision: str, reason: str) -> str:
        if self.fails:
            raise self.fails
        self.acts.append((kind, decision, reason))
        self.cards = [{**CARD, "status": "approved"}]
        return "approved: signed by ben"

    def say(self, **message: Any) -> dict[str, Any]:
        self.widget._receive(self.widget, message, [])
        return self.sent[-1]


def test_the_cards_are_there_on_opening_and_nothing_is_done() -> None:
    desk = Desk()
    assert desk.widget.config == {"who": "ben", "reason": 20}
    assert desk.say(id="a", kind="cards") == {"reply": "a", "cards": [CARD]}
    assert desk.acts == []


@pytest.mark.parametrize("kind", ["sign", "decline", "escalate"])
def test_an_act_is_done_once_and_answered_with_what_became_of_it(kind: str) -> None:
    desk = Desk()
    act = {"id": "a", "kind": kind, "decision": "d1", "reason": "why"}
    first = desk.say(**act)
    assert first["said"] == "approved: signed by ben"
    assert first["cards"][0]["status"] == "approved"
    assert desk.say(**act) == first
    assert desk.acts == [(kind, "d1", "why")]


def test_a_refusal_comes_back_with_its_reason_and_is_no_error() -> None:
    desk = Desk()
    desk.fails = DecisionRefusedError("the key of ben was revoked")
    reply = desk.say(id="a", kind="sign", decision="d1")
    assert reply == {"reply": "a", "refused": "the key of ben was revoked", "cards": [CARD]}


def test_a_full_disk_is_tried_again_and_nonsense_is_not() -> None:
    desk = Desk()
    desk.fails = JournalError("no space left")
    reply = desk.say(id="a", kind="sign", decision="d1", reason="")
    assert (reply["error"], reply["final"]) == ("no space left", False)
    desk.fails = None
    assert desk.say(id="a", kind="sign", decision="d1", reason="")["said"]
    for wrong in ({"kind": "burn"}, {"kind": "sign"}, {"kind": "sign", "decision": 3}):
        assert desk.say(id="b", **wrong)["final"] is True


def test_the_summary_is_the_ledger() -> None:
    assert Desk().widget.to_html() == "<p>ledger</p>"
