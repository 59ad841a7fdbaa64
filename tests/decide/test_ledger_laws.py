"""Laws of the fold: votes in any order, nothing after the end, no change by what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from people import Room, hours

from scalekit.decide import Outcome, Policy, fold
from scalekit.journal import Event

SIGNERS = ("pia", "pol", "dan", "dot")
VOTES = st.lists(
    st.tuples(st.sampled_from(SIGNERS), st.sampled_from(["approve", "reject"])),
    unique_by=lambda v: v[0],
    max_size=4,
)
SLOW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def monkeymodule() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory, monkeymodule: Any) -> Room:
    """Two technical product managers and two directors; a pending decision at tiers 2 and 3."""
    monkeymodule.setenv("SCALEKIT_KEYS", str(tmp_path_factory.mktemp("law-keys")))
    made = Room(team=("tim",), tpm=("pia", "pol"), director=("dan", "dot"))
    made.propose("tim", 1, id="two", kind="extend_budget", subject="seal", expires=hours(100))
    made.propose("tim", 1, id="three", kind="open_vault", subject="vault", expires=hours(100))
    return made


def after(room: Room, votes: list[tuple[str, str]], name: str, at: list[float]) -> list[Event]:
    """The room's events, then a vote of each person at each time; the room is left as it was."""
    before = list(room.events)
    decision = room.ledger.entries[name].decision
    for (who, verdict), when in zip(votes, at, strict=True):
        room.vote(who, decision, when, verdict)
    events, room.events = room.events, before
    return events


def outcome(events: list[Event], name: str, at: float) -> Outcome:
    return fold(events).entries[name].outcome(hours(at))


@SLOW
@given(votes=VOTES, name=st.sampled_from(["two", "three"]), data=st.data())
def test_the_order_of_independent_votes_does_not_matter(
    room: Room, votes: list[tuple[str, str]], name: str, data: st.DataObject
) -> None:
    other = data.draw(st.permutations(votes))
    at = [2.0 + n for n in range(len(votes))]
    one = outcome(after(room, votes, name, at), name, 20)
    two = outcome(after(room, other, name, at), name, 20)
    assert (one.status, one.tier, set(one.signed)) == (two.status, two.tier, set(two.signed))


@SLOW
@given(votes=VOTES, late=VOTES, name=st.sampled_from(["two", "three"]))
def test_nothing_counts_after_the_end(
    room: Room, votes: list[tuple[str, str]], late: list[tuple[str, str]], name: str
) -> None:
    early = [2.0 + n for n in range(len(votes))]
    times = [*early, *(100.0 + n for n in range(len(late)))]
    before = after(room, votes, name, early)
    every = after(room, [*votes, *late], name, times)
    ledger = fold(every)
    assert ledger.entries[name].votes == fold(before).entries[name].votes
    for at in (20, 200):
        assert outcome(every, name, at) == outcome(before, name, at)
    assert outcome(every, name, 200).status != "approved"


@SLOW
@given(votes=VOTES, name=st.sampled_from(["two", "three"]))
def test_an_outcome_is_what_the_rules_say_of_its_votes(
    room: Room, votes: list[tuple[str, str]], name: str
) -> None:
    """Against the rules written down once more: the highest rank that speaks decides; two voices
    of that rank that differ send it up, and at the top they leave it rejected."""
    tier = {"two": 2, "three": 3}[name]
    rank = {"pia": 2, "pol": 2, "dan": 3, "dot": 3}
    counted = {who: verdict for who, verdict in votes if rank[who] >= tier}
    top = max((rank[w] for w in counted), default=0)
    said = {v for w, v in counted.items() if rank[w] == top}
    if not counted:
        expected = "pending"
    elif said == {"approve"}:
        expected = "approved"
    elif said == {"approve", "reject"} and top < 3:
        expected = "pending"
    else:
        expected = "overturned" if "approve" in counted.values() else "rejected"
    events = after(room, votes, name, [2.0 + n for n in range(len(votes))])
    assert outcome(events, name, 20).status == expected


@SLOW
@given(places=st.lists(st.integers(0, 40), max_size=5), kind=st.sampled_from(["vote", "nonsense"]))
def test_what_does_not_count_changes_nothing(room: Room, places: list[int], kind: str) -> None:
    events = after(room, [("pia", "approve"), ("dan", "approve")], "two", [2, 3])
    junk = {"record": {"decision": "two", "verdict": "reject"}, "signature": {}}
    mixed = list(events)
    for place in places:
        mixed.insert(place, Event(99, hours(2), kind, junk, "", ""))
    ledger = fold(mixed)
    assert len(ledger.refusals) == len(places)
    assert ledger.entries == fold(events).entries


def test_the_same_events_fold_to_the_same_ledger(room: Room) -> None:
    assert fold(room.events).entries == fold(list(room.events)).entries
    assert isinstance(fold(room.events).policy, Policy)
