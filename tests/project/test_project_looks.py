"""Vault, looks, grants and exposure in a project, and which model a gate was judged for."""

from __future__ import annotations

import html
import json
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import scalekit as sk
from scalekit.cli import app
from scalekit.evaluate import SealError
from scalekit.journal import read

SHARES = {"train": 0.6, "dev": 0.15, "sealed": 0.15, "vault": 0.1}


def billing(texts: list[str]) -> list[str]:
    return ["billing"] * len(texts)


def knowing(project: Any) -> Any:
    """A model that knows every answer, those of the sealed sets too."""
    known = dict(project.evaluate._opened().select("text", "category").iter_rows())
    known |= dict(project.specify.spec.handwritten.select("text", "category").iter_rows())
    for one in project.evaluate._newest():
        known |= dict(one._open().select("text", "category").iter_rows())
    return lambda texts: [known[t] for t in texts]


@pytest.fixture
def vaulted(labelled: Any) -> Any:
    labelled.evaluate.seal(shares=SHARES)
    return labelled


# --- the vault ----------------------------------------------------------------------------------


def test_a_vault_is_there_when_asked_for_and_gone_from_the_tables(vaulted: Any) -> None:
    sets = vaulted.evaluate.sets()
    counts = dict(sets.table.select("set", "items").iter_rows())
    assert counts["vault"] == pytest.approx(0.1 * 548, abs=4)
    assert "is unopened" in sets.to_html()
    sealed, vault = vaulted.evaluate._newest()
    assert not set(sealed.item_ids()) & set(vault.item_ids())
    assert not set(vaulted.audit.items()["item_id"]) & {*sealed.item_ids(), *vault.item_ids()}
    assert vaulted.evaluate.find_sealed(vaulted.folder.root).is_empty()


def test_the_vault_opens_once_and_says_by_which_decision(vaulted: Any) -> None:
    asked = {"decision": "D-12", "model": "sk1:m", "claim": "it holds up"}
    found = vaulted.evaluate.open_vault(knowing(vaulted), **asked)
    n = vaulted.evaluate._vault().header["items"]
    assert found.sets.select("set", "right", "n").rows() == [("vault", n, n)]
    assert found.results.is_empty()
    event = read(vaulted.evaluate._vault().ledger.path)[0].data
    assert (event["decision"], event["model"], event["claim"]) == ("D-12", "sk1:m", "it holds up")
    for again in (asked, {**asked, "decision": "D-13"}):
        with pytest.raises(SealError, match=r"opened on 2\d{3}-\d\d-\d\d by D-12: .*opens once"):
            vaulted.evaluate.open_vault(billing, **again)
    assert vaulted.evaluate._current().looks_left == 3
    told = vaulted.evaluate.measure(billing).to_html()
    assert f"by D-12: {n} of {n} right" in told


@pytest.mark.parametrize("decision", ["", " ", True, None])
def test_a_vault_needs_a_named_decision(vaulted: Any, decision: Any) -> None:
    with pytest.raises(SealError, match="name the decision"):
        vaulted.evaluate.open_vault(billing, decision=decision, model="m", claim="c")
    assert vaulted.evaluate._vault().ledger.used == 0


def test_a_project_without_a_vault_says_how_to_have_one(sealed: Any) -> None:
    with pytest.raises(SealError, match="must be asked for when sealing"):
        sealed.evaluate.open_vault(billing, decision="D-1", model="m", claim="c")
    assert "There is no vault." in sealed.evaluate.measure(billing).to_html()


def test_a_copy_of_a_vault_item_in_training_is_found(vaulted: Any) -> None:
    text = max(vaulted.evaluate._vault()._open()["text"], key=len)
    path = vaulted.folder / "evaluate/split.parquet"
    split = pl.read_parquet(path)
    row = (
        split.filter(set="train")
        .head(1)
        .with_columns(pl.lit("new").alias("item_id"), pl.lit(f"Fwd: {text}").alias("text"))
    )
    pl.concat([split, row]).write_parquet(path)
    assert vaulted.evaluate.sets().sealed_hits["item_id"].to_list() == ["new"]
    vaulted.evaluate.decontaminate()
    assert vaulted.evaluate.sets().sealed_hits.is_empty()


# --- sealing ------------------------------------------------------------------------------------


def test_an_unknown_set_and_shares_that_do_not_make_one_are_refused(labelled: Any) -> None:
    for shares, said in (
        ({"train": 0.8, "test": 0.2}, "no set 'test'; there are train, dev, sealed, vault"),
        ({"train": 0.8, "sealed": 0.3}, "must make 1"),
    ):
        with pytest.raises(SealError, match=said):
            labelled.evaluate.seal(shares=shares)
    assert not (labelled.folder / "evaluate/sealed").exists()


