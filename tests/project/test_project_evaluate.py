"""Evaluate in a project: what is sealed is gone from the folder, and stays sealed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from scalekit.evaluate import Seal, SealError
from scalekit.project.folder import Folder
from scalekit.signing import KeyFileError
from scalekit.text import words

OWN = {
    "source": "own notes", "tier": "first-party", "rights": "CC0-1.0", "collected": "2026-10-02",
}  # fmt: skip


def folded(text: str) -> str:
    return " ".join(w.folded for w in words(text))


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
    long = [folded(t) for t in texts if len(words(t)) >= 5]
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
    try:
        sealed.evaluate.seal()
    except RuntimeError:
        pass  # a gate that asks for something is another matter
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
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(labelled.evaluate), "_take_out", crash)
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
    ids = set(labelled.label.consensus().drop_nulls("value")["item_id"])
    append = Folder.append

    def crash(self: Folder, name: str, kind: str, data: Any) -> None:
        if kind == "sealing":
            raise KeyboardInterrupt
        append(self, name, kind, data)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Folder, "append", crash)
        labelled.evaluate.seal()
    labelled.evaluate.seal()
    opened = pl.read_parquet(labelled.folder / "evaluate/split.parquet")["item_id"]
    assert {*opened, *hidden(labelled)} == ids


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
    with pytest.raises(ValueError, match=taken):
        row = {"item_id": taken, "text": "quite another message", "category": "billing"}
        sealed.collect.add([row], batch_id="again", **OWN)


def test_a_sealed_text_collected_again_is_found_in_training(sealed: Any) -> None:
    text = max(hidden(sealed).values(), key=len)
    train = sealed.evaluate.train_items().head(5).select("item_id", "text")
    copy = pl.DataFrame({"item_id": ["new"], "text": [f"Fwd: {text.upper()}"]})
    found = sealed.evaluate._current().contaminated(pl.concat([train, copy]))
    assert found["item_id"].to_list() == ["new"]


def test_a_look_is_charged_once_for_the_same_model_and_claim(sealed: Any) -> None:
    left = sealed.evaluate.sets().looks_left
    one = sealed.evaluate.measure(majority_of, model="sk1:abc", sealed="above chance")
    again = sealed.evaluate.measure(majority_of, model="sk1:abc", sealed="above chance")
    assert sealed.evaluate.sets().looks_left == left - 1
    assert again.sets.equals(one.sets)
    assert sealed.evaluate.measured().sets.equals(one.sets)
    assert "sealed" not in set(one.results["set"])


def test_a_predict_that_fails_still_costs_the_look(sealed: Any) -> None:
    left = sealed.evaluate.sets().looks_left
    calls: list[int] = []

    def fails_on_sealed(texts: list[str]) -> list[str]:
        calls.append(len(texts))
        if sealed.evaluate._current().looks_left < left:
            raise MemoryError("too big")
        return majority_of(texts)

    with pytest.raises(MemoryError):
        sealed.evaluate.measure(fails_on_sealed, sealed="claim")
    assert sealed.evaluate.sets().looks_left == left - 1


def test_no_look_beyond_the_budget_and_dev_can_still_be_measured(sealed: Any) -> None:
    for n in range(sealed.evaluate.sets().looks_left):
        sealed.evaluate.measure(majority_of, sealed=f"claim {n}")
    with pytest.raises(SealError, match=r"looks .* are used. Collect new items"):
        sealed.evaluate.measure(majority_of, sealed="one more")
    assert "dev" in set(sealed.evaluate.measure(majority_of).sets["set"])


def test_nothing_measured_and_nothing_sealed_say_which_verb(labelled: Any) -> None:
    for verb in (
        labelled.evaluate.measured,
        labelled.evaluate.failures,
        labelled.evaluate.diagnose,
    ):
        with pytest.raises((ValueError, RuntimeError), match=r"project\.evaluate\."):
            verb()
    closed = labelled.evaluate.gate()
    assert "project.evaluate.seal()" in closed.failed[0].remedy


def test_leaks_are_taken_out_of_training_and_stay_out(labelled: Any) -> None:
    assert len(labelled.evaluate.leaks().leaks) == 4
    labelled.evaluate.seal()
    assert labelled.evaluate.decontaminate().leaks.is_empty()
    train = set(labelled.evaluate.train_items()["item_id"])
    assert not train & {"P-1014", "P-1022", "P-1030", "P-1053"}


def test_training_and_the_measurement_of_its_model_fit_together(sealed: Any) -> None:
    run = sealed.train.fit(epochs=1)
    model = sealed.train.model()
    texts = sealed.evaluate.train_items()["text"].head(20).to_list()
    assert model.predict(texts) == run.model.predict(texts)
    assert sealed.train.record().equals(run.record)
    found = sealed.evaluate.measure(model.predict, model=sealed.train.digest(), sealed="claim")
    assert found.sets["set"].to_list() == ["handwritten", "dev", "sealed", "train"]
    assert sealed.evaluate.gate().stage == "evaluate"
    (weights,) = sealed.folder.root.rglob("checkpoint.safetensors")
    broken = bytearray(weights.read_bytes())
    broken[-1] ^= 1
    weights.write_bytes(broken)
    with pytest.raises(ValueError, match="weights were changed after the run"):
        sealed.train.model()


def test_the_ledger_of_looks_verifies(sealed: Any) -> None:
    from scalekit.journal import verify

    sealed.evaluate.measure(majority_of, sealed="claim")
    current: Seal = sealed.evaluate._current()
    assert verify(current.ledger)
    current.ledger.write_bytes(current.ledger.read_bytes().replace(b"claim", b"clean"))
    assert verify(current.ledger).verdict == "edited"
