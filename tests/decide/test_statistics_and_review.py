"""Figures and reviews, counted by hand on a ledger of a few weeks."""

from __future__ import annotations

import pytest
from people import REASON, Room, hours, waiver

from scalekit.decide import (
    Review,
    decision_statistics,
    decision_table,
    escalations,
    review_page,
    review_table,
    waiver_table,
)

DAY = 24


@pytest.fixture
def weeks() -> Room:
    """Fourteen days with four decisions, then one more and what became of them."""
    room = Room()
    room.propose("tim", 1, id="log", subject="a")  # tier 1
    room.propose("tim", 2, id="fast", kind="change_threshold", subject="b")
    room.propose("tim", 3, id="slow", kind="change_threshold", subject="c")
    room.propose("tim", 5, id="top", kind="open_vault", subject="vault", expires=hours(300))
    decisions = {name: e.decision for name, e in room.ledger.entries.items()}
    room.vote("pia", decisions["fast"], 6)  # after 4 hours
    room.vote("dan", decisions["top"], 25)  # after 20
    room.vote("pia", decisions["slow"], 103)  # after 100: late (72)
    room.propose("tim", 20 * DAY, id="gate", kind="waive_gate", subject=waiver(),
                 expires=hours(22 * DAY))  # fmt: skip
    room.vote("pia", room.ledger.entries["gate"].decision, 20 * DAY + 1)
    room.propose("tim", 21 * DAY, id="waits", kind="exclude_annotator", subject="emil")
    return room


def test_the_figures_are_those_counted_by_hand(weeks: Room) -> None:
    # Slow is turned over by the director.
    assert weeks.vote("dan", weeks.ledger.entries["slow"].decision, 510, "reject") == ""
    tasks = [hours(10)] * 200 + [hours(20 * DAY)] * 500
    found = decision_statistics(weeks.ledger, hours(27 * DAY), tasks=tasks, run=hours(50))
    first, second = found.table.to_dicts()
    assert (first["tier 1"], first["tier 2"], first["tier 3"], first["tasks"]) == (1, 2, 1, 200)
    assert first["tier 2 per 1,000 tasks"] == pytest.approx(10)
    assert first["escalated"] == pytest.approx(3 / 4)
    assert second["tier 2 per 1,000 tasks"] == pytest.approx(4)
    one, two, three = found.speed.to_dicts()
    assert (one["median hours"], one["late"]) == (0, 0)
    # Times to decide at tier 2: 4 (fast), 507 (slow, until it was turned over), 1 (gate).
    assert two["median hours"] == pytest.approx(4)
    assert two["90% within hours"] == pytest.approx(4 + 0.8 * (507 - 4))
    assert two["late"] == 2  # slow, and what still waits after six days
    assert (two["asked for"], two["decided"], two["turned over"]) == (4, 3, 1)
    assert three["median hours"] == pytest.approx(20)
    assert found.escalation_rate == pytest.approx(5 / 6)
    assert found.overturn_rate == pytest.approx(1 / 5)
    assert (found.waivers_open, found.waivers_ended) == (0, 1)
    assert found.before_run == (2, 1)  # fast and top before the run, gate after
    assert "per 1,000 tasks" in found.to_html()
    assert len(found.plot().data) == 3


def test_an_empty_ledger_has_no_rates() -> None:
    found = decision_statistics(Room().ledger, hours(1))
    assert found.escalation_rate is None
    assert found.overturn_rate is None
    assert found.table["tier 1 per 1,000 tasks"].to_list() == [None]


def test_a_rule_that_keeps_coming_up_is_named(weeks: Room) -> None:
    for n in range(3):
        weeks.propose("tim", 22 * DAY + n, kind="extend_budget", subject="seal")
    found = decision_statistics(weeks.ledger, hours(23 * DAY))
    row = next(r for r in found.rules.to_dicts() if r["rule"] == "the look budget is extended")
    assert (row["decisions"], row["most in 14 days"], row["repeats"]) == (3, 3, 1)
    assert "Comes up again and again" in found.to_html()