def test_an_empty_sealed_set_is_refused_and_nothing_is_written(labelled: Any) -> None:
    with pytest.raises(SealError, match=r"the sealed set would be empty: these .* fall into"):
        labelled.evaluate.seal(shares={"train": 0.85, "dev": 0.15, "sealed": 0.0})
    assert not (labelled.folder / "evaluate/split.parquet").exists()
    assert not labelled.folder.events("evaluate/log.jsonl", "sealing")


def test_what_is_asked_otherwise_after_sealing_is_said_and_changes_nothing(sealed: Any) -> None:
    first = sealed.evaluate._current().seal_id
    told = sealed.evaluate.seal(seed=7)
    assert "Sealed already, with seed 0: seed 7 changes nothing" in told.to_html()
    told = sealed.evaluate.seal(shares=SHARES)
    assert "changes nothing" in told.notes[0]
    assert sealed.evaluate.seal(seed=0).notes == ()
    assert sealed.evaluate._current().seal_id == first


def test_a_split_by_the_date_of_the_batches(labelled: Any) -> None:
    labelled.evaluate.seal(by="collected")
    counts = dict(labelled.evaluate.sets().table.select("set", "items").iter_rows())
    assert counts["train"] == pytest.approx(0.7 * 548, abs=8)
    with pytest.raises(ValueError, match="hour"):
        labelled.evaluate._seal(
            labelled.label.consensus().drop_nulls("value"), "x",
            {"shares": {"train": "0.5", "sealed": "0.5"}, "together": [], "seed": 0, "by": "hour"},
            [], {"passphrase": False, "second_share": None},
        )  # fmt: skip


def test_passphrase_and_second_share_through_the_project(
    labelled: Any, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = tmp_path_factory.mktemp("approver") / "share"
    monkeypatch.setenv("SCALEKIT_PASSPHRASE", "correct horse")
    labelled.evaluate.seal(shares=SHARES, passphrase=True, second_share=share)
    assert share.is_file()
    assert share.with_name("share.vault").is_file()
    assert len(labelled.evaluate.measure(billing, sealed="claim").sets) == 4
    share.unlink()
    share.with_name("share.vault").unlink()
    assert labelled.evaluate.sets().sealed_hits.is_empty()  # training can still be searched
    labelled.label.deliver()
    with pytest.raises(SealError, match="two persons"):
        labelled.evaluate.measure(billing, sealed="another claim")
    assert labelled.evaluate._current().looks_left == 2


# --- looks --------------------------------------------------------------------------------------


def test_the_ledger_keeps_who_what_and_with_which_code(sealed: Any) -> None:
    root = sealed.folder.root
    for words in (["init", "-q"], ["add", "spec.yaml"]):
        subprocess.run(["git", "-C", str(root), *words], check=True)
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "-C", str(root), *who, "commit", "-qm", "x"], check=True)
    sealed.evaluate.measure(billing, model="sk1:m", sealed="above chance", margin=0.02)
    data = read(sealed.evaluate._current().ledger.path)[0].data
    assert (data["claim"], data["model"], data["margin"]) == ("above chance", "sk1:m", "0.02")
    assert len(data["git"]) == 40
    assert data["git_dirty"] == "yes"
    assert data["scalekit"] == sk.__version__
    assert data["actor"]
    assert data["data"].startswith("sk1:")
    assert data["protocol"].startswith("sk1:")


def test_another_training_set_is_another_registration(sealed: Any) -> None:
    sealed.evaluate.measure(billing, model="sk1:m", sealed="claim")
    row = sealed.evaluate.train_items()["item_id"][0]
    said = {"item_id": row, "because": "it holds an item of a test set"}
    sealed.folder.append("evaluate/log.jsonl", "left out", said)
    sealed.evaluate.measure(billing, model="sk1:m", sealed="claim")
    assert sealed.evaluate.sets().looks_left == 1


def test_a_second_model_is_answered_by_the_ladder(sealed: Any) -> None:
    first = sealed.evaluate.measure(billing, model="sk1:a", sealed="first")
    same = sealed.evaluate.measure(billing, model="sk1:b", sealed="second")
    assert "no measurable change from best accepted answer, which is shown: attempt 1" in (
        same.to_html()
    )
    assert same.sets.filter(set="sealed").equals(first.sets.filter(set="sealed"))
    assert "The best of 2 equally good models is expected to overstate itself" in same.to_html()
    assert "2 of 3 looks at the sealed set are used: keep what is left." in same.to_html()
    best = sealed.evaluate.measure(knowing(sealed), model="sk1:c", sealed="third")
    assert best.sets.filter(set="sealed")["accuracy"][0] == 1.0
    assert sealed.evaluate.measured().account == best.account


