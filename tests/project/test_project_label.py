"""The verbs of Label in a project: nothing unknown, nothing lost, nothing twice."""

from __future__ import annotations

import unicodedata
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

import scalekit as sk
from scalekit.label import LabelError, LabelSession

ROW = {"item_id": "T-1001", "annotator": "ana", "value": "returns"}
OWN = {
    "source": "own notes", "tier": "first-party", "rights": "CC0-1.0", "collected": "2026-10-02",
}  # fmt: skip


def journals(project: Any) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in project.folder.root.rglob("*.jsonl")}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"item_id": "T-9999"}, "row 2: item_id 'T-9999' is not among the items"),
        ({"item_id": "T-1027"}, "T-1027"),  # junk: left out by the audit
        ({"annotator": "eve"}, r"annotator 'eve' was not invited; project\.label\.invite"),
        ({"value": "refund"}, "value: 'refund' is not one of account_access, billing"),
        ({"value": None}, "row 2"),
        ({"item_id": None}, "row 2"),
    ],
)
def test_an_unknown_label_is_refused_in_one_line_and_nothing_recorded(
    labelled: Any, wrong: dict[str, Any], said: str
) -> None:
    before = journals(labelled)
    good = {**ROW, "annotator": "ben"}
    with pytest.raises(LabelError, match=said) as refused:
        labelled.label.import_table([good, {**ROW, **wrong}], round=3)
    assert "\n" not in str(refused.value)
    assert journals(labelled) == before


def test_the_same_table_is_recorded_once(labelled: Any, samples: Path) -> None:
    before = journals(labelled)
    table = pl.read_csv(samples / "labels_round1.csv")
    again = labelled.label.import_table(table)
    assert "2,785 labels of round 1 by 5 annotators: recorded before" in again.to_html()
    assert again.table["new"].sum() == again.table["replaced"].sum() == 0
    assert journals(labelled) == before


def test_an_import_says_what_it_adds_and_what_it_replaces(labelled: Any) -> None:
    labelled.label.invite("fatima")
    table = labelled.label.labels().filter(pl.col("item_id") == "T-1001")
    stood = dict(table.select("annotator", "value").iter_rows())
    other = next(v for v in ("returns", "billing") if v != stood["ana"])
    rows = [
        {**ROW, "annotator": "ana", "value": other},
        {**ROW, "annotator": "ben", "value": stood["ben"]},
        {**ROW, "annotator": "fatima", "value": "returns"},
        {**ROW, "annotator": "fatima", "value": "billing"},
    ]
    found = labelled.label.import_table(rows, round=3)
    assert found.table.rows() == [
        ("ana", 1, 0, 1, 1), ("ben", 1, 0, 1, 0), ("fatima", 1, 1, 0, 0)
    ]  # fmt: skip
    assert str(found).startswith(
        "3 labels of round 3 by 3 annotators: 1 new, 2 in place of the annotator's earlier label "
        "of the item (1 with another value)."
    )
    assert "1 new, 2 in place of" in found.to_html()


def test_a_crash_between_two_annotators_is_repaired_by_importing_again(
    labelled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{**ROW, "annotator": who} for who in ("ana", "ben", "chloe")]
    whole, calls = LabelSession.record_all, []

    def crash(self: LabelSession, acts: Any) -> Any:
        calls.append(acts)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(self, acts)

    with monkeypatch.context() as patch:
        patch.setattr(LabelSession, "record_all", crash)
        with pytest.raises(KeyboardInterrupt):
            labelled.label.import_table(rows, round=3)
    labelled.label.import_table(rows, round=3)
    table = labelled.label.labels().filter(pl.col("item_id") == "T-1001")
    given = dict(table.select("annotator", "value").iter_rows())
    assert {given[who] for who in ("ana", "ben", "chloe")} == {"returns"}


@pytest.mark.parametrize("name", ["team b", "../ana", "", "a/b", "x" * 65])
def test_who_cannot_have_a_folder_is_not_invited(labelled: Any, name: str) -> None:
    before = labelled.label.annotators
    with pytest.raises(LabelError, match="annotator"):
        labelled.label.invite(name)
    assert labelled.label.annotators == before


def test_inviting_twice_records_once(labelled: Any) -> None:
    before = journals(labelled)
    labelled.label.invite("ana", "ben")
    assert journals(labelled) == before


def test_leaving_out_needs_a_known_name_and_a_reason_and_keeps_the_labels(labelled: Any) -> None:
    with pytest.raises(LabelError, match=r"unknown annotator 'eve'.*invited are ana, ben"):
        labelled.label.leave_out("eve", "why")
    with pytest.raises(LabelError, match="say why"):
        labelled.label.leave_out("dora", " ")
    before = journals(labelled)
    labelled.label.leave_out("emil", "again")
    assert journals(labelled) == before
    assert "emil" in labelled.label.labels()["annotator"].to_list()
    assert "emil" not in labelled.label.agreement().by_annotator["annotator"].to_list()


