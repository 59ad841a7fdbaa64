"""A ledger on disk: what was done to it shows, cut or rewritten against a head held elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from people import Room

from scalekit.decide import verify_ledger
from scalekit.journal import Journal, signed_head
from scalekit.signing import Signer

Held = tuple[Path, dict[str, Any], Room]


def write(path: Path, room: Room, count: int) -> None:
    path.unlink(missing_ok=True)
    with Journal(path) as journal:
        journal.extend((e.kind, e.data) for e in room.events[:count])


@pytest.fixture
def held(tmp_path: Path) -> Held:
    """A ledger of four events and its head, signed by the director and kept elsewhere."""
    room = Room()
    made, _ = room.propose("tim", 1, kind="change_threshold")
    room.propose("tim", 2, subject="second")
    room.vote("pia", made, 3, "reject")
    path = tmp_path / "decisions.jsonl"
    write(path, room, 4)
    return path, signed_head(path, room.keys["dan"]), room


def test_a_whole_ledger_is_intact_with_and_without_its_head(held: Held) -> None:
    path, head, _ = held
    found = verify_ledger(path, head)
    assert found
    assert (found.verdict, found.events) == ("intact", 4)
    assert found.table.is_empty()
    assert "would not show" in verify_ledger(path).to_html()
    assert "would not show" not in found.to_html()


def test_more_events_after_the_head_are_no_fault(held: Held) -> None:
    path, head, room = held
    room.propose("tim", 4, subject="third")
    with Journal(path) as journal:
        journal.append(room.events[-1].kind, room.events[-1].data)
    assert verify_ledger(path, head).verdict == "intact"


def test_an_edit_and_a_deletion_show_by_themselves(held: Held) -> None:
    path, _, _ = held
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines).replace(b'"reject"', b'"accept"'))
    assert verify_ledger(path).verdict == "edited"
    path.write_bytes(b"".join([lines[0], *lines[2:]]))
    assert verify_ledger(path).verdict == "deleted"
    path.write_bytes(b"not json\n")
    assert verify_ledger(path).verdict == "unreadable"


def test_without_the_last_vote_it_shows_only_against_the_head(held: Held) -> None:
    path, head, _ = held
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    assert verify_ledger(path).verdict == "intact"
    found = verify_ledger(path, head)
    assert found.verdict == "truncated"
    assert "counts 4 events, the file has 3" in found.reason
    assert "truncated" in found.to_html()


def test_a_history_written_anew_shows_only_against_the_head(held: Held) -> None:
    path, head, room = held
    # The one that was refused is left out, everything else written again, with a whole chain.
    kept = [room.events[n] for n in (0, 2, 1)]
    path.unlink()
    with Journal(path) as journal:
        journal.extend((e.kind, e.data) for e in kept)
        journal.append("decision", room.events[2].data)
    assert verify_ledger(path).verdict == "intact"
    assert verify_ledger(path, head).verdict == "rewritten"


def test_a_ledger_that_is_gone_is_cut_off(held: Held) -> None:
    path, head, room = held
    path.unlink()
    assert verify_ledger(path, head, (room.keys["dan"].public,)).verdict == "truncated"


def test_a_head_signed_by_a_stranger_is_not_believed(held: Held) -> None:
    path, _, room = held
    head = signed_head(path, Signer.load("eve"))
    assert verify_ledger(path, head).verdict == "key unknown"
    assert verify_ledger(path, head, (Signer.load("eve").public,)).verdict == "intact"
    # Rewritten together with its policy, the journal knows other keys than the head's.
    other = Room(team=("x",), tpm=("y",), director=("z",))
    true = signed_head(path, room.keys["dan"])
    write(path, other, 1)
    assert verify_ledger(path, true).verdict == "key unknown"
    assert verify_ledger(path, true, (room.keys["dan"].public,)).verdict == "truncated"


def test_a_record_that_does_not_count_is_named(held: Held) -> None:
    path, _, room = held
    made = next(iter(room.ledger.entries.values())).decision
    said = room.vote("tom", made, 5)
    with Journal(path) as journal:
        journal.append("vote", room.events[-1].data)
        journal.append("confetti", {})
    found = verify_ledger(path)
    assert found
    assert found.table["event"].to_list() == [4, 5]
    assert "may not sign tier 2" in said
    assert said in found.table["why it does not count"].to_list()
