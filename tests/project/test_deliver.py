"""From Label to the governed run: what is delivered, trained, verified and explained."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from scalekit.cli import app
from scalekit.gates import GateClosedError
from scalekit.govern import GovernError, ManifestError
from scalekit.label import LabelError


def test_the_manifest_holds_what_the_votes_say(labelled: Any) -> None:
    votes = labelled.label.consensus().drop_nulls("value")
    made = labelled.label.deliver()
    assert made.table["item_id"].to_list() == sorted(votes["item_id"])
    assert dict(made.table.select("item_id", "label").iter_rows()) == dict(
        votes.select("item_id", "value").iter_rows()
    )
    given = labelled.label.labels()
    for item, label, people in made.table.select("item_id", "label", "annotators").head(40).rows():
        own = given.filter((pl.col("item_id") == item) & (pl.col("value") == label))
        assert people == sorted(set(own["annotator"]) - {"emil"})
    assert made.about["noise"]["source"] == "consensus"
    assert labelled.label.manifest().digest == made.digest
    assert made.table["rubric"].unique().to_list() == ["all"]


def test_criteria_give_the_profiles(labelled: Any) -> None:
    ids = labelled.label.consensus().drop_nulls("value")["item_id"].head(2).to_list()
    rubrics = pl.DataFrame({"item_id": ids, "rubric": ["names one intent", "sees through tone"]})
    made = labelled.label.deliver(rubrics=rubrics).table
    found = {r["item_id"]: (round(r["low"], 2), round(r["high"], 2)) for r in made.to_dicts()}
    assert found[ids[0]] == (0.0, 0.34)
    assert found[ids[1]] == (0.4, 0.8)
    with pytest.raises(LabelError, match="no criterion 'nice' in the spec; there are names one"):
        labelled.label.deliver(rubrics=rubrics.with_columns(rubric=pl.lit("nice")))
    with pytest.raises(LabelError, match="item 'X' is not in use"):
        labelled.label.deliver(rubrics=rubrics.with_columns(item_id=pl.lit("X")))


def test_gold_measures_the_noise(labelled: Any) -> None:
    votes = labelled.label.consensus().drop_nulls("value").head(40)
    gold = votes.select("item_id", "value").with_columns(
        value=pl.when(pl.int_range(40) < 4).then(pl.lit("other")).otherwise("value")
    )
    assert labelled.label.deliver(gold=gold).noise == pytest.approx(0.1)


def test_after_a_split_only_its_training_items_are_delivered(sealed: Any) -> None:
    left_out = {e.data["item_id"] for e in sealed.folder.events("evaluate/log.jsonl", "left out")}
    dev = set(sealed.evaluate.open_items()["item_id"]) - set(
        sealed.evaluate.train_items()["item_id"]
    )
    made = set(sealed.label.deliver().table["item_id"])
    assert left_out
    assert dev
    assert made == set(sealed.evaluate.train_items()["item_id"])
    assert not made & (left_out | dev)


def test_nothing_is_delivered_behind_a_closed_gate(audited: Any) -> None:
    with pytest.raises(GateClosedError):
        audited.label.deliver()


def test_only_what_was_delivered_is_trained_on(labelled: Any) -> None:
    labelled.evaluate.seal()
    with pytest.raises(ManifestError, match=r"Deliver first, with project\.label\.deliver"):
        labelled.train.fit(epochs=1)
    labelled.label.deliver()
    path = labelled.folder / "label/manifest.parquet"
    raw = bytearray(path.read_bytes())
    raw[100] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ManifestError, match="changed after it was signed"):
        labelled.train.fit(epochs=1)


def test_a_run_is_verified_from_the_command_line_and_explained(sealed: Any) -> None:
    run = sealed.train.fit(epochs=2)
    invoke = CliRunner().invoke
    done = invoke(app, ["verify", str(run.folder)])
    assert (done.exit_code, "closed" in done.output) == (0, True)
    found = sealed.train.explain("Where is my parcel? The courier lost it.")
    assert found.answer in sealed.specify.spec.shares
    assert len(found.table) == len(run.record.examples)
    texts = dict(sealed.audit.items().select("item_id", "text").iter_rows())
    best = found.top(1).row(0, named=True)
    assert best["text"] == texts[best["item_id"]]
    assert found.table["text"].null_count() == 0
    assert escape(best["text"]) in found.to_html()
    assert sealed.train.suspects(5)["text"].null_count() == 0
    assert "Governed run" in sealed.train.to_html()
    (run.folder / run.record.segments("ledger")[0]["file"]).unlink()
    done = invoke(app, ["verify", str(run.folder)])
    assert done.exit_code == 1
    assert "dropped" in done.output


def test_a_stepped_run_is_released_by_fit(sealed: Any) -> None:
    stepper = sealed.train.step(epochs=1)
    stepper.start(3)
    stepper.wait()
    with pytest.raises(GovernError, match="only 3 of"):
        sealed.train.release(stepper.run)
    again = sealed.train.step(epochs=1)  # the same cell once more: it goes on where it stood
    assert again.run.update == 3
    run = sealed.train.fit(epochs=1)
    assert len(run.record.rows("ledger").filter(pl.col("update") == 3).collect()) == 32
    assert sealed.train.verify(), sealed.train.verify().why
    assert run.folder == stepper.run.folder


def test_every_label_and_the_consensus_lie_beside_the_manifest(labelled: Any) -> None:
    labelled.label.deliver()
    folder = labelled.folder.root / "label"
    labels = pl.read_parquet(folder / "labels.parquet")
    assert labels.equals(labelled.label.counted())
    told = pl.read_parquet(folder / "consensus.parquet")
    assert set(told.columns) >= {"value", "posterior", "entropy", "n", "batch_id", "source", "tier"}
    decided = told.drop_nulls("value")
    assert decided["posterior"].is_between(0, 1).all()
    assert told.filter(pl.col("tied"))["posterior"].is_null().all()


@pytest.mark.parametrize("format", ["label-studio", "argilla", "prodigy", "csv"])
def test_labels_go_out_and_come_in_again(labelled: Any, tmp_path: Path, format: str) -> None:
    ending = "csv" if format == "csv" else "json"
    path = labelled.label.export(tmp_path / f"out.{ending}", format=format)
    before = labelled.label.labels().select("item_id", "annotator", "value")
    found = labelled.label.import_table(path, round=9).table
    assert found["replaced"].sum() == len(before)
    assert found["changed"].sum() == 0
    after = labelled.label.labels()
    assert after.select("item_id", "annotator", "value").equals(before)
    assert set(after["round"]) == {9}
