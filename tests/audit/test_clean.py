from __future__ import annotations

import re
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from scalekit.audit import audit, gate, mend
from scalekit.frames import FrameError

TARGETS = {"a": 0.5, "b": 0.5}
ROWS = [
    ("i0", "Where is my parcel, it should be here since Monday", "one", "a"),
    ("i1", "WHERE is my parcel; it should be here since Monday!", "one", "a"),
    ("i2", "Where is my parcel, it should be here since Monday now", "two", "b"),
    ("i3", "asdfgh qwerty zxcvbn", "one", "b"),
    ("i4", "Please write to me at ana@mail.example.org about the invoice", "two", "b"),
    ("i5", "naÃ¯ve question: how   do I return the grinder", "one", "a"),
]


def frame() -> pl.DataFrame:
    return pl.DataFrame(ROWS, schema=["item_id", "text", "batch_id", "category"], orient="row")


def test_an_audit_by_hand() -> None:
    found = audit(frame(), TARGETS)
    # Word 3-grams: i2 has 8 + 1 of them, 8 in common with i0's 8: 8 of 9.
    assert found.marks.sort("item_id").drop("batch_id", "kept_batch_id").rows() == [
        ("i1", "exact-duplicate", "says the same as i0", "i0", 1.0),
        ("i2", "near-duplicate", "89% of i0", "i0", 8 / 9),
        ("i3", "junk", "keyboard mashing: most words have not the shape of one", None, None),
        ("i4", "personal-data", "email", None, None),
    ]
    batches = found.marks.filter(kept_id="i0").select("item_id", "batch_id", "kept_batch_id")
    assert sorted(batches.rows()) == [("i1", "one", "one"), ("i2", "two", "one")]
    assert found.items["item_id"].to_list() == [f"i{n}" for n in range(6)], "nothing is deleted"
    assert found.kept["item_id"].to_list() == ["i0", "i4", "i5"]
    assert found.items["original"].to_list() == frame()["text"].to_list()
    assert found.kept["text"].to_list()[1:] == [
        "Please write to me at [email] about the invoice",
        "naïve question: how do I return the grinder",
    ]
    assert dict(found.changes.iter_rows()) == {
        "broken encoding": 1, "control characters": 0, "invisible characters": 0,
        "composed signs": 0, "white space": 1,
    }  # fmt: skip
    assert found.balance.table["items"].to_list() == [2, 1]
    assert found.table["rows"].to_list() == [1, 1, 1, 1]


def test_a_restored_item_stays_marked_and_kept() -> None:
    found = audit(frame(), TARGETS, restored=["i3"])
    assert "i3" in found.kept["item_id"]
    assert "i3" in found.marks["item_id"]
    assert found.table["restored"].to_list() == [0, 0, 1, 0]


@pytest.mark.parametrize(
    "kind",
    [lambda f: f.to_pandas(), lambda f: f.to_arrow(), lambda f: f.lazy(), lambda f: f.to_dicts()],
    ids=["pandas", "pyarrow", "lazy polars", "rows"],
)
def test_any_frame_gives_the_same_audit(kind: Any) -> None:
    assert audit(kind(frame()), TARGETS).items.equals(audit(frame(), TARGETS).items)


def test_mending_in_parts_is_mending_at_once() -> None:
    parts = pl.concat([mend(frame()[:2]), mend(frame()[2:])])
    assert parts.equals(mend(frame()))
    assert audit(parts, TARGETS).items.equals(audit(frame(), TARGETS).items)


def test_whole_number_ids_are_taken_or_refused_in_words() -> None:
    numbered = pd.DataFrame(
        {"item_id": [1, 2], "text": ["one parcel is late", "two are late now"], "batch_id": "x"}
    )
    try:
        said = str(audit(numbered, TARGETS).kept["item_id"].to_list())
    except FrameError as error:
        said = str(error)
    assert "item_id" in said or re.fullmatch(r"\['?1'?, '?2'?\]", said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop("batch_id"), "items.*'batch_id'"),
        (lambda f: pl.concat([f, f[:1]]), "'item_id' repeat: 'i0'"),
        (lambda f: f.with_columns(pl.lit(None, pl.String).alias("text")), "text"),
        (lambda f: f.with_columns(pl.lit(3).alias("text")), "text"),
    ],
    ids=["a column missing", "an id twice", "no text", "numbers for texts"],
)
def test_bad_items_are_refused_by_column(change: Any, said: str) -> None:
    with pytest.raises(FrameError, match=said):
        audit(change(frame()), TARGETS)


@pytest.mark.parametrize("column", ["original", "junk", "changes", "kept", "personal"])
def test_a_column_of_the_users_own_is_not_taken_for_the_audits(column: str) -> None:
    given = frame().with_columns(pl.lit("theirs").alias(column))
    found = audit(given, TARGETS)
    assert found.kept["item_id"].to_list() == ["i0", "i4", "i5"]
    assert "[email]" in found.kept["text"][1]


