"""Rows of a crawl: the pages of WARC and WET archives (ISO 28500), each with address and date."""

from __future__ import annotations

import contextlib
import gzip
import io
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from scalekit.collect.rows import ReadingError, Row, refuse_foreign
from scalekit.collect.visible_text import decoded_page, visible_text

__all__ = ["ARCHIVES", "archive_rows"]

ARCHIVES = (".warc", ".wet")
PAGES = ("response", "conversion", "resource")
"""Record types that hold a page; the others (requests, revisits, metadata) are no rows."""
HTML = ("text/html", "application/xhtml+xml")
PLAIN = ("text/plain", "text/markdown")
SUCCESS = ("200", "203")
MAX_BODY = 20_000_000
"""Bytes of one body; more is set aside."""
BLOCK = 1 << 16
START, PACKED_START = b"\r\n\r\nWARC/1.", b"\x1f\x8b\x08"
"""What a record starts with, in a plain archive and in one packed record by record."""


def archive_rows(path: Path) -> Iterator[Row]:
    """Yield one row for each page of an archive, numbered as its record: ``text, url, fetched``.

    Records are read one after the other, never the whole archive. HTML becomes its visible text.
    What is no text, or was no success for the crawler, is passed over; a damaged or truncated
    record is told, and reading goes on at the next record that can be found.

    Raises
    ------
    ReadingError
        When no record can be found at all.
    """
    with path.open("rb") as raw:
        start = raw.read(64)
        if start.startswith(b"\x1f\x8b") and _one_member(path):
            with tempfile.TemporaryFile() as plain:
                _unpack(path, plain)
                yield from _rows(path.name, plain)
        else:
            yield from _rows(path.name, raw)


def _one_member(path: Path) -> bool:
    """Say whether several records share a gzip member, so that the archive is packed as one."""
    inflate, tail = zlib.decompressobj(31), b""
    with path.open("rb") as stream, contextlib.suppress(zlib.error):
        while not inflate.eof and (block := stream.read(BLOCK)):
            tail = tail[-16:] + inflate.decompress(block)
            if START in tail:
                return True
    return False


def _unpack(path: Path, into: IO[bytes]) -> None:
    # What is cut short comes as far as it goes; the record at the cut then tells of it.
    with gzip.open(path) as packed, contextlib.suppress(EOFError, OSError, zlib.error):
        shutil.copyfileobj(packed, into, BLOCK)


def _rows(name: str, stream: IO[bytes]) -> Iterator[Row]:
    from warcio.archiveiterator import ArchiveIterator

    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    begin = stream.read(64)
    refuse_foreign(name, begin)
    packed = begin.startswith(b"\x1f\x8b")
    if begin and not packed and not begin.startswith(b"WARC/"):
        raise ReadingError(
            f"{name}: this is no WARC archive: it starts with {begin[:16]!r}. Nothing was stored"
        )
    number, at, lost = 0, 0, False
    while at >= 0:
        stream.seek(at)
        records, at = ArchiveIterator(stream, check_digests=True), -1
        while at < 0 and (step := _step(records, number + 1, size)):
            if not (step.unreadable and lost):  # one place of damage is told once
                number += 1
                if step.row:
                    yield step.row
            lost = step.unreadable
            if step.resume:
                at = _next_start(stream, step.place + 1, PACKED_START if packed else START)
                if at < 0:
                    return


@dataclass(frozen=True)
class _Step:
    """One record: its place in the file, its row if it is a page, and how to go on."""

    place: int
    row: Row | None = None
    unreadable: bool = False
    resume: bool = False


