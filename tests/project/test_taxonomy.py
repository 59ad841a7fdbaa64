"""Candidates, adoption and reuse in a project: every choice is on record, nothing by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import scalekit as sk
from scalekit.specify import AssetError, Outcome, SpecError

JOURNAL = "specify/taxonomy.jsonl"
OUTCOME = Outcome(
    project="p", date="2026-10-02", tasks=400, cost_per_task="0.31", currency="EUR",
    agreement=0.71, defects=12,
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, samples: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SCALEKIT_LIBRARY", str(tmp_path / "shelf"))
    made = sk.Project(tmp_path / "p")
    made.specify.save(samples / "spec.yaml")
    return made


def kinds(project: Any) -> list[str]:
    return [e.kind for e in project.folder.events(JOURNAL)]


def test_looking_changes_nothing_but_the_journal(project: Any) -> None:
    before = project.specify.spec.digest
    found = project.specify.candidates(unit="single")
    project.specify.candidates(unit="single")
    assert found.table.height == 3
    assert project.specify.spec.digest == before
    assert kinds(project) == ["shown"]
    (shown,) = project.folder.events(JOURNAL)
    assert [a.partition("@")[0] for a in shown.data["assets"]] == found.table["id"].to_list()


def test_that_none_fits_is_kept_with_what_was_shown(project: Any) -> None:
    with pytest.raises(AssetError, match="no candidates were shown"):
        project.specify.none_fits("too far")
    project.specify.candidates("Route a message of a customer to the right desk.")
    with pytest.raises(AssetError, match="say why none fits"):
        project.specify.none_fits(" ")
    project.specify.none_fits("none is about routing")
    event = project.folder.events(JOURNAL)[-1]
    assert event.data["because"] == "none is about routing"
    assert event.data["assets"] == project.folder.events(JOURNAL, "shown")[0].data["assets"]
    assert "customer" in event.data["for"]


def test_adopting_makes_a_version_and_the_rate_follows_later_edits(project: Any) -> None:
    own = len(project.specify.spec.rubric)
    project.specify.adopt("knowledge.retrieval.abstention")
    assert len(project.specify.versions()) == 2
    assert project.specify.reuse().unchanged == 4
    assert project.specify.reuse().rate == 4 / (4 + own)
    spec = project.specify.spec
    edited = spec.rubric[0].model_copy(update={"points": 9})
    project.specify.save(spec.model_copy(update={"rubric": (edited, *spec.rubric[1:])}))
    found = project.specify.reuse()
    assert found.table["state"][0] == "changed"
    assert found.unchanged == 3


def test_adapting_keeps_the_lineage(project: Any) -> None:
    project.specify.adapt("code.sql.query", right_rows={"points": 3}, changes_data=None)
    rubric = {c.name: c for c in project.specify.spec.rubric}
    assert rubric["right-rows"].points == 3
    assert "changes-data" not in rubric
    event = project.folder.events(JOURNAL)[-1]
    assert (event.kind, event.data["asset"]) == ("adapted", "code.sql.query@1.0.0")
    assert project.specify.reuse().unchanged == 2
    with pytest.raises(AssetError, match="no criterion 'speed'"):
        project.specify.adapt("code.sql.query", speed=None)
    assert kinds(project) == ["adapted"]


def test_an_asset_alone_makes_the_first_spec(tmp_path: Path) -> None:
    fresh = sk.Project(tmp_path / "fresh")
    with pytest.raises(SpecError):
        fresh.specify.candidates()
    fresh.specify.adopt("code.sql.query")
    assert fresh.specify.spec.name == "fresh"
    assert fresh.specify.reuse().rate == 1
    # The asset shows how to write examples; how many are enough is the project's profile's say.
    lacking = [c.name for c in fresh.specify.gate().failed]
    assert lacking == ["handwritten examples in every category"]


def test_what_was_made_here_is_found_in_the_next_project(project: Any, tmp_path: Path) -> None:
    spec = project.specify.spec
    project.specify.save(spec.model_copy(update={"rubric": ()}))
    project.specify.adopt("knowledge.retrieval.abstention")
    made = project.specify.promote(
        "knowledge.retrieval.abstention", domain=("support", "triage"), title="Triage",
        owner="Fernway", licence="LicenseRef-Fernway-internal", outcome=OUTCOME,
    )  # fmt: skip
    assert made.derived_from == "knowledge.retrieval.abstention@1.0.0"
    other = sk.Project(tmp_path / "other")
    found = other.specify.candidates("Name the intent by which a support lead routes a message.")
    assert found.table["id"][0] == "support.triage"
    assert other.specify.library().find("support.triage").outcomes == (OUTCOME,)
    project.specify.record_outcome("code.sql.query", OUTCOME)
    assert other.specify.library().find("code.sql.query").outcomes == (OUTCOME,)
    other.specify.adopt("support.triage")
    with pytest.raises(AssetError, match="give a higher version"):
        other.specify.promote(
            "support.triage", domain=("code", "sql", "query"), title="Other", owner="o",
            licence="MIT",
        )  # fmt: skip


def test_the_journal_is_one_of_the_projects_and_its_template_is_written(
    project: Any, tmp_path: Path
) -> None:
    project.specify.candidates()
    assert project.folder / JOURNAL in project.folder.journals()
    assert project.specify.template("code.sql.query", tmp_path / "t.xml").read_text()[0] == "<"
