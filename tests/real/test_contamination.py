"""Contamination of real sets: GSM8K (Cobbe et al. 2021) and its rephrasings, PandaLM."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from scalekit.evaluate import contamination, paraphrase_candidates

DATA = Path(__file__).parents[2].parent / "shared" / "data"
GSM8K, SELF, PANDALM = (
    DATA / name for name in ("gsm8k_contamination", "self_instruct_sft", "pandalm_testset")
)
needs_gsm8k = pytest.mark.skipif(not GSM8K.is_dir(), reason=f"needs GSM8K in {GSM8K}")
needs_both = pytest.mark.skipif(
    not (SELF.is_dir() and PANDALM.is_dir()), reason=f"needs {SELF.name}, {PANDALM.name} in {DATA}"
)


def questions(name: str) -> pl.DataFrame:
    rows = pl.read_ndjson(GSM8K / f"{name}.jsonl")
    return rows.rename({"id": "item_id", "question": "text"})


@needs_gsm8k
def test_gsm8k_test_against_train_has_the_counted_overlaps() -> None:
    found = contamination(questions("test"), questions("train")).table
    # As counted beside the data: items that share any run of 8, 10, 13 words; none whole.
    assert [int((found["run"] >= n).sum()) for n in (8, 10, 13)] == [80, 9, 3]
    assert (found["cover"] == 1.0).sum() == 0
    assert found["tier"].value_counts().sort("tier").rows()[:2] == [("CLEAN", 1087), ("LEAK", 2)]


@needs_gsm8k
def test_rephrasings_are_missed_by_windows_and_named_by_candidates() -> None:
    test, rephrased = questions("test"), questions("test_rephrased")
    found = contamination(test, rephrased)
    # Yang et al. 2023, arXiv:2311.04850: n-grams find no rephrasing; the report says so.
    assert set(found.table["tier"]) == {"REVIEW", "CLEAN"}
    assert "a paraphrase is not seen" in found.to_html()
    origin = dict(rephrased.select("item_id", "same_as").iter_rows())
    nearest = paraphrase_candidates(test, rephrased, top=1, at_least=0.3).table
    right = [origin[r] == i for i, r in nearest.select("item_id", "train_id").iter_rows()]
    assert sum(right) / len(test) >= 0.93
    assert sum(right) / len(right) >= 0.99


@needs_both
def test_pandalm_instructions_stand_in_self_instruct() -> None:
    pairs = pl.read_ndjson(PANDALM / "pairs.jsonl").unique("instruction", maintain_order=True)
    test = pairs.select(pl.col("idx").alias("item_id"), pl.col("instruction").alias("text"))
    rows = pl.read_ndjson(SELF / "sft.jsonl")
    train = rows.select(pl.col("id").alias("item_id"), pl.col("instruction").alias("text"))
    found = contamination(test, train)
    verbatim = test["text"].is_in(train["text"].to_list())
    assert (len(test), int(verbatim.sum())) == (170, 166)
    assert found.table.filter(verbatim)["tier"].unique().to_list() == ["LEAK"]
    # Three more differ in spaces or signs only; the last one has no words.
    assert len(found.leaks) == 169