def test_sharpening_is_kept_once_in_the_instructions_and_their_file(labelled: Any) -> None:
    for _ in range(2):
        said = labelled.label.sharpen("Calling off one order is returns.", "14 items divided")
    assert said.count("Calling off one order is returns.") == 1
    assert (labelled.folder / "instructions.md").read_text() == said + "\n"
    assert said.startswith(labelled.specify.spec.instructions.strip())


def test_labels_of_a_retired_batch_do_not_count(labelled: Any) -> None:
    assert labelled.label.labels()["item_id"].str.starts_with("P-").any()
    labelled.collect.retire("forum", "withdrawn")
    labelled.collect.gate()
    labelled.audit.run()
    assert not labelled.label.labels()["item_id"].str.starts_with("P-").any()


def test_a_later_round_replaces_the_earlier_vote(labelled: Any) -> None:
    labelled.label.import_table([ROW], round=3)
    mine = (pl.col("item_id") == "T-1001") & (pl.col("annotator") == "ana")
    rows = labelled.label.labels().filter(mine)
    assert rows.select("value", "round").rows() == [("returns", 3)]


def test_disagreements_are_most_divided_first_and_show_the_votes(labelled: Any) -> None:
    found = labelled.label.disagreements()
    entropy = dict(labelled.label.consensus().select("item_id", "entropy").iter_rows())
    order = [entropy[i] for i in found["item_id"]]
    assert order == sorted(order, reverse=True)
    assert min(order) > 0
    assert "ana: " in found["votes"][0]


def test_ids_written_decomposed_keep_their_labels(tmp_path: Path, samples: Path) -> None:
    project = sk.Project(tmp_path / "p", profile="light")
    fields = yaml.safe_load((samples / "spec.yaml").read_text())
    names = ("billing", "returns")
    fields["categories"] = [{"name": n, "description": "", "share": 0.5} for n in names]
    fields["examples"] = [e for e in fields["examples"] if e["category"] in names]
    project.specify.save(fields)
    assert project.specify.gate().passed
    ids = [unicodedata.normalize("NFD", f"réclamation-{n}") for n in range(24)]
    things = ["grinder", "kettle", "filter", "machine", "parcel", "invoice"]
    texts = [f"{a} and {b} number {n}" for n, (a, b) in enumerate(product(things, things[:4]))]
    kinds = ["billing", "returns"] * 12
    project.collect.add(
        pl.DataFrame({"item_id": ids, "text": texts, "category": kinds}), batch_id="a", **OWN
    )
    project.collect.gate()
    project.audit.run()
    assert project.audit.gate().passed
    project.label.invite("ana", "ben")
    rows = [
        {"item_id": i, "annotator": who, "value": kind}
        for i, kind in zip(ids, kinds, strict=True)
        for who in ("ana", "ben")
    ]
    assert project.label.import_table(rows).table["new"].sum() == 48
    assert len(project.label.labels()) == 48
    assert project.label.gate().passed


def test_adjudication_decides_ties_sharpens_the_instructions_and_queues_what_it_touches(
    labelled: Any,
) -> None:
    label = labelled.label
    torn = label.disagreements()["item_id"].to_list()[:3]
    before = label.consensus().filter(pl.col("item_id") == torn[0]).row(0, named=True)
    stale = label.inputs()
    widget = label.adjudicate("mia", item_ids=torn)
    sent: list[dict[str, Any]] = []
    widget.send = sent.append
    rule = "One order is returns, a plan is cancellation."
    decided = {"value": "billing", "reason": "guideline gap", "rule": rule}
    act = {"id": "d1", "kind": "label", "item": torn[0], "value": decided}
    widget._receive(widget, act, [])
    assert sent == [{"reply": "d1"}]
    after = label.consensus().filter(pl.col("item_id") == torn[0]).row(0, named=True)
    assert (after["value"], after["tied"], after["adjudicated"]) == ("billing", False, True)
    assert after["votes"] == before["votes"]
    assert label.inputs() != stale  # what the gate judged has changed

    touched = label.revise()
    assert label.instructions.endswith(f"- {rule}")
    assert torn[0] in touched["item_id"]
    assert set(touched["item_id"]) <= set(label.disagreements()["item_id"])
    assert label.revise().is_empty()  # each rule once
    assert label.adjudicate("mia", item_ids=torn).config["done"] == 1

    again = label.open("ana", item_ids=touched["item_id"], round=2)
    assert again.config["total"] == len(touched)
    assert rule in again.config["guidelines"]


