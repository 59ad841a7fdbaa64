"""Hugging Face data sets, JSON lists, exports of Label Studio and Argilla, packed files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, IterableDataset, Value

from scalekit.collect import Reading, ReadingError, read_rows

ROWS = [
    {"text": "Where is my parcel?", "queue": "delivery"},
    {"text": "It came broken,\nsend it back", "queue": "returns"},
    {"text": "Two bills for one month", "queue": "billing"},
]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
CSV = "text,queue\nWhere is my parcel?,delivery\nTwo bills for one month,billing\n"


def read(folder: Path, name: str, content: Any, **more: Any) -> Reading:
    path = folder / name
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_rows(path, batch_id="b", **more)


def texts(reading: Reading) -> list[str]:
    return reading.items["text"].to_list()


# --- Hugging Face datasets ----------------------------------------------------------------------


def test_a_split_gives_the_same_items_as_the_file_of_its_rows(tmp_path: Path) -> None:
    from_file = read(tmp_path, "x.jsonl", LINES)
    split = Dataset.from_list(ROWS)
    assert read_rows(split, batch_id="b").digest == from_file.digest
    streamed = IterableDataset.from_generator(lambda: iter(ROWS), features=split.features)
    assert read_rows(streamed, batch_id="b").digest == from_file.digest


def test_a_split_that_was_filtered_and_ordered_comes_as_it_stands() -> None:
    split = Dataset.from_list(ROWS).select([2, 0])
    assert texts(read_rows(split, batch_id="b")) == [ROWS[2]["text"], ROWS[0]["text"]]


def test_class_labels_come_by_their_names_and_minus_one_is_none() -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["card", "loan"])})
    split = Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, -1, 0]}, features=features)
    got = read_rows(split, batch_id="b", category="label")
    assert got.items.to_dicts() == [
        {"item_id": "b-00001", "text": "a", "category": "loan"},
        {"item_id": "b-00002", "text": "b", "category": None},
        {"item_id": "b-00003", "text": "c", "category": "card"},
    ]


def test_a_data_set_of_splits_is_refused_with_their_names_and_what_to_pass() -> None:
    splits = DatasetDict({"train": Dataset.from_list(ROWS), "test": Dataset.from_list(ROWS)})
    with pytest.raises(ReadingError, match=r"splits 'train', 'test'.*pass data\['train'\]"):
        read_rows(splits, batch_id="b")


# --- JSON, Label Studio, Argilla ----------------------------------------------------------------


@pytest.mark.parametrize("form", [ROWS, {"data": ROWS}, {"version": 2, "records": ROWS}])
def test_a_json_list_is_read_alone_or_in_an_object(tmp_path: Path, form: Any) -> None:
    assert texts(read(tmp_path, "x.json", form)) == [r["text"] for r in ROWS]


def test_members_of_a_json_list_that_are_no_objects_are_set_aside(tmp_path: Path) -> None:
    got = read(tmp_path, "x.json", [*ROWS, 7, None])
    assert got.quarantine["row"].to_list() == [4, 5]
    assert texts(got) == [r["text"] for r in ROWS]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"text": "a"}', "one object, with 'text' in it"),
        ("3", "a single int"),
        (LINES, "name it .jsonl"),
        ('[{"text": "a"},\n{"text"', "x.json, line 2: not JSON"),
        ('{"data": [], "records": []}', "a list of objects is needed"),
        ("[" * 100_000, "x.json, line 1: not JSON"),
    ],
)
def test_json_without_a_list_is_refused(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(ReadingError, match=r"x\.json") as caught:
        read(tmp_path, "x.json", content)
    assert said in str(caught.value)


def studio(number: int, **data: Any) -> dict[str, Any]:
    choice = {"from_name": "queue", "type": "choices", "value": {"choices": ["billing"]}}
    return {
        "id": number,
        "data": data,
        "annotations": [{"completed_by": 1, "result": [choice]}],
        "meta": {"shop": "north", "text": "of the meta"},
    }


@pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
def test_tasks_of_label_studio_give_their_data_and_not_their_annotations(
    tmp_path: Path, name: str
) -> None:
    tasks = [studio(11, text="one"), {"id": 12, "annotations": []}, studio(13, text="three")]
    content = "\n".join(map(json.dumps, tasks)) if name == "x.jsonl" else json.dumps(tasks)
    got = read(tmp_path, name, content, item_id="id")
    assert got.items.to_dicts() == [
        {"item_id": "11", "text": "one", "shop": "north", "given_text": "of the meta"},
        {"item_id": "13", "text": "three", "shop": "north", "given_text": "of the meta"},
    ]
    assert got.quarantine.select("row", "reason").rows() == [
        (2, "a Label Studio task without data")
    ]


def test_records_of_argilla_give_their_fields_and_metadata(tmp_path: Path) -> None:
    record = {
        "id": "r-1", "status": "completed", "fields": {"prompt": "Hello?"},
        "metadata": {"origin": "mail"}, "suggestions": {},
        "responses": {"queue": [{"value": "billing", "user_id": "u"}]}, "vectors": {},
    }  # fmt: skip
    got = read(tmp_path, "x.json", [record], text="prompt", item_id="id")
    assert got.items.to_dicts() == [{"item_id": "r-1", "text": "Hello?", "origin": "mail"}]


def test_a_table_with_a_column_data_is_not_taken_for_an_export(tmp_path: Path) -> None:
    got = read(tmp_path, "x.jsonl", '{"text":"one","data":{"a":1},"fields":"x"}\n')
    assert got.items.to_dicts()[0]["data"] == '{"a": 1}'


@pytest.mark.parametrize(
    "row",
    [
        {"id": 1, "text": "one", "annotations": ["a"]},
        {"id": 1, "text": "one", "fields": {"origin": "mail"}, "metadata": {}},
    ],
)
def test_a_table_that_has_a_word_in_common_with_an_export_is_a_table(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    got = read(tmp_path, "x.json", [row])
    assert texts(got) == ["one"]
    assert set(row) - {"text"} <= set(got.items.columns)


# --- packed files -------------------------------------------------------------------------------


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("pack", [gzip.compress, zstd, lambda content: content])
@pytest.mark.parametrize(
    ("name", "content"), [("x.jsonl", LINES), ("x.csv", CSV), ("x.json", json.dumps(ROWS))]
)
def test_what_is_packed_is_told_by_content_not_by_name(
    tmp_path: Path, name: str, content: str, pack: Any
) -> None:
    plain = read(tmp_path, name, content)
    for packed_name in (name, f"{name}.gz", f"{name}.zst"):
        assert read(tmp_path, packed_name, pack(content.encode())).digest == plain.digest


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_a_packed_file_that_is_cut_short_is_refused(tmp_path: Path, pack: Any) -> None:
    whole = pack((LINES * 500).encode())
    for cut in (20, len(whole) // 2, len(whole) - 5):
        with pytest.raises(ReadingError, match=r"x\.jsonl\.gz: .*cut short or damaged"):
            read(tmp_path, "x.jsonl.gz", whole[:cut])
