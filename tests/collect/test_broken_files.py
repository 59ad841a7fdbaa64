"""28 kinds of broken file. Each is refused with one clear message and nothing stored, or its bad
rows are set aside by file, row and reason, and the good rows arrive."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

import scalekit as sk
from scalekit.collect import ReadingError

GOOD = [f"Message number {n} about a parcel" for n in range(1, 9)]
FIELDS: dict[str, Any] = {
    "source": "export", "tier": "first-party", "rights": "LicenseRef-internal",
    "collected": "2026-10-02", "batch_id": "broken",
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """One kind of broken file: its name and content, and what is to come of it.

    ``arrive``: how many good rows; None where the file is refused. ``aside``: row → words of the
    reason. ``said``: words of the refusal.
    """

    file: str
    content: bytes | Callable[[Path], None]
    arrive: int | None = None
    aside: dict[int, str] | None = None
    said: tuple[str, ...] = ()


def csv(*rows: str, header: str = "id,text", end: str = "\n") -> bytes:
    return end.join([header, *rows, ""]).encode()


def good_csv(n: int = 8) -> list[str]:
    return [f"{i},{text}" for i, text in enumerate(GOOD[:n], 1)]


def lines(*rows: Any) -> bytes:
    said = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    return "\n".join(said).encode()


def good_lines(n: int = 8) -> list[dict[str, Any]]:
    return [{"text": text} for text in GOOD[:n]]


def parquet() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame({"text": GOOD}).write_parquet(buffer)
    return buffer.getvalue()


def workbook() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", "<worksheet/>")
    return buffer.getvalue()


def crawl(damage: bool) -> bytes:
    buffer = io.BytesIO()
    writer = WARCWriter(buffer, gzip=True)
    starts = []
    for number, text in enumerate(GOOD, 1):
        headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
        starts.append(buffer.tell())
        writer.write_record(
            writer.create_warc_record(
                f"https://example.org/{number}", "response", http_headers=headers,
                payload=io.BytesIO(f"<p>{text}".encode()),
            )
        )  # fmt: skip
    raw = bytearray(buffer.getvalue())
    if damage:
        raw[starts[2] + 40 : starts[2] + 60] = bytes(20)
    return bytes(raw)


def studio() -> bytes:
    tasks: list[dict[str, Any]] = [
        {"id": i, "data": {"text": text}, "annotations": []} for i, text in enumerate(GOOD, 1)
    ]
    del tasks[4]["data"]
    return json.dumps(tasks).encode()


HTML = b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head></html>\n"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0a1b\nsize 12345\n"

KINDS: dict[str, Kind] = {
    "another encoding": Kind(
        "x.csv", "id,text\n1,Das Café schließt früh\n".encode("cp1252"),
        said=("line 2", "0xe9 is not utf-8", "encoding="),
    ),
    "a byte-order mark, and nothing wrong": Kind("x.csv", b"\xef\xbb\xbf" + csv(*good_csv()), 8),
    "UTF-16 unsaid": Kind(
        "x.csv", "\n".join(["id,text", *good_csv()]).encode("utf-16"),
        said=("is not utf-8", "encoding='utf_16'"),
    ),
    "UTF-16 without a mark": Kind(
        "x.csv", "\n".join(["id,text", *good_csv()]).encode("utf-16-le"),
        said=("null bytes", "encoding='utf-16-le'"),
    ),
    "null bytes in a text": Kind(
        "x.csv", csv(*good_csv(), "9,cut \x00 here"), 8, {9: "null byte"}
    ),
    "nothing but null bytes": Kind("x.csv", bytes(4096), said=("null bytes",)),
    "gzip cut short": Kind(
        "x.csv.gz", gzip.compress(csv(*good_csv()))[:-12], said=("cut short or damaged",)
    ),
    "Parquet cut short": Kind("x.parquet", parquet()[:-40], said=("not readable as Parquet",)),
    "an empty file": Kind("x.jsonl", b"", said=("there are no rows",)),
    "a header only": Kind("x.csv", csv(), said=("there are no rows",)),
    "rows of other lengths": Kind(
        "x.csv", csv(*good_csv(), "9", "10,a,b"), 8,
        {9: "1 columns where the header has 2", 10: "3 columns where the header has 2"},
    ),
    "a quote that is never closed": Kind(
        "x.csv", csv(*good_csv(2), '3,"open', *good_csv()), said=("row 3", "line 4", "never closed")
    ),
    "two columns of one name": Kind(
        "x.csv", csv("1,a,b", header="id,text,text"),
        said=("two columns have the same name", "id, text, text"),
    ),
    "ids that repeat": Kind(
        "x.csv", csv(*good_csv(), "2,again", header="item_id,text"), 8,
        {9: "item_id '2' stands in row 2 already"},
    ),
    "a line that is no JSON": Kind(
        "x.jsonl", lines(*good_lines(), "{oops", 7), 8,
        {9: "not JSON", 10: "a JSON object is needed"},
    ),
    "a JSON list named .jsonl": Kind(
        "x.jsonl", json.dumps(good_lines()).encode(), said=("a list", "name it .json")
    ),
    "half a surrogate pair": Kind(
        "x.jsonl", lines(*good_lines(), '{"text": "cut \\ud83d"}'), 8, {9: "half a surrogate pair"}
    ),
    "two delimiters in one file": Kind(
        "x.csv", csv(*good_csv(), "9;nine"), 8, {9: "split by ';', the file by ','"}
    ),
    "no column of texts": Kind(
        "x.csv", csv("1,one", header="id,body"), said=("no column 'text'", "'id', 'body'", "text=")
    ),
    "numbers, missing and blank for texts": Kind(
        "x.jsonl",
        lines(*good_lines(), {"text": 3}, {"text": None}, '{"text": NaN}', {"text": " \u200b\t"}),
        8, {9: "int, not text", 10: "missing", 11: "missing", 12: "nothing visible"},
    ),
    "a text that is too long": Kind(
        "x.jsonl", lines(*good_lines(), {"text": "x" * 100_001}), 8, {9: "100,001 characters"}
    ),
    "a folder": Kind("x.csv", lambda path: path.mkdir(), said=("it is a folder",)),
    "no file": Kind("x.csv", lambda path: None, said=("there is no such file",)),
    "a workbook named .csv": Kind("x.csv", workbook(), said=("Excel workbook",)),
    "an HTML error page": Kind("x.jsonl", HTML, said=("HTML page",)),
    "line ends of an old Mac, and nothing wrong": Kind("x.csv", csv(*good_csv(), end="\r"), 8),
    "a Git LFS pointer": Kind("x.parquet", POINTER, said=("Git LFS pointer", "git lfs pull")),
    "a damaged crawl archive": Kind(
        "x.warc.gz", crawl(damage=True), 7, {3: "https://example.org/3|damaged"}
    ),
    "a Label Studio export with a task without data": Kind(
        "x.json", studio(), 7, {5: "a Label Studio task without data"}
    ),
    "an unknown ending": Kind("x.docx", b"PK\x03\x04", said=(".docx is not read", "CSV")),
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, samples: Path) -> Any:
    made = sk.Project(tmp_path / "p")
    made.specify.save(samples / "spec.yaml")
    assert made.specify.gate().passed
    return made


def written(kind: Kind, folder: Path) -> Path:
    path = folder / kind.file
    if callable(kind.content):
        kind.content(path)
    else:
        path.write_bytes(kind.content)
    return path


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_there_are_at_least_28_kinds() -> None:
    assert len(KINDS) >= 28


@pytest.mark.parametrize("name", [n for n, k in KINDS.items() if k.arrive is None])
def test_it_is_refused_with_one_message_and_nothing_is_stored(
    project: Any, tmp_path: Path, name: str
) -> None:
    path = written(KINDS[name], tmp_path)
    before = files(tmp_path)
    with pytest.raises(ReadingError) as caught:
        project.collect.add(path, **FIELDS)
    said = str(caught.value)
    assert path.name in said
    assert "\n" not in said
    assert len(said) < 400, "a person reads this"
    assert all(words in said for words in KINDS[name].said), said
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", [n for n, k in KINDS.items() if k.arrive is not None])
def test_bad_rows_are_set_aside_and_the_good_ones_arrive(
    project: Any, tmp_path: Path, name: str
) -> None:
    kind = KINDS[name]
    path = written(kind, tmp_path)
    batch = project.collect.add(path, **FIELDS)
    texts = project.collect.items()["text"].to_list()
    assert [t for t in texts if t in GOOD] == texts
    aside = project.collect.sources().quarantine
    assert (batch.rows, len(texts)) == (kind.arrive, kind.arrive)
    assert batch.quarantined == len(aside) == len(kind.aside or {})
    assert set(aside["file"]) <= {kind.file}
    for row, reason, content in aside.select("row", "reason", "content").rows():
        expected = (kind.aside or {})[row].split("|")
        assert any(words in reason or words in content for words in expected), (row, reason)
