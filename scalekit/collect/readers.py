"""Rows in: CSV, JSON lines, Parquet and data frames; bad rows are set aside with the reason."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.frames import to_polars
from scalekit.signing import digest

__all__ = ["Reading", "ReadingError", "read_rows"]

MAX_CHARS = 100_000
DELIMITERS = ",;\t|"
RESERVED = {
    "batch_id", "source", "tier", "kept", "original", "changes", "junk", "personal", "group", "set",
}  # fmt: skip
"""Columns that the project itself writes."""


@dataclass(frozen=True)
class Row:
    """A row as read: its number from 1, its record or why there is none, and its content."""

    number: int
    record: dict[str, Any] | None
    problem: str = ""
    content: str = ""


class ReadingError(ValueError):
    """A file can't be read at all; the message names file, row or column, and what to do."""


@dataclass(frozen=True)
class Reading:
    """What came in: good rows, rows set aside (``file, row, reason, content``), their digest."""

    items: pl.DataFrame
    quarantine: pl.DataFrame
    digest: str


def read_rows(
    source: Any,
    *,
    batch_id: str,
    text: str = "text",
    item_id: str | None = None,
    category: str | None = None,
    encoding: str = "utf-8",
    max_chars: int = MAX_CHARS,
) -> Reading:
    """Read a batch of items.

    Parameters
    ----------
    source
        A ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson`` or ``.parquet`` file, or any data frame.
    batch_id
        Names the items that bring no id of their own: ``<batch_id>-00001``.
    text, item_id, category
        The columns that hold them. *category* is optional; without it a column ``category`` is
        taken when there is one, and likewise ``item_id``.
    encoding
        Of text files; a byte-order mark is dropped.
    max_chars
        Longer texts are set aside.

    Raises
    ------
    ReadingError
        When the file is missing, of another kind, in another encoding, without the columns, or
        when most rows are bad (then the file is misread, not the rows).
    """
    path = Path(source) if isinstance(source, str | Path) else None
    name = path.name if path else type(source).__name__
    rows = list(_rows(source, path, encoding))
    if not rows:
        raise ReadingError(f"{name}: there are no rows in it")
    bad = [_aside(name, row.number, row.problem, row.content) for row in rows if row.problem]
    _refuse_if_most(name, bad, len(rows))
    columns = list(dict.fromkeys(c for row in rows if row.record is not None for c in row.record))
    asked = {"text": text, "item_id": item_id, "category": category}
    _need_columns(name, columns, asked)
    names = {text: "text", item_id or "item_id": "item_id", category or "category": "category"}
    good: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for row in rows:
        if row.record is None:
            continue
        item = {"item_id": f"{batch_id}-{row.number:05d}", **_renamed(row.record, names)}
        why = _row_problem(item, max_chars) or _repeated(item, row.number, seen)
        if why:
            bad.append(_aside(name, row.number, why, str(row.record)))
        else:
            good.append(item)
    _refuse_if_most(name, bad, len(rows))
    bad.sort(key=lambda b: b["row"])
    schema = dict.fromkeys(("reason", "content"), pl.String)
    quarantine = pl.DataFrame(bad, schema={"file": pl.String, "row": pl.Int64, **schema})
    content = digest([[i["item_id"], i["text"], i.get("category")] for i in good])
    shown = list(dict.fromkeys(c for item in good for c in item))
    items = pl.DataFrame(good, schema=dict.fromkeys(shown, pl.String))
    return Reading(items, quarantine, content)


def _aside(name: str, number: int, why: str, content: str) -> dict[str, Any]:
    return {"file": name, "row": number, "reason": why, "content": _sound(content[:200])}


def _refuse_if_most(name: str, bad: list[dict[str, Any]], rows: int) -> None:
    if len(bad) * 2 <= rows:
        return
    first = min(bad, key=lambda b: b["row"])
    raise ReadingError(
        f"{name}: {len(bad)} of {rows} rows can't be read, so the file is probably not what it "
        f"seems. First: row {first['row']}: {first['reason']}. Nothing was stored"
    )


def _need_columns(name: str, there: list[str], asked: dict[str, str | None]) -> None:
    for argument, column in asked.items():
        if column and column not in there:
            raise ReadingError(
                f"{name}: there is no column {column!r}; the columns are "
                f"{', '.join(map(repr, there)) or 'none'}. Say which holds it: {argument}='…'"
            )


