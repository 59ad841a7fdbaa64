"""Adjudication: what is disputed, what was decided, what that touches, and whether it helped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import krippendorff
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.label import LabelError, LabelSession, Task, labels_of, majority, read_events
from scalekit.label.adjudication import (
    AdjudicationSession,
    agreement_change,
    disputed,
    labels_until,
    resolutions,
    settled,
    touched,
)

TASK = Task.choice("queue", ["billing", "delivery", "returns"])
ITEMS = [f"i{n}" for n in range(5)]


def table(votes: dict[str, str]) -> pl.DataFrame:
    """Return labels from a string of first letters for each item: annotators a, b, c…"""
    names = {name[0]: name for name in TASK.names}
    return pl.DataFrame(
        [
            {"item_id": item, "annotator": "abcdef"[place], "value": names[letter]}
            for item, letters in votes.items()
            for place, letter in enumerate(letters)
        ]
    )


def decide(session: AdjudicationSession, item: str, **fields: Any) -> None:
    session.record(
        {"id": f"{item}-{len(session._done)}", "kind": "adjudicate", "item": item, **fields}
    )


def test_the_most_divided_item_comes_first_with_its_votes_and_notes() -> None:
    labels = table({"i0": "bbb", "i1": "bbd", "i2": "bdr"})
    labels = labels.with_columns(pl.lit(2.5).alias("seconds"))
    notes = [{"item_id": "i2", "annotator": "b", "note": "unclear"}]
    found = disputed(labels, notes)
    assert found["item_id"].to_list() == ["i2", "i1"]
    assert found["entropy"].to_list() == pytest.approx([np.log2(3), 0.9182958340544896])
    assert found["values"].to_list() == [
        ["billing", "delivery", "returns"],
        ["billing", "delivery"],
    ]
    assert found["votes"][0].to_list()[1] == {
        "annotator": "b",
        "value": "delivery",
        "seconds": 2.5,
        "note": "unclear",
    }
    assert disputed(table({"i0": "bb"})).is_empty()


@given(st.dictionaries(st.sampled_from(ITEMS), st.text("bdr", min_size=1, max_size=6)))
def test_disputed_is_what_a_plain_count_says(votes: dict[str, str]) -> None:
    if not votes:
        return
    found = disputed(table(votes))
    assert set(found["item_id"]) == {i for i, letters in votes.items() if len(set(letters)) > 1}
    for item, entropy in found.select("item_id", "entropy").iter_rows():
        shares = [votes[item].count(c) / len(votes[item]) for c in set(votes[item])]
        assert entropy == pytest.approx(-sum(s * np.log2(s) for s in shares))


def test_decisions_are_kept_as_acts_and_the_last_one_holds(tmp_path: Path) -> None:
    session = AdjudicationSession(tmp_path, "mia", TASK, ITEMS)
    rule = "One order is returns."
    decide(session, "i0", value="billing", reason="annotator error")
    decide(session, "i0", value="returns", reason="edge case", rule=f" {rule} ")
    decide(session, "i1", reason="subjective")
    decide(session, "i2", value="billing", reason="ambiguous text")
    last = list(session._done)[-1]
    session.record({"id": "u", "kind": "undo", "item": "i2", "reverses": last})
    found = resolutions(read_events(tmp_path))
    assert found.drop("at").rows() == [
        ("i0", "returns", "edge case", rule, "mia"),
        ("i1", None, "subjective", "", "mia"),
    ]
    assert labels_of(read_events(tmp_path)).is_empty()  # a decision is nobody's vote


@pytest.mark.parametrize(
    ("act", "why"),
    [
        ({"value": "billing", "reason": "whim"}, "'whim' is not one of ambiguous text"),
        ({"value": "billing", "reason": "guideline gap"}, "write the rule"),
        ({"value": "billing", "reason": "edge case", "rule": "  "}, "write the rule"),
        ({"reason": "annotator error"}, "no value is chosen"),
        ({"value": "money", "reason": "annotator error"}, "'money' is not one of billing"),
    ],
)
def test_a_decision_that_lacks_something_is_refused(
    tmp_path: Path, act: dict[str, Any], why: str
) -> None:
    session = AdjudicationSession(tmp_path, "mia", TASK, ITEMS)
    with pytest.raises(LabelError, match=why):
        decide(session, "i0", **act)
    assert read_events(tmp_path) == []


def test_adjudicators_do_not_label_and_annotators_do_not_adjudicate(tmp_path: Path) -> None:
    act = {"id": "1", "kind": "label", "item": "i0", "value": "billing"}
    with pytest.raises(LabelError, match="'label' is not one of adjudicate"):
        AdjudicationSession(tmp_path, "mia", TASK, ITEMS).record(act)
    with pytest.raises(LabelError, match="'adjudicate' is not one of label"):
        LabelSession(tmp_path, "ana", TASK, ITEMS).record({**act, "kind": "adjudicate"})


def test_a_resolution_stands_before_the_votes() -> None:
    votes = majority(table({"i0": "bd", "i1": "bbd", "i2": "dd"}))
    resolved = [
        {"item_id": "i0", "value": "returns"},
        {"item_id": "i1", "value": "delivery"},
        {"item_id": "i2", "value": None},
    ]
    found = settled(votes, resolved).select("item_id", "value", "tied", "adjudicated", "n")
    assert found.rows() == [
        ("i0", "returns", False, True, 2),
        ("i1", "delivery", False, True, 3),
        ("i2", "delivery", False, False, 2),
    ]


def test_a_rule_touches_what_is_torn_between_the_same_values() -> None:
    disputes = disputed(table({"i0": "bd", "i1": "bbd", "i2": "dr", "i3": "bdr", "i4": "br"}))
    resolved = [
        {"item_id": "i0", "rule": "first rule"},
        {"item_id": "i2", "rule": ""},
    ]
    found = touched(disputes, resolved)
    assert found["item_id"].to_list() == ["i0", "i1", "i3"]
    assert set(found["rule"]) == {"first rule"}
    assert touched(disputes, resolved[1:]).is_empty()


def _alpha(votes: list[str]) -> float:
    grid = [[list("bdr").index(c) for c in letters] for letters in votes]
    return float(krippendorff.alpha(np.array(grid, float).T, level_of_measurement="nominal"))


def test_agreement_before_and_after_is_of_the_same_items() -> None:
    before = {"i0": "bd", "i1": "bd", "i2": "rr", "i3": "dd", "i4": "br"}
    after = {"i0": "bb", "i1": "bb", "i2": "rr", "i3": "dd", "x": "bd"}
    found = agreement_change(table(before), table(after))
    assert found.items == 4
    assert found.before.value == pytest.approx(_alpha(["bd", "bd", "rr", "dd"]))
    assert found.after.value == pytest.approx(1.0)
    assert found.difference == pytest.approx(1 - _alpha(["bd", "bd", "rr", "dd"]))
    assert found.observed == (0.5, 1.0)
    assert found.interval is not None
    assert found.interval[0] >= 0
    assert "Agreement before and after" in found.to_html()


def test_no_change_has_an_interval_at_zero_and_a_clear_one_lies_above() -> None:
    rng = np.random.default_rng(3)
    torn = {f"i{n}": "".join(rng.choice(list("bdr"), 3)) for n in range(200)}
    same = agreement_change(table(torn), table(torn))
    assert same.interval == (0.0, 0.0)
    assert "no change is shown" in same.to_html()
    clear = {item: letters[0] * 3 for item, letters in torn.items()}
    assert agreement_change(table(torn), table(clear)).interval[0] > 0.8  # type: ignore[index]


def test_a_change_of_nothing_explains_itself() -> None:
    one = table({"i0": "bb", "i1": "bb"})
    found = agreement_change(one, one)
    assert found.difference is None
    assert "only one value" in found.to_html()
    none = agreement_change(table({"i0": "b"}), one)
    assert none.items == 0
    assert "no item has two labels" in none.to_html()


def test_the_labels_of_a_round_are_those_that_stood_then(tmp_path: Path) -> None:
    for round, value in ((1, "billing"), (2, "returns")):
        session = LabelSession(tmp_path, "ana", TASK, ITEMS, round)
        session.record({"id": f"r{round}", "kind": "label", "item": "i0", "value": value})
    acts = read_events(tmp_path)
    assert labels_until(acts, 1)["value"].to_list() == ["billing"]
    assert labels_until(acts, 2)["value"].to_list() == ["returns"]
    assert labels_until(acts, 0).is_empty()
