"""Label tables made elsewhere: checked whole, then recorded as events like any other label."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.display import counted
from scalekit.frames import FrameError, require, to_polars
from scalekit.label.events import LabelSession, check_name
from scalekit.label.tasks import LabelError, Task

__all__ = ["check_labels", "import_labels"]


def check_labels(
    labels: Any,
    *,
    items: Collection[str],
    annotators: Collection[str],
    task: Task,
) -> pl.DataFrame:
    """Return a labels table with the standard columns, every row known, answers in one form.

    Raises
    ------
    FrameError
        When a column is missing.
    LabelError
        Naming the first unknown item, annotator or value with its row, and how many there are.
    """
    table = require(to_polars(labels, "labels"), ("item_id", "annotator", "value"), "labels")
    table = table.with_columns(pl.col("item_id", "annotator", "value").cast(pl.String))
    rows = table.with_row_index("row", offset=1)
    for column, known, remedy in (
        ("item_id", items, "is not among the items to label"),
        ("annotator", annotators, "was not invited; project.label.invite(…) does that"),
    ):
        _refuse(rows.filter(~pl.col(column).is_in(list(known)).fill_null(False)), column, remedy)
    table = table.with_columns(_encoded(rows, task))
    for name in table["annotator"].unique():
        check_name(name)
    if "seconds" not in table.columns:
        return table
    number = pl.col("seconds").cast(pl.Float64, strict=False)
    sound = pl.col("seconds").is_null() | (number.is_finite() & (number >= 0)).fill_null(False)
    _refuse(rows.filter(~sound), "seconds", "is no number of seconds")
    return table.with_columns(number)


def _encoded(rows: pl.DataFrame, task: Task) -> pl.Series:
    """Return the answers in their one form; each different one is looked at once."""
    forms: dict[str, str] = {}
    refused: dict[str | None, str] = {}
    for value in rows["value"].unique(maintain_order=True):
        try:
            forms[value] = task.encode(value)
        except LabelError as error:
            refused[value] = str(error)
    if refused:
        at = [(row, v) for row, v in rows.select("row", "value").rows() if v in refused]
        row, value = at[0]
        raise LabelError(
            f"labels, row {row}: value: {refused[value]} ({counted(len(at), 'such row')}). "
            "Nothing was imported"
        )
    return pl.Series("value", [forms[v] for v in rows["value"]], dtype=pl.String)


def _refuse(wrong: pl.DataFrame, column: str, why: str) -> None:
    if wrong.is_empty():
        return
    first = wrong.row(0, named=True)
    raise LabelError(
        f"labels, row {first['row']}: {column} {first[column]!r} {why} "
        f"({counted(len(wrong), 'such row')}). Nothing was imported"
    )


def import_labels(
    labels: Any,
    *,
    folder: Path,
    task: Task,
    items: Collection[str],
    annotators: Collection[str],
    round: int = 1,
) -> int:
    """Record a table of labels (``item_id, annotator, value``, and ``seconds``, ``at`` if there).

    One session file for each annotator. Returns the number of labels recorded. Raises as
    :func:`check_labels` does, before anything is written.
    """
    table = check_labels(labels, items=items, annotators=annotators, task=task)
    if table.is_empty():
        raise FrameError("labels: the table has no rows")
    for (annotator,), rows in table.partition_by("annotator", as_dict=True).items():
        session = LabelSession(folder, str(annotator), task, items, round)
        acts = []
        for number, row in enumerate(rows.to_dicts(), 1):
            seconds = row.get("seconds")
            acts.append(
                {
                    "id": f"import-{session.session}-{number}",
                    "kind": "label",
                    "item": row["item_id"],
                    "value": row["value"],
                    "via": "import",
                }
                | ({} if seconds is None else {"active_ms": round_ms(seconds)})
                | ({} if row.get("at") is None else {"at": str(row["at"])})
            )
        session.record_all(acts)
        session.close()
    return len(table)


def round_ms(seconds: float) -> int:
    """Return *seconds* as whole milliseconds."""
    return int(seconds * 1000 + 0.5)
