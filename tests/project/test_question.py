"""Questions beside a project's categories: any kind of task, kept, found again, measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from scalekit.label import Criterion, LabelError, Task, Value, bradley_terry, pair_items

RUBRIC = Task("quality", "rubric", criteria=(Criterion("clear"), Criterion("kind", low=0, high=1)))


def label(widget: Any, values: list[Any]) -> None:
    """Answer the first items through the widget's own messages."""
    sent: list[dict[str, Any]] = []
    widget.send = sent.append
    widget._receive(widget, {"id": "q", "kind": "items", "from": 0}, [])
    for entry, value in zip(sent[-1]["items"], values, strict=False):
        act = {"id": f"a{entry['id']}", "kind": "label", "item": entry["id"], "value": value}
        widget._receive(widget, {**act, "active_ms": 3000}, [])
        assert sent[-1] == {"reply": f"a{entry['id']}"}


def test_a_rubric_on_the_items_in_use(ready: Any) -> None:
    asked = ready.label.ask(RUBRIC)
    before = ready.label.inputs()
    for who, points in (("ana", 4), ("ben", 2)):
        label(asked.open(who), [{"clear": points, "kind": 1}] * 5)
    found = ready.label.asked["quality"]
    assert found.task == RUBRIC
    assert len(found.labels()) == 10
    assert found.open("ana").config["done"] == 5
    table = found.agreement().table
    assert set(table["part"]) == {"clear", "kind"}
    assert found.cost(36.0).table["per label"][0] == pytest.approx(0.03)
    assert found.adjudicate("mia").config["total"] == 5
    assert "10 answers by 2 annotators" in found.to_html()
    assert ready.label.inputs() == before  # no gate depends on it


def test_pairs_come_back_with_names(ready: Any, tmp_path: Path) -> None:
    responses = [
        {"item_id": f"q{n}", "name": name, "prompt": "why?", "response": f"{name} {n}"}
        for n in range(6)
        for name in ("one", "two")
    ]
    asked = ready.label.ask(Task("better", "pair", strength=1, ties=False), pair_items(responses))
    widget = asked.open("ana")
    left = {"preferred": "first", "strength": 1}
    label(widget, [left] * 6)
    judged = asked.judgements()
    assert set(judged["first"]) == {"one"}
    assert judged["outcome"].to_list() == judged["shown_first"].to_list()  # always the left one
    assert len(bradley_terry(judged, draws=20).table) == 2
    made = asked.deliver(tmp_path / "delivery")
    told = pl.read_ndjson(made / "pairs.jsonl")
    assert set(told.columns) >= {"prompt", "chosen", "rejected"}
    assert len(told) == 6
    path = asked.export(tmp_path / "out.json", format="argilla")
    again = asked.import_table(path, round=2)
    assert again.table["replaced"].sum() == 6
    assert again.table["changed"].sum() == 0


def test_the_same_question_is_asked_once_and_another_needs_another_name(ready: Any) -> None:
    items = pl.DataFrame({"item_id": [1, 2], "text": ["one", "two"]})
    asked = ready.label.ask(RUBRIC, items)
    assert asked.items["item_id"].to_list() == ["1", "2"]
    again = ready.label.ask(RUBRIC, items)
    assert again.task == asked.task
    other = Task("quality", "multi", (Value("a"), Value("b")))
    with pytest.raises(LabelError, match="'quality' was asked already"):
        ready.label.ask(other, items)
    with pytest.raises(LabelError, match="'quality' was asked already"):
        ready.label.ask(RUBRIC, items.head(1))
    with pytest.raises(LabelError, match="can't name a task's folder"):
        ready.label.ask(Task("../x", "text"), items)
    with pytest.raises(ValueError, match="no column 'messages'"):
        ready.label.ask(Task("turns", "turns", (Value("a"),)), items)
    assert set(ready.label.asked) == {"quality"}


def test_a_sealed_text_stands_in_no_questions_files(sealed: Any) -> None:
    sealed.label.ask(Task("note", "text"))
    texts = set(sealed.audit.items()["text"])
    folder = sealed.folder.root / "label" / "tasks" / "note"
    assert [p.name for p in folder.iterdir()] == ["task.json"]
    assert set(sealed.label.asked["note"].items["text"]) == texts


def test_marks_beyond_the_text_are_refused(ready: Any) -> None:
    items = pl.DataFrame({"item_id": ["1"], "text": ["👩‍💻 x"]})
    asked = ready.label.ask(Task("names", "span", (Value("a"),)), items)
    widget = asked.open("ana")
    sent: list[dict[str, Any]] = []
    widget.send = sent.append
    act = {"id": "1", "kind": "label", "item": "1"}
    widget._receive(widget, {**act, "value": [{"start": 3, "end": 6, "label": "a"}]}, [])
    assert "end must be a whole number from 4 to 5" in sent[-1]["error"]
