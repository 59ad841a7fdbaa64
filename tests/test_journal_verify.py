from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import new_signer, records, sample, written

from scalekit.journal import Journal, JournalError, read, signed_head, verify
from scalekit.signing import SignatureError


@settings(deadline=None, max_examples=300)
@given(records, st.data())
def test_any_single_byte_flip_is_noticed(
    events: list[tuple[str, dict[str, Any]]], choose: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(folder, events)
        raw = bytearray(path.read_bytes())
        place = choose.draw(st.integers(0, len(raw) - 1))
        raw[place] ^= choose.draw(st.integers(1, 255))
        path.write_bytes(raw)
        found = verify(path)
        # Without its line feed the last line looks torn: then the torn bytes are reported.
        assert not found or found.torn_bytes > 0, (place, bytes(raw))


def test_every_single_bit_flip_is_noticed(tmp_path: Path) -> None:
    path = written(str(tmp_path), [("label", {"n": 123}), ("label", {"text": "é"})])
    raw = path.read_bytes()
    missed = []
    for place in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            found = verify(path)
        except Exception as error:
            missed.append((place // 8, chr(flipped[place // 8]), repr(error)))
        else:
            if found and not found.torn_bytes:
                missed.append((place // 8, chr(flipped[place // 8]), "intact"))
    assert not missed


@pytest.mark.parametrize(
    ("content", "old", "new"),
    [
        pytest.param({"n": 1}, b'"v":1', b'"v":3', id="the format version"),
        pytest.param({"seconds": 123}, b":123", b":1.3", id="a number that becomes a fraction"),
        pytest.param({"seconds": 123}, b":123", b":1e3", id="a number that becomes an exponent"),
        pytest.param(
            {"text": "힣"}, b"\xed\x9e\xa3", b"\xed\xbe\xa3", id="Hangul that becomes a surrogate"
        ),
        pytest.param({"text": "x\u0300"}, b"\xcc\x80", b"\xcd\x80", id="a canonical twin, accent"),
        pytest.param(
            {"text": "a\u2002b"}, b"\xe2\x80\x82", b"\xe2\x80\x80", id="a canonical twin, space"
        ),
    ],
)
def test_a_flip_that_json_or_nfc_would_hide_is_noticed(
    tmp_path: Path, content: dict[str, Any], old: bytes, new: bytes
) -> None:
    path = written(str(tmp_path), [("label", content), ("label", {"n": 2})])
    raw = path.read_bytes()
    assert raw.count(old) >= 1
    path.write_bytes(raw.replace(old, new, 1))
    found = verify(path)
    assert not found
    assert found.line == 1


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[1]",
        b"{}",
        b'{"v":1}',
        b"\xff\xfe",
        b"",
        b'{"v":1,"seq":0,"at":"x","kind":"k","data":{"a":"\\ud800"},"prev":"0","hash":"0"}',
        b'{"v":1,"seq":0,"at":"x","kind":"k","data":[NaN],"prev":"0","hash":"0"}',
    ],
)
def test_a_line_that_is_no_event_is_reported_by_verify_with_its_number(
    tmp_path: Path, line: bytes
) -> None:
    path = sample(tmp_path)
    lines = path.read_bytes().split(b"\n")
    lines[2] = line
    path.write_bytes(b"\n".join(lines))
    found = verify(path)
    assert not found
    assert found.line == 3


def test_a_damaged_line_stops_reading_and_opening_and_names_file_and_line(tmp_path: Path) -> None:
    path = sample(tmp_path)
    damaged = path.read_bytes().replace(b'"seq":2', b'"seq":,', 1)
    path.write_bytes(damaged)
    for act in (read, Journal):
        with pytest.raises(JournalError, match=r"journal\.jsonl, line 3: not a journal event"):
            act(path)
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    ("change", "verdict", "line"),
    [
        (lambda ls: [*ls[:2], *ls[3:]], "deleted", 3),
        (lambda ls: [ls[0], ls[2], ls[1], *ls[3:]], "deleted", 2),
        (lambda ls: [*ls[:2], ls[1], *ls[2:]], "deleted", 3),
        (lambda ls: [ls[0].replace(b"billing", b"returns"), *ls[1:]], "edited", 1),
    ],
    ids=["one line out", "two swapped", "one twice", "a label changed"],
)
def test_the_chain_alone_shows_edits_and_deletions(
    tmp_path: Path, change: Any, verdict: str, line: int
) -> None:
    path = sample(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(change(lines)))
    found = verify(path)
    assert (found.verdict, found.line) == (verdict, line)


def test_a_signed_head_shows_truncation_a_rewrite_and_a_lost_file(tmp_path: Path) -> None:
    path, signer = sample(tmp_path), new_signer()
    head, keys = signed_head(path, signer), (signer.public,)
    raw = path.read_bytes()
    assert verify(path, head, keys)

    path.write_bytes(b"".join(raw.splitlines(keepends=True)[:3]))
    assert verify(path), "without the head a cut at the end can't be seen"
    cut = verify(path, head, keys)
    assert (cut.verdict, cut.events, cut.line) == ("truncated", 3, 4)

    path.unlink()
    assert verify(path, head, keys).verdict == "truncated"
    written(str(tmp_path), [("label", {"item": f"i-{n}", "value": "spam"}) for n in range(5)])
    assert verify(path, head, keys).verdict == "rewritten"

    path.write_bytes(raw)
    with Journal(path) as journal:
        journal.append("label", {"n": 6})
    assert verify(path, head, keys), "events after the head are no fault"


def test_a_head_of_another_key_is_refused(tmp_path: Path) -> None:
    path = sample(tmp_path)
    head = signed_head(path, new_signer())
    with pytest.raises(SignatureError):
        verify(path, head, (new_signer().public,))
