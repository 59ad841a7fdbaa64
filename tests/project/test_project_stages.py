"""The verbs of Specify, Collect and Audit in a project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import scalekit as sk
from scalekit.collect import ProvenanceError
from scalekit.frames import FrameError
from scalekit.specify import SpecError

OWN = {
    "source": "own notes", "tier": "first-party", "rights": "CC0-1.0", "collected": "2026-10-02",
}  # fmt: skip


@pytest.fixture
def specified(tmp_path: Path, samples: Path) -> Any:
    project = sk.Project(tmp_path / "p")
    project.specify.save(samples / "spec.yaml")
    assert project.specify.gate().passed
    return project


def rows(start: int = 0, n: int = 6, **more: Any) -> list[dict[str, Any]]:
    return [
        {"item_id": f"i{k}", "text": f"message {k} about thing {k} and {k * 7}", **more}
        for k in range(start, start + n)
    ]


def files(project: Any) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in project.folder.root.rglob("*") if p.is_file()}


def test_an_unchanged_spec_makes_no_new_version(specified: Any, samples: Path) -> None:
    specified.specify.save(samples / "spec.yaml")
    assert specified.specify.versions()["number"].to_list() == [1]
    changed = specified.specify.spec.model_copy(update={"setting": "Another."})
    specified.specify.save(changed)
    assert specified.specify.versions()["changes"].to_list() == [0, 1]
    assert specified.specify.diff(1, 2)["field"].to_list() == ["setting"]
    with pytest.raises(SpecError, match="no version 9"):
        specified.specify.diff(1, 9)


def test_a_wrong_spec_is_refused_whole_and_nothing_written(specified: Any) -> None:
    before = files(specified)
    fields = specified.specify.spec.model_dump(mode="json")
    with pytest.raises(SpecError, match=r"the spec was not saved:\n- behaviour"):
        specified.specify.save({**fields, "behaviour": "Two. Sentences here."})
    assert files(specified) == before


def test_a_spec_written_by_hand_needs_no_version(tmp_path: Path, samples: Path) -> None:
    project = sk.Project(tmp_path / "p")
    (project.folder / "spec.yaml").write_bytes((samples / "spec.yaml").read_bytes())
    assert project.specify.gate().passed
    assert len(project.specify.versions()) == 0
    assert "Nothing to show yet" not in _section(project, "Specify")


def _section(project: Any, name: str) -> str:
    html = project.report().path.read_text()
    return html.partition(f"<h2>{name}</h2>")[2].partition("<section")[0]


def test_adding_a_batch_again_changes_nothing(specified: Any) -> None:
    one = specified.collect.add(rows(), batch_id="notes", **OWN)
    before = files(specified)
    assert specified.collect.add(rows(), batch_id="notes", **OWN) == one
    assert files(specified) == before


def test_a_correction_of_rights_is_not_swallowed(specified: Any) -> None:
    specified.collect.add(rows(), batch_id="notes", **OWN)
    try:
        specified.collect.add(rows(), batch_id="notes", **{**OWN, "rights": "CC-BY-4.0"})
    except ProvenanceError as refused:
        said = str(refused)
    else:
        said = specified.collect.sources().table["rights"][0]
    assert "notes" in said or said == "CC-BY-4.0"


def test_another_content_under_a_name_and_ids_of_another_batch_are_refused(specified: Any) -> None:
    specified.collect.add(rows(), batch_id="notes", **OWN)
    before = files(specified)
    with pytest.raises(ProvenanceError, match="another batch 'notes'"):
        specified.collect.add(rows(50), batch_id="notes", **OWN)
    with pytest.raises(ProvenanceError, match="1 ids are in other batches already, first 'i5'"):
        specified.collect.add(rows(5), batch_id="more", **OWN)
    assert files(specified) == before


def test_a_mended_file_can_be_added_after_its_batch_is_retired(specified: Any) -> None:
    # What the gate itself advises: mend the files and add them again.
    specified.collect.add(rows(), batch_id="notes", **OWN)
    specified.collect.retire("notes", "read in a wrong encoding")
    mended = [{**r, "text": r["text"] + " indeed"} for r in rows()]
    specified.collect.add(mended, batch_id="notes-mended", **OWN)
    assert specified.collect.items()["text"].str.ends_with("indeed").all()


def test_a_retired_batch_added_again_is_not_said_to_be_in_use(specified: Any) -> None:
    specified.collect.add(rows(), batch_id="notes", **OWN)
    specified.collect.retire("notes", "a mistake")
    try:
        specified.collect.add(rows(), batch_id="notes", **OWN)
    except ProvenanceError as refused:
        said = str(refused)
    else:
        said = ""
    assert "retired" in said or len(specified.collect.items()) == 6


@pytest.mark.parametrize("missing", list(OWN))
def test_a_batch_without_provenance_is_refused_by_field(specified: Any, missing: str) -> None:
    before = files(specified)
    with pytest.raises(ProvenanceError, match=f"{missing}: missing"):
        specified.collect.add(rows(), batch_id="notes", **{**OWN, missing: ""})
    assert files(specified) == before


def test_synthetic_text_needs_a_gap_of_the_spec_and_a_generator(specified: Any) -> None:
    made = {**OWN, "tier": "synthetic", "generator": "template"}
    with pytest.raises(ProvenanceError, match="'weather' is no category"):
        specified.collect.add(rows(), batch_id="s", **made, gap="weather")
    with pytest.raises(ProvenanceError, match="generator: missing"):
        specified.collect.add(rows(), batch_id="s", **{**made, "generator": ""}, gap="billing")


def test_retiring_needs_a_known_batch_and_a_reason_and_is_recorded_once(specified: Any) -> None:
    specified.collect.add(rows(), batch_id="notes", **OWN)
    with pytest.raises(ProvenanceError, match="no batch 'x'"):
        specified.collect.retire("x", "why")
    with pytest.raises(ProvenanceError, match="say why"):
        specified.collect.retire("notes", "  ")
    for _ in range(2):
        specified.collect.retire("notes", "withdrawn")
    assert len(specified.folder.events("collect/batches.jsonl", "retired")) == 1
    assert (specified.folder / "collect/notes.parquet").is_file()


@pytest.mark.parametrize(("one", "other"), [(1, "1"), (1, 1.5), (True, "yes"), (None, 3)])
def test_batches_whose_further_columns_differ_in_type_go_together(
    specified: Any, one: object, other: object
) -> None:
    specified.collect.add(rows(0, rating=one), batch_id="a", **OWN)
    specified.collect.add(rows(50, rating=other), batch_id="b", **OWN)
    assert specified.collect.gate().passed
    assert len(specified.collect.items()) == 12
    assert len(specified.audit.run().items) == 12


@pytest.mark.parametrize("column", ["set", "group", "kept", "original", "junk", "changes", "drawn"])
def test_a_batch_may_have_columns_with_names_used_inside(
    audited: Any, samples: Path, column: str
) -> None:
    inbox = pl.read_csv(samples / "requests_inbox.csv").with_columns(pl.lit("train").alias(column))
    named = {"text": "message", "item_id": "ticket", "category": "queue"}
    audited.collect.add(inbox, batch_id="requests", **OWN, **named)
    audited.collect.gate()
    audited.audit.run()
    assert audited.audit.gate().passed
    audited.label.invite("ana", "ben", "chloe")
    audited.label.import_table(
        [
            {"item_id": item, "annotator": who, "value": value}
            for item, value in audited.audit.items().select("item_id", "category").rows()
            for who in ("ana", "ben", "chloe")
        ]
    )
    assert audited.label.gate().passed
    table = audited.evaluate.seal().table
    assert set(table["set"]) == {"train", "dev", "sealed", "handwritten"}


def test_once_no_gap_is_open_more_of_everything_may_come(labelled: Any) -> None:
    # "Too few examples: collect more" must not end in "only pads: retire the batch".
    assert labelled.audit.gaps().is_empty()
    more = labelled.audit.items().filter(pl.col("batch_id") != "forum").select("text", "category")
    more = more.group_by("category", maintain_order=True).head(6).with_row_index("n")
    more = more.with_columns(
        pl.format("N-{}", "n").alias("item_id"),
        pl.col("text").str.split(" ").list.reverse().list.join(" "),
    )
    labelled.collect.add(more.drop("n"), batch_id="more", **OWN)
    labelled.collect.gate()
    labelled.audit.run()
    assert [c.name for c in labelled.audit.gate().failed] == []


def test_auditing_again_changes_nothing(labelled: Any) -> None:
    before = files(labelled)
    labelled.audit.run()
    assert files(labelled) == before


def test_a_restored_item_comes_back_after_the_next_audit_once(labelled: Any) -> None:
    kept = len(labelled.audit.items())
    for _ in range(2):
        labelled.audit.restore("T-1027", "worth keeping")
    assert len(labelled.folder.events("audit/audits.jsonl", "restored")) == 1
    labelled.audit.run()
    assert len(labelled.audit.items()) == kept + 1


def test_restoring_needs_a_known_item_and_a_reason(labelled: Any) -> None:
    with pytest.raises(FrameError, match="no item 'T-9'"):
        labelled.audit.restore("T-9", "why")
    with pytest.raises(FrameError, match="say why"):
        labelled.audit.restore("T-1027", " ")


def test_a_crash_before_the_record_leaves_no_batch(
    specified: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scalekit.project.folder import Folder

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "append", crash)
        with pytest.raises(KeyboardInterrupt):
            specified.collect.add(rows(), batch_id="notes", **OWN)
    assert specified.collect.items().is_empty()
    specified.collect.add(rows(), batch_id="notes", **OWN)
    assert len(specified.collect.items()) == 6


def test_new_batch_reuses_what_was_mended(audited: Any, add: Callable[[Any, str], Any]) -> None:
    parts = audited.folder / "audit/parts"
    before = {p: p.stat().st_mtime_ns for p in parts.iterdir()}
    add(audited, "requests_inbox.csv")
    audited.collect.gate()
    audited.audit.run()
    after = {p: p.stat().st_mtime_ns for p in parts.iterdir()}
    assert before.items() <= after.items()
    assert len(after) == len(before) + 1


def test_quality_rules_are_shown_and_drop_nothing(ready: Any) -> None:
    before = ready.audit.items()
    found = ready.audit.quality("gopher", "c4")
    assert {rule.family for rule in found.rules} == {"gopher", "c4"}
    strictest = found.table.row(0, named=True)
    assert strictest["keeps"] < 0.2  # made for web pages: hardly a support message has 50 words
    assert ready.audit.items().equals(before)
