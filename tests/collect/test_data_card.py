from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from scalekit.collect import Batch, SourceTable, data_card

EVIL = "<script>alert(1)</script> a|b\n# not a heading *bold*"


def batch(name: str, tier: str = "first-party", rows: int = 10, **more: Any) -> Batch:
    said = {"source": "s", "rights": "MIT", "collected": "2026-10-02", "collector": "ana",
            "quarantined": 0, "digest": "d", **more}  # fmt: skip
    return Batch(batch_id=name, tier=tier, rows=rows, **said)


def card(*batches: Batch, retired: dict[str, str] | None = None, **more: Any) -> str:
    items = more.pop("items", pl.DataFrame({"item_id": ["1"], "category": ["x"]}))
    aside = more.pop("aside", pl.DataFrame())
    given = {"name": "triage", "purpose": "Route messages.", **more}
    return data_card(SourceTable(batches, retired or {}, aside), items, **given)


def rows_of(text: str, heading: str) -> list[list[str]]:
    part = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_card_tells_sources_rights_dates_counts_and_what_was_retired() -> None:
    text = card(
        batch("a", rows=1_200, collected="2026-10-01", quarantined=3),
        batch("b", "public-web", rows=300, rights="CC-BY-4.0", collected="2026-10-09"),
        batch("c", "licensed", rows=50),
        retired={"c": "the contract ended"},
    )
    assert "2 batches, 1,500 rows as collected; 3 rows set aside." in text
    assert "Collected from 2026-10-01 to 2026-10-09." in text
    assert rows_of(text, "By what right")[1:] == [["MIT", "a", "1,200"], ["CC-BY-4.0", "b", "300"]]
    assert [r[1] for r in rows_of(text, "Where it is from")[1:]] == ["a", "b"]
    assert rows_of(text, "What was retired")[1:] == [["c", "the contract ended"]]


def test_categories_stand_beside_their_targets_missing_ones_too() -> None:
    items = pl.DataFrame({"item_id": list("abcd"), "category": ["x", "x", "z", None]})
    text = card(batch("a"), items=items, targets={"x": 0.5, "y": 0.5})
    found = [r for r in rows_of(text, "How much") if r[0] in {"x", "y", "z", "(none)"}]
    assert found == [["x", "2", "50.0%", "50.0%"], ["y", "0", "0.0%", "50.0%"],
                     ["z", "1", "25.0%", ""], ["(none)", "1", "25.0%", ""]]  # fmt: skip


def test_what_it_is_not_follows_from_what_is_in_it() -> None:
    plain = card(batch("a"))
    assert "public web" not in plain
    assert "generated" not in plain
    both = card(batch("a"), batch("b", "public-web", rows=5),
                batch("c", "synthetic", rows=2, gap="x", generator="g"))  # fmt: skip
    assert "5 of 17 rows are from the public web" in both
    assert "2 of 17 rows were generated" in both
    proof = {"file": "log", "size": 1, "sha256": "0"}
    assert "no log or contract for a." in card(batch("a"), batch("b", evidence=proof))
    assert "no log or contract" not in card(batch("b", evidence=proof))


def test_no_text_of_a_row_and_no_markup_of_a_source_gets_into_the_card() -> None:
    aside = pl.DataFrame({"batch": ["a"], "file": ["x"], "row": [1], "reason": [EVIL],
                          "content": ["a secret message"]})  # fmt: skip
    text = card(batch("a", source=EVIL), retired={}, aside=aside, purpose=EVIL, name=EVIL)
    assert "<script" not in text
    assert "secret" not in text
    assert "\n# not" not in text
    assert [len(r) for r in rows_of(text, "Where it is from")] == [8, 8]


def test_a_project_writes_its_card(audited: Any, tmp_path: Path) -> None:
    made = audited.collect.card(tmp_path / "CARD.md")
    assert made.path.read_text(encoding="utf-8") == made.text
    assert audited.specify.spec.behaviour in made.text
    for b in audited.collect.batches():
        assert b.rights in made.text
        assert f"{b.rows:,}" in made.text
    assert "<table>" in made.to_html()
    assert "<h2>What it is not</h2>" in made.to_html()
    assert audited.collect.card().text == made.text
