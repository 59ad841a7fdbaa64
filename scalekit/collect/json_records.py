"""Rows of JSON: lines, lists, and the exports of Label Studio and Argilla.

Only what was annotated is read here, not the annotations: labels come in with
``project.label.import_table`` and ``scalekit.label``'s exchange.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from scalekit.collect.rows import ReadingError, Row

__all__ = ["json_list_rows", "json_rows"]

STUDIO_SIGNS = {"annotations", "predictions", "completions"}
"""Of Label Studio's tasks, beside ``data`` (``completions`` until version 1.0)."""
STUDIO = STUDIO_SIGNS | {
    "id", "inner_id", "drafts", "meta", "project", "file_upload", "created_at", "updated_at",
    "updated_by", "is_labeled", "overlap", "total_annotations", "cancelled_annotations",
    "total_predictions", "comment_count", "unresolved_comment_count", "last_comment_updated_at",
    "comment_authors", "allow_skip",
}  # fmt: skip
"""What else a task may hold: a record of nothing else is a task whose data are missing."""
ARGILLA = {"fields", "metadata", "responses", "suggestions", "vectors", "status", "id",
           "external_id", "inserted_at", "updated_at", "dataset_id", "_server_id"}  # fmt: skip
LISTS = ("records", "data", "rows", "items")
"""Under these names an object may hold the list of its records."""


def json_rows(name: str, content: str) -> Iterator[Row]:
    """Yield the rows of JSON lines; what is no object is told by line.

    Raises
    ------
    ReadingError
        When the file is one JSON list.
    """
    if content.lstrip().startswith("[") and _is_list(content):
        raise ReadingError(
            f"{name}: this is a list, not one object a line; name it .json. Nothing was stored"
        )
    end = "\n" if "\n" in content else "\r"
    for number, line in enumerate(content.split(end), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Row(number, None, f"not JSON: {error}", line)
            continue
        yield _row(number, record)


def json_list_rows(name: str, content: str) -> Iterator[Row]:
    """Yield the rows of a JSON file that is a list of objects, or an object that holds one.

    Raises
    ------
    ReadingError
        When the file is no JSON, or holds no list.
    """
    try:
        whole = json.loads(content) if content.strip() else []
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        hint = "; one object a line is JSON lines: name it .jsonl" if _lines(content) else ""
        raise ReadingError(f"{name}, line {line}: not JSON: {error}{hint}") from error
    records = whole
    if isinstance(whole, dict):
        held = [whole[key] for key in LISTS if isinstance(whole.get(key), list)]
        records = held[0] if len(held) == 1 else None
    if not isinstance(records, list):
        raise ReadingError(
            f"{name}: a list of objects is needed; this is {_kind(whole)}. Write one object a "
            "line as .jsonl, or a list"
        )
    yield from (_row(number, record) for number, record in enumerate(records, 1))


def _is_list(content: str) -> bool:
    try:
        return isinstance(json.loads(content), list) and "{" in content
    except (ValueError, RecursionError):
        return False


def _lines(content: str) -> bool:
    try:
        return isinstance(json.loads(content.strip().split("\n", 1)[0]), dict)
    except (ValueError, RecursionError):
        return False


def _kind(whole: Any) -> str:
    if isinstance(whole, dict):
        keys = ", ".join(map(repr, list(whole)[:6])) or "nothing"
        return f"one object, with {keys} in it"
    return f"a single {type(whole).__name__}"


def _row(number: int, record: Any) -> Row:
    if not isinstance(record, dict):
        return Row(number, None, "a JSON object is needed", json.dumps(record)[:200])
    if STUDIO_SIGNS & record.keys() and ("data" in record or record.keys() <= STUDIO):
        return _studio(number, record)
    if isinstance(record.get("fields"), dict) and record.keys() <= ARGILLA:
        return Row(number, _joined(record, record["fields"], record.get("metadata")))
    return Row(number, record)


def _studio(number: int, task: dict[str, Any]) -> Row:
    """Return the data of a Label Studio task with its id."""
    data = task.get("data")
    if not isinstance(data, dict) or not data:
        return Row(number, None, "a Label Studio task without data", json.dumps(task)[:200])
    return Row(number, _joined(task, data, task.get("meta")))


def _joined(record: Mapping[str, Any], fields: Mapping[str, Any], about: Any) -> dict[str, Any]:
    """Return *fields* with the record's id and what is said *about* it, under free names."""
    joined = dict(fields)
    for key in ("id", "external_id"):
        if record.get(key) is not None:
            joined.setdefault(key, record[key])
    for key, value in about.items() if isinstance(about, Mapping) else ():
        joined[key if key not in joined else f"given_{key}"] = value
    return joined
