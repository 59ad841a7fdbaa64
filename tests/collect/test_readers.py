from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.collect import Reading, ReadingError, read_rows

ROWS = [
    {"text": "Where is my parcel?", "category": "delivery"},
    {"text": 'She said "no",\nthen left; twice', "category": "returns"},
    {"text": "\u202eصندوق\u202c\u200b 🙂", "category": ""},
]


def csv_text(rows: list[dict[str, Any]], delimiter: str = ",", end: str = "\r\n") -> str:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def read(folder: Path, name: str, content: str | bytes, **more: Any) -> Reading:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_rows(path, batch_id="b", **more)


def texts(reading: Reading) -> list[str]:
    return reading.items["text"].to_list()


# --- one content, many forms --------------------------------------------------------------------


def test_every_form_of_the_same_rows_gives_the_same_items_and_digest(tmp_path: Path) -> None:
    json_lines = "".join(json.dumps(r) + "\n" for r in ROWS)
    pl.DataFrame(ROWS).write_parquet(tmp_path / "x.parquet")
    readings = {
        "csv": read(tmp_path, "a.csv", csv_text(ROWS)),
        "csv with unix ends": read(tmp_path, "b.csv", csv_text(ROWS, end="\n")),
        "csv with a byte-order mark": read(tmp_path, "c.csv", "\ufeff" + csv_text(ROWS)),
        "csv with semicolons": read(tmp_path, "d.csv", csv_text(ROWS, ";")),
        "tsv": read(tmp_path, "e.tsv", csv_text(ROWS, "\t")),
        "csv with bars": read(tmp_path, "f.CSV", csv_text(ROWS, "|")),
        "csv in UTF-16": read(
            tmp_path, "g.csv", csv_text(ROWS).encode("utf-16"), encoding="utf-16"
        ),
        "json lines": read(tmp_path, "h.jsonl", json_lines),
        "json lines with a byte-order mark": read(tmp_path, "i.ndjson", "\ufeff" + json_lines),
        "json lines without the last end": read(tmp_path, "j.jsonl", json_lines.rstrip()),
        "json lines with blank lines": read(tmp_path, "k.jsonl", json_lines + "\r\n\n"),
        "parquet": read_rows(tmp_path / "x.parquet", batch_id="b"),
        "a path as text": read_rows(str(tmp_path / "a.csv"), batch_id="b"),
        "pandas": read_rows(pd.DataFrame(ROWS), batch_id="b"),
        "pyarrow": read_rows(pa.Table.from_pylist(ROWS), batch_id="b"),
        "polars": read_rows(pl.DataFrame(ROWS), batch_id="b"),
        "lazy polars": read_rows(pl.LazyFrame(ROWS), batch_id="b"),
        "rows": read_rows(ROWS, batch_id="b"),
    }
    for form, reading in readings.items():
        assert texts(reading) == [r["text"] for r in ROWS], form
        assert reading.items["item_id"].to_list() == ["b-00001", "b-00002", "b-00003"], form
        assert reading.items["category"].to_list() == ["delivery", "returns", None], form
        assert reading.quarantine.is_empty(), form
    assert len({r.digest for r in readings.values()}) == 1


content = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t\",;|'"), max_size=20
)
visible = content.filter(lambda t: any(c.isalnum() for c in t))


@settings(deadline=None, max_examples=100)
@given(
    st.lists(visible, min_size=1, max_size=6),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_csv_writer_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, given_texts: list[str], delimiter: str, end: str
) -> None:
    rows = [{"id": f"i{n}", "text": t} for n, t in enumerate(given_texts)]
    folder = tmp_path_factory.mktemp("csv", numbered=True)
    assert texts(read(folder, "x.csv", csv_text(rows, delimiter, end), item_id="id")) == given_texts


def test_columns_get_their_standard_names_and_foreign_ones_stay(tmp_path: Path) -> None:
    rows = [
        {
            "ticket": " 7 ",
            "message": "hello",
            "queue": " billing ",
            "text": "other",
            "source": "s",
            "n": "1",
        }
    ]
    got = read(
        tmp_path, "x.csv", csv_text(rows), text="message", item_id="ticket", category="queue"
    )
    assert got.items.to_dicts() == [
        {
            "item_id": "7",
            "text": "hello",
            "category": "billing",
            "given_text": "other",
            "given_source": "s",
            "n": "1",
        }
    ]


