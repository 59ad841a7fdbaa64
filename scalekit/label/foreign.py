"""How Label Studio, Argilla and Prodigy write answers: each record read, and written again.

Offsets of spans count code points. Label Studio counted UTF-16 units in early versions
(HumanSignal/label-studio#1347); which it was is told by the marked text that it exports too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scalekit.label.tasks import LabelError, Task

__all__ = ["FORMATS", "Answer", "Foreign"]


@dataclass(frozen=True)
class Answer:
    """One annotator's answer; ``skipped`` says why it is none."""

    item: str
    annotator: str
    answer: Any = None
    seconds: float | None = None
    at: str | None = None
    skipped: str = ""


Rows = Sequence[Mapping[str, Any]]
Records = list[dict[str, Any]]


@dataclass(frozen=True)
class Foreign:
    """A format: which records are of it, how they are read and written, and what it can't say."""

    known: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Mapping[str, Any], Task], Iterator[Answer]]
    write: Callable[[Rows, Task, Mapping[str, str]], Records]
    kinds: tuple[str, ...]

    def refuse(self, task: Task, name: str) -> None:
        """Raise LabelError where the format can't say the task's answers."""
        if task.kind not in self.kinds:
            raise LabelError(
                f"{name} has no answer of kind {task.kind!r}; use jsonl, csv or parquet instead"
            )
        if task.kind == "pair" and (task.strength > 1 or task.ties):
            raise LabelError(
                f"{name} says which of two is preferred, not how strongly, and has no tie; use "
                "jsonl, csv or parquet for this task"
            )


# --- Label Studio --------------------------------------------------------------------------------


def _studio_read(record: Mapping[str, Any], task: Task) -> Iterator[Answer]:
    data = record["data"]
    item = _given(data, "item_id") if "item_id" in data else _given(record, "id")
    for annotation in record["annotations"]:
        who = annotation.get("completed_by")
        named = who if isinstance(who, Mapping) else {"id": who}
        about = {
            "item": item,
            "annotator": _given(named, "email" if named.get("email") else "id"),
            "seconds": annotation.get("lead_time"),
            "at": annotation.get("created_at"),
        }
        if annotation.get("was_cancelled"):
            yield Answer(**about, skipped="skipped by the annotator")
        else:
            result = annotation.get("result") or []
            yield Answer(**about, answer=_studio_answer(result, task, str(data.get("text", ""))))


def _studio_answer(result: Sequence[Mapping[str, Any]], task: Task, text: str) -> Any:
    # A project may ask more than one question: where one is named as the task, it is that one.
    asked = {c.name for c in task.criteria} or {task.name}
    own = [part for part in result if part.get("from_name") in asked]
    values = [(part.get("from_name"), part["value"]) for part in own or result]
    if task.kind == "rubric":
        return {name: value.get("rating", value.get("number")) for name, value in values}
    if task.kind == "span":
        return [_studio_span(value, text) for _, value in values]
    if task.kind == "multi":
        return [name for _, value in values for name in value["choices"]]
    if len(values) != 1:
        raise LabelError(f"one answer is needed, there are {len(values)}")
    value = values[0][1]
    if task.kind == "pair":
        side = {"left": "first", "right": "second"}.get(value["selected"])
        return {"preferred": side, "strength": 1}
    found = value["choices" if task.kind == "choice" else "text"]
    if isinstance(found, list) and len(found) != 1:
        raise LabelError(f"one answer is needed, there are {len(found)}")
    return found[0] if isinstance(found, list) else found


def _studio_span(value: Mapping[str, Any], text: str) -> dict[str, Any]:
    start, end, said = value["start"], value["end"], value.get("text")
    if said is not None and text and text[start:end] != said:
        units = text.encode("utf-16-le")
        start, end = (len(units[: 2 * at].decode("utf-16-le", "ignore")) for at in (start, end))
        if text[start:end] != said:
            raise LabelError(f"{said!r} is not at {value['start']} to {value['end']} of the text")
    return {"start": start, "end": end, "label": value["labels"][0]}


def _studio_write(rows: Rows, task: Task, texts: Mapping[str, str]) -> Records:
    records = []
    for number, (item, own) in enumerate(_by_item(rows), 1):
        text = texts.get(item, "")
        annotations = [
            {
                "completed_by": row["annotator"],
                "was_cancelled": False,
                "lead_time": row.get("seconds"),
                "created_at": row.get("at"),
                "result": _studio_result(task.decode(row["value"]), task, text),
            }
            for row in own
        ]
        data = {"item_id": item, "text": text}
        records.append({"id": number, "data": data, "annotations": annotations})
    return records


def _studio_result(answer: Any, task: Task, text: str) -> list[dict[str, Any]]:
    def part(kind: str, value: Mapping[str, Any], name: str = task.name) -> dict[str, Any]:
        return {"from_name": name, "to_name": "text", "type": kind, "value": dict(value)}

    if task.kind in ("choice", "multi"):
        chosen = [answer] if task.kind == "choice" else answer
        return [part("choices", {"choices": chosen})]
    if task.kind == "rubric":
        return [part("rating", {"rating": points}, name) for name, points in answer.items()]
    if task.kind == "span":
        spans = [(s["start"], s["end"], s["label"]) for s in answer]
        return [
            part("labels", {"start": a, "end": b, "text": text[a:b], "labels": [label]})
            for a, b, label in spans
        ]
    if task.kind == "pair":
        side = {"first": "left", "second": "right"}[answer["preferred"]]
        return [part("pairwise", {"selected": side})]
    return [part("textarea", {"text": [answer]})]


