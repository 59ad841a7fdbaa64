"""Gates: stages refuse behind a closed one, and turn stale by digest, never silently green."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

import scalekit as sk
from scalekit import GateClosedError

STAGES = ["specify", "collect", "audit", "label", "evaluate"]


def states(project: Any) -> dict[str, str]:
    return {s.stage: s.state for s in project.board().states}


def edit_spec(project: Any, **changes: Any) -> None:
    path = project.folder / "spec.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))


def answer(texts: list[str]) -> list[str]:
    return ["billing"] * len(texts)


VERBS: dict[str, Callable[[Any], Any]] = {
    "collect.add": lambda p: p.collect.add([{"text": "hello there"}], batch_id="more"),
    "audit.run": lambda p: p.audit.run(),
    "label.open": lambda p: p.label.open("ana"),
    "label.import_table": lambda p: p.label.import_table([{"item_id": "x"}]),
    "evaluate.seal": lambda p: p.evaluate.seal(),
    "evaluate.measure": lambda p: p.evaluate.measure(answer),
    "train.fit": lambda p: p.train.fit(epochs=1),
}


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_runs_in_a_new_project_before_the_spec(tmp_path: Path, verb: str) -> None:
    project = sk.Project(tmp_path / "p")
    with pytest.raises((GateClosedError, RuntimeError)) as refused:
        VERBS[verb](project)
    if verb != "evaluate.measure":
        assert "can't start: the gate of Specify has not been judged" in str(refused.value)
        assert "project.specify.gate()" in str(refused.value)


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_runs_behind_a_stale_gate(sealed: Any, verb: str) -> None:
    edit_spec(sealed, assumptions=["Something else than before."])
    with pytest.raises(GateClosedError, match="stale: what it judged has changed") as refused:
        VERBS[verb](sealed)
    assert "project.specify.gate()" in str(refused.value)


def test_a_closed_gate_is_named_with_its_failed_checks_and_remedy(audited: Any) -> None:
    with pytest.raises(GateClosedError) as refused:
        audited.label.import_table([{"item_id": "x"}])
    said = str(refused.value)
    assert "Label can't start: the gate of Audit is closed" in said
    assert "no category missing: 1 missing, needed 0. Back to collect" in said
    assert "few categories thin" in said


def test_all_gates_passed_are_so_on_the_board(labelled: Any) -> None:
    assert states(labelled) == dict.fromkeys(STAGES[:4], "passed") | {"evaluate": "open"}
    assert "evaluate.gate()" in labelled.board().next


def test_a_changed_spec_turns_everything_after_it_stale(labelled: Any) -> None:
    edit_spec(labelled, setting="Another setting.")
    assert states(labelled) == dict.fromkeys(STAGES[:4], "stale") | {"evaluate": "open"}


def test_a_reformatted_spec_changes_nothing(labelled: Any) -> None:
    path = labelled.folder / "spec.yaml"
    path.write_text("# a comment\n" + yaml.safe_dump(yaml.safe_load(path.read_text()), width=40))
    assert states(labelled)["label"] == "passed"


def test_a_retired_batch_turns_collect_and_after_stale_and_nothing_before(labelled: Any) -> None:
    labelled.collect.retire("forum", "the licence was withdrawn")
    found = states(labelled)
    assert found["specify"] == "passed"
    assert {found[s] for s in STAGES[1:4]} == {"stale"}


def test_a_restored_item_turns_audit_and_after_stale_and_nothing_before(labelled: Any) -> None:
    labelled.audit.restore("T-1027", "it is a joke worth keeping")
    found = states(labelled)
    assert [found[s] for s in STAGES[:4]] == ["passed", "passed", "stale", "stale"]


def test_a_new_label_turns_label_stale_and_nothing_before(labelled: Any) -> None:
    labelled.label.import_table(
        [{"item_id": "T-1001", "annotator": "ana", "value": "returns"}], round=3
    )
    found = states(labelled)
    assert [found[s] for s in STAGES[:4]] == ["passed"] * 3 + ["stale"]


def test_what_a_gate_does_not_judge_turns_nothing_stale(labelled: Any) -> None:
    labelled.label.invite("fatima")
    labelled.specify.save(labelled.folder / "spec.yaml")
    labelled.evaluate.leaks()
    labelled.report()
    assert [states(labelled)[s] for s in STAGES[:4]] == ["passed"] * 4


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('profile = "full"', 'profile = "pretraining"'),
        ("[thresholds]", "[thresholds]\nalpha = 0.99"),
    ],
)
def test_other_thresholds_leave_no_gate_silently_green(
    labelled: Any, before: str, after: str
) -> None:
    path = labelled.folder / "project.toml"
    path.write_text(path.read_text().replace(before, after))
    assert states(sk.Project(labelled.folder.root))["label"] != "passed"


def test_judging_again_repairs_staleness_in_order(labelled: Any) -> None:
    edit_spec(labelled, setting="Another setting.")
    labelled.specify.gate()
    assert states(labelled)["collect"] == "stale"
    labelled.collect.gate()
    closed = labelled.audit.gate()
    assert not closed.passed  # the audit itself has to run again
    assert "project.audit.run()" in closed.failed[0].remedy
    labelled.audit.run()
    assert labelled.audit.gate().passed
    assert labelled.label.gate().passed


def test_judging_twice_records_once(labelled: Any) -> None:
    before = len(labelled.folder.events("gates.jsonl"))
    for stage in labelled.stages[:4]:
        stage.gate()
    assert len(labelled.folder.events("gates.jsonl")) == before


def test_a_judgement_says_who_failed_in_plain_words(audited: Any) -> None:
    table = audited.board().table.filter(pl.col("stage") == "audit")
    assert "✘" in table["gate"][0]
    assert "collect what the gaps ask for" in table["what to do"][0]
    printed = str(audited.board())
    assert f"✘ closed  audit\n  → {table['what to do'][0]}\n" in printed
    assert printed.endswith(f"Next: {audited.board().next}")


def test_the_board_shows_for_every_stage_of_an_empty_project(tmp_path: Path) -> None:
    project = sk.Project(tmp_path / "p")
    assert project.board().table["stage"].to_list() == STAGES
    assert not project.board().passed
    for stage in (*project.stages, project.train):
        assert stage.to_html()
    assert "specify" in project.to_html()


@pytest.mark.parametrize("stage", STAGES)
def test_every_gate_of_an_empty_project_is_closed_or_says_what_is_missing(
    tmp_path: Path, stage: str
) -> None:
    project = sk.Project(tmp_path / "p")
    try:
        passed, said = getattr(project, stage).gate().passed, "project."
    except (RuntimeError, ValueError) as refused:
        passed, said = False, str(refused)
    assert not passed
    assert "project." in said


def test_labels_gate_before_any_label_is_closed_with_a_remedy(labelled: Any) -> None:
    import shutil

    shutil.rmtree(labelled.folder / "label")
    found = labelled.label.gate()
    assert not found.passed
    assert "project.label.open" in "".join(c.remedy for c in found.failed)


def test_a_broken_spec_is_named_and_not_taken_for_a_missing_one(labelled: Any) -> None:
    (labelled.folder / "spec.yaml").write_text("name: [unclosed")
    with pytest.raises(ValueError, match=r"spec\.yaml: not readable as YAML"):
        labelled.board()


def test_a_damaged_journal_is_named_with_its_line(labelled: Any) -> None:
    path = labelled.folder / "gates.jsonl"
    path.write_bytes(b"{}\n" + path.read_bytes())
    with pytest.raises(RuntimeError, match=r"gates\.jsonl, line 1"):
        labelled.board()


def test_a_judgement_edited_by_hand_opens_no_gate(audited: Any) -> None:
    path = audited.folder / "gates.jsonl"
    *before, last = path.read_bytes().splitlines(keepends=True)
    forged = last.replace(b'"passed":false', b'"passed":true')
    assert forged != last
    path.write_bytes(b"".join([*before, forged]))
    with pytest.raises(RuntimeError, match=r"gates\.jsonl|can't start"):
        audited.label.import_table([{"item_id": "x", "annotator": "ana", "value": "billing"}])
