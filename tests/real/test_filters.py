"""Audit's filters on real texts: nothing made up in clean ones, and the same as one by one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from scalekit.audit import (
    find_personal,
    harm,
    junk_rule,
    languages,
    mask,
    mend,
    normalise,
    quality_classifier,
)

DATA = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not (DATA / "banking77").is_dir(), reason=f"needs the data sets in {DATA}, see their NOTE.md"
)


def rows(path: str) -> list[dict[str, str]]:
    return [
        json.loads(line)
        for line in (DATA / path).read_text(encoding="utf-8").rstrip("\n").split("\n")
    ]


def items(texts: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"text": texts}).with_row_index("item_id").cast({"item_id": pl.String})


def clean(name: str) -> list[str]:
    if name == "banking77":
        return pl.read_csv(DATA / "banking77/train.csv")["text"].to_list()
    return [row["question"] for row in rows("gsm8k_contamination/train.jsonl")]


@pytest.mark.parametrize(("name", "many"), [("banking77", 10_003), ("gsm8k", 7_473)])
def test_clean_messages_and_sums_have_no_finding(name: str, many: int) -> None:
    """Banking questions speak of PINs, cards and passcodes; the sums are full of numbers."""
    mended = mend(items(clean(name)))
    assert len(mended) == many
    assert mended["personal"].list.len().sum() == 0
    assert mended["junk"].null_count() == many
    assert len(harm(mended.select("item_id", "text")).findings) <= 1


def test_the_language_of_short_english_messages_is_known_or_left_open() -> None:
    report = languages(items(clean("banking77")), "en")
    assert len(report.marks) / report.items < 0.005
    assert report.table.row(0, named=True)["language"] == "en"
    assert report.table.row(0, named=True)["share"] > 0.97


def test_dialogues_are_mended_as_one_by_one_and_harm_is_found_in_them() -> None:
    texts = [row["chosen"] for row in rows("hh_harmless_a/pairs.jsonl")]
    mended = mend(items(texts))
    for row, text in zip(mended.iter_rows(named=True), texts, strict=True):
        once, changes = normalise(text)
        assert row["text"] == mask(once)
        assert row["changes"] == list(changes)
        assert row["junk"] == junk_rule(once)
        assert row["personal"] == [f.kind for f in find_personal(once)]
    found = harm(mended.select("item_id", "text")).table
    assert found.filter(pl.col("items") > 0).height >= 5, "red-team dialogues have most kinds"


def test_a_classifier_learns_one_kind_of_question_from_two_hundred_marks() -> None:
    """Keep the sums, drop the banking questions: told apart from few marks, and calibrated."""
    draw = np.random.default_rng(3)
    texts = [*draw.choice(clean("gsm8k"), 100), *draw.choice(clean("banking77"), 100)]
    given = items([str(text) for text in texts])
    marks = given.select("item_id", mark=pl.Series(["keep"] * 100 + ["drop"] * 100))
    found = quality_classifier(given, marks)
    assert found.table.filter(figure="AUC")["from"][0] > 0.95
    assert found.table.filter(figure="Brier score")["to"][0] < 0.1
