"""Labels in and out: Label Studio, Argilla, Prodigy, CSV, Parquet, JSONL, data sets."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.display import View, block, counted, note, table
from scalekit.frames import require, to_polars, write_atomically
from scalekit.label.foreign import FORMATS
from scalekit.label.tasks import LabelError, Task

__all__ = ["LabelTable", "read_labels", "write_labels"]

TABLES = ("csv", "parquet", "jsonl")
ENDINGS = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".json": "json"}
COLUMNS = {
    "item_id": pl.String, "annotator": pl.String, "value": pl.String, "seconds": pl.Float64,
    "at": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class LabelTable(View):
    """Labels read from elsewhere, and what was left out of them with the reason."""

    table: pl.DataFrame
    format: str
    left_out: Mapping[str, int]

    def to_html(self) -> str:
        """Show how many labels came and what was left out."""
        people = self.table["annotator"].n_unique()
        said = f"{counted(len(self.table), 'label')} by {counted(people, 'annotator')}, "
        said += f"read as {self.format}."
        left = [f"{counted(n, 'answer')} {why}" for why, n in self.left_out.items()]
        out = note(f"Left out: {'; '.join(left)}.") if left else ""
        return block("Labels", note(said), out, table(self.table))


def read_labels(source: Any, task: Task, *, format: str = "") -> LabelTable:
    """Read labels made elsewhere.

    Parameters
    ----------
    source
        A file, the parsed records of one, or a table: any data frame, or a Hugging Face
        ``datasets.Dataset``, with ``item_id, annotator, value`` and, if known, ``seconds, at``.
    task
        What was asked. In Label Studio and Argilla its name, or those of the rubric's criteria, is
        that of the question.
    format
        "label-studio", "argilla", "prodigy", "csv", "parquet" or "jsonl"; by default told from the
        content.

    Returns
    -------
    LabelTable
        ``table`` has ``item_id, annotator, value`` (in the task's text form)``, seconds, at``. What
        was skipped, cancelled or a draft is left out and counted.

    Raises
    ------
    LabelError
        When the format is not known, or an answer is none to this task; with file and record.
    FrameError
        When a table lacks a column.
    """
    if format and format not in (*FORMATS, *TABLES):
        known = ", ".join((*FORMATS, *TABLES))
        raise LabelError(f"format {format!r} is not one of {known}")
    where = source.name if isinstance(source, Path) else str(source)[:60]
    where = Path(source).name if isinstance(source, str) else where
    found = _loaded(source, format)
    if isinstance(found, pl.DataFrame):
        return _of_table(found, task, where, format or "table")
    if not isinstance(found, list) or not all(isinstance(r, Mapping) for r in found):
        raise LabelError(f"{where}: a list of records is needed")
    if not format:
        format = next((n for n, f in FORMATS.items() if found and f.known(found[0])), "")
    if format not in FORMATS:
        return _of_table(to_polars(found, where), task, where, format or "jsonl")
    return _of_records(found, task, where, format)


def _loaded(source: Any, format: str) -> Any:
    """Return records, or a table."""
    if not isinstance(source, str | Path):
        if isinstance(source, list):
            return source
        return source.to_polars() if hasattr(source, "to_polars") else to_polars(source, "labels")
    path = Path(source)
    ending = ENDINGS.get(path.suffix.lower(), "")
    if format == "parquet" or ending == "parquet":
        return pl.read_parquet(path)
    if format == "csv" or ending == "csv":
        return pl.read_csv(path, infer_schema_length=0)
    text = path.read_text(encoding="utf-8-sig")
    try:
        found = json.loads(text)
    except ValueError:
        return _lines(text, path.name)
    return [found] if isinstance(found, Mapping) else found  # one line of JSONL is an object


def _lines(text: str, name: str) -> list[Any]:
    found = []
    # Only a line feed ends a line: JSON strings may hold the other separators of Unicode.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                found.append(json.loads(line))
            except ValueError as error:
                raise LabelError(f"{name}, line {number}: not JSON: {error}") from None
    return found


def _of_records(records: list[Any], task: Task, where: str, format: str) -> LabelTable:
    foreign = FORMATS[format]
    foreign.refuse(task, format)
    rows, left_out = [], Counter[str]()
    for number, record in enumerate(records, 1):
        try:
            for given in foreign.read(record, task):
                if given.skipped:
                    left_out[given.skipped] += 1
                    continue
                value = task.encode(given.answer)
                rows.append((given.item, given.annotator, value, given.seconds, given.at))
        except LabelError as error:
            raise LabelError(f"{where}, record {number}: {error}. Nothing was read") from None
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise LabelError(
                f"{where}, record {number}: not as {format} writes a {task.kind} task "
                f"({type(error).__name__}: {error}). Nothing was read"
            ) from None
    return LabelTable(pl.DataFrame(rows, schema=COLUMNS, orient="row"), format, dict(left_out))


def _of_table(frame: pl.DataFrame, task: Task, where: str, format: str) -> LabelTable:
    given = require(frame, ("item_id", "annotator", "value"), where)
    absent = [pl.lit(None).alias(c) for c in COLUMNS if c not in given.columns]
    rows = given.with_columns(absent).select(*COLUMNS)
    if not rows.schema["value"].is_nested() and rows.schema["value"] != pl.String:
        rows = rows.with_columns(pl.col("value").cast(pl.String))
    values = []
    for number, value in enumerate(rows["value"].to_list(), 1):
        try:
            values.append(None if value is None else task.encode(value))
        except LabelError as error:
            raise LabelError(f"{where}, row {number}: value: {error}. Nothing was read") from None
    empty = values.count(None)
    told = rows.drop("value").with_columns(pl.Series("value", values, dtype=pl.String))
    made = told.select(pl.col(name).cast(kind) for name, kind in COLUMNS.items())
    left = {"without a value": empty} if empty else {}
    return LabelTable(made.drop_nulls("value"), format, left)


def write_labels(
    labels: Any, path: Path | str, task: Task, *, format: str = "", items: Any = None
) -> Path:
    """Write labels in a form that others read; return the path.

    Parameters
    ----------
    labels
        ``item_id, annotator, value`` (in the task's text form) and, if known, ``seconds, at``.
    path
        Where to; written whole or not at all.
    task
        What was asked.
    format
        As for :func:`read_labels`; by default that of the file's ending.
    items
        ``item_id, text``, for the formats that carry the text.

    Raises
    ------
    LabelError
        When the format is not known, or can't say the task's answers.
    FrameError
        When a column is missing.
    """
    path = Path(path)
    format = format or ENDINGS.get(path.suffix.lower(), "")
    if format not in (*FORMATS, *TABLES):
        known = ", ".join((*FORMATS, *TABLES))
        raise LabelError(f"{path.name}: say which format; one of {known}")
    rows = require(to_polars(labels, "labels"), ("item_id", "annotator", "value"), "labels")
    if format in TABLES:
        write_atomically(path, _table_bytes(rows, format))
        return path
    FORMATS[format].refuse(task, format)
    texts: dict[str, str] = {}
    if items is not None:
        known_items = require(to_polars(items, "items"), ("item_id", "text"), "items")
        texts = dict(known_items.select("item_id", "text").iter_rows())
    records = FORMATS[format].write(rows.to_dicts(), task, texts)
    if format == "prodigy":
        said = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records)
    else:
        said = json.dumps(records, ensure_ascii=False, indent=1)
    write_atomically(path, said)
    return path


def _table_bytes(rows: pl.DataFrame, format: str) -> bytes:
    buffer = io.BytesIO()
    if format == "csv":
        rows.write_csv(buffer)
    elif format == "parquet":
        rows.write_parquet(buffer)
    else:
        rows.write_ndjson(buffer)
    return buffer.getvalue()