# --- Argilla -------------------------------------------------------------------------------------


def _argilla_read(record: Mapping[str, Any], task: Task) -> Iterator[Answer]:
    metadata = record.get("metadata") or {}
    own = "item_id" in metadata
    item = _given(metadata, "item_id") if own else _given(record, "id")
    by_user: dict[str, dict[str, Any]] = defaultdict(dict)
    for question, responses in (record.get("responses") or {}).items():
        for response in responses:
            by_user[_given(response, "user_id")][question] = response
    for user, answers in by_user.items():
        status = {a.get("status") or "submitted" for a in answers.values()}
        if status != {"submitted"}:
            yield Answer(item, user, skipped=f"{sorted(status)[0]} in Argilla")
            continue
        values = {question: a["value"] for question, a in answers.items()}
        if task.kind != "rubric" and task.name not in values:
            raise LabelError(f"there is no question {task.name!r}; there are {', '.join(values)}")
        yield Answer(
            item, user, values if task.kind == "rubric" else _ranked(values[task.name], task)
        )


def _ranked(value: Any, task: Task) -> Any:
    if task.kind != "pair":
        return value
    first = min(value, key=lambda place: place["rank"])["value"]
    return {"preferred": first, "strength": 1}


def _argilla_write(rows: Rows, task: Task, texts: Mapping[str, str]) -> Records:
    records = []
    for item, own in _by_item(rows):
        responses: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in own:
            answer = task.decode(row["value"])
            parts = answer if task.kind == "rubric" else {task.name: _ranking(answer, task)}
            for question, value in parts.items():
                said = {"value": value, "user_id": row["annotator"], "status": "submitted"}
                responses[question].append(said)
        records.append(
            {
                "id": item,
                "fields": {"text": texts.get(item, "")},
                "metadata": {"item_id": item},
                "responses": dict(responses),
            }
        )
    return records


def _ranking(answer: Any, task: Task) -> Any:
    if task.kind != "pair":
        return answer
    sides = ("first", "second")
    return [{"value": s, "rank": 1 if s == answer["preferred"] else 2} for s in sides]


# --- Prodigy -------------------------------------------------------------------------------------


def _prodigy_read(record: Mapping[str, Any], task: Task) -> Iterator[Answer]:
    meta = record.get("meta") or {}
    item = _given(meta, "item_id") if "item_id" in meta else _given(record, "_input_hash")
    who = "_annotator_id" if record.get("_annotator_id") else "_session_id"
    about: dict[str, Any] = {"item": item, "annotator": _given(record, who)}
    if record["answer"] != "accept":
        yield Answer(**about, skipped=f"answered {record['answer']!r} in Prodigy")
        return
    if task.kind == "span":
        spans = record.get("spans") or []
        answer: Any = [{k: s[k] for k in ("start", "end", "label")} for s in spans]
    elif task.kind == "text":
        answer = record.get("user_input")
    else:
        answer = record.get("accept") or []
        if task.kind == "choice":
            if len(answer) != 1:
                raise LabelError(f"one answer is needed, there are {len(answer)}")
            answer = answer[0]
    yield Answer(**about, answer=answer)


def _prodigy_write(rows: Rows, task: Task, texts: Mapping[str, str]) -> Records:
    records = []
    for row in rows:
        answer = task.decode(row["value"])
        said: dict[str, Any] = {"text": texts.get(row["item_id"], "")}
        if task.kind == "span":
            said["spans"] = answer
        elif task.kind == "text":
            said["user_input"] = answer
        else:
            said["options"] = [{"id": name, "text": name} for name in task.names]
            said["accept"] = [answer] if task.kind == "choice" else answer
        said |= {"answer": "accept", "_annotator_id": row["annotator"]}
        records.append({**said, "meta": {"item_id": row["item_id"]}})
    return records


def _given(record: Mapping[str, Any], field: str) -> str:
    """Return a name that must be there, as text."""
    if record.get(field) in (None, ""):
        raise LabelError(f"{field} is missing")
    return str(record[field])


def _by_item(rows: Rows) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    items: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        items[row["item_id"]].append(row)
    yield from items.items()


FORMATS: Mapping[str, Foreign] = {
    "label-studio": Foreign(
        lambda r: isinstance(r.get("annotations"), list) and isinstance(r.get("data"), Mapping),
        _studio_read,
        _studio_write,
        ("choice", "multi", "pair", "rubric", "span", "text"),
    ),
    "argilla": Foreign(
        lambda r: "fields" in r and "responses" in r,
        _argilla_read,
        _argilla_write,
        ("choice", "multi", "pair", "rubric", "span", "text"),
    ),
    "prodigy": Foreign(
        lambda r: "answer" in r and ("_annotator_id" in r or "_input_hash" in r),
        _prodigy_read,
        _prodigy_write,
        ("choice", "multi", "span", "text"),
    ),
}
