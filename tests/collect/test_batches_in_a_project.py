from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import scalekit as sk
from scalekit.collect import ProvenanceError, ReadingError
from scalekit.frames import StorageError

FIELDS: dict[str, Any] = {
    "source": "helpdesk export",
    "tier": "first-party",
    "rights": "LicenseRef-internal",
    "collected": "2026-10-02",
    "batch_id": "new",
}
LATER = (date.today() + timedelta(days=2)).isoformat()


@pytest.fixture
def project(tmp_path: Path, samples: Path) -> Any:
    made = sk.Project(tmp_path / "p")
    made.specify.save(samples / "spec.yaml")
    assert made.specify.gate().passed
    return made


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def frame(*texts: str, **more: Any) -> pl.DataFrame:
    return pl.DataFrame({"text": list(texts), **more})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rights": ""}, "rights: missing; give an SPDX expression"),
        ({"rights": "ours"}, "rights: 'ours' is no SPDX licence"),
        ({"collected": ""}, "collected: missing"),
        ({"collected": "2.10.2026"}, "collected: '2.10.2026' is not a date written YYYY-MM-DD"),
        ({"collected": LATER}, f"collected: {LATER} lies in the future"),
        ({"source": ""}, "source: missing"),
        ({"tier": "own"}, "tier: 'own' is not"),
        ({"batch_id": "../../up"}, "batch_id: '../../up' is not"),
        (
            {"tier": "synthetic", "gap": "weather", "generator": "g"},
            "gap: 'weather' is no category of the spec",
        ),
    ],
)
def test_a_batch_without_provenance_is_refused_and_nothing_is_written(
    project: Any, tmp_path: Path, change: dict[str, str], said: str
) -> None:
    before = files(tmp_path)
    with pytest.raises(ProvenanceError) as caught:
        project.collect.add(frame("one"), **{**FIELDS, **change})
    assert said in str(caught.value)
    assert files(tmp_path) == before


def test_the_same_batch_twice_is_stored_once_and_another_of_its_name_refused(
    project: Any, tmp_path: Path
) -> None:
    first = project.collect.add(frame("one", "two"), **FIELDS)
    before = files(tmp_path)
    assert project.collect.add(frame("one", "two"), **FIELDS) == first
    with pytest.raises(ProvenanceError, match="another batch 'new' already"):
        project.collect.add(frame("three"), **FIELDS)
    assert files(tmp_path) == before
    assert project.collect.items()["text"].to_list() == ["one", "two"]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Export.csv", "export"),
        ("Export 2026.10.csv", "export-2026-10"),
        ("_chat.jsonl.gz", "chat"),
        ("Überblick.csv", "berblick"),
        ("x" * 90 + ".csv", "x" * 64),
    ],
)
def test_a_batch_without_a_name_is_named_after_its_file(
    project: Any, tmp_path: Path, file: str, name: str
) -> None:
    content = '{"text": "one"}' if "jsonl" in file else "text\none\n"
    (tmp_path / file).write_text(content)
    fields = {k: v for k, v in FIELDS.items() if k != "batch_id"}
    assert project.collect.add(tmp_path / file, **fields).batch_id == name


def test_ids_of_an_earlier_batch_are_refused_by_id(project: Any, tmp_path: Path) -> None:
    project.collect.add(frame("one", item_id=["t-1"]), **FIELDS)
    before = files(tmp_path)
    with pytest.raises(ProvenanceError, match="first 't-1'"):
        project.collect.add(frame("other", item_id=["t-1"]), **{**FIELDS, "batch_id": "second"})
    assert files(tmp_path) == before


def test_a_crash_before_the_record_leaves_no_batch_and_adding_again_works(
    project: Any, tmp_path: Path
) -> None:
    # What a kill between the tables and the record leaves: tables without a record.
    (tmp_path / "p/collect").mkdir(exist_ok=True)
    frame("half").write_parquet(tmp_path / "p/collect/new.parquet")
    assert project.collect.batches() == []
    project.collect.add(frame("whole"), **FIELDS)
    assert project.collect.items()["text"].to_list() == ["whole"]


SIDES: dict[str, tuple[Any, Any]] = {
    "numbers, then text": ([1], ["high"]),
    "whole, then fractions": ([1], [0.5]),
    "empty, then text": ([None], ["x"]),
    "lists, then text": ([["a"]], ["a,b"]),
    "text, then nested": (["x"], [{"a": 1}]),
}


@pytest.mark.parametrize("case", SIDES)
def test_batches_whose_side_columns_differ_in_kind_stay_usable(project: Any, case: str) -> None:
    one, other = SIDES[case]
    project.collect.add(frame("one", score=one), **FIELDS)
    project.collect.add(frame("two", score=other), **{**FIELDS, "batch_id": "second"})
    assert project.collect.items()["text"].to_list() == ["one", "two"]
    assert project.collect.gate().passed
    assert len(project.audit.run().items) == 2


@pytest.mark.parametrize(
    "column",
    [
        "kept",
        "original",
        "changes",
        "junk",
        "personal",
        "row",
        "rule",
        "value",
        "annotator",
        "batch",
    ],
)
def test_a_side_column_with_a_name_of_ours_is_not_lost_or_taken_for_ours(
    project: Any, column: str
) -> None:
    project.collect.add(frame("Where is my parcel, please?", **{column: ["theirs"]}), **FIELDS)
    assert project.collect.gate().passed
    items = project.audit.run().items
    assert items["kept"].to_list() == [True]
    assert any("theirs" in items[c].cast(pl.String, strict=False).to_list()
               for c in items.columns if items[c].dtype == pl.String)  # fmt: skip


def test_a_folder_that_cannot_be_written_is_named(project: Any, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "p/collect", ignore_errors=True)
    (tmp_path / "p/collect").write_text("in the way")
    with pytest.raises(StorageError, match="collect"):
        project.collect.add(frame("one"), **FIELDS)
    assert (tmp_path / "p/collect").read_text() == "in the way"


def test_hostile_texts_are_kept_as_they_are_and_escaped_where_shown(project: Any) -> None:
    evil = "<script>alert(1)</script> hello there \u202eevil"
    project.collect.add(
        frame(evil, "x" * 200_000, "plain text is here"), **{**FIELDS, "source": evil}
    )
    assert project.collect.items()["text"][0] == evil
    for view in (project.collect.sources(), project.collect, project.collect.gate(), project):
        assert "<script" not in view.to_html()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([{"text": "a"}, "b"], r"data, row 2: 'b' is no mapping of columns; .*\[\{'text': '…'\}\]"),
        (None, r"data: NoneType is not read; give the path of a file, a data frame"),
        (b"a text", r"data: bytes is not read; give the path"),
    ],
)
def test_what_is_neither_file_nor_table_is_refused_with_what_is(
    project: Any, data: Any, said: str
) -> None:
    before = files(project.folder.root)
    with pytest.raises(ReadingError, match=said + ".*Nothing was stored"):
        project.collect.add(data, **FIELDS)
    assert files(project.folder.root) == before


def test_a_list_of_rows_is_a_batch(project: Any) -> None:
    assert project.collect.add([{"text": "a"}, {"text": "b"}], **FIELDS).rows == 2
