"""Evaluate in a project: what is sealed is gone from the folder, and stays sealed."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from scalekit import GateClosedError
from scalekit.evaluate import SealError
from scalekit.project.folder import Folder
from scalekit.signing import KeyFileError

OWN = {
    "source": "own notes", "tier": "first-party", "rights": "CC0-1.0", "collected": "2026-10-02",
}  # fmt: skip


def folded(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def hidden(project: Any) -> dict[str, str]:
    """The sealed items, opened with the key."""
    frame = project.evaluate._current()._open()
    return dict(frame.select("item_id", "text").iter_rows())


def everything(project: Any) -> dict[str, str]:
    """Every file of the project as folded text; tables cell by cell."""
    found = {}
    for path in project.folder.root.rglob("*"):
        if path.suffix == ".parquet":
            said = json.dumps(pl.read_parquet(path).to_dicts(), default=str, ensure_ascii=False)
        elif path.is_file():
            said = path.read_bytes().decode("utf-8", "ignore")
        else:
            continue
        plain = said.replace("\\n", " ").replace('\\"', '"').replace("&#x27;", "'")
        found[str(path.relative_to(project.folder.root))] = folded(plain)
    return found


def standing_in(project: Any, texts: list[str]) -> set[str]:
    long = [folded(t) for t in texts if folded(t).count(" ") >= 4]
    return {name for name, said in everything(project).items() if any(t in said for t in long)}


def single(project: Any) -> set[str]:
    """Folded texts that stand in one collected row only."""
    texts = pl.Series(map(folded, project.collect.items()["text"]))
    return set(texts.filter(~texts.is_duplicated()))


def majority_of(texts: list[str]) -> list[str]:
    return ["billing"] * len(texts)


def test_before_the_seal_the_texts_do_stand_there(labelled: Any) -> None:
    texts = labelled.audit.items()["text"].to_list()
    assert "audit/items.parquet" in standing_in(labelled, texts)


def test_no_sealed_text_stands_in_any_file(sealed: Any) -> None:
    texts = hidden(sealed)
    assert len(texts) == sealed.evaluate.sets().table.filter(set="sealed")["items"][0]
    assert standing_in(sealed, list(texts.values())) == set()


def test_no_copy_of_a_sealed_text_stands_there_as_a_marked_duplicate(labelled: Any) -> None:
    duplicates = labelled.audit.report().findings("exact-duplicate")
    labelled.evaluate.decontaminate()
    labelled.evaluate.seal(shares={"train": 0.1, "dev": 0.1, "sealed": 0.8})
    ids = set(hidden(labelled))
    copies = duplicates.filter(pl.col("kept_id").is_in(list(ids)))
    assert len(copies) > 5
    assert standing_in(labelled, copies["text"].to_list()) == set()


def test_neither_work_files_nor_evidence_keep_a_sealed_text(
    labelled: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in an audit of very many items: cut into parts, near-copies by way of files.
    monkeypatch.setattr("scalekit.project.audit.EXACT_UP_TO", 10)
    exact = labelled.audit.report()
    by_parts = labelled.audit.run()
    gone = [r.marks.filter(rule="near-duplicate")["item_id"].sort() for r in (exact, by_parts)]
    assert gone[0].equals(gone[1])
    log = labelled.folder.root / "collect/evidence/helpdesk_export/log.txt.copy"
    log.parent.mkdir(parents=True)
    log.write_text("\n".join(labelled.audit.items()["text"]))
    assert len(standing_in(labelled, labelled.audit.items()["text"].to_list())) > 3
    labelled.evaluate.decontaminate()
    labelled.evaluate.seal(shares={"train": 0.1, "dev": 0.1, "sealed": 0.8})
    assert standing_in(labelled, list(hidden(labelled).values())) == set()


def test_a_row_set_aside_keeps_no_copy_of_a_sealed_text(audited: Any, samples: Path) -> None:
    # The usual reason to set a row aside: the export holds it twice.
    inbox = pl.read_csv(samples / "requests_inbox.csv")
    named = {"text": "message", "item_id": "ticket", "category": "queue"}
    audited.collect.add(pl.concat([inbox, inbox.head(10)]), batch_id="requests", **OWN, **named)
    assert audited.collect.gate().passed
    audited.audit.run()
    assert audited.audit.gate().passed
    audited.label.invite("ana", "ben", "chloe")
    items = audited.audit.items().select("item_id", "category").rows()
    votes = [
        {"item_id": i, "annotator": w, "value": v}
        for i, v in items
        for w in ("ana", "ben", "chloe")
    ]
    audited.label.import_table(votes)
    audited.label.gate()
    audited.evaluate.seal(shares={"train": 0.1, "dev": 0.1, "sealed": 0.8})
    texts = hidden(audited)
    assert any(i in texts for i in inbox.head(10)["ticket"])
    assert not [n for n in standing_in(audited, list(texts.values())) if "quarantine" in n]


def test_a_report_written_before_the_seal_keeps_no_sealed_text(labelled: Any) -> None:
    labelled.report()
    labelled.evaluate.decontaminate()
    labelled.evaluate.seal(shares={"train": 0.1, "dev": 0.1, "sealed": 0.8})
    assert "report.html" not in standing_in(labelled, list(hidden(labelled).values()))


def test_no_handwritten_example_is_sealed_as_well(labelled: Any) -> None:
    # Four forum posts are handwritten examples of the spec: sealed, they would stand in spec.yaml.
    labelled.evaluate.seal(shares={"train": 0.05, "dev": 0.05, "sealed": 0.9})
    examples = set(map(folded, labelled.specify.spec.handwritten["text"]))
    assert not examples & set(map(folded, hidden(labelled).values()))


def test_sets_cover_every_voted_item_once(sealed: Any) -> None:
    votes = sealed.label.consensus().drop_nulls("value")
    opened = pl.read_parquet(sealed.folder / "evaluate/split.parquet")
    left_out = {e.data["item_id"] for e in sealed.folder.events("evaluate/log.jsonl", "left out")}
    ids = [*opened["item_id"], *hidden(sealed)]
    assert sorted(ids) == sorted(set(votes["item_id"]) - left_out)


def test_sealing_again_returns_what_stands_and_changes_nothing(sealed: Any) -> None:
    before = {p: p.read_bytes() for p in sealed.folder.root.rglob("*") if p.is_file()}
    sealed.evaluate.seal()
    sealed.evaluate.decontaminate()
    sealed.collect.gate()
    assert {p: p.read_bytes() for p in sealed.folder.root.rglob("*") if p.is_file()} == before


def test_a_spec_touched_up_after_the_seal_seals_no_second_set(sealed: Any) -> None:
    # The labels are the same: a second set would be drawn from items that were in the open.
    path = sealed.folder / "spec.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "setting": "Other."}))
    first = sealed.evaluate._current().seal_id
    for stage in ("specify", "collect"):
        getattr(sealed, stage).gate()
    sealed.audit.run()
    sealed.audit.gate()
    sealed.label.gate()
    with contextlib.suppress(GateClosedError):  # what a gate asks for is another matter
        sealed.evaluate.seal()
    assert sealed.evaluate._current().seal_id == first


def test_auditing_again_after_the_seal_brings_nothing_back_and_loses_no_label(sealed: Any) -> None:
    ids, labels = set(sealed.audit.item_ids()), len(sealed.label.labels())
    texts = list(hidden(sealed).values())
    opened = set(sealed.audit.items()["item_id"])
    sealed.audit.run()
    assert set(sealed.audit.items()["item_id"]) == opened  # no twin of a sealed item comes back
    assert set(sealed.audit.item_ids()) == ids
    assert len(sealed.label.labels()) == labels
    assert standing_in(sealed, texts) == set()
    assert sealed.label.gate().passed


def test_a_crash_before_the_texts_are_out_is_repaired_by_sealing_again(
    labelled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    labelled.evaluate.decontaminate()
    once = single(labelled)
    with monkeypatch.context() as patch:
        patch.setattr(type(labelled.evaluate), "_take_out", crash)
        with pytest.raises(KeyboardInterrupt):
            labelled.evaluate.seal()
    before = hidden(labelled)
    texts = [t for t in before.values() if folded(t) in once]
    assert standing_in(labelled, texts)
    labelled.evaluate.seal()
    assert hidden(labelled) == before
    assert standing_in(labelled, texts) == set()
    assert len(labelled.folder.events("evaluate/log.jsonl", "sealing")) == 1


def test_a_crash_before_the_seal_is_recorded_loses_no_item(
    labelled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelled.evaluate.decontaminate()
    left_out = {e.data["item_id"] for e in labelled.folder.events("evaluate/log.jsonl", "left out")}
    ids = set(labelled.label.consensus().drop_nulls("value")["item_id"]) - left_out
    append = Folder.append

    def crash(self: Folder, name: str, kind: str, data: Any) -> None:
        if kind == "sealing":
            raise KeyboardInterrupt
        append(self, name, kind, data)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "append", crash)
        with pytest.raises(KeyboardInterrupt):
            labelled.evaluate.seal()
    labelled.evaluate.seal()
    opened = pl.read_parquet(labelled.folder / "evaluate/split.parquet")["item_id"]
    left_out = {e.data["item_id"] for e in labelled.folder.events("evaluate/log.jsonl", "left out")}
    assert {*opened, *hidden(labelled)} == ids - left_out


def test_a_key_in_the_project_is_refused_and_nothing_taken_out(
    labelled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALEKIT_KEYS", str(labelled.folder / "keys"))
    items = len(labelled.audit.items())
    with pytest.raises(KeyFileError, match="inside the project"):
        labelled.evaluate.seal()
    assert len(labelled.audit.items()) == items
    with pytest.raises(SealError, match="sealed yet"):
        labelled.evaluate.sets()


def test_a_folder_without_its_key_says_where_it_is_looked_for(sealed: Any, keys: Path) -> None:
    shutil.rmtree(keys)
    with pytest.raises(SealError, match="SCALEKIT_KEYS"):
        sealed.evaluate.measure(majority_of, sealed="claim")


def test_the_id_of_a_sealed_item_cannot_be_given_to_another_text(sealed: Any) -> None:
    taken = sorted(hidden(sealed))[0]
    row = {"item_id": taken, "text": "quite another message", "category": "billing"}
    with pytest.raises(ValueError, match=taken):
        sealed.collect.add([row], batch_id="again", **OWN)


def test_a_sealed_text_collected_again_is_found_in_training(sealed: Any) -> None:
    text = max(hidden(sealed).values(), key=len)
    train = sealed.evaluate.train_items().head(5).select("item_id", "text")
    copy = pl.DataFrame({"item_id": ["new"], "text": [f"Fwd: {text.upper()}"]})
    found = sealed.evaluate._current().contaminated(pl.concat([train, copy]))
    assert found["item_id"].to_list() == ["new"]