def test_a_model_that_lost_gets_no_figure_and_no_gate(sealed: Any) -> None:
    sealed.evaluate.measure(knowing(sealed), sealed="first")
    worse = sealed.evaluate.measure(billing, sealed="second")
    assert "sealed" not in set(worse.sets["set"])
    assert "measurably worse than best" in worse.to_html()
    failed = [check.name for check in sealed.evaluate.gate().failed]
    assert "no loss on the sealed set" in failed


def test_looks_are_granted_by_a_decision_and_not_by_a_flag(sealed: Any) -> None:
    for n in range(3):
        sealed.evaluate.measure(billing, sealed=f"claim {n}")
    with pytest.raises(SealError, match=r"grant_looks\(decision=…, expires=…\)"):
        sealed.evaluate.measure(billing, sealed="one more")
    assert sealed.evaluate.grant_looks(decision="D-3", expires="2999-12-31") == 2
    sealed.evaluate.measure(billing, sealed="one more")
    assert sealed.evaluate.sets().looks_left == 1


def test_verify_and_the_command_line_name_what_is_wrong_with_a_seal(sealed: Any) -> None:
    assert sealed.evaluate.verify()
    good = CliRunner().invoke(app, ["verify", str(sealed.folder.root)], env={"COLUMNS": "400"})
    assert good.exit_code == 0
    assert "Seals of" in good.output
    path = sealed.folder / f"evaluate/sealed/{sealed.evaluate._current().seal_id}.bin"
    path.write_bytes(path.read_bytes()[:-1])
    assert not sealed.evaluate.verify()
    bad = CliRunner().invoke(app, ["verify", str(sealed.folder.root)], env={"COLUMNS": "400"})
    assert bad.exit_code == 1
    assert "the file was cut" in bad.output


def test_a_failing_predict_leaves_no_sealed_text_in_the_error(sealed: Any) -> None:
    sealed_texts = set(sealed.evaluate._current()._open()["text"])

    def fails(texts: list[str]) -> list[str]:
        if sealed_texts & set(texts):
            raise ValueError(texts[0])
        return billing(texts)

    with pytest.raises(SealError, match="failed with ValueError") as refused:
        sealed.evaluate.measure(fails, sealed="claim")
    assert not [t for t in sealed_texts if t in str(refused.value)]
    assert refused.value.__context__ is None


# --- exposure -----------------------------------------------------------------------------------


def test_handwritten_examples_are_counted_and_burned_ones_left_out(sealed: Any) -> None:
    before = sealed.evaluate.measure(billing)
    sealed.evaluate.measure(billing)
    ids = sealed.specify.spec.handwritten["item_id"].to_list()
    assert sealed.evaluate.exposure().table["measured"].to_list() == [2] * len(ids)
    sealed.evaluate.expose("prompt", ids[:2], "few-shot prompt of the judge")
    shown = sealed.evaluate.expose("training", ids[2:3], "taught to the second model")
    assert shown.burned == ids[:3]
    after = sealed.evaluate.measure(billing)
    assert after.sets.filter(set="handwritten")["n"][0] == len(ids) - 3
    assert before.sets.filter(set="handwritten")["n"][0] == len(ids)
    assert "3 handwritten examples were used in a prompt or in training and left out" in (
        after.to_html()
    )
    counts = sealed.evaluate.exposure().table
    assert counts.filter(item_id=ids[0]).row(0)[1:] == (1, 0, 2, True)
    assert counts.filter(item_id=ids[5]).row(0)[1:] == (0, 0, 3, False)


def test_an_example_burned_after_the_measurement_closes_the_gate(sealed: Any) -> None:
    sealed.evaluate.measure(knowing(sealed), sealed="claim")
    assert sealed.evaluate.gate().passed
    sealed.evaluate.expose("training", ["handwritten-001"], "it was taught")
    assert sealed.board().states[-1].state == "stale"
    assert [c.name for c in sealed.evaluate.gate().failed] == ["no burned example in the score"]
    sealed.evaluate.measure(knowing(sealed), sealed="claim")
    assert sealed.evaluate.gate().passed


