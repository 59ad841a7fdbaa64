"""Every fault planted in the sample project is found by the verb that a notebook uses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import scalekit as sk
from scalekit.collect import ProvenanceError

Add = Callable[[Any, str], Any]


@pytest.fixture(scope="module")
def planted(samples: Path) -> dict[str, list[str]]:
    return json.loads((samples / "how_it_was_made/planted.json").read_text())


def ids(found: pl.DataFrame) -> list[str]:
    return sorted(found["item_id"].unique())


def test_every_kind_of_planted_fault_has_its_test(planted: dict[str, list[str]]) -> None:
    assert set(planted) == {
        "a team that reads the guideline otherwise", "ambiguous guideline", "broken encoding",
        "exact duplicate", "invisible characters", "junk", "leak", "markup", "near-duplicate",
        "padding", "personal data", "wrong queue",
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "rule"), [("junk", "junk"), ("personal data", "personal-data")])
def test_marked_by_its_rule_and_nothing_else_is(
    audited: Any, planted: dict[str, list[str]], kind: str, rule: str
) -> None:
    assert ids(audited.audit.report().findings(rule)) == planted[kind]


@pytest.mark.parametrize("kind", ["exact duplicate", "near-duplicate"])
def test_every_planted_copy_is_in_a_pair_of_its_own_and_nothing_else_is(
    audited: Any, planted: dict[str, list[str]], kind: str
) -> None:
    # Which of two copies goes is a matter of their sources; the planted one may be the better.
    found = audited.audit.report().findings(kind.replace(" ", "-"))
    pairs = [set(p) for p in found.select("item_id", "kept_id").rows()]
    assert len(pairs) == len(planted[kind])
    assert all(any(i in pair for pair in pairs) for i in planted[kind])
    assert all(pair & set(planted[kind]) for pair in pairs)


def test_personal_data_is_masked_in_what_goes_on(
    audited: Any, planted: dict[str, list[str]]
) -> None:
    before = dict(audited.collect.items().select("item_id", "text").iter_rows())
    after = dict(audited.audit.items().select("item_id", "text").iter_rows())
    for item in planted["personal data"]:
        assert after[item] != before[item]
        assert "[" in after[item]


@pytest.mark.parametrize("kind", ["broken encoding", "invisible characters"])
def test_mended_and_counted(audited: Any, planted: dict[str, list[str]], kind: str) -> None:
    report = audited.audit.report()
    mended = report.items.filter(pl.col("changes").list.contains(kind))
    assert ids(mended) == planted[kind]
    assert dict(report.changes.iter_rows())[kind] == len(planted[kind])
    assert (mended["text"] != mended["original"]).all()


def test_a_thin_group_and_a_missing_one_are_found_and_asked_for(audited: Any) -> None:
    gaps = {r["category"]: r for r in audited.audit.report().balance.gaps.to_dicts()}
    assert {c: r["status"] for c, r in gaps.items()} == {
        "cancellation": "thin", "data_privacy": "missing",
    }  # fmt: skip
    assert all(r["still needed"] > 0 for r in gaps.values())
    failed = {c.name for c in audited.audit.gate().failed}
    assert failed == {"no category missing", "few categories thin"}


def test_a_batch_without_rights_is_refused(audited: Any, samples: Path) -> None:
    before = audited.collect.sources().table
    with pytest.raises(ProvenanceError, match="rights: missing"):
        audited.collect.add(
            samples / "review_scrape.csv", source="review site", tier="public-web",
            collected="2026-09-30", text="review",
        )  # fmt: skip
    assert audited.collect.sources().table.equals(before)


def test_bad_rows_are_set_aside_with_row_and_reason(audited: Any) -> None:
    aside = audited.collect.sources().quarantine
    assert aside.select("file", "row").rows() == [
        ("partner_chat.jsonl", 41), ("partner_chat.jsonl", 78),
    ]  # fmt: skip
    assert "not JSON" in aside["reason"][0]
    assert "empty" in aside["reason"][1]


def test_a_useless_synthetic_batch_is_padding_and_closes_the_gate(
    audited: Any, add: Add, planted: dict[str, list[str]]
) -> None:
    add(audited, "requests_inbox.csv")
    add(audited, "synthetic_delivery.jsonl")
    audited.collect.gate()
    report = audited.audit.run()
    verdicts = dict(report.batches.select("batch", "verdict").iter_rows())
    assert verdicts["synthetic"] == "padded"
    assert verdicts["requests"] == "filled"
    check = next(c for c in audited.audit.gate().failed if c.name == "new batches fill gaps")
    assert check.evidence is not None
    assert check.evidence["batch"].to_list() == ["synthetic"]
    assert ids(report.items.filter(batch_id="synthetic")) == planted["padding"]
    audited.collect.retire("synthetic", "it only pads")
    audited.collect.gate()
    audited.audit.run()
    assert audited.audit.gate().passed


@pytest.fixture
def round_one(audited: Any, add: Add, samples: Path) -> Any:
    add(audited, "requests_inbox.csv")
    audited.collect.gate()
    audited.audit.run()
    audited.audit.gate()
    audited.label.invite("ana", "ben", "chloe", "dora", "emil")
    audited.label.import_table(pl.read_csv(samples / "labels_round1.csv"))
    return audited


def test_the_careless_annotator_is_named_by_the_gate(round_one: Any) -> None:
    check = next(c for c in round_one.label.gate().failed if c.name == "nobody careless")
    assert check.evidence is not None
    assert check.evidence["annotator"].to_list() == ["emil"]
    worst = round_one.label.agreement().by_annotator
    assert worst["annotator"][0] == "emil"


def test_the_ambiguous_guideline_shows_in_the_disagreements(
    round_one: Any, planted: dict[str, list[str]]
) -> None:
    round_one.label.leave_out("emil", "careless")
    found = round_one.label.disagreements("cancellation", "returns")
    assert set(planted["ambiguous guideline"]) <= set(found["item_id"])
    assert len(found) <= 1.5 * len(planted["ambiguous guideline"])
    assert round_one.label.agreement().by_value["value"][0] == "returns"  # the weakest
    assert "ties resolved" in {c.name for c in round_one.label.gate().failed}


def test_items_in_the_wrong_queue_are_outvoted(
    labelled: Any, planted: dict[str, list[str]]
) -> None:
    assert ids(labelled.label.against_given()) == planted["wrong queue"]


def test_test_items_in_the_collected_text_are_found_with_their_span(
    labelled: Any, planted: dict[str, list[str]]
) -> None:
    leaks = labelled.evaluate.leaks().leaks
    assert sorted(leaks["train_id"]) == planted["leak"]
    assert leaks["spans"].list.len().min() > 0
    assert labelled.evaluate.decontaminate().leaks.is_empty()


def test_markup_is_shown_as_text(audited: Any, planted: dict[str, list[str]]) -> None:
    (item,) = planted["markup"]
    row = audited.audit.items().filter(item_id=item)
    assert "<" in row["text"][0]
    assert row["text"][0] not in sk.show(row.select("item_id", "text")).to_html()
