"""Any data frame in, polars out; the standard columns that rooms hand each other."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

__all__ = [
    "GOLD",
    "ITEMS",
    "LABELS",
    "RESULTS",
    "TIERS",
    "FrameError",
    "StorageError",
    "ids_unique",
    "require",
    "texts_given",
    "to_polars",
    "write_atomically",
    "write_parquet",
]

ITEMS = ("item_id", "text", "batch_id", "source", "tier")
"""Columns of an items table; ``category`` and others may follow."""
LABELS = ("item_id", "annotator", "task", "value", "seconds", "at", "round")
"""Columns of a labels table: one row for each judgement; ``seconds`` are active seconds."""
GOLD = ("item_id", "task", "value")
RESULTS = ("item_id", "set", "score", "prediction")

TIERS = ("first-party", "licensed", "public-web", "synthetic")
"""Kinds of sources, the most trusted first."""


class StorageError(RuntimeError):
    """A file could not be written; it is as it was before."""


class FrameError(ValueError):
    """A table lacks what is asked of it; the message names the table and the column."""


def to_polars(frame: Any, what: str = "table") -> pl.DataFrame:
    """Return *frame* as a polars data frame.

    Takes whatever narwhals knows (pandas, polars eager and lazy, pyarrow, modin, duckdb…), a list
    of mappings, or a mapping of columns.

    Raises
    ------
    FrameError
        When *frame* is none of these.
    """
    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    rows = isinstance(frame, list | tuple) and all(isinstance(row, Mapping) for row in frame)
    try:
        if rows or isinstance(frame, Mapping):
            return pl.DataFrame(frame, infer_schema_length=None)
        return _through_narwhals(frame)
    except TypeError as error:
        raise FrameError(
            f"{what}: a data frame is needed (polars, pandas, pyarrow…), a list of rows or a "
            f"mapping of columns; got {type(frame).__name__} ({error})"
        ) from error
    except Exception as error:  # each library has its own family of exceptions
        place = _unfit_column(frame) if rows else ""
        raise FrameError(f"{what}: not readable as a table: {place}{error}") from error


def _unfit_column(rows: Sequence[Mapping[str, Any]]) -> str:
    for name in dict.fromkeys(name for row in rows for name in row):
        try:
            pl.Series(name, [row.get(name) for row in rows])
        except Exception:
            return f"column {name!r}: "
    return ""


def _through_narwhals(frame: Any) -> pl.DataFrame:
    import narwhals as nw

    native = nw.from_native(frame)
    eager = native.collect() if isinstance(native, nw.LazyFrame) else native
    return eager.to_polars()


def require(frame: pl.DataFrame, columns: Iterable[str], what: str) -> pl.DataFrame:
    """Return *frame* if it has all *columns*.

    Raises
    ------
    FrameError
        Naming the missing columns and those that are there.
    """
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise FrameError(
            f"{what}: column {', '.join(map(repr, missing))} is missing; there are "
            f"{', '.join(map(repr, frame.columns)) or 'no columns'}"
        )
    return frame


def texts_given(frame: pl.DataFrame, what: str) -> pl.DataFrame:
    """Return *frame* if its ``text`` is text in every row.

    Raises
    ------
    FrameError
        When the column is of another kind, or naming the first rows that have none.
    """
    if frame["text"].dtype != pl.String and len(frame):
        raise FrameError(f"{what}: column 'text' holds {frame['text'].dtype}, text is needed")
    missing = frame.filter(pl.col("text").is_null())
    if len(missing):
        shown = ", ".join(repr(i) for i in missing["item_id"].head(3))
        raise FrameError(f"{what}: {len(missing)} rows have no text, first of item {shown}")
    return frame


def ids_unique(frame: pl.DataFrame, column: str, what: str) -> pl.DataFrame:
    """Return *frame* if no value of *column* repeats or is null.

    Raises
    ------
    FrameError
        Naming the first repeated values.
    """
    if frame[column].null_count():
        raise FrameError(f"{what}: {frame[column].null_count()} rows have no {column!r}")
    twice = frame[column].filter(frame[column].is_duplicated()).unique(maintain_order=True)
    if len(twice):
        shown = ", ".join(repr(v) for v in twice.head(3))
        raise FrameError(f"{what}: {len(twice)} values of {column!r} repeat: {shown}…")
    return frame


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a whole file: it is there complete, or as it was before.

    The content goes to a temporary file beside it, is synced, then takes the file's name.

    Raises
    ------
    StorageError
        When the disk or the folder refuses.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):  # interrupted, say
            raise
        raise StorageError(
            f"{path}: not written ({error.strerror}); it is as it was before. Free some space, or "
            "choose a folder that you may write"
        ) from error


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write *frame* as Parquet, atomically."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    write_atomically(path, buffer.getvalue())
