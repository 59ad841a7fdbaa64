from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from scalekit.collect import ReadingError, read_rows


def refusal(folder: Path, name: str, content: str | bytes, **more: Any) -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ReadingError) as caught:
        read_rows(path, batch_id="b", **more)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", ""),
        ("x.csv", "\ufeff"),
        ("x.csv", "text\n"),
        ("x.csv", "id,text"),
        ("x.tsv", "id\ttext\n\n\n"),
        ("x.jsonl", ""),
        ("x.jsonl", "\n\n"),
    ],
)
def test_a_file_without_rows_says_that_there_are_none(
    tmp_path: Path, name: str, content: str
) -> None:
    assert f"{name}: there are no rows" in refusal(tmp_path, name, content)


def test_a_frame_without_rows_says_so_too() -> None:
    with pytest.raises(ReadingError, match="DataFrame: there are no rows"):
        read_rows(pl.DataFrame({"text": []}), batch_id="b")


@pytest.mark.parametrize("column", ["text", "item_id", "category"])
def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path, column: str) -> None:
    columns = {"text": "body", column: "absent"}
    said = refusal(tmp_path, "x.csv", "id,body\n1,one\n", **columns)
    assert "x.csv: there is no column 'absent'; the columns are 'id', 'body'" in said
    assert f"{column}=" in said, "the remedy names the argument that is wrong"


def test_another_encoding_is_named_with_line_byte_and_a_way_out(tmp_path: Path) -> None:
    lines = ["id,text", "1,plain", "2,Das Café schließt früh, “für immer” – naïve Gäste zögern"]
    lines[2] = '2,"Das Café schließt früh, “für immer” – naïve Gäste zögern"'
    raw = "\n".join(lines).encode("cp1252")
    said = refusal(tmp_path, "x.csv", raw)
    assert "x.csv, line 3: byte 0xe9 is not utf-8" in said
    assert "encoding=" in said
    assert "Nothing was stored" in said
    got = read_rows(tmp_path / "x.csv", batch_id="b", encoding="cp1252")
    assert got.items["text"][1] == "Das Café schließt früh, “für immer” – naïve Gäste zögern"


def test_an_encoding_that_does_not_exist_is_named(tmp_path: Path) -> None:
    assert "'utf-9' is not an encoding" in refusal(tmp_path, "x.csv", "text\na\n", encoding="utf-9")


def test_a_file_of_mixed_delimiters_is_refused_when_most_rows_are_lost(tmp_path: Path) -> None:
    said = refusal(tmp_path, "x.csv", "id,text\n1;one\n2;two\n3,three\n4;four\n")
    assert "x.csv: 3 of 4 rows can't be read" in said
    assert (
        "row 1: 1 columns where the header has 2; the row is split by ';', the file by ','" in said
    )
    assert "Nothing was stored" in said


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    assert "two columns have the same name" in refusal(tmp_path, "x.csv", "text,text\na,b\n")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.xlsx", b"PK\x03\x04", "'.xlsx'|.xlsx is not read; CSV"),
        ("x", b"text\n", "a file without ending is not read"),
        ("x.json", b"[]", "x.json: there are no rows"),
        ("x.parquet", b"not parquet", "x.parquet: not readable as Parquet"),
        ("x.parquet", b"", "x.parquet: not readable as Parquet"),
        ("x.csv", b"\x00" * 64, "x.csv"),
        ("x.csv", bytes(range(128, 256)) * 9, "x.csv, line 1: byte 0x80"),
        ("x.jsonl", b'[{"text": "one"}, {"text": "two"}]', "x.jsonl"),
    ],
)
def test_another_kind_of_file_is_refused_by_name(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    assert any(s in refusal(tmp_path, name, content) for s in said.split("|"))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for path in (tmp_path / "absent.csv", tmp_path / "folder.csv", str(tmp_path / "absent.csv")):
        with pytest.raises(ReadingError, match=r"(absent|folder)\.csv: there is no such file"):
            read_rows(path, batch_id="b")


@pytest.mark.parametrize("bad", [3, None, [1, 2], object()])
def test_what_holds_no_rows_is_refused_by_kind(bad: Any) -> None:
    with pytest.raises(ValueError, match=type(bad).__name__):
        read_rows(bad, batch_id="b")
