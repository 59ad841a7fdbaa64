"""Items left out by choice: marked with the reason, gone from what goes on, and restored."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from scalekit.frames import FrameError


def test_what_a_rule_drops_can_be_left_out_and_brought_back(audited: Any) -> None:
    before = audited.audit.items()
    drops = audited.audit.quality("gopher").dropped("mean word length", "words with a letter")
    ids = drops["item_id"].unique().sort().to_list()
    assert 0 < len(ids) < 20
    assert audited.audit.leave_out(drops, "tables, not messages") == len(ids)
    # What the gate judged is not what is there now.
    assert [check.name for check in audited.audit.gate().failed] == ["audited"]
    report = audited.audit.run()
    assert set(before["item_id"]) - set(audited.audit.items()["item_id"]) == set(ids)
    found = report.findings("chosen").sort("item_id")
    assert found["item_id"].to_list() == ids
    assert found["reason"].str.starts_with("tables, not messages: ").all()
    assert report.table.filter(rule="chosen")["rows"].to_list() == [len(ids)]
    # The same once more is nothing new, and any of them can come back.
    assert audited.audit.leave_out(drops, "tables, not messages") == 0
    audited.audit.restore(ids[0], "it is a message after all")
    audited.audit.run()
    assert set(before["item_id"]) - set(audited.audit.items()["item_id"]) == set(ids[1:])
    # Of an item the last act counts.
    assert audited.audit.leave_out([{"item_id": ids[0]}], "no message") == 1
    audited.audit.run()
    assert set(before["item_id"]) - set(audited.audit.items()["item_id"]) == set(ids)


def test_languages_and_ones_own_list_can_be_left_out_with_a_reason(audited: Any) -> None:
    marks = audited.audit.languages("en").marks
    assert audited.audit.leave_out(marks, "annotators read English only") == len(marks)
    item = audited.audit.items()["item_id"][0]
    assert audited.audit.leave_out([{"item_id": item}], "a test message of ours") == 1
    told = dict(audited.audit.run().findings("chosen").select("item_id", "reason").iter_rows())
    assert told[item] == "a test message of ours"
    assert len(told) == len(marks) + 1


def test_an_unknown_item_and_a_missing_reason_are_refused(audited: Any) -> None:
    item = audited.audit.items()["item_id"][0]
    with pytest.raises(FrameError, match="no item 'nowhere'"):
        audited.audit.leave_out([{"item_id": item}, {"item_id": "nowhere"}], "why")
    with pytest.raises(FrameError, match="say why"):
        audited.audit.leave_out([{"item_id": item}], " ")
    with pytest.raises(FrameError, match="item_id"):
        audited.audit.leave_out(pl.DataFrame({"text": ["x"]}), "why")
    assert audited.audit.run().findings("chosen").is_empty()
