"""Label tables from elsewhere: checked whole before anything is recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from scalekit.frames import FrameError
from scalekit.label import LabelError, Task, check_labels, import_labels, labels_of, read_events

KNOWN: dict[str, Any] = {
    "items": {"i1", "i2"},
    "annotators": {"ana", "ben"},
    "task": Task.choice("category", ["billing", "returns"]),
}
GOOD = [
    {"item_id": "i1", "annotator": "ana", "value": "billing", "seconds": 2.5, "at": "2026-10-05"},
    {"item_id": "i2", "annotator": "ana", "value": "returns", "seconds": 3.0, "at": "2026-10-05"},
    {"item_id": "i1", "annotator": "ben", "value": "billing", "seconds": 1.0, "at": "2026-10-06"},
]


def bring(folder: Path, rows: Any) -> int:
    return import_labels(rows, folder=folder, **KNOWN)


def test_labels_come_in_with_their_seconds_and_times(tmp_path: Path) -> None:
    assert bring(tmp_path, GOOD) == 3
    table = labels_of(read_events(tmp_path))
    columns = ("item_id", "annotator", "value", "seconds", "at")
    assert table.sort("annotator", "item_id").select(columns).to_dicts() == GOOD
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ana", "ben"]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("item_id", "i9", "row 3: item_id 'i9' is not among the items"),
        ("annotator", "eve", "row 3: annotator 'eve' was not invited"),
        ("value", "refund", "row 3: value: 'refund' is not one of billing, returns"),
        ("item_id", None, "row 3"),
        ("annotator", None, "row 3"),
        ("value", None, "row 3"),
        ("seconds", float("nan"), "row 3"),
        ("seconds", float("inf"), "row 3"),
        ("seconds", -1.0, "row 3"),
    ],
)
def test_one_bad_row_records_nothing_and_is_named(
    tmp_path: Path, column: str, value: object, said: str
) -> None:
    rows = [*GOOD[:2], {**GOOD[2], column: value}]
    with pytest.raises(LabelError, match=said) as refused:
        bring(tmp_path, rows)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.rglob("*.jsonl"))


def test_times_read_as_text_are_refused_or_read_and_never_half_recorded(tmp_path: Path) -> None:
    rows = [{**r, "seconds": str(r["seconds"])} for r in GOOD]
    try:
        bring(tmp_path, rows)
    except (LabelError, FrameError) as refused:
        said = str(refused)
        assert not list(tmp_path.rglob("*.jsonl"))
    else:
        said = ""
        assert labels_of(read_events(tmp_path))["seconds"].sum() == 6.5
    assert not said or "seconds" in said


def test_a_name_that_cannot_be_a_folder_records_nothing(tmp_path: Path) -> None:
    rows = [*GOOD, {**GOOD[0], "annotator": "team b"}]
    with pytest.raises(LabelError, match="team b"):
        import_labels(rows, folder=tmp_path, **{**KNOWN, "annotators": {"ana", "ben", "team b"}})
    assert not list(tmp_path.rglob("*.jsonl"))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="annotator"):
        bring(tmp_path, [{"item_id": "i1", "value": "billing"}])


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="no rows"):
        bring(tmp_path, pl.DataFrame(GOOD).clear())


@pytest.mark.parametrize("make", [pl.DataFrame, list, lambda r: pl.DataFrame(r).to_pandas()])
def test_any_table_is_taken(make: Any) -> None:
    assert len(check_labels(make(GOOD), **KNOWN)) == 3


def test_numbers_as_ids_and_values_are_taken_as_text() -> None:
    table = check_labels(
        [{"item_id": 1, "annotator": "ana", "value": 5}],
        items={"1"}, annotators={"ana"}, task=Task.choice("t", ["5"]),
    )  # fmt: skip
    assert table.row(0) == ("1", "ana", "5")
