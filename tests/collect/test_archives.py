"""WARC and WET archives of a crawl, written by the library that the archives' own crawlers use."""

from __future__ import annotations

import gzip
import io
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from scalekit.collect import Reading, ReadingError, read_rows

DAY = "2026-10-02T08:30:00Z"


class Archive:
    """An archive in the making; ``starts`` has the place of each record."""

    def __init__(self, packed: bool = False) -> None:
        self.stream = io.BytesIO()
        self.writer = WARCWriter(self.stream, gzip=packed)
        self.starts = [0]
        self.writer.write_record(self.writer.create_warcinfo_record("x", {"software": "test"}))

    def add(self, url: str, body: bytes | str, kind: str = "text/html; charset=utf-8",
            status: str = "200 OK", record: str = "response", http: dict[str, str] | None = None,
            **headers: str) -> Archive:  # fmt: skip
        said = StatusAndHeaders(
            status, [("Content-Type", kind), *(http or {}).items()], protocol="HTTP/1.1"
        )
        self.starts.append(self.stream.tell())
        self.writer.write_record(
            self.writer.create_warc_record(
                url, record, payload=io.BytesIO(body.encode() if isinstance(body, str) else body),
                http_headers=said if record == "response" else None, warc_content_type=kind,
                warc_headers_dict={"WARC-Date": DAY, **{k.replace("_", "-"): v
                                                        for k, v in headers.items()}},
            )
        )  # fmt: skip
        return self

    @property
    def raw(self) -> bytes:
        return self.stream.getvalue()


@cache
def pages(n: int, packed: bool = False) -> Archive:
    archive = Archive(packed)
    for i in range(n):
        archive.add(f"https://example.org/{i}", f"<title>t</title><p>Page {i} of the crawl")
    return archive


def read(folder: Path, raw: bytes, name: str = "x.warc") -> Reading:
    (folder / name).write_bytes(raw)
    return read_rows(folder / name, batch_id="b")


def texts(reading: Reading) -> list[str]:
    return reading.items["text"].to_list()


# --- what becomes a row -------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["plain", "packed by record", "packed as one"])
def test_each_page_is_a_row_with_its_address_and_date(tmp_path: Path, form: str) -> None:
    raw = pages(3, packed=form == "packed by record").raw
    name = "x.warc" if form == "plain" else "x.warc.gz"
    got = read(tmp_path, gzip.compress(raw) if form == "packed as one" else raw, name)
    assert got.items.to_dicts() == [
        {
            "item_id": f"b-0000{i + 2}",
            "text": f"Page {i} of the crawl",
            "url": f"https://example.org/{i}",
            "fetched": "2026-10-02T08:30:00+00:00",
        }
        for i in range(3)
    ]
    assert got.quarantine.is_empty()


@pytest.mark.parametrize("name", ["x.wet", "x.warc.wet", "x.WET"])
def test_extracted_texts_of_a_wet_archive_come_as_they_are(tmp_path: Path, name: str) -> None:
    text = "Zeile eins\nZeile <b>zwei</b>"
    archive = Archive().add("https://example.org/", text, "text/plain", "", "conversion")
    got = read(tmp_path, archive.raw, name)
    assert texts(got) == [text]
    assert got.items["url"].to_list() == ["https://example.org/"]


def test_what_is_no_page_is_passed_over_with_the_number_of_its_record(tmp_path: Path) -> None:
    archive = Archive()
    archive.add("https://e.org/1", "<p>one")
    archive.add("https://e.org/logo", b"\x89PNG", "image/png")
    archive.add("https://e.org/gone", "<p>not here", status="404 Not Found")
    archive.add("https://e.org/1", "GET / HTTP/1.1", "application/http", "", "request")
    archive.add("https://e.org/blank", "<script>x</script>")
    archive.add("https://e.org/2", "two", "text/plain")
    got = read(tmp_path, archive.raw)
    assert texts(got) == ["one", "two"]
    assert got.quarantine.select("row", "reason", "content").rows() == [
        (3, "no text: image/png", "https://e.org/logo"),
        (4, "HTTP status 404", "https://e.org/gone"),
        (6, "no visible text in it", "https://e.org/blank"),
    ]
    assert got.passed_over == 3