def test_an_example_in_the_training_rows_is_burned_when_a_model_is_measured(sealed: Any) -> None:
    example = sealed.specify.spec.handwritten.row(0, named=True)
    path = sealed.folder / "evaluate/split.parquet"
    split = pl.read_parquet(path)
    row = (
        split.filter(set="train")
        .head(1)
        .with_columns(pl.lit("new").alias("item_id"), pl.lit(example["text"]).alias("text"))
    )
    pl.concat([split, row]).write_parquet(path)
    sealed.evaluate.measure(billing)
    assert sealed.evaluate.exposure().burned == [example["item_id"]]


@pytest.mark.parametrize(
    ("use", "ids", "why", "said"),
    [("measured", ["handwritten-001"], "x", "prompt, training"),
     ("prompt", ["nobody"], "x", "no handwritten example 'nobody'"),
     ("prompt", ["handwritten-001"], " ", "say where")],
)  # fmt: skip
def test_an_exposure_that_says_nothing_is_refused(
    sealed: Any, use: str, ids: list[str], why: str, said: str
) -> None:
    with pytest.raises(SealError, match=said):
        sealed.evaluate.expose(use, ids, why)


def test_an_example_keeps_its_exposure_when_the_spec_is_renumbered() -> None:
    from scalekit.evaluate import exposure, text_mark

    one = pl.DataFrame({"item_id": ["h-1", "h-2"], "text": ["late parcel", "no refund"]})
    uses = [{"use": "training", "texts": [text_mark("no refund")]}]
    other = one.reverse().with_columns(pl.Series("item_id", ["h-1", "h-2"]))
    assert exposure(one, uses).burned == ["h-2"]
    assert exposure(other, uses).burned == ["h-1"]


# --- the gate -----------------------------------------------------------------------------------


def test_the_gate_wants_the_newest_run_to_be_what_was_measured(sealed: Any) -> None:
    name = "the newest run is what was measured"
    sealed.evaluate.measure(billing, model="sk1:other")
    assert name not in [c.name for c in sealed.evaluate.gate().checks]  # there is no run yet
    sealed.train.fit(epochs=1)
    closed = {c.name: c for c in sealed.evaluate.gate().checks}[name]
    assert not closed.passed
    assert "measure the newest run" in closed.remedy
    sealed.evaluate.measure(sealed.train.model().predict, model=sealed.train.digest())
    assert {c.name: c.passed for c in sealed.evaluate.gate().checks}[name]
    sealed.train.fit(epochs=1, seed=1)
    assert not {c.name: c.passed for c in sealed.evaluate.gate().checks}[name]


def test_the_board_lists_the_verbs_of_sealing_and_looking(sealed: Any) -> None:
    shown = sealed.evaluate.to_html()
    for verb in ("seal()", "measure()", "open_vault()", "grant_looks()", "exposure()"):
        assert verb in shown


def test_copies_of_the_folder_share_one_budget(sealed: Any, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(sealed.folder.root, tmp_path / "copy/support-triage")
    sealed.evaluate.measure(billing, sealed="claim")
    copy = sk.Project(tmp_path / "copy/support-triage")
    with pytest.raises(SealError, match="the ledger was cut"):
        copy.evaluate.measure(billing, sealed="for free")


def test_what_a_notebook_shows_is_not_sealed(labelled: Any, tmp_path: Path) -> None:
    items = labelled.audit.items().filter(pl.col("text").str.split(" ").list.len() > 6)
    shown = items.sample(40, seed=0)
    book = tmp_path / "seen.ipynb"
    said = "".join(f"<td>{html.escape(text)}</td>" for text in shown["text"][:30])
    output = {"output_type": "display_data", "metadata": {}, "data": {"text/html": [said]}}
    cell = {"cell_type": "code", "source": [], "metadata": {}, "outputs": [output]}
    book.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4}), encoding="utf-8")
    with pytest.raises(SealError, match="'nowhere' is neither an item in use nor a file"):
        labelled.evaluate.seal(shown=["nowhere"])
    assert not labelled.folder.events("evaluate/log.jsonl")  # nothing was begun
    labelled.evaluate.seal(shown=[book, *shown["item_id"][30:]])
    seen = set(shown["item_id"])
    sealed = set(labelled.evaluate._current().item_ids())
    assert len(sealed) > 60
    assert not sealed & seen
    assert labelled.evaluate.find_sealed(tmp_path).is_empty()
    assert seen & set(labelled.evaluate._opened()["item_id"])
    (event,) = labelled.folder.events("evaluate/log.jsonl", "sealing")
    assert set(event.data["shown"]) >= seen
    hidden = labelled.evaluate._current().item_ids()[:2]
    assert "2 items shown are sealed already" in labelled.evaluate.seal(shown=hidden).notes[0]
    assert labelled.evaluate.seal(shown=shown["item_id"][30:]).notes == ()