def _step(records: Any, number: int, size: int) -> _Step | None:
    """Return what the next record gives, or None at the end of the *size* bytes."""
    from warcio.exceptions import ArchiveLoadFailed
    from warcio.statusandheaders import StatusAndHeadersParserException

    failures = (ArchiveLoadFailed, StatusAndHeadersParserException, AttributeError, EOFError,
                OSError, ValueError, zlib.error)  # fmt: skip
    errors = records.err_count
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # what it prints is told by row
            record = next(records, None)
            if record is None and records.offset >= size:
                return None
            if record is None:
                raise EOFError  # a cut in the headers ends the library's reading unsaid
            page = _page(number, record) if record.rec_type in PAGES else None
            place = records.get_record_offset()  # reads to the end of the record
    except failures:
        why = "the archive can't be read here: a record is damaged"
        return _Step(records.offset, Row(number, None, why), unreadable=True, resume=True)
    address = record.rec_headers.get_header("WARC-Target-URI") or record.rec_type or ""
    if getattr(record.raw_stream, "limit", 1) > 0:
        why = "the record is cut short"
        return _Step(place, Row(number, None, why, address), resume=True)
    if records.err_count > errors:
        why = "the record is not as long as it says"
        return _Step(place, Row(number, None, why, address), resume=True)
    if any("block digest failed" in p for p in record.digest_checker.problems):
        why = "the record does not have its digest"
        return _Step(place, Row(number, None, why, address), resume=True)
    return _Step(place, page)


def _next_start(stream: IO[bytes], at: int, sign: bytes) -> int:
    """Return where the next record from *at* on starts, or -1."""
    stream.seek(at)
    before = b""
    while block := stream.read(BLOCK):
        window = before + block
        if (found := window.find(sign)) >= 0:
            return at - len(before) + found + (len(sign) - len(sign.lstrip()))
        at += len(block)
        before = window[1 - len(sign) :]
    return -1


def _page(number: int, record: Any) -> Row:
    """Return the row of a record that should hold a page."""
    from warcio.bufferedreaders import BufferedReader

    headers, http = record.rec_headers, record.http_headers
    url = headers.get_header("WARC-Target-URI") or ""

    def aside(why: str, passed_over: bool = True) -> Row:
        return Row(number, None, why, url, passed_over)

    if cut := headers.get_header("WARC-Truncated"):
        return aside(f"the crawler cut the record short ({cut})", passed_over=False)
    fetched = _instant(headers.get_header("WARC-Date"))
    if not url or not fetched:
        return aside("the record has no address or no date", passed_over=False)
    address = urlsplit(url)
    if address.scheme not in ("http", "https", "ftp") or address.path == "/robots.txt":
        return aside("the crawler's own: its log or robots.txt")
    if http and http.get_statuscode() not in SUCCESS:
        return aside(f"HTTP status {http.get_statuscode()}")
    said = http.get_header("Content-Type") if http else record.content_type
    kind, charset = _content_type(said or "")
    if kind not in HTML and kind not in PLAIN:
        return aside(f"no text: {kind or 'no Content-Type'}")
    packing = ((http and http.get_header("Content-Encoding")) or "identity").lower()
    if packing != "identity" and packing not in BufferedReader.get_supported_decompressors():
        return aside(f"its body is packed by {packing!r}, which can't be read", passed_over=False)
    body = record.content_stream().read(MAX_BODY + 1)
    if len(body) > MAX_BODY:
        return aside(f"its body has more than {MAX_BODY:,} bytes", passed_over=False)
    page = decoded_page(body, charset)
    if page is None:
        return aside("its body is in no encoding that could be told", passed_over=False)
    text = visible_text(page) if kind in HTML else page.strip()
    if not text:
        return aside("no visible text in it")
    return Row(number, {"text": text, "url": url, "fetched": fetched})


def _instant(said: str | None) -> str:
    """Return a WARC date as ISO 8601 without fractions, or nothing where it is none."""
    try:
        return datetime.fromisoformat(said).isoformat(timespec="seconds") if said else ""
    except ValueError:
        return ""


def _content_type(said: str) -> tuple[str, str | None]:
    about = Message()
    about["Content-Type"] = said
    return said.split(";")[0].strip().lower(), about.get_content_charset()
