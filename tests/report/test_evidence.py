"""Evidence towards the rules: every row has its records, with links that open, or says it lacks."""

from __future__ import annotations

import base64
import json
import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
import pytest
import yaml

from scalekit.frames import write_atomically, write_parquet
from scalekit.journal import Journal
from scalekit.report import EvidenceTable, StatementError, evidence_table
from scalekit.report.records import KINDS
from scalekit.report.requirements import REQUIREMENTS

NOISE = {"estimate": "0.03", "from": "0.01", "to": "0.06", "source": "gold", "n": "100"}
BATCH = {"source": "s", "tier": "first-party", "rights": "CC0-1.0", "collected": "2026-01-01",
         "collector": "c", "digest": "sk1:sha256:0"}  # fmt: skip
SCORES = {"n": 100, "accuracy": 0.8, "from": 0.7, "to": 0.9}
SPEC = {"target": ("behaviour", "Name the intent."), "assumptions": ("assumptions", ["a"]),
        "setting": ("setting", "A shop."), "rubric": ("rubric", [{"name": "r"}]),
        "guideline": ("instructions", "Read it.")}  # fmt: skip
RELEASES = {"trace": "traced", "remediation": "remediated", "cycles": "cycle"}


def gate(stage: str, check: str) -> tuple[str, dict[str, Any]]:
    checks = [{"check": check, "measured": "0.8", "passed": "True"}]
    return "gate", {"stage": stage, "passed": True, "inputs": "i", "checks": checks}


def project(root: Path, without: str = "") -> Path:
    """Write the records of a project that has every kind of evidence, but for one."""
    kept = set(KINDS) - {without}

    def journal(name: str, events: list[tuple[str, str, dict[str, Any]]]) -> None:
        with Journal(root / name) as made:
            made.extend([("begun", {})] + [(k, d) for kind, k, d in events if kind in kept])

    def file(kind: str, name: str, text: str = "x") -> None:
        if kind in kept:
            write_atomically(root / name, text)

    spec = {name: value for kind, (name, value) in SPEC.items() if kind in kept}
    write_atomically(root / "spec.yaml", yaml.safe_dump({"name": "p", **spec}))
    journal("specify/versions.jsonl", [("versions", "version", {})])
    journal("decisions.jsonl", [("decisions", "decision", {})])
    journal("collect/batches.jsonl", [("sources", "batch", BATCH)])
    with Journal(root / "audit/audits.jsonl") as made:
        made.append("audit", {"gaps": {"a": 3}} if "gaps" in kept else {"kept": 3})
    journal("label/log.jsonl", [("cohorts", "cohort", {}), ("adjudication", "sharpened", {})])
    journal("evaluate/log.jsonl", [("split", "sealing", {})])
    journal("evaluate/forecasts.jsonl", [("forecast", "forecast", {})])
    journal("evaluate/panel/log.jsonl", [("panel", "asked", {})])
    journal("evaluate/releases.jsonl", [(kind, event, {}) for kind, event in RELEASES.items()])
    journal("evaluate/sealed/ab.looks.jsonl", [("looks", "look", {})])
    journal("train/log.jsonl", [("run", "run", {})])
    judged = {"intake": gate("collect", "few rows set aside"),
              "agreement": gate("label", "agreement"),
              "diagnosis": gate("evaluate", "target reached on dev")}  # fmt: skip
    if without != "gates":
        journal("gates.jsonl", [(kind, *event) for kind, event in judged.items()])
    if "annotators" in kept:
        with Journal(root / "label/events/ana/s.jsonl") as made:
            made.append("label", {})
    file("policy", "policy.toml")
    file("seal", "evaluate/sealed/ab.json")
    file("card", "evidence/data_card.md")
    file("croissant", "evidence/croissant.json")
    file("costs", "evidence/cost.json")
    file("test-result", "evidence/test-result.dsse.json")
    stated = '[special_categories]\npresent = "no"\nretention = "none"\naccess = "nobody"\n'
    file("special", "statements.toml", stated)
    noise = NOISE if "noise" in kept else {"source": "none"}
    payload = base64.b64encode(json.dumps({"predicate": {"noise": noise}}).encode()).decode()
    write_atomically(root / "label/manifest.dsse.json", json.dumps({"payload": payload}))
    if not {"cleaning", "personal"} - kept:
        write_parquet(
            pl.DataFrame({"rule": ["junk", "personal-data"]}), root / "audit/marks.parquet"
        )
    if "coverage" in kept:
        write_parquet(pl.DataFrame({"category": ["a"]}), root / "audit/balance.parquet")
    if "gold" in kept:
        write_parquet(pl.DataFrame({"item_id": ["i"]}), root / "label/gold.parquet")
    name = {"resolution": "handwritten"}.get(without, "dev")
    if "measured" in kept:
        write_parquet(
            pl.DataFrame([{"set": name, **SCORES}]), root / "evaluate/measured/m-sets.parquet"
        )
    if "slices" in kept:
        cells = pl.DataFrame([{"set": "dev", "category": "a", **SCORES}])
        write_parquet(cells, root / "evaluate/measured/m-categories.parquet")
    return root


TOGETHER = {"gates": {"intake", "agreement", "diagnosis"}, "measured": {"resolution"},
            "cleaning": {"personal"}, "personal": {"cleaning"}}  # fmt: skip
