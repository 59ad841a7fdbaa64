"""Rows in: files, data frames and data sets; bad rows are set aside with the reason."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.collect.archives import ARCHIVES, archive_rows
from scalekit.collect.delimited import delimited_rows
from scalekit.collect.json_records import json_list_rows, json_rows
from scalekit.collect.rows import ReadingError, Row, content_of, ending, refuse_foreign
from scalekit.frames import to_polars
from scalekit.signing import digest

__all__ = ["Reading", "read_rows"]

MAX_CHARS = 100_000
RESERVED = {
    "batch_id", "source", "tier", "kept", "original", "changes", "junk", "personal", "group", "set",
}  # fmt: skip
"""Columns that the project itself writes."""


@dataclass(frozen=True)
class Reading:
    """What came in: good rows, rows set aside (``file, row, reason, content``), their digest.

    ``passed_over`` of the rows set aside were read well and are no text by their nature: images
    and error pages of a crawl.
    """

    items: pl.DataFrame
    quarantine: pl.DataFrame
    digest: str
    passed_over: int = 0


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
        A file: ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson``, ``.json`` (a list of objects, or an
        export of Label Studio or Argilla), each also packed as ``.gz`` or ``.zst``; ``.parquet``;
        a crawl's ``.warc``, ``.wet``, ``.warc.gz``, ``.wet.gz`` (which gives ``text``, ``url``,
        ``fetched``). Or any data frame, or one split of Hugging Face ``datasets``.
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
    bad = [_aside(name, r.number, r.problem, r.content) for r in rows if r.problem]
    over = [r.number for r in rows if r.passed_over]
    _refuse_if_most(name, bad, over, len(rows))
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
    _refuse_if_most(name, bad, over, len(rows))
    bad.sort(key=lambda b: b["row"])
    schema = dict.fromkeys(("reason", "content"), pl.String)
    quarantine = pl.DataFrame(bad, schema={"file": pl.String, "row": pl.Int64, **schema})
    content = digest([[i["item_id"], i["text"], i.get("category")] for i in good])
    shown = list(dict.fromkeys(c for item in good for c in item))
    items = pl.DataFrame(good, schema=dict.fromkeys(shown, pl.String))
    return Reading(items, quarantine, content, len(over))


def _aside(name: str, number: int, why: str, content: str) -> dict[str, Any]:
    return {"file": name, "row": number, "reason": why, "content": _sound(content[:200])}


def _refuse_if_most(name: str, bad: list[dict[str, Any]], over: list[int], rows: int) -> None:
    if len(over) == rows:
        raise ReadingError(
            f"{name}: none of its {rows} records is text. First: row {bad[0]['row']}: "
            f"{bad[0]['reason']}. Nothing was stored"
        )
    if (len(bad) - len(over)) * 2 <= rows - len(over):
        return
    skipped = set(over)
    first = min((b for b in bad if b["row"] not in skipped), key=lambda b: b["row"])
    raise ReadingError(
        f"{name}: {len(bad) - len(over)} of {rows} rows can't be read, so the file is probably not "
        f"what it seems. First: row {first['row']}: {first['reason']}. Nothing was stored"
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
        return (Row(i, row) for i, row in enumerate(_records(source), 1))
    if path.is_dir():
        raise ReadingError(f"{path}: there is no such file, it is a folder; name one file of it")
    if not path.is_file():
        raise ReadingError(f"{path}: there is no such file")
    kind = ending(path)
    if kind == ".parquet":
        return (Row(i, row) for i, row in enumerate(_parquet(path).to_dicts(), 1))
    if kind in ARCHIVES:
        return archive_rows(path)
    if kind in (".jsonl", ".ndjson"):
        return json_rows(path.name, content_of(path, encoding))
    if kind == ".json":
        return json_list_rows(path.name, content_of(path, encoding))
    if kind in (".csv", ".tsv"):
        return delimited_rows(path.name, content_of(path, encoding))
    raise ReadingError(
        f"{path.name}: {kind or 'a file without ending'} is not read; CSV, TSV, JSON lines "
        "(.jsonl), JSON, Parquet, WARC and WET are, and any data frame"
    )


def _parquet(path: Path) -> pl.DataFrame:
    with path.open("rb") as stream:
        refuse_foreign(path.name, stream.read(200))
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ReadingError(f"{path.name}: not readable as Parquet ({error})") from error


def _records(source: Any) -> Iterator[dict[str, Any]]:
    """Return the rows of a data frame or of a split of Hugging Face ``datasets``."""
    if _is_dataset(source):
        return _dataset(source)
    if isinstance(source, Mapping) and source and all(map(_is_dataset, source.values())):
        splits = ", ".join(map(repr, source))
        raise ReadingError(
            f"this data set has the splits {splits}; add each as a batch of its own: pass "
            f"data[{next(iter(source))!r}]. Nothing was stored"
        )
    return iter(to_polars(source).to_dicts())


def _is_dataset(source: Any) -> bool:
    # Told by its shape, so that `datasets` need not be installed; of data frames, none has both.
    return hasattr(source, "features") and hasattr(source, "column_names")


def _dataset(source: Any) -> Iterator[dict[str, Any]]:
    # A class label is stored as its number (-1 for none); what a person reads is its name.
    features = source.features or {}
    named = {c: f.int2str for c, f in features.items() if hasattr(f, "int2str")}
    rows = source.to_polars().to_dicts() if hasattr(source, "to_polars") else source
    for row in rows:
        labels = {c: _label(row.get(c), name) for c, name in named.items()}
        yield {**row, **labels}


def _label(value: Any, name: Any) -> Any:
    return name(value) if isinstance(value, int) and value >= 0 else None
