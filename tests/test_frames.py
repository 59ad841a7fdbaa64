from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from scalekit.frames import (
    FrameError,
    StorageError,
    ids_unique,
    require,
    to_polars,
    write_atomically,
    write_parquet,
)

COLUMNS = {"item_id": ["a", "b", "c"], "text": ["one", None, "drei 🙂"], "n": [1, 2, 3]}


def names(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir()]


FRAMES = {
    "a polars frame": pl.DataFrame(COLUMNS),
    "a lazy polars frame": pl.LazyFrame(COLUMNS),
    "a pandas frame": pd.DataFrame(COLUMNS),
    "a pandas frame with another index": pd.DataFrame(COLUMNS, index=[7, 7, 9]),
    "a pandas frame of objects": pd.DataFrame(COLUMNS, dtype=object),
    "a pyarrow table": pa.table(COLUMNS),
    "a mapping of columns": COLUMNS,
    "a list of rows": pl.DataFrame(COLUMNS).to_dicts(),
    "a tuple of rows": tuple(pl.DataFrame(COLUMNS).to_dicts()),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())
def test_every_kind_of_frame_becomes_the_same_polars_frame(frame: Any) -> None:
    got = to_polars(frame)
    assert isinstance(got, pl.DataFrame)
    assert got.to_dict(as_series=False) == COLUMNS


def test_a_missing_text_of_pandas_is_null() -> None:
    frame = pd.DataFrame({"text": ["x", float("nan"), None]})
    assert to_polars(frame)["text"].to_list() == ["x", None, None]


def test_rows_may_lack_columns_and_differ_late() -> None:
    rows: list[dict[str, Any]] = [{"a": None} for _ in range(300)]
    rows.append({"a": 1.5, "b": "late"})
    got = to_polars(rows)
    assert got["a"].to_list()[-1] == 1.5
    assert got["b"].null_count() == 300


def test_no_rows_are_no_rows() -> None:
    assert to_polars([]).height == 0
    assert to_polars(pd.DataFrame({"text": []})).columns == ["text"]


@pytest.mark.parametrize(
    "bad", [3, "text", b"x", None, [1, 2], pd.Series([1]), np.zeros(3), {1, 2}]
)
def test_what_is_no_frame_is_refused_by_name_and_kind(bad: Any) -> None:
    with pytest.raises(FrameError, match=f"labels: a data frame is needed.*{type(bad).__name__}"):
        to_polars(bad, "labels")


@pytest.mark.parametrize(
    ("bad", "column"),
    [
        pytest.param(pd.DataFrame({"v": [1, "x"]}), "v", id="numbers and text in one column"),
        pytest.param(pd.DataFrame([[1, 2]], columns=["v", "v"]), "v", id="a name used twice"),
        pytest.param({"u": [1], "v": [1, 2]}, "v", id="columns of different length"),
        pytest.param([{"v": [1]}, {"v": {"a": 1}}], "v", id="lists and mappings in one column"),
    ],
)
def test_a_frame_that_fits_no_table_is_refused_by_table_and_column(bad: Any, column: str) -> None:
    with pytest.raises(FrameError, match=rf"(?s)labels.*{column}"):
        to_polars(bad, "labels")


def test_a_missing_column_is_named_with_those_that_are_there() -> None:
    with pytest.raises(FrameError, match=r"(?s)items.*'batch_id'.*'item_id', 'text', 'n'"):
        require(pl.DataFrame(COLUMNS), ("item_id", "batch_id"), "items")
    assert require(pl.DataFrame(COLUMNS), ("n",), "items").height == 3


def test_repeated_and_missing_ids_are_named() -> None:
    with pytest.raises(FrameError, match=r"items: 1 values of 'item_id' repeat: 'a'"):
        ids_unique(pl.DataFrame({"item_id": ["a", "b", "a"]}), "item_id", "items")
    with pytest.raises(FrameError, match=r"items: 1 rows have no 'item_id'"):
        ids_unique(pl.DataFrame({"item_id": ["a", None]}), "item_id", "items")
    frame = pl.DataFrame({"item_id": ["a", "b"]})
    assert ids_unique(frame, "item_id", "items") is frame


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "spec.yaml"
    write_atomically(path, "é\n")
    assert path.read_bytes() == "é\n".encode()
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert path.read_bytes() == "é\n".encode()
    write_atomically(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert names(path.parent) == ["spec.yaml"]


def test_a_write_that_cannot_be_finished_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "kept").touch()
    with pytest.raises(StorageError, match="taken"):
        write_atomically(tmp_path / "taken", b"x")
    assert names(tmp_path) == ["taken"]
    blocked = tmp_path / "taken" / "kept"
    with pytest.raises(StorageError, match="kept"):
        write_parquet(pl.DataFrame(COLUMNS), blocked / "x.parquet")
    assert names(tmp_path / "taken") == ["kept"]


def test_a_table_comes_back_from_parquet_as_it_was(tmp_path: Path) -> None:
    frame = pl.DataFrame({**COLUMNS, "l": [["x"], [], None], "z": ["\x00", "\u202e", ""]})
    write_parquet(frame, tmp_path / "t.parquet")
    assert pl.read_parquet(tmp_path / "t.parquet").equals(frame)


def test_an_interrupted_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "spec.yaml", b"x")
    assert names(tmp_path) == []
