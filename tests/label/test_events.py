"""Label events: append-only, idempotent, a fold that equals a replay, safe against a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.journal import Event, JournalError
from scalekit.journal import read as read_journal
from scalekit.journal import verify as verify_journal
from scalekit.label import LabelError, LabelSession, Task, fold, labels_of, read_events
from scalekit.label.events import Judgement

ITEMS = ("i1", "i2", "i3")
VALUES = ("billing", "returns")


def session(folder: Path, who: str = "ana", round: int = 1) -> LabelSession:
    return LabelSession(folder, who, Task.choice("category", VALUES), ITEMS, round)


def label(act: str, item: str = "i1", value: str = "billing", **more: Any) -> dict[str, Any]:
    return {"id": act, "kind": "label", "item": item, "value": value, **more}


def undo(act: str, reverses: str, item: str = "i1") -> dict[str, Any]:
    return {"id": act, "kind": "undo", "item": item, "reverses": reverses}


def standing(folder: Path) -> dict[tuple[str, str], str]:
    table = labels_of(read_events(folder))
    return {(r["annotator"], r["item_id"]): r["value"] for r in table.to_dicts()}


def files(folder: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_label_is_on_disk_when_it_is_acknowledged(tmp_path: Path) -> None:
    event = session(tmp_path).record(label("a", active_ms=2500, task="category"))
    assert event.data["value"] == "billing"
    row = labels_of(read_events(tmp_path)).row(0, named=True)
    assert (row["item_id"], row["annotator"], row["value"]) == ("i1", "ana", "billing")
    assert (row["seconds"], row["task"], row["round"]) == (2.5, "category", 1)
    assert row["at"] == event.at


def test_sending_an_act_again_changes_nothing(tmp_path: Path) -> None:
    one = session(tmp_path)
    first = one.record(label("a"))
    before = files(tmp_path)
    assert one.record(label("a")) == first
    assert files(tmp_path) == before


def test_sending_acts_again_together_changes_nothing(tmp_path: Path) -> None:
    one = session(tmp_path)
    first = one.record_all([label("a"), label("b", "i2")])
    before = files(tmp_path)
    assert one.record_all([label("a"), label("b", "i2")]) == first
    assert files(tmp_path) == before


def test_another_act_under_a_used_id_is_never_acknowledged_as_recorded(tmp_path: Path) -> None:
    one = session(tmp_path)
    one.record(label("a", "i1", "billing"))
    with pytest.raises(LabelError, match="a"):
        one.record(label("a", "i2", "returns"))


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (label("a", "i9"), "i9"),
        (label("a", value="refund"), "refund"),
        ({**label("a"), "kind": "delete"}, "delete"),
        ({**label("a"), "id": ""}, "id"),
        (undo("b", "never"), "never"),
        ({"kind": "label"}, "id"),
    ],
)
def test_an_unknown_act_is_refused_in_one_line_and_nothing_recorded(
    tmp_path: Path, act: dict[str, Any], said: str
) -> None:
    one = session(tmp_path)
    before = files(tmp_path)
    with pytest.raises(LabelError, match=said) as refused:
        one.record(act)
    assert "\n" not in str(refused.value)
    assert files(tmp_path) == before


def test_a_bad_act_among_good_ones_records_none(tmp_path: Path) -> None:
    one = session(tmp_path)
    before = files(tmp_path)
    with pytest.raises(LabelError, match="act 2"):
        one.record_all([label("a"), label("b", "i9")])
    assert files(tmp_path) == before
    assert one.record(label("a")).data["item"] == "i1"  # and it can still be recorded


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "../up", "a b", "x" * 65, "a\n"])
def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LabelError, match="can't name an annotator"):
        session(tmp_path, name)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JournalError, match="nothing was recorded"):
        session(tmp_path / "file" / "events")


def test_undo_takes_back_the_last_label_and_the_one_before_stands_again(tmp_path: Path) -> None:
    one = session(tmp_path)
    one.record(label("a", value="billing"))
    one.record(label("b", value="returns"))
    one.record(undo("u", "b"))
    assert standing(tmp_path) == {("ana", "i1"): "billing"}
    one.record(undo("v", "a"))
    assert standing(tmp_path) == {}
    assert len(read_events(tmp_path)) == 4  # nothing was deleted


def test_an_undo_that_is_undone_takes_nothing_back(tmp_path: Path) -> None:
    one = session(tmp_path)
    one.record(label("a"))
    one.record(undo("u", "a"))
    try:
        one.record(undo("v", "u"))
    except LabelError:
        return  # refusing is as good: the annotator is told
    assert standing(tmp_path) == {("ana", "i1"): "billing"}


def test_nobody_can_undo_the_label_of_another(tmp_path: Path) -> None:
    ana, ben = session(tmp_path, "ana"), session(tmp_path, "ben")
    ana.record(label("1"))
    ben.record(label("1"))
    ana.record(undo("2", "1"))
    assert standing(tmp_path) == {("ben", "i1"): "billing"}


def test_a_skip_does_not_take_the_label_back(tmp_path: Path) -> None:
    one = session(tmp_path)
    one.record(label("a"))
    one.record({"id": "s", "kind": "skip", "item": "i1"})
    one.record({"id": "n", "kind": "note", "item": "i1", "text": "unsure"})
    assert standing(tmp_path) == {("ana", "i1"): "billing"}
    assert set(fold(read_events(tmp_path))["ana", "i1"]) == {"label", "skip", "note"}


def test_of_two_open_sessions_the_label_given_last_stands(tmp_path: Path) -> None:
    first, second = session(tmp_path), session(tmp_path)
    second.record(label("a", value="billing"))
    first.record(label("b", value="returns"))  # corrected in the tab opened first
    assert standing(tmp_path) == {("ana", "i1"): "returns"}


def test_item_ids_come_back_as_they_were_given(tmp_path: Path) -> None:
    # macOS hands file names out decomposed; as an id such a name must find its item again.
    decomposed = unicodedata.normalize("NFD", "café-1")
    one = LabelSession(tmp_path, "ana", Task.choice("category", VALUES), [decomposed])
    one.record(label("a", decomposed))
    assert labels_of(read_events(tmp_path))["item_id"].to_list() == [decomposed]


def test_the_sender_cannot_choose_task_and_round(tmp_path: Path) -> None:
    session(tmp_path, round=2).record(label("a", task="other", round=7))
    row = labels_of(read_events(tmp_path)).row(0, named=True)
    assert (row["task"], row["round"]) == ("category", 2)


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("label"), st.sampled_from(ITEMS), st.sampled_from(VALUES)),
        st.tuples(st.just("skip"), st.sampled_from(ITEMS), st.just("")),
        st.tuples(st.just("undo"), st.sampled_from(ITEMS), st.integers(0, 30)),
    ),
    max_size=30,
)


@given(acts=ACTS)
def test_the_fold_equals_a_naive_replay(acts: list[tuple[str, str, Any]]) -> None:
    events, stack, taken = [], [], set()
    for number, (kind, item, more) in enumerate(acts):
        data: dict[str, Any] = {"id": f"a{number}", "item": item, "task": "t", "round": 1}
        if kind == "undo":
            done = [s for s in stack if s[0] not in taken]
            if not done:
                continue
            data["reverses"] = done[more % len(done)][0]
            taken.add(data["reverses"])
        else:
            stack.append((data["id"], kind, item, more))
            data["value"] = more
        events.append(Judgement(("s", number), "ana", Event(number, "now", kind, data, "", "")))
    replay: dict[str, str] = {}
    for act, kind, item, value in stack:
        if kind == "label" and act not in taken:
            replay[item] = value
    table = labels_of(events)
    assert dict(table.select("item_id", "value").iter_rows()) == replay


def test_the_journal_of_a_session_verifies_and_shows_an_edit(tmp_path: Path) -> None:
    one = session(tmp_path)
    one.record_all([label("a"), label("b", "i2")])
    one.close()
    (path,) = tmp_path.rglob("*.jsonl")
    assert verify_journal(path)
    path.write_bytes(path.read_bytes().replace(b"billing", b"returns", 1))
    assert verify_journal(path).verdict == "edited"


def test_a_torn_last_line_loses_no_acknowledged_label(tmp_path: Path) -> None:
    one = session(tmp_path)
    one.record(label("a"))
    one.close()
    (path,) = tmp_path.rglob("*.jsonl")
    with path.open("ab") as stream:
        stream.write(b'{"at":"2026-01-01T00:00:00.000Z","data":{"id":"b"')
    assert standing(tmp_path) == {("ana", "i1"): "billing"}


def test_a_damaged_line_is_named_with_file_and_line(tmp_path: Path) -> None:
    one = session(tmp_path)
    one.record(label("a"))
    one.close()
    (path,) = tmp_path.rglob("*.jsonl")
    path.write_bytes(b"garbage\n" + path.read_bytes())
    with pytest.raises(JournalError, match=r"\.jsonl, line 1"):
        read_events(tmp_path)


LABELLER = """
import sys
from pathlib import Path
from scalekit.label import LabelSession, Task