def test_reading_leaves_the_csv_module_of_the_process_as_it_was(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    read(tmp_path, "x.csv", csv_text(ROWS))
    assert csv.field_size_limit() == before


# --- rows that are set aside --------------------------------------------------------------------


def test_bad_json_lines_are_set_aside_by_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    lines = [
        b'{"text":"one"}',
        b"{oops",
        b"",
        b"[1]",
        b'{"text":3}',
        b'{"text":"two"}',
        b'{"text":"3"}',
        b'{"text":"4"}',
        b'{"other":"x"}',
        b'{"text":"5"}',
    ]
    got = read(tmp_path, "x.jsonl", b"\n".join(lines))
    assert texts(got) == ["one", "two", "3", "4", "5"]
    assert got.quarantine["row"].to_list() == [2, 4, 5, 9]
    assert set(got.quarantine["file"]) == {"x.jsonl"}
    reasons = got.quarantine["reason"].to_list()
    assert "not JSON" in reasons[0]
    assert "object is needed" in reasons[1]
    assert "int, not text" in reasons[2]
    assert all("NoneType" not in r for r in reasons), "a person reads this"


def test_half_a_surrogate_pair_costs_one_row_not_the_file(tmp_path: Path) -> None:
    lines = [
        '{"text":"one"}',
        '{"text":"cut emoji \\ud83d"}',
        '{"text":"two"}',
        '{"text":"x","n":"\\udc00"}',
        '{"text":"three"}',
    ]
    got = read(tmp_path, "x.jsonl", "\n".join(lines))
    assert texts(got)[:2] == ["one", "two"]
    assert "three" in texts(got)
    assert 2 in got.quarantine["row"].to_list()


def test_a_bad_first_line_does_not_hide_the_columns(tmp_path: Path) -> None:
    got = read(tmp_path, "x.jsonl", '{oops\n{"m":"one"}\n{"m":"two"}\n', text="m")
    assert texts(got) == ["one", "two"]
    assert got.quarantine["row"].to_list() == [1]


def test_a_column_that_the_first_line_lacks_is_found(tmp_path: Path) -> None:
    got = read(
        tmp_path, "x.jsonl", '{"text":"one"}\n{"text":"two","topic":"billing"}\n', category="topic"
    )
    assert got.items["category"].to_list() == [None, "billing"]


@pytest.mark.parametrize(
    "value", ["1.5", '"high"', "[1]", '{"a":1}', "null", "1180591620717411303424", "true"]
)
def test_a_side_column_of_mixed_kinds_does_not_stop_the_batch(tmp_path: Path, value: str) -> None:
    lines = [
        '{"text":"one","s":1}',
        f'{{"text":"two","s":{value}}}',
        '{"text":"three","s":{"b":2}}',
    ]
    assert texts(read(tmp_path, "x.jsonl", "\n".join(lines))) == ["one", "two", "three"]


def test_rows_with_too_many_or_too_few_cells_are_set_aside(tmp_path: Path) -> None:
    got = read(tmp_path, "x.csv", "id,text\n1,a\n2,b,c\n3,d\n4\n5,e\n6;f\n7,g\n")
    assert texts(got) == ["a", "d", "e", "g"]
    assert got.quarantine["row"].to_list() == [2, 4, 6]
    assert got.quarantine["reason"][0] == "3 columns where the header has 2"
    assert "split by ';', the file by ','" in got.quarantine["reason"][2]


def outcome(folder: Path, content: str) -> tuple[list[str], str]:
    """The texts that came in, and what was said of the rest: refusing the file is as good."""
    try:
        got = read(folder, "x.csv", content)
    except ReadingError as error:
        return [], str(error)
    return texts(got), " ".join(f"row {r}" for r in got.quarantine["row"])


def test_a_quote_that_is_never_closed_swallows_no_rows_unsaid(tmp_path: Path) -> None:
    rows = "".join(f"{n},row {n}\n" for n in range(4, 40))
    came, said = outcome(tmp_path, f'id,text\n1,one\n2,two\n3,"oops\n{rows}')
    assert re.search(r"(row 3|line 4)\b", said)
    assert not came, "36 rows stand behind the quote"


def test_quotes_inside_quotes_do_not_change_the_text_unsaid(tmp_path: Path) -> None:
    good = "".join(f"{n},row {n}\n" for n in range(1, 6))
    came, said = outcome(tmp_path, f'id,text\n{good}6,"He said "hi" to me"\n')
    assert 'He said hi" to me"' not in came
    assert re.search(r"(row 6|line 7)\b", said) or 'He said "hi" to me' in came


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x" * 1_000_000, "1,000,000 characters, more than 100,000"),
        ("a\x00b", "null byte"),
        ("", "nothing visible"),
        (" \t ", "nothing visible"),
        ("\u200b\u200f\ufeff\u2060\u00ad\u3000", "nothing visible"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "frame"])
def test_a_text_that_is_none_is_set_aside_by_row(
    tmp_path: Path, text: str, reason: str, kind: str
) -> None:
    rows = [{"text": "one", "n": "1"}, {"text": text, "n": "2"}, {"text": "three", "n": "3"}]
    if kind == "csv":
        got = read(tmp_path, "x.csv", csv_text(rows))
    elif kind == "jsonl":
        got = read(tmp_path, "x.jsonl", "\n".join(map(json.dumps, rows)))
    else:
        got = read_rows(pd.DataFrame(rows), batch_id="b")
    assert texts(got) == ["one", "three"]
    assert got.quarantine["row"].to_list() == [2]
    assert reason in got.quarantine["reason"][0]
    assert len(got.quarantine["content"][0]) <= 200
    assert got.items["item_id"].to_list() == ["b-00001", "b-00003"]


def test_an_item_id_that_stands_twice_keeps_the_first(tmp_path: Path) -> None:
    got = read(tmp_path, "x.csv", "item_id,text\n7,one\n8,two\n 7,three\n9,four\n")
    assert texts(got) == ["one", "two", "four"]
    assert got.quarantine["reason"].to_list() == ["item_id '7' stands in row 1 already"]


def test_a_missing_text_of_pandas_is_set_aside() -> None:
    frame = pd.DataFrame({"text": ["one", None, float("nan"), "four", "five"]})
    got = read_rows(frame, batch_id="b")
    assert texts(got) == ["one", "four", "five"]
    assert got.quarantine["row"].to_list() == [2, 3]
    assert "NoneType" not in got.quarantine["reason"][0]
