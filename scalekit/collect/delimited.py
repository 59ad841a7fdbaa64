"""Rows of delimited text: CSV and its kin, strictly, so that no row is lost unsaid."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from scalekit.collect.rows import ReadingError, Row

__all__ = ["delimited_rows"]

DELIMITERS = ",;\t|"


def delimited_rows(name: str, content: str) -> Iterator[Row]:
    """Yield the rows of delimited text; the delimiter is the most frequent one in the first line.

    Raises
    ------
    ReadingError
        When two columns have one name, or a quote is never closed.
    """
    first = re.split(r"[\r\n]", content, maxsplit=1)[0]
    delimiter = max(DELIMITERS, key=first.count)
    before = csv.field_size_limit(len(content) + 1)
    try:
        yield from _csv_records(name, content, delimiter)
    finally:
        csv.field_size_limit(before)


def _csv_records(name: str, content: str, delimiter: str) -> Iterator[Row]:
    # Strict: a stray quote is an error of its row, not a text that was changed unsaid.
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    whole = content.rstrip("\r\n")
    lines = max(whole.count("\n"), whole.count("\r")) + 1  # old Macs ended lines with CR
    header: list[str] | None = None
    number = 0
    while True:
        start = reader.line_num
        try:
            cells = next(reader, None)
        except csv.Error as error:
            if header is None or reader.line_num >= lines > start + 1:
                raise ReadingError(
                    f"{name}, row {number + 1}: {error}. A quote opened at line {start + 1} is "
                    "probably never closed; mend the file"
                ) from error
            number += 1
            yield Row(number, None, f"its quotes do not pair ({error})", "")
            continue
        if cells is None:
            return
        if header is None:
            header = [h.strip() for h in cells]
            if len(set(header)) != len(header):
                raise ReadingError(
                    f"{name}, row 1: two columns have the same name: {', '.join(header)}"
                )
        elif cells:
            number += 1
            yield _csv_row(number, cells, header, delimiter)


def _csv_row(number: int, cells: list[str], header: list[str], delimiter: str) -> Row:
    if len(cells) == len(header):
        return Row(number, dict(zip(header, cells, strict=True)))
    reason = f"{len(cells)} columns where the header has {len(header)}"
    whole = delimiter.join(cells)
    other = max((d for d in DELIMITERS if d != delimiter), key=whole.count)
    if len(cells) == 1 and other in cells[0]:
        reason += f"; the row is split by {other!r}, the file by {delimiter!r}"
    return Row(number, None, reason, whole)