def test_no_items_and_no_categories_are_no_crash() -> None:
    assert audit(frame()[:0], TARGETS).kept.height == 0
    assert audit(frame().drop("category"), TARGETS).balance.rows == 0
    assert audit(frame()[:0], TARGETS).to_html()


def test_the_gate_names_what_is_wrong_and_where_to_go() -> None:
    limits = {"max_left_out": 0.5, "thin_categories": 0}
    good = audit(frame(), TARGETS)
    assert gate(good, **limits).passed  # type: ignore[arg-type]
    assert [c.name for c in gate(good, max_left_out=0.49, thin_categories=0).failed] == ["clean"]
    missing = gate(audit(frame(), {"a": 0.4, "b": 0.4, "c": 0.2}), **limits)  # type: ignore[arg-type]
    assert [(c.name, c.send_back_to) for c in missing.failed] == [
        ("no category missing", "collect")
    ]
    unknown = gate(audit(frame(), {"a": 0.6}), **limits)  # type: ignore[arg-type]
    assert [(c.name, c.send_back_to) for c in unknown.failed] == [
        ("no category outside the spec", "specify")
    ]
    thin = gate(audit(frame(), TARGETS, at_least=2), **limits)  # type: ignore[arg-type]
    assert [c.name for c in thin.failed] == ["few categories thin"]


def test_a_new_batch_that_only_pads_closes_the_gate() -> None:
    found = audit(frame(), TARGETS, gaps={"b": 3})
    limits: dict[str, Any] = {"max_left_out": 0.5, "thin_categories": 0}
    assert dict(found.batches.select("batch", "verdict").iter_rows()) == {
        "one": "padded",
        "two": "filled",
    }
    assert gate(found, **limits, new_batches=["two"]).passed
    assert [c.name for c in gate(found, **limits, new_batches=["one"]).failed] == [
        "new batches fill gaps"
    ]


def test_an_item_of_html_and_script_is_kept_as_text_and_escaped_where_shown() -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)> hello there my friend"
    rows = [("e0", evil, evil, evil), ("e1", evil, "two", "b"), *ROWS]
    given = pl.DataFrame(rows, schema=["item_id", "text", "batch_id", "category"], orient="row")
    found = audit(given, {evil: 0.5, "a": 0.25, "b": 0.25})
    assert found.items["text"][0] == evil
    judged = gate(found, max_left_out=0.0, thin_categories=0)
    for html in (
        found.to_html(),
        found.balance.to_html(),
        judged.to_html(),
        *(c.to_html() for c in judged.checks),
    ):
        assert "<script" not in html
        assert "<img" not in html
    assert found.findings("exact-duplicate")["kept text"].to_list()[0] == evil


def test_right_to_left_and_zero_width_characters_are_shown_mended() -> None:
    given = frame().with_columns(pl.lit("\u202ethis is \u200bhidden\u202c text here").alias("text"))
    found = audit(given, TARGETS)
    assert set(found.items["text"]) == {"this is hidden text here"}
    assert found.kept.height == 1
    assert pa.table(found.items.to_arrow()).num_rows == 6


def test_copies_at_another_threshold_are_those_of_a_new_audit() -> None:
    found = audit(frame(), TARGETS)
    assert found.copies.table.rows() == [("i2", "i0", 8 / 9, "two", "one")]
    for threshold in (0.5, 0.8, 0.9, 1.0):
        again = audit(frame(), TARGETS, threshold=threshold)
        near = again.marks.filter(rule="near-duplicate").select("item_id", "kept_id", "score")
        assert found.copies.at(threshold).table.drop("batch_id", "kept_batch_id").equals(near)
    assert found.copies.at(0.9).border().row(0)[:2] == ("stays", 8 / 9)
    shown = found.copies.at(0.9).to_html()
    text, like = found.copies.at(0.9).border().select("text", "like").row(0)
    marked = set(re.findall(r"<mark>(.*?)</mark>", shown))
    assert {word for words in marked for word in words.split()} == set(text.split()) ^ set(
        like.split()
    )
    assert "every pair was looked at" in found.copies.to_html()
    assert found.copies.plot().data[0].y[-1] == 0
    with pytest.raises(ValueError, match=r"from 0\.5 to 1"):
        found.copies.at(0.4)


def test_a_source_that_loses_too_much_is_an_alarm() -> None:
    found = audit(frame(), TARGETS)
    lost = dict(found.batches.select("batch", "left out").iter_rows())
    assert lost == pytest.approx({"one": 2 / 4, "two": 1 / 2})
    for limit, passed in ((0.5, True), (0.4, False)):
        checks = {c.name: c for c in gate(
            found, max_left_out=1, max_source_loss=limit, thin_categories=9).checks}  # fmt: skip
        assert checks["no source loses too much"].passed == passed
        assert checks["no source loses too much"].send_back_to == "collect"