def test_every_way_up_has_its_trigger(weeks: Room) -> None:
    room = weeks
    said = room.ledger.entries["fast"].decision
    room.vote("pol", said, 21 * DAY + 1, "reject")
    waits = room.ledger.entries["waits"].decision
    room.retier("escalation", "tom", waits, 3, 22 * DAY)
    for n in range(3):
        room.propose("tim", 22 * DAY + n, kind="extend_budget", subject="seal", id=f"r{n}")
    found = escalations(room.ledger, hours(23 * DAY))

    def triggers(name: str) -> list[tuple[str, int, int]]:
        rows = found.filter(decision=name).to_dicts()
        return [(r["trigger"], r["from"], r["to"]) for r in rows]

    assert triggers("log") == []
    assert triggers("fast") == [("rule", 1, 2), ("disagreement", 2, 3), ("sla", 2, 3)]
    assert triggers("slow") == [("rule", 1, 2), ("sla", 2, 3)]
    assert triggers("waits") == [("rule", 1, 2), ("person", 2, 3)]
    assert triggers("r2") == [("rule", 1, 2), ("repeat", 2, 3)]
    assert triggers("top") == [("rule", 1, 3)]


def test_a_waiver_is_listed_with_what_became_of_it(weeks: Room) -> None:
    open_ = waiver_table(weeks.ledger, hours(21 * DAY)).row(0, named=True)
    assert (open_["standing"], open_["signed by"]) == ("open", "pia")
    assert open_["checks"] == "few categories thin: 2 thin"
    assert waiver_table(weeks.ledger, hours(22 * DAY))["standing"].to_list() == ["expired"]


def test_a_review_lists_what_came_since_the_last_and_what_is_to_be_revisited(weeks: Room) -> None:
    ledger = weeks.ledger
    assert review_page(ledger, 1, hours(7 * DAY)).decisions == ("log",)
    page = review_page(ledger, 2, hours(14 * DAY))
    assert page.decisions == ("fast", "slow", "top")
    assert page.waiting.is_empty()
    said = {"fast": "upheld", "slow": "revisit", "top": "upheld"}
    held = Review(tier=2, begins=page.begins, ends=page.ends, decisions=page.decisions,
                  dispositions=said, by="pia")  # fmt: skip
    assert weeks.put("review", held.plain, "pia", 14 * DAY) == ""
    assert "signed this review" in weeks.put("review", held.plain, "pia", 14 * DAY)
    second = held.model_copy(update={"by": "dan", "remarks": REASON})
    assert weeks.put("review", second.plain, "dan", 14 * DAY + 1) == ""
    other = held.model_copy(update={"by": "pol", "ends": hours(1)})
    assert "other content" in weeks.put("review", other.plain, "pol", 14 * DAY + 1)
    by_team = held.model_copy(update={"by": "tim", "id": "x"})
    assert "may not sign a review of tier 2" in weeks.put("review", by_team.plain, "tim", 15 * DAY)
    signed = review_table(weeks.ledger).row(0, named=True)
    assert (signed["signed by"], signed["revisit"]) == ("pia, dan", 1)
    page = review_page(weeks.ledger, 2, hours(28 * DAY))
    assert page.decisions == ("slow", "gate")
    assert page.waiting["decision"].to_list() == ["waits"]
    assert "Still waits" in page.to_html()
    assert "Waivers:" in page.to_html()


def test_a_review_with_a_decision_left_open_is_refused() -> None:
    with pytest.raises(ValueError, match="every decision listed has one"):
        Review(tier=1, begins=hours(0), ends=hours(1), decisions=("a",), dispositions={}, by="pia")


def test_the_table_has_every_decision_with_its_reason(weeks: Room) -> None:
    rows = decision_table(weeks.ledger, hours(30 * DAY))
    assert rows["decision"].to_list() == ["log", "fast", "slow", "top", "gate", "waits"]
    assert rows["status"].to_list() == [
        "approved", "approved", "approved", "expired", "expired", "pending"
    ]  # fmt: skip
    assert set(rows["reason"]) == {REASON}