"""Kinds that lie in one file: taking one away takes these too."""


def statuses(found: EvidenceTable) -> dict[str, str]:
    return dict(found.table.select("requirement", "status").iter_rows())


def test_a_project_with_every_record_has_every_row_evidenced(tmp_path: Path) -> None:
    found = evidence_table(project(tmp_path))
    outside = {r.name for r in REQUIREMENTS if r.outside}
    assert outside == {"AI Act 12"}
    assert {n for n, s in statuses(found).items() if s != "evidenced"} == outside
    assert found.not_evidenced.is_empty()
    assert "Every row has its records." in found.to_html()


def test_an_empty_folder_has_no_evidence_at_all(tmp_path: Path) -> None:
    found = evidence_table(tmp_path)
    assert set(statuses(found).values()) == {"not evidenced", "out of scope"}
    assert len(found.not_evidenced) == len(REQUIREMENTS) - 1


@pytest.mark.parametrize("kind", KINDS)
def test_taking_a_kind_of_evidence_away_flips_exactly_the_rows_that_need_it(
    tmp_path: Path, kind: str
) -> None:
    found = evidence_table(project(tmp_path, without=kind))
    gone = {kind} | TOGETHER.get(kind, set())
    rows = {r.name for r in REQUIREMENTS if gone & set(r.records)}
    assert set(found.not_evidenced["requirement"]) == rows
    for row in found.not_evidenced.to_dicts():
        asked = next(r for r in REQUIREMENTS if r.name == row["requirement"])
        assert set(row["missing"]) == gone & set(asked.records)


def test_every_kind_speaks_to_a_row_and_every_row_names_known_kinds() -> None:
    used = {kind for r in REQUIREMENTS for kind in r.records}
    assert used == set(KINDS)
    assert all(r.records or r.outside for r in REQUIREMENTS)
    assert len({r.name for r in REQUIREMENTS}) == len(REQUIREMENTS)


@pytest.mark.parametrize("field", ["rights", "collector", "digest"])
def test_a_source_that_lacks_a_field_is_no_evidence(tmp_path: Path, field: str) -> None:
    project(tmp_path)
    with Journal(tmp_path / "collect/batches.jsonl") as journal:
        journal.append("batch", {**BATCH, field: ""})
    assert statuses(evidence_table(tmp_path))["AI Act 10(2)(b)"] == "not evidenced"


def links(found: EvidenceTable) -> set[str]:
    html = {unquote(unescape(h)) for h in re.findall(r'href="([^"]+)"', found.to_html())}
    markdown = {unquote(h) for h in re.findall(r"\]\(([^)]+)\)", found.to_markdown())}
    assert html == markdown == set(found.table["links"].explode().drop_nulls())
    return html


def test_the_sample_projects_links_open_and_nothing_is_called_compliant(labelled: Any) -> None:
    root = labelled.folder.root
    found = evidence_table(root)
    assert all((root / link).is_file() for link in links(found))
    assert "complian" not in (found.to_html() + found.to_markdown()).lower()
    assert "Evidence towards" in found.to_markdown()
    state = statuses(found)
    assert state["AI Act 10(2)(b)"] == "evidenced"
    assert state["NIST MEASURE 2.11"] == "not evidenced", "nothing was measured yet"
    for row in found.table.filter(status="not evidenced").to_dicts():
        assert row["missing"], row
    shown = found.to_html()
    assert "Regulation (EU) 2024/1689" in shown
    assert "2 December 2027" in shown
    assert "NIST AI 100-1" in shown


def test_links_open_from_wherever_the_page_lies(tmp_path: Path) -> None:
    root = project(tmp_path / "p")
    away = tmp_path / "reports" / "may"
    away.mkdir(parents=True)
    found = evidence_table(root).linked_from(away, root)
    assert all((away / link).resolve().is_file() for link in links(found))
    near = evidence_table(root).linked_from(root, root)
    assert all((root / link).is_file() for link in links(near))


def test_what_people_state_stands_with_their_name_and_is_no_record(tmp_path: Path) -> None:
    said = (
        '[[statement]]\nrequirement = "AI Act 10(2)(a)"\ntext = "Most calls are of this kind"\n'
        'by = "R. Lind"\ndate = "2026-11-02"\n'
    )
    (tmp_path / "statements.toml").write_text(said)
    row = evidence_table(tmp_path).table.filter(requirement="AI Act 10(2)(a)").to_dicts()[0]
    assert row["stated"] == "Most calls are of this kind (R. Lind, 2026-11-02)"
    assert row["status"] == "not evidenced"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[statement]]\ntext = 'x'", "statement 1: requirement, by, date is missing"),
        ("[[statement]]\nrequirement='AI Act 99'\ntext='x'\nby='b'\ndate='d'", "no requirement"),
        ("x = ", "not readable as TOML"),
    ],
)
def test_a_statement_that_is_none_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "statements.toml").write_text(text)
    with pytest.raises(StatementError, match=re.escape(said)):
        evidence_table(tmp_path)


def test_a_name_with_signs_of_html_stays_text(tmp_path: Path) -> None:
    spec = yaml.safe_dump({"behaviour": "Say <script>alert(1)</script> | [x](y)"})
    (tmp_path / "spec.yaml").write_text(spec)
    found = evidence_table(tmp_path)
    assert "<script>" not in found.to_html()
    assert "[x](y)" not in found.to_markdown()