def _renamed(record: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Give the standard names; a reserved name becomes ``given_…``, side values become text."""
    out: dict[str, Any] = {}
    for column, value in record.items():
        new = names.get(column, column)
        if new in RESERVED or (new == column and column in names.values() and column not in names):
            new = f"given_{column}"
        out[new] = value if new == "text" else _as_text(value)
    for column in ("item_id", "category"):
        out[column] = (out.get(column) or "").strip()
        if not out[column]:
            del out[column]
    return out


def _as_text(value: Any) -> str | None:
    """Return a value of a side column as text, nested ones as JSON: batches must fit together."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, list | dict):
        return _sound(json.dumps(value, ensure_ascii=False, default=str))
    return _sound(str(value))


def _sound(text: str) -> str:
    """Replace halves of surrogate pairs, which no file can hold."""
    return text.encode("utf-8", "replace").decode()


def _row_problem(item: dict[str, Any], max_chars: int) -> str:
    content = item.get("text")
    if content is None or content != content:
        return "the text is missing"
    if not isinstance(content, str):
        return f"the text is {type(content).__name__}, not text"
    if len(content) > max_chars:
        return f"the text has {len(content):,} characters, more than {max_chars:,}"
    if "\x00" in content:
        return "the text holds a null byte"
    if _sound(content) != content:
        return "the text holds half a surrogate pair (a sign that was cut in two)"
    if not any(unicodedata.category(c)[0] not in "CZ" for c in content):
        return "the text is empty (nothing visible in it)"
    return ""


def _repeated(item: dict[str, Any], number: int, seen: dict[str, int]) -> str:
    first = seen.setdefault(item["item_id"], number)
    return "" if first == number else f"item_id {item['item_id']!r} stands in row {first} already"


def _rows(source: Any, path: Path | None, encoding: str) -> Iterator[Row]:
    if path is None:
        yield from (Row(i, row) for i, row in enumerate(to_polars(source).to_dicts(), 1))
        return
    if not path.is_file():
        raise ReadingError(f"{path}: there is no such file")
    kind = path.suffix.lower()
    if kind == ".parquet":
        try:
            frame = pl.read_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise ReadingError(f"{path.name}: not readable as Parquet ({error})") from error
        yield from (Row(i, row) for i, row in enumerate(frame.to_dicts(), 1))
    elif kind in (".jsonl", ".ndjson"):
        yield from _json_rows(_decoded(path, encoding))
    elif kind in (".csv", ".tsv"):
        yield from _csv_rows(path.name, _decoded(path, encoding))
    else:
        raise ReadingError(
            f"{path.name}: {kind or 'a file without ending'} is not read; CSV, TSV, JSON lines "
            "(.jsonl) and Parquet are, and any data frame"
        )


def _decoded(path: Path, encoding: str) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except LookupError:
        raise ReadingError(f"{path.name}: {encoding!r} is not an encoding") from None
    except UnicodeDecodeError as error:
        from charset_normalizer import from_bytes

        guess = from_bytes(raw[:200_000]).best()
        hint = (
            f"; it looks like {guess.encoding}: pass encoding={guess.encoding!r}" if guess else ""
        )
        line = raw.count(b"\n", 0, error.start) + 1
        raise ReadingError(
            f"{path.name}, line {line}: byte {raw[error.start]:#04x} is not {encoding}{hint}. "
            "Nothing was stored"
        ) from error


def _json_rows(content: str) -> Iterator[Row]:
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            yield Row(number, None, f"not JSON: {error}", line)
            continue
        if isinstance(record, dict):
            yield Row(number, record)
        else:
            yield Row(number, None, "a JSON object is needed", line)


def _csv_rows(name: str, content: str) -> Iterator[Row]:
    first = content.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=first.count)
    before = csv.field_size_limit(len(content) + 1)
    try:
        yield from _csv_records(name, content, delimiter)
    finally:
        csv.field_size_limit(before)


def _csv_records(name: str, content: str, delimiter: str) -> Iterator[Row]:
    # Strict: a stray quote is an error of its row, not a text that was changed unsaid.
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    lines = content.count("\n") + 1
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
