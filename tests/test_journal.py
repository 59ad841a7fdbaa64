from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from journals import data, new_signer, quick, records, sample, written

from scalekit.journal import Journal, JournalError, read, signed_head, verify


@quick
@given(records)
def test_replay_is_what_was_appended(events: list[tuple[str, dict[str, Any]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(folder, events)
        got = [(e.kind, e.data) for e in read(path)]
        assert got == events
        assert [e.seq for e in read(path)] == list(range(len(events)))
        assert verify(path)


@quick
@given(records, st.data())
def test_after_any_tear_at_the_end_the_whole_lines_are_there_and_writing_goes_on(
    events: list[tuple[str, dict[str, Any]]], choose: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(folder, events)
        raw = path.read_bytes()
        ends = [n for n, byte in enumerate(raw) if byte == 10]
        left = choose.draw(st.integers(0, len(raw)) | st.sampled_from(ends))
        path.write_bytes(raw[:left])
        torn = left - (raw[:left].rfind(b"\n") + 1)
        # A last line that lost nothing but its line feed is whole: it is read, and mended.
        mended = raw[left : left + 1] == b"\n"
        before = events[: raw[:left].count(b"\n") + mended]

        assert [(e.kind, e.data) for e in read(path)] == before
        said = verify(path)
        assert (said.events, said.torn_bytes) == (len(before), 0 if mended else torn)
        with Journal(path) as journal:
            journal.append("label", {"n": 1})
        after = [(e.kind, e.data) for e in read(path)]
        recovered = [("recovered", {"torn_bytes": torn})] if torn and not mended else []
        assert after == [*before, *recovered, ("label", {"n": 1})]
        assert verify(path).verdict == "intact"


def test_a_head_signed_before_the_last_line_feed_was_mended_still_fits(tmp_path: Path) -> None:
    path = sample(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    signer = new_signer()
    head = signed_head(path, signer)
    keys = (signer.public,)
    assert verify(path, head, keys).verdict == "intact"
    Journal(path).close()
    assert verify(path, head, keys).verdict == "intact"


WRITER = """
import sys
from pathlib import Path
from scalekit.journal import Journal
with Journal(Path(sys.argv[1])) as journal:
    for n in range(10**9):
        journal.append("label", {"n": n, "text": "x" * (n % 700)})
        sys.stdout.write(f"{n}\\n")
        sys.stdout.flush()
"""


@pytest.mark.parametrize("acknowledged", [1, 40, 300])
def test_after_sigkill_every_acknowledged_event_is_there(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "label" / "session.jsonl"
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(acknowledged):
            child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)
        rest = [line for line in child.stdout.read().splitlines() if line]
    last = int(rest[-1]) if rest else acknowledged - 1
    assert last >= acknowledged - 1
    events = [e for e in read(path) if e.kind == "label"]
    assert [e.data["n"] for e in events[: last + 1]] == list(range(last + 1))
    with Journal(path) as journal:
        journal.append("label", {"n": -1})
    assert verify(path).verdict == "intact"


def test_threads_that_share_a_journal_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:

        def work(who: int) -> None:
            for n in range(25):
                journal.extend([("a", {"who": who, "n": n}), ("b", {"who": who, "n": n})])

        threads = [threading.Thread(target=work, args=(w,)) for w in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    events = read(path)
    assert verify(path)
    assert len(events) == 200
    for first, second in zip(events[::2], events[1::2], strict=True):
        assert (first.kind, second.kind, first.data) == ("a", "b", second.data)


def test_a_journal_has_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        with pytest.raises(
            JournalError, match=r"j\.jsonl: another process or kernel is writing it"
        ):
            Journal(path)
        journal.append("label", {})
    with Journal(path) as journal:
        journal.append("label", {})
    assert len(read(path)) == 2


def test_a_session_file_that_exists_is_not_taken_again(tmp_path: Path) -> None:
    path = sample(tmp_path)
    raw = path.read_bytes()
    with pytest.raises(JournalError, match="exists already"):
        Journal(path, exclusive=True)
    assert path.read_bytes() == raw


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(0.5, id="a fraction"),
        pytest.param(b"x", id="bytes"),
        pytest.param({1: "x"}, id="a key that is no text"),
        pytest.param("\ud83d", id="half a surrogate pair"),
    ],
)
def test_a_record_without_canonical_form_is_refused_whole_and_by_place(
    tmp_path: Path, bad: Any
) -> None:
    path = sample(tmp_path)
    raw = path.read_bytes()
    with Journal(path) as journal:
        with pytest.raises(TypeError, match="reason"):
            journal.extend([("label", {"fine": 1}), ("label", {"reason": bad})])
        assert path.read_bytes() == raw
        assert journal.append("label", {}).seq == 5
    assert verify(path)


@pytest.mark.parametrize("below", ["j.jsonl", "sub/j.jsonl"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, below: str) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("kept")
    with pytest.raises(JournalError, match=r"j\.jsonl: can't be written .*nothing was recorded"):
        Journal(blocked / below)
    assert blocked.read_text() == "kept"
    with pytest.raises(JournalError, match=r"j\.jsonl: can't be written"):
        Journal(Path("/proc/scalekit") / below)


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = sample(tmp_path)
    raw = path.read_bytes()
    # RLIMIT_FSIZE is a real limit of the kernel: the write stops at it, as on a full disk.
    script = """
import json, resource, signal, sys
from pathlib import Path
from scalekit.journal import Journal, JournalError
path = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Journal(path) as journal:
    size = path.stat().st_size + 300
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        journal.append("label", {"text": "x" * 5000})
    except JournalError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert path.read_bytes() == bytes.fromhex(sys.argv[2])
    journal.append("label", {"text": "after"})
"""
    command = [sys.executable, "-c", script, str(path), raw.hex()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "not written" in done.stdout
    assert [e.data for e in read(path)][-1] == {"text": "after"}
    assert verify(path)


def test_a_closed_journal_says_so(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.append("label", {})


def test_the_line_is_plain_json_with_the_time_in_utc(tmp_path: Path) -> None:
    path = sample(tmp_path)
    body = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    assert set(body) == {"v", "seq", "at", "kind", "data", "prev", "hash"}
    at = datetime.fromisoformat(body["at"])
    assert at.utcoffset() is not None
    assert at.utcoffset().total_seconds() == 0  # type: ignore[union-attr]
    assert body["prev"] == "0" * 64


@example([])
@quick
@given(st.lists(data, max_size=5))
def test_many_at_once_are_the_same_as_one_by_one(contents: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j.jsonl"
        with Journal(path) as journal:
            events = journal.extend([("k", c) for c in contents])
        assert read(path) == events
        assert [e.data for e in events] == contents