items = [f"i{n}" for n in range(100_000)]
session = LabelSession(Path(sys.argv[1]), "ana", Task.choice("category", ("x", "y")), items)
for n, item in enumerate(items):
    act = {"id": f"a{n}", "kind": "label", "item": item, "value": "xy"[n % 2]}
    event = session.record(act)
    sys.stdout.write(f"{event.data['item']} {event.data['value']}\\n")
    sys.stdout.flush()
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
@pytest.mark.parametrize("after", [1, 40, 200])
def test_every_label_acknowledged_before_kill_nine_is_on_disk(tmp_path: Path, after: int) -> None:
    command = [sys.executable, "-c", textwrap.dedent(LABELLER), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(after)]
        os.kill(process.pid, signal.SIGKILL)
        seen += process.stdout.readlines()  # what was acknowledged before the kill arrived
        assert process.wait() == -signal.SIGKILL
    acknowledged = dict(line.split() for line in seen if line.endswith("\n"))
    assert len(acknowledged) >= after
    on_disk = {item: value for (_, item), value in standing(tmp_path).items()}
    assert acknowledged.items() <= on_disk.items()
    assert len(on_disk) <= len(acknowledged) + 1  # at most the one whose answer was on its way
    (path,) = tmp_path.rglob("*.jsonl")
    assert verify_journal(path)
    again = LabelSession(
        tmp_path, "ana", Task.choice("category", ("x", "y")), ["i0"]
    )  # and work goes on
    again.record(label("z", "i0", "y"))
    assert standing(tmp_path)["ana", "i0"] == "y"
    assert len(read_journal(path)) >= after
