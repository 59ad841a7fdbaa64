"""Labels in and out of other tools: what is written reads back; what they write is understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scalekit.frames import FrameError
from scalekit.label import Criterion, LabelError, Task, Value
from scalekit.label.exchange import read_labels, write_labels
from scalekit.label.foreign import FORMATS

NAMES = (Value("billing"), Value("login"), Value("other"))
TEXT = "👩‍💻 Ada met Charles."
TASKS = {
    "choice": Task("topic", "choice", NAMES),
    "multi": Task("topic", "multi", NAMES),
    "span": Task("topic", "span", NAMES),
    "text": Task("topic", "text"),
    "pair": Task("topic", "pair", strength=1, ties=False),
    "rubric": Task("topic", "rubric", criteria=(Criterion("clear"), Criterion("kind"))),
    "turns": Task("topic", "turns", NAMES),
}
NAME = st.sampled_from([v.name for v in NAMES])
SPAN = st.tuples(st.integers(0, 8), st.integers(1, 9), NAME).map(
    lambda s: {"start": s[0], "end": s[0] + s[1], "label": s[2]}
)
POINTS = st.integers(1, 5)
ANSWERS = {
    "choice": NAME,
    "multi": st.lists(NAME, unique=True),
    "span": st.lists(SPAN, max_size=3),
    "text": st.text(min_size=1).filter(str.strip),
    "pair": st.sampled_from(["first", "second"]).map(lambda s: {"preferred": s, "strength": 1}),
    "rubric": st.fixed_dictionaries({"clear": POINTS, "kind": POINTS}),
    "turns": st.dictionaries(st.sampled_from("0123"), NAME, min_size=1),
}
CAN = [(name, kind) for name, foreign in FORMATS.items() for kind in foreign.kinds]
CAN += [(name, kind) for name in ("csv", "parquet", "jsonl") for kind in TASKS]


@pytest.mark.parametrize(("format", "kind"), CAN)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_written_reads_back(
    tmp_path: Path, format: str, kind: str, data: st.DataObject
) -> None:
    task = TASKS[kind]
    who = data.draw(st.lists(st.tuples(st.sampled_from("ijk"), st.sampled_from("ab")),
                             min_size=1, unique=True))  # fmt: skip
    rows = [
        {"item_id": item, "annotator": a, "value": task.encode(data.draw(ANSWERS[kind]))}
        for item, a in sorted(who)
    ]
    ending = format if format in ("csv", "parquet") else "json"
    items = [{"item_id": i, "text": TEXT} for i in "ijk"]
    path = write_labels(rows, tmp_path / f"out.{ending}", task, format=format, items=items)
    for said in ("", format):
        found = read_labels(path, task, format=said)
        assert found.left_out == {}
        assert (
            found.table.select("item_id", "annotator", "value")
            .sort("item_id", "annotator")
            .to_dicts()
            == rows
        )


def studio(result: list[dict[str, Any]], **annotation: Any) -> dict[str, Any]:
    given_ = {
        "completed_by": 7,
        "result": result,
        "lead_time": 4.5,
        "created_at": "2026-03-01T10:00Z",
    }
    return {"id": 12, "data": {"text": TEXT}, "annotations": [{**given_, **annotation}]}


def part(name: str, **value: Any) -> dict[str, Any]:
    return {"from_name": name, "to_name": "text", "type": "x", "value": value}


def test_label_studio_as_it_exports(tmp_path: Path) -> None:
    records = [
        studio([part("topic", choices=["login"])], completed_by={"id": 3, "email": "a@x.org"}),
        studio([], was_cancelled=True),
    ]
    path = tmp_path / "export.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    found = read_labels(str(path), TASKS["choice"])
    assert found.format == "label-studio"
    assert found.table.rows() == [("12", "a@x.org", "login", 4.5, "2026-03-01T10:00Z")]
    assert found.left_out == {"skipped by the annotator": 1}
    assert "1 answer skipped by the annotator" in found.to_html()


@pytest.mark.parametrize(("start", "end"), [(4, 7), (6, 9)], ids=["code points", "UTF-16"])
def test_label_studio_offsets_are_told_by_the_marked_text(start: int, end: int) -> None:
    record = studio([part("topic", start=start, end=end, text="Ada", labels=["login"])])
    found = read_labels([record], TASKS["span"]).table["value"][0]
    assert json.loads(found) == [{"start": 4, "end": 7, "label": "login"}]


def test_of_several_questions_the_one_named_as_the_task_is_read() -> None:
    record = studio([part("tone", choices=["rude"]), part("topic", choices=["login"])])
    assert read_labels([record], TASKS["choice"]).table["value"].to_list() == ["login"]
    other = studio([part("anything", choices=["login"])])
    assert read_labels([other], TASKS["choice"]).table["value"].to_list() == ["login"]


def test_argilla_as_it_exports() -> None:
    record = {
        "id": "r1",
        "fields": {"text": TEXT},
        "suggestions": {},
        "responses": {
            "topic": [
                {"value": ["login", "billing"], "user_id": "u1"},
                {"value": ["other"], "user_id": "u2", "status": "draft"},
            ]
        },
    }
    found = read_labels([record], TASKS["multi"])
    assert found.format == "argilla"
    assert found.table.rows() == [("r1", "u1", '["billing","login"]', None, None)]
    assert found.left_out == {"draft in Argilla": 1}


def test_prodigy_as_it_exports(tmp_path: Path) -> None:
    lines = [
        {
            "text": TEXT,
            "_input_hash": 5,
            "answer": "accept",
            "accept": ["login"],
            "_annotator_id": "p-a",
        },
        {"text": TEXT, "_input_hash": 6, "answer": "ignore", "_annotator_id": "p-a"},
    ]
    path = tmp_path / "out.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    found = read_labels(path, TASKS["choice"])
    assert found.format == "prodigy"
    assert found.table.rows() == [("5", "p-a", "login", None, None)]
    assert found.left_out == {"answered 'ignore' in Prodigy": 1}


def test_tables_of_any_library_and_data_sets() -> None:
    rows = {"item_id": ["1", "2"], "annotator": ["a", "a"], "value": ["login", None]}

    class Dataset:
        """As ``datasets.Dataset``, which need not be installed."""

        def to_polars(self) -> pl.DataFrame:
            return pl.DataFrame(rows)

    for table in (pd.DataFrame(rows), pl.DataFrame(rows).lazy(), Dataset()):
        found = read_labels(table, TASKS["choice"])
        assert found.table["value"].to_list() == ["login"]
        assert found.left_out == {"without a value": 1}


@pytest.mark.parametrize(
    ("records", "kind", "why"),
    [
        ([studio([part("topic", choices=["nope"])])], "choice", "record 1: 'nope' is not one of"),
        ([studio([part("topic", choices=["login", "other"])])], "choice", "record 1: one answer"),
        ([studio([])], "choice", "record 1: one answer is needed, there are 0"),
        ([studio([part("topic", rating=3)])], "choice", "not as label-studio writes a choice task"),
        (
            [studio([part("topic", choices=["login"])], completed_by=None)],
            "choice",
            "id is missing",
        ),
        (
            [studio([part("topic", start=0, end=2, text="Ada", labels=["login"])])],
            "span",
            "'Ada' is not at 0 to 2",
        ),
        (
            [studio([part("topic", text=["x"])])],
            "turns",
            "label-studio has no answer of kind 'turns'",
        ),
        (
            [{"id": 1, "fields": {}, "responses": {"else": [{"value": "x", "user_id": "u"}]}}],
            "choice",
            "no question 'topic'; there are else",
        ),
    ],
)
def test_what_can_not_be_read_is_said_with_its_record(
    records: list[Any], kind: str, why: str
) -> None:
    with pytest.raises(LabelError, match=why) as refused:
        read_labels(records, TASKS[kind])
    assert "\n" not in str(refused.value)


def test_files_that_are_no_labels_are_said(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"item_id": "1"}\nnonsense\n', encoding="utf-8")
    with pytest.raises(LabelError, match=r"bad\.jsonl, line 2: not JSON"):
        read_labels(bad, TASKS["choice"])
    bad.write_text('{"item_id": "1"}\n{"item_id": "2"}', encoding="utf-8")
    with pytest.raises(FrameError, match="annotator"):
        read_labels(bad, TASKS["choice"])
    table = tmp_path / "t.csv"
    table.write_text("item_id,annotator,value\n1,a,login\n2,a,what\n", encoding="utf-8")
    with pytest.raises(LabelError, match=r"t\.csv, row 2: value: 'what' is not one of"):
        read_labels(table, TASKS["choice"])
    with pytest.raises(LabelError, match="format 'xml' is not one of"):
        read_labels(table, TASKS["choice"], format="xml")


def test_what_a_format_can_not_say_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    strong = Task("topic", "pair", strength=3)
    rows = [{"item_id": "1", "annotator": "a", "value": '{"preferred":"first","strength":2}'}]
    for name, task in (("argilla", strong), ("prodigy", TASKS["rubric"])):
        with pytest.raises(LabelError, match="use jsonl, csv or parquet"):
            write_labels(rows, tmp_path / "out.json", task, format=name)
    with pytest.raises(LabelError, match=r"out\.json: say which format"):
        write_labels(rows, tmp_path / "out.json", strong)
    assert list(tmp_path.iterdir()) == []
