"""Measuring and training in a project: looks are counted, leaks stay out, weights are known."""

from __future__ import annotations

from typing import Any

import pytest

from scalekit.evaluate import Seal, SealError
from scalekit.journal import verify


def majority_of(texts: list[str]) -> list[str]:
    return ["billing"] * len(texts)


def test_a_look_is_charged_once_for_the_same_model_and_claim(sealed: Any) -> None:
    left = sealed.evaluate.sets().looks_left
    one = sealed.evaluate.measure(majority_of, model="sk1:abc", sealed="above chance")
    again = sealed.evaluate.measure(majority_of, model="sk1:abc", sealed="above chance")
    assert sealed.evaluate.sets().looks_left == left - 1
    assert again.sets.equals(one.sets)
    assert sealed.evaluate.measured().sets.equals(one.sets)
    assert "sealed" not in set(one.results["set"])


def test_scores_without_what_leaked_and_candidates_for_paraphrases(sealed: Any) -> None:
    measured = sealed.evaluate.measure(majority_of)
    leaks = sealed.evaluate.leaks().leaks["item_id"].to_list()
    for row in sealed.evaluate.without_flagged().table.to_dicts():
        own = measured.results.filter(set=row["set"])
        clean = own.filter(~own["item_id"].is_in(leaks))
        assert (row["items"], row["items"] - row["flagged"]) == (len(own), len(clean))
        assert row["without flagged"] == pytest.approx(clean["score"].mean())
    named = sealed.evaluate.paraphrases(top=1)
    assert set(named.table["train_id"]) <= set(sealed.evaluate.train_items()["item_id"])
    assert "not verdicts" in named.to_html()


def test_a_predict_that_fails_still_costs_the_look(sealed: Any) -> None:
    left = sealed.evaluate.sets().looks_left
    calls: list[int] = []

    def fails_on_sealed(texts: list[str]) -> list[str]:
        calls.append(len(texts))
        if sealed.evaluate._current().looks_left < left:
            raise MemoryError("too big")
        return majority_of(texts)

    with pytest.raises(SealError, match="failed with MemoryError"):
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
    assert sealed.train.verify(), sealed.train.verify().why
    assert sealed.train.fit(epochs=1).folder == run.folder  # finished: returned, not trained again
    found = sealed.evaluate.measure(model.predict, model=sealed.train.digest(), sealed="claim")
    assert found.sets["set"].to_list() == ["handwritten", "dev", "sealed", "train"]
    assert sealed.evaluate.gate().stage == "evaluate"
    weights = run.folder / "checkpoint.safetensors"
    broken = bytearray(weights.read_bytes())
    broken[-1] ^= 1
    weights.write_bytes(broken)
    with pytest.raises(ValueError, match="weights were changed after the run"):
        sealed.train.model()


def test_the_ledger_of_looks_verifies(sealed: Any) -> None:
    sealed.evaluate.measure(majority_of, sealed="claim")
    current: Seal = sealed.evaluate._current()
    ledger = current.ledger.path
    assert verify(ledger)
    ledger.write_bytes(ledger.read_bytes().replace(b"claim", b"clean"))
    assert verify(ledger).verdict == "edited"


def test_a_look_cut_out_of_the_ledger_gives_no_look_back(sealed: Any) -> None:
    for n in range(sealed.evaluate.sets().looks_left):
        sealed.evaluate.measure(majority_of, sealed=f"claim {n}")
    ledger = sealed.evaluate._current().ledger.path
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[2:]))
    with pytest.raises(RuntimeError, match=r"looks\.jsonl|looks at seal"):
        sealed.evaluate.measure(majority_of, sealed="one more")
