"""The adjudicator's Python half, driven by messages as its front end sends them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from scalekit.label import Task, read_events
from scalekit.label.adjudication import AdjudicationSession, disputed, resolutions
from scalekit.widgets import Adjudicator, Labeler

RULE = "A single order is returns."


def opened(
    folder: Path, task: Task, votes: list[tuple[str, str, str]], **columns: Any
) -> tuple[Adjudicator, list[dict[str, Any]]]:
    labels = pl.DataFrame(votes, schema=["item_id", "annotator", "value"], orient="row")
    items = labels.select("item_id").unique().sort("item_id")
    items = items.with_columns(**{c: pl.lit(v) for c, v in (columns or {"text": "x"}).items()})
    session = AdjudicationSession(folder, "mia", task, items["item_id"])
    widget = Adjudicator(items, disputed(labels), session, guidelines="be kind")
    sent: list[dict[str, Any]] = []
    widget.send = sent.append
    return widget, sent


def say(widget: Labeler, **message: Any) -> None:
    widget._receive(widget, {"id": f"m{message}", **message}, [])


CHOICE = Task.choice("queue", ["billing", "returns"])
VOTES = [
    ("i0", "ana", "billing"), ("i0", "ben", "billing"),
    ("i1", "ana", "billing"), ("i1", "ben", "returns"),
    ("i2", "ana", "billing"), ("i2", "ben", "returns"), ("i2", "cy", "returns"),
]  # fmt: skip


def test_only_disputed_items_come_the_most_divided_first_with_their_votes(tmp_path: Path) -> None:
    widget, sent = opened(tmp_path, CHOICE, VOTES)
    say(widget, kind="items", **{"from": 0}, opening=True)
    assert [e["id"] for e in sent[-1]["items"]] == ["i1", "i2"]
    assert sent[-1]["items"][0]["votes"] == [
        {"annotator": "ana", "value": "billing", "seconds": None, "note": ""},
        {"annotator": "ben", "value": "returns", "seconds": None, "note": ""},
    ]
    assert len(widget.config["reasons"]) == 5
    assert "Nothing is decided yet" in widget.to_html()


def test_a_decision_is_on_disk_shown_again_and_can_be_undone(tmp_path: Path) -> None:
    widget, sent = opened(tmp_path, CHOICE, VOTES)
    decided = {"value": "returns", "reason": "edge case", "rule": RULE}
    act = {"id": "d1", "kind": "label", "item": "i1", "value": decided, "active_ms": 8000}
    say(widget, **act)
    say(widget, **act)  # sent again: the same act
    assert sent == [{"reply": "d1"}, {"reply": "d1"}]
    say(widget, kind="label", item="i2", value={"value": None, "reason": "subjective", "rule": ""})
    found = resolutions(read_events(tmp_path)).select("item_id", "value", "reason", "rule")
    assert found.rows() == [("i1", "returns", "edge case", RULE), ("i2", None, "subjective", "")]
    say(widget, kind="items", **{"from": 0}, opening=True)
    past = {e["id"]: e["acts"][0] for e in sent[-1]["past"]}
    assert past["i1"] == {"id": "d1", "kind": "label", "value": decided}
    assert past["i2"]["value"] == {"value": None, "reason": "subjective", "rule": ""}
    assert sent[-1]["counts"]["labelled"] == 2
    assert "2 of 2 decided" in widget.to_html()
    assert RULE in widget.to_html()
    say(widget, kind="undo", item="i1", reverses="d1")
    assert resolutions(read_events(tmp_path))["item_id"].to_list() == ["i2"]


def test_a_decision_without_its_parts_is_refused_for_good(tmp_path: Path) -> None:
    widget, sent = opened(tmp_path, CHOICE, VOTES)
    for value in ("returns", {"value": "returns", "reason": "guideline gap", "rule": ""}):
        say(widget, kind="label", item="i1", value=value)
        assert sent[-1]["final"]
    assert read_events(tmp_path) == []


def test_votes_on_a_pair_are_shown_for_the_side_they_stand_on(tmp_path: Path) -> None:
    one, two = ('{"preferred":"first","strength":2}', '{"preferred":"tie","strength":0}')
    votes = [(f"p{n}", who, v) for n in range(4) for who, v in (("ana", one), ("ben", two))]
    widget, sent = opened(
        tmp_path, Task("b", "pair"), votes, prompt="why", first="one", second="two"
    )
    say(widget, kind="items", **{"from": 0})
    seen = set()
    for entry in sent[-1]["items"]:
        left = entry["content"]["sides"][0]["text"]
        said = {v["annotator"]: v["value"]["preferred"] for v in entry["votes"]}
        assert said == {"ana": "first" if left == "one" else "second", "ben": "tie"}
        seen.add(left)
        decided = {"value": {"preferred": "first", "strength": 1}, "reason": "annotator error"}
        say(widget, kind="label", item=entry["id"], value=decided)
        stored = resolutions(read_events(tmp_path)).filter(item_id=entry["id"])["value"][0]
        assert ('"first"' in stored) == (left == "one")
    assert seen == {"one", "two"}


def test_an_adjudicators_unsaved_acts_are_not_the_labelers(tmp_path: Path) -> None:
    widget, _ = opened(tmp_path, CHOICE, VOTES)
    labeler = Labeler(widget._items, widget._session)
    assert labeler.config["store"] != widget.config["store"]