def test_agreement_is_compared_on_the_items_of_the_later_round(labelled: Any) -> None:
    torn = labelled.label.disagreements()["item_id"].to_list()[:6]
    everybody = labelled.label.counted()["annotator"].unique().to_list()
    values = ("returns", "billing")
    rows = [
        {"item_id": item, "annotator": who, "value": values[place % 2]}
        for place, item in enumerate(torn)
        for who in everybody
    ]
    labelled.label.import_table(rows, round=4)
    change = labelled.label.agreement_change(round=4)
    assert change.items == 6
    assert change.after.value == 1.0
    assert change.interval[0] > 0


def test_a_session_keeps_which_instructions_it_was_given_under(labelled: Any) -> None:
    labelled.label.sharpen("New rule.", "a case")
    labelled.label.open("ana")
    newest = max((labelled.folder.root / "label/events/ana").glob("*.jsonl"))
    first = newest.read_text(encoding="utf-8").splitlines()[0]
    assert '"edge_cases":"' in first
    assert '"instructions":"sk1:sha256:' in first


def test_an_adjudicated_label_is_delivered_with_who_decided(labelled: Any) -> None:
    label = labelled.label
    item = label.consensus().filter(~pl.col("tied"))["item_id"][0]
    widget = label.adjudicate("mia")
    widget.send = lambda message: None
    session = widget._session
    value = next(c.name for c in labelled.specify.spec.categories)
    act = {"id": "d1", "kind": "adjudicate", "item": item, "value": value, "reason": "edge case"}
    session.record({**act, "rule": "So it is."})
    label.gate()
    made = label.deliver().table.filter(item_id=item).row(0, named=True)
    assert made["label"] == value
    assert "mia" in made["annotators"]
    assert made["noise"] is None


def test_what_labels_cost_by_category(labelled: Any) -> None:
    found = labelled.label.cost(18.0).table
    whole = found.filter(by="all").row(0, named=True)
    seconds = labelled.label.seconds()
    assert whole["cost"] == pytest.approx(seconds / 3600 * 18 * whole["labels"] /
                                          (whole["labels"] - whole["untimed"]))  # fmt: skip
    assert whole["labels"] == 2785 + 56  # the second round replaced labels; the first took time too
    assert whole["accepted"] == labelled.label.consensus()["value"].count()
    categories = {c.name for c in labelled.specify.spec.categories}
    assert categories <= set(found.filter(by="category")["group"])


def test_decisions_made_elsewhere_are_recorded_once_all_or_none(
    labelled: Any, samples: Path
) -> None:
    table = pl.read_csv(samples / "resolutions.csv")
    wrong = table.with_columns(pl.lit("whim").alias("reason"))
    with pytest.raises(LabelError, match="act 1: the reason 'whim'"):
        labelled.label.import_resolutions(wrong, "mia")
    assert labelled.label.resolutions().is_empty()
    for _ in range(2):
        assert labelled.label.import_resolutions(table, "mia") == 3
    found = labelled.label.resolutions()
    assert found.select(table.columns).rows() == table.sort("item_id").rows()
    assert set(found["adjudicator"]) == {"mia"}


def test_a_model_decides_only_once_gold_has_shown_that_it_is_better(ready: Any) -> None:
    label = ready.label
    ids = ready.audit.item_ids()[:60]
    label.invite("ana", "ben", "x", "y", "z")
    truth = ["billing" if n % 2 else "delivery" for n in range(60)]
    rng = np.random.default_rng(4)
    rows = [  # ana and ben are right; the others do not read
        {"item_id": item, "annotator": who, "value": value if who in ("ana", "ben") else guess}
        for item, value in zip(ids, truth, strict=True)
        for who in ("ana", "ben", "x", "y", "z")
        for guess in [str(rng.choice(["billing", "delivery"]))]
    ]
    label.import_table(rows)
    stale = label.inputs()
    label.know([{"item_id": i, "value": v} for i, v in list(zip(ids, truth, strict=True))[:4]])
    with pytest.raises(LabelError, match="not shown to be better"):
        label.choose_consensus("Dawid-Skene")
    assert label.consensus_method == "majority"
    wrong = sum(a != b for a, b in zip(_values(label, ids), truth, strict=True))
    assert wrong > 5
    label.know([{"item_id": i, "value": v} for i, v in zip(ids, truth, strict=True)])
    assert label.choose_consensus("Dawid-Skene")["chosen"].to_list() == [False, True]
    assert _values(label, ids) == truth
    assert label.inputs() != stale
    with pytest.raises(LabelError, match="'best' is not one of majority, Dawid-Skene"):
        label.choose_consensus("best")


def _values(label: Any, ids: list[str]) -> list[str | None]:
    found = dict(label.consensus().select("item_id", "value").iter_rows())
    return [found[i] for i in ids]
