"""The labeler's Python half, driven by messages as its front end sends them."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from scalekit.journal import Event, JournalError
from scalekit.label import LabelSession, Task, Value, labels_of, read_events
from scalekit.widgets import Labeler

TASK = Task("triage", values=(Value("yes", "it does"), Value("no")))


class Sent(list[dict[str, Any]]):
    """What a widget sent to its front end."""

    def last(self) -> dict[str, Any]:
        return self[-1]


def make(
    folder: Path, count: int = 5, session: LabelSession | None = None, **options: Any
) -> tuple[Labeler, Sent]:
    rows = [{"item_id": f"i{n}", "text": f"text {n}"} for n in range(count)]
    items = pl.DataFrame(rows, schema={"item_id": pl.String, "text": pl.String})
    session = session or LabelSession(folder, "ana", TASK, items["item_id"])
    widget = Labeler(items, session, **options)
    sent = Sent()
    widget.send = sent.append
    return widget, sent


def say(widget: Labeler, **message: Any) -> None:
    widget._receive(widget, message, [])


def label(widget: Labeler, id: str, item: str, value: str = "yes") -> None:
    say(widget, id=id, kind="label", item=item, value=value, active_ms=900, wall_ms=950, by="key")


def test_a_label_is_on_disk_when_it_is_acknowledged(tmp_path: Path) -> None:
    widget, sent = make(tmp_path)
    label(widget, "a1", "i0")
    assert sent == [{"reply": "a1"}]
    labels = labels_of(read_events(tmp_path))
    assert labels.select("item_id", "value", "seconds").rows() == [("i0", "yes", 0.9)]


def test_the_same_act_sent_again_is_acknowledged_again_and_recorded_once(tmp_path: Path) -> None:
    widget, sent = make(tmp_path)
    label(widget, "a1", "i0")
    label(widget, "a1", "i0")
    assert sent == [{"reply": "a1"}, {"reply": "a1"}]
    assert len(read_events(tmp_path)) == 1
    assert "1 of 5 labelled" in widget.to_html()


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ({"kind": "label", "item": "i99", "value": "yes"}, "no item 'i99'"),
        ({"kind": "label", "item": "i0", "value": "maybe"}, "'maybe' is not one of yes, no"),
        ({"kind": "undo", "item": "i0", "reverses": "zz"}, "'zz' is not an act"),
        ({"kind": "erase", "item": "i0"}, "'erase' is not one of"),
        ({"kind": "label", "item": "i0", "value": "yes", "active_ms": 0.5}, "no canonical form"),
    ],
)
def test_a_wrong_act_is_refused_for_good_with_the_reason(
    tmp_path: Path, act: dict[str, Any], reason: str
) -> None:
    widget, sent = make(tmp_path)
    say(widget, id="a1", **act)
    assert reason in sent.last()["error"]
    assert sent.last()["final"] is True
    assert read_events(tmp_path) == []


class FullDisk(LabelSession):
    """A session whose disk is full until it is emptied."""

    full = True

    def record(self, act: Mapping[str, Any]) -> Event:
        if self.full:
            raise JournalError("the disk is full")
        return super().record(act)


def test_an_exception_becomes_an_error_that_may_be_tried_again(tmp_path: Path) -> None:
    session = FullDisk(tmp_path, "ana", Task.choice("triage", ["yes", "no"]), ["i0"])
    widget, sent = make(tmp_path, 1, session)
    label(widget, "a1", "i0")
    assert sent == [{"reply": "a1", "error": "the disk is full", "final": False}]
    session.full = False
    label(widget, "a1", "i0")
    assert sent.last() == {"reply": "a1"}


def test_bursts_in_two_threads_keep_their_order_and_lose_nothing(tmp_path: Path) -> None:
    widget, sent = make(tmp_path, 200)

    def burst(start: int) -> None:
        for n in range(start, 200, 2):
            label(widget, f"a{n}", f"i{n}")
            label(widget, f"a{n}", f"i{n}")  # a retry that overtakes nothing

    threads = [threading.Thread(target=burst, args=(start,)) for start in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorded = [int(j.event.data["id"][1:]) for j in read_events(tmp_path)]
    assert sorted(recorded) == list(range(200))
    for start in (0, 1):
        assert [n for n in recorded if n % 2 == start] == list(range(start, 200, 2))
    assert len(sent) == 400
    assert not any("error" in reply for reply in sent)


def test_items_come_in_batches_and_never_all(tmp_path: Path) -> None:
    widget, sent = make(tmp_path, 100)
    say(widget, id="m1", kind="items", **{"from": 0}, opening=True)
    first = sent.last()
    assert [i["id"] for i in first["items"]] == [f"i{n}" for n in range(40)]
    assert first["next"] == 40
    say(widget, id="m2", kind="items", **{"from": 80})
    assert len(sent.last()["items"]) == 20
    assert sent.last()["next"] is None


def test_opening_again_goes_on_and_returns_what_was_done(tmp_path: Path) -> None:
    widget, sent = make(tmp_path)
    label(widget, "a1", "i0")
    say(widget, id="a2", kind="skip", item="i1")
    say(widget, id="a3", kind="note", item="i1", text="odd")
    label(widget, "a4", "i2")
    say(widget, id="a5", kind="undo", item="i2", reverses="a4")
    say(widget, id="m1", kind="items", **{"from": 0}, opening=True)
    reply = sent.last()
    assert [i["id"] for i in reply["items"]] == ["i2", "i3", "i4"]
    assert reply["counts"] == {"labelled": 1, "skipped": 1, "flagged": 0}
    assert reply["just_run"]
    say(widget, id="m2", kind="items", **{"from": 0}, opening=True)
    assert not sent.last()["just_run"]  # a page that was loaded again
    assert reply["past"] == [
        {
            "id": "i0",
            "content": {"text": "text 0"},
            "acts": [{"id": "a1", "kind": "label", "value": "yes"}],
            "flag": "",
            "note": "",
        },
        {
            "id": "i1",
            "content": {"text": "text 1"},
            "acts": [{"id": "a2", "kind": "skip", "value": ""}],
            "flag": "",
            "note": "odd",
        },
    ]


def test_the_items_answered_last_come_back_in_the_order_of_their_answers(tmp_path: Path) -> None:
    widget, sent = make(tmp_path, 60)
    for n in range(30):
        label(widget, f"a{n}", f"i{n}")
    label(widget, "b12", "i12", "no")
    say(widget, id="m1", kind="items", **{"from": 0}, opening=True)
    past = sent.last()["past"]
    assert [p["id"] for p in past] == [*(f"i{n}" for n in range(10, 30) if n != 12), "i12"]
    assert past[-1]["acts"] == [{"id": "b12", "kind": "label", "value": "no"}]


def test_a_ping_is_answered_and_nothing_else(tmp_path: Path) -> None:
    widget, sent = make(tmp_path)
    say(widget, id="p1", kind="ping")
    assert sent == [{"reply": "p1"}]
    assert read_events(tmp_path) == []


def test_skipped_items_come_again_when_asked_for(tmp_path: Path) -> None:
    widget, sent = make(tmp_path)
    say(widget, id="a1", kind="skip", item="i1")
    say(widget, id="a2", kind="skip", item="i3")
    label(widget, "a3", "i3")
    say(widget, id="m1", kind="items", **{"from": 0}, again=True)
    assert [i["id"] for i in sent.last()["items"]] == ["i1"]


def test_the_summary_counts_by_value_and_adds_what_was_done_before(tmp_path: Path) -> None:
    widget, _ = make(tmp_path, done={"yes": 3})
    label(widget, "a1", "i0")
    label(widget, "a2", "i1", "no")
    say(widget, id="a3", kind="flag", item="i1")
    say(widget, id="a4", kind="skip", item="i2")
    html = widget.to_html()
    assert "5 of 8 labelled · 1 skipped · 1 flagged" in html
    assert '<td align="left">yes</td><td align="right">4</td>' in _plain(html)
    assert '<td align="left">no</td><td align="right">1</td>' in _plain(html)


def _plain(html: str) -> str:
    """Drop inline styles, which are for the display module to choose."""
    return re.sub(r' style="[^"]*"', "", html)


def test_the_summary_escapes_what_people_wrote(tmp_path: Path) -> None:
    attack = "<script>alert(1)</script>"
    items = pl.DataFrame({"item_id": [attack], "text": [attack]})
    session = LabelSession(tmp_path, "ana", Task.choice(attack, [attack]), [attack])
    widget = Labeler(items, session)
    widget.send = Sent().append
    say(widget, id="a1", kind="label", item=attack, value=attack)
    say(widget, id="a2", kind="note", item=attack, text=attack)
    assert "<script" not in widget.to_html()
    assert widget.to_html().count("&lt;script&gt;") == 4


def test_keys_are_digits_then_letters_without_the_commands(tmp_path: Path) -> None:
    names = [f"v{n}" for n in range(40)]
    session = LabelSession(tmp_path, "ana", Task.choice("t", names), ["i0"])
    items = pl.DataFrame({"item_id": ["i0"], "text": ["x"]})
    widget = Labeler(items, session, keys={"v1": "Y"})
    keys = [v["key"] for v in widget.config["values"]]
    assert keys[:13] == ["1", "y", "2", "3", "4", "5", "6", "7", "8", "9", "0", "a", "b"]
    given = [k for k in keys if k]
    assert len(set(given)) == len(given) == 31
    assert not set(given) & set("usfng?")
    assert keys[31:] == [""] * 9


@pytest.mark.parametrize(
    "keys", [{"yes": "u"}, {"yes": "ab"}, {"what": "x"}, {"yes": "x", "no": "X"}]
)
def test_a_key_that_can_not_be_is_refused(tmp_path: Path, keys: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="key"):
        make(tmp_path, keys=keys)


def test_items_must_be_the_sessions(tmp_path: Path) -> None:
    session = LabelSession(tmp_path, "ana", Task.choice("t", ["yes", "no"]), ["i0"])
    with pytest.raises(ValueError, match="item 'i1' is not one"):
        make(tmp_path, 2, session)
    with pytest.raises(ValueError, match="no column 'text'"):
        Labeler(pl.DataFrame({"item_id": ["i0"]}), session)


def test_nothing_left_is_said(tmp_path: Path) -> None:
    widget, sent = make(tmp_path, 0, done=7)
    say(widget, id="m1", kind="items", **{"from": 0}, opening=True)
    assert sent.last()["items"] == []
    assert sent.last()["next"] is None
    assert "7 of 7 labelled" in widget.to_html()