def test_what_a_crawler_writes_of_itself_is_passed_over(tmp_path: Path) -> None:
    archive = Archive().add("https://e.org/", "<p>one")
    archive.add("https://e.org/robots.txt", "User-agent: *", "text/plain")
    archive.add("metadata://gnu.org/software/wget/log", "log", "text/plain", "", "resource")
    archive.add("https://e.org/robots.txt/about", "<p>two")
    got = read(tmp_path, archive.raw)
    assert texts(got) == ["one", "two"]
    assert got.passed_over == 2


def test_a_crawl_of_mostly_images_is_no_misread_file(tmp_path: Path) -> None:
    archive = Archive().add("https://e.org/1", "<p>one").add("https://e.org/2", "<p>two")
    for i in range(9):
        archive.add(f"https://e.org/{i}.png", b"\x89PNG", "image/png")
    got = read(tmp_path, archive.raw)
    assert (len(got.items), len(got.quarantine), got.passed_over) == (2, 9, 9)


def test_an_archive_without_any_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadingError, match=r"none of its 1 records is text.*image/png"):
        read(tmp_path, Archive().add("https://e.org/", b"x", "image/png").raw)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<p>Käse für 3 €".encode("cp1252"), "text/html; charset=ISO-8859-1"),
        ("<p>Käse für 3 €".encode("utf-16"), "text/html"),
        ("<meta charset='cp1252'><p>Käse für 3 €".encode("cp1252"), "text/html"),
        ("<p>Käse für 3 €".encode(), "text/html"),
        ("<p>Käse für 3 €".encode(), "text/html; charset=no-such"),
        (b"<p>K&auml;se f&#252;r 3 &euro;", "application/xhtml+xml"),
    ],
)
def test_a_page_is_decoded_by_what_it_says_of_itself(
    tmp_path: Path, body: bytes, kind: str
) -> None:
    assert texts(read(tmp_path, Archive().add("https://e.org/", body, kind).raw)) == [
        "Käse für 3 €"
    ]


def test_packed_and_chunked_bodies_are_unpacked(tmp_path: Path) -> None:
    packed = gzip.compress(b"<p>hello")
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)
    archive = Archive()
    archive.add("https://e.org/1", packed, http={"Content-Encoding": "gzip"})
    archive.add("https://e.org/2", chunked,
                http={"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"})  # fmt: skip
    archive.add("https://e.org/3", b"\x8b\x00", http={"Content-Encoding": "zz"})
    got = read(tmp_path, archive.raw)
    assert texts(got) == ["hello", "hello"]
    assert got.quarantine["reason"].to_list() == ["its body is packed by 'zz', which can't be read"]


def test_a_record_that_the_crawler_truncated_is_set_aside(tmp_path: Path) -> None:
    archive = Archive().add("https://e.org/1", "<p>one").add("https://e.org/2", "<p>two")
    archive.add("https://e.org/long", "<p>cut", WARC_Truncated="length")
    got = read(tmp_path, archive.raw)
    assert got.quarantine["reason"].to_list() == ["the crawler cut the record short (length)"]
    assert (len(got.items), got.passed_over) == (2, 0)


# --- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_cut_anywhere_costs_the_record_that_was_cut_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, packed: bool, data: Any
) -> None:
    archive = pages(6, packed)
    # After the fourth page at least, so that most records are whole.
    cut = data.draw(st.integers(archive.starts[5], len(archive.raw) - 5))
    whole = sum(start <= cut for start in [*archive.starts[2:], len(archive.raw)])
    folder = tmp_path_factory.mktemp("cut", numbered=True)
    got = read(folder, archive.raw[:cut], "x.warc.gz" if packed else "x.warc")
    came = texts(got)
    assert came[:whole] == [f"Page {i} of the crawl" for i in range(whole)]
    assert len(came) <= whole + 1, "the cut record itself may be whole but for its end"
    assert all(text in {f"Page {i} of the crawl" for i in range(6)} for text in came)
    if len(came) == whole and cut not in archive.starts:
        assert len(got.quarantine) == 1


