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
RESERVED = {"batch_id", "source", "tier"}

Row = tuple[int, dict[str, Any] | None, str]  # row number, record, why it is bad


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
    columns = next((list(r) for _, r, _ in rows if r is not None), [])
    _need_columns(name, columns, [c for c in (text, item_id, category) if c])
    names = {text: "text", item_id or "item_id": "item_id", category or "category": "category"}
    good: list[dict[str, Any]] = []
    bad: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for number, record, reason in rows:
        item = _renamed(record, names) if record is not None else {}
        item.setdefault("item_id", f"{batch_id}-{number:05d}")
        why = reason or _row_problem(item, max_chars) or _repeated(item, number, seen)
        if why:
            content = str(record if record is not None else "")[:200]
            bad.append({"file": name, "row": number, "reason": why, "content": content})
        else:
            good.append(item)
    if not rows:
        raise ReadingError(f"{name}: there are no rows in it")
    if len(bad) > len(rows) / 2:
        first = bad[0]
        raise ReadingError(
            f"{name}: {len(bad)} of {len(rows)} rows can't be read, so the file is probably not "
            f"what it seems. First: row {first['row']}: {first['reason']}. Nothing was stored"
        )
    schema = dict.fromkeys(("file", "reason", "content"), pl.String)
    quarantine = pl.DataFrame(bad, schema={"file": pl.String, "row": pl.Int64, **schema})
    content = digest([[i["item_id"], i["text"], i.get("category")] for i in good])
    return Reading(pl.DataFrame(good, infer_schema_length=None), quarantine, content)


def _need_columns(name: str, there: list[str], asked: list[str]) -> None:
    for column in asked:
        if column not in there:
            raise ReadingError(
                f"{name}: there is no column {column!r}; the columns are "
                f"{', '.join(map(repr, there)) or 'none'}. Say which holds it: text='…'"
            )


def _renamed(record: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Give the standard names; a reserved name in the file becomes ``given_…``."""
    out = {}
    for column, value in record.items():
        new = names.get(column, column)
        if new in RESERVED or (new == column and column in names.values() and column not in names):
            new = f"given_{column}"
        out[new] = value
    for column in ("item_id", "category"):
        if out.get(column) in (None, ""):
            out.pop(column, None)
        else:
            out[column] = str(out[column]).strip()
    return out


def _row_problem(item: dict[str, Any], max_chars: int) -> str:
    content = item.get("text")
    if not isinstance(content, str):
        return f"the text is {type(content).__name__}, not text"
    if len(content) > max_chars:
        return f"the text has {len(content):,} characters, more than {max_chars:,}"
    if "\x00" in content:
        return "the text holds a null byte"
    if not any(unicodedata.category(c)[0] not in "CZ" for c in content):
        return "the text is empty (nothing visible in it)"
    return ""


def _repeated(item: dict[str, Any], number: int, seen: dict[str, int]) -> str:
    first = seen.setdefault(item["item_id"], number)
    return "" if first == number else f"item_id {item['item_id']!r} stands in row {first} already"


def _rows(source: Any, path: Path | None, encoding: str) -> Iterator[Row]:
    if path is None:
        yield from ((i, row, "") for i, row in enumerate(to_polars(source).to_dicts(), 1))
        return
    if not path.is_file():
        raise ReadingError(f"{path}: there is no such file")
    kind = path.suffix.lower()
    if kind == ".parquet":
        try:
            frame = pl.read_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise ReadingError(f"{path.name}: not readable as Parquet ({error})") from error
        yield from ((i, row, "") for i, row in enumerate(frame.to_dicts(), 1))
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
            yield number, {"text": line}, f"not JSON: {error}"
            continue
        if isinstance(record, dict):
            yield number, record, ""
        else:
            yield number, {"text": line}, "a JSON object is needed"


def _csv_rows(name: str, content: str) -> Iterator[Row]:
    first = content.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=first.count)
    csv.field_size_limit(len(content) + 1)
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter)
    try:
        header = [h.strip() for h in next(reader, [])]
    except csv.Error as error:
        raise ReadingError(f"{name}, row 1: {error}") from error
    if len(set(header)) != len(header):
        raise ReadingError(f"{name}, row 1: two columns have the same name: {', '.join(header)}")
    for number, cells in enumerate(reader, 1):
        if not cells:
            continue
        if len(cells) == len(header):
            yield number, dict(zip(header, cells, strict=True)), ""
            continue
        reason = f"{len(cells)} columns where the header has {len(header)}"
        others = [d for d in DELIMITERS if d != delimiter]
        other = max(others, key=delimiter.join(cells).count)
        if len(cells) == 1 and other in cells[0]:
            reason += f"; the row is split by {other!r}, the file by {delimiter!r}"
        yield number, dict(zip(header, cells, strict=False)), reason