@pytest.mark.parametrize("packed", [False, True])
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_damage_in_one_record_is_told_and_leaves_the_others(
    tmp_path_factory: pytest.TempPathFactory, packed: bool, data: Any
) -> None:
    archive = pages(6, packed)
    raw = bytearray(archive.raw)
    start, end = archive.starts[3], archive.starts[4]
    at = data.draw(st.integers(start, end - 5))
    length = data.draw(st.integers(1, end - 4 - at))
    raw[at : at + length] = bytes(b ^ 0xFF for b in raw[at : at + length])
    folder = tmp_path_factory.mktemp("flip", numbered=True)
    got = read(folder, bytes(raw), "x.warc.gz" if packed else "x.warc")
    came = texts(got)
    others = [f"Page {i} of the crawl" for i in (0, 1, 3, 4, 5)]
    assert [t for t in came if t in others] == others
    assert len(came) <= 6


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("junk", [b"junk\r\nmore junk", b"\x00" * 40_000, b"\x1f\x8b\x08 no gzip"])
def test_junk_between_records_is_told_and_reading_goes_on(
    tmp_path: Path, packed: bool, junk: bytes
) -> None:
    archive = pages(6, packed)
    at = archive.starts[4]
    raw = archive.raw[:at] + junk + b"\r\n\r\n" * (not packed) + archive.raw[at:]
    got = read(tmp_path, raw, "x.warc.gz" if packed else "x.warc")
    assert [t for t in texts(got) if t] == [f"Page {i} of the crawl" for i in range(6)]
    assert len(got.quarantine) == 1


def test_a_length_that_is_wrong_is_told_and_swallows_no_other_record(tmp_path: Path) -> None:
    archive = pages(6)
    start, end = archive.starts[3], archive.starts[4]
    record = archive.raw[start:end]
    for wrong in (b"Content-Length: 9", b"Content-Length: 999", b"Content-Length: x", b"X: 1"):
        at = record.index(b"Content-Length: ")
        changed = record[:at] + wrong + record[record.index(b"\r\n", at) :]
        got = read(tmp_path, archive.raw[:start] + changed + archive.raw[end:])
        others = [f"Page {i} of the crawl" for i in (0, 1, 3, 4, 5)]
        assert [t for t in texts(got) if t in others] == others, wrong
        assert "Page 2 of the crawl" not in texts(got), wrong
        assert len(got.quarantine) == 1, wrong


def test_a_text_that_does_not_have_its_digest_any_more_is_set_aside(tmp_path: Path) -> None:
    raw = pages(4).raw.replace(b"Page 2 of", b"Page 7 of")
    got = read(tmp_path, raw)
    assert got.quarantine["reason"].to_list() == ["the record does not have its digest"]
    assert texts(got) == [f"Page {i} of the crawl" for i in (0, 1, 3)]


NO_ARCHIVES = {
    "empty": (b"", "there are no rows"),
    "a text": (b"no archive", "no WARC archive"),
    "a page": (b"<html>404</html>", "HTML page"),
    "a packed text": (gzip.compress(b"no archive"), "x.warc"),
    "no page in it": (Archive().raw, "there are no rows"),
}


@pytest.mark.parametrize("kind", NO_ARCHIVES)
def test_what_is_no_archive_is_refused(tmp_path: Path, kind: str) -> None:
    raw, said = NO_ARCHIVES[kind]
    with pytest.raises(ReadingError, match=r"x\.warc") as caught:
        read(tmp_path, raw)
    assert said in str(caught.value)
