from __future__ import annotations

import random

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from scalekit.audit import quality_classifier
from scalekit.frames import FrameError

GOOD = ["because", "therefore", "measured", "result", "explains", "method", "figure", "shows"]
BAD = ["click", "here", "cheap", "deal", "subscribe", "winner", "free", "offer", "limited"]
PLAIN = ["the", "of", "a", "and", "in", "to", "it", "that", "was", "for", "on", "with", "as", "by"]


def marked(many: int, *, signal: float = 0.4, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    draw = random.Random(seed)
    texts, marks = [], []
    for n in range(many):
        own = GOOD if n % 2 else BAD
        said = [draw.choice(own if draw.random() < signal else PLAIN) for _ in range(20)]
        texts.append(" ".join(said))
        marks.append("keep" if n % 2 else "drop")
    ids = [f"i{n}" for n in range(many)]
    return pl.DataFrame({"item_id": ids, "text": texts}), pl.DataFrame(
        {"item_id": ids, "mark": marks}
    )


def test_it_learns_what_sets_kept_texts_apart() -> None:
    items, marks = marked(120)
    found = quality_classifier(items, marks)
    auc = found.table.row(by_predicate=pl.col("figure") == "AUC", named=True)
    assert auc["from"] > 0.9
    assert auc["of"] == 120
    speaks = found.words.group_by("speaks for").agg(pl.col("words"))
    said = dict(speaks.iter_rows())
    assert set(said["keep"]) & set(GOOD)
    assert not set(said["keep"]) & set(BAD)
    assert set(said["drop"]) & set(BAD)
    fresh, truth = marked(60, seed=9)
    scores = found.scores(fresh)
    assert scores["item_id"].to_list() == fresh["item_id"].to_list()
    assert scores["score"].is_between(0, 1).all()
    assert roc_auc_score(truth["mark"] == "keep", scores["score"]) > 0.95
    assert "It drops nothing" in found.to_html()
    assert len(found.plot().data) == 2


def test_where_there_is_nothing_to_learn_it_says_so() -> None:
    items, marks = marked(200, signal=0.0)
    found = quality_classifier(items, marks)
    auc = found.table.row(by_predicate=pl.col("figure") == "AUC", named=True)
    assert auc["from"] < 0.5 < auc["to"]
    assert "No better than chance" in found.to_html()
    spread = found.checked["score"].to_numpy()
    assert np.all(np.abs(spread - 0.5) < 0.35), "nor does it claim to know"


def test_a_text_that_stands_on_both_sides_is_not_known_beforehand() -> None:
    """Copies share a fold: random marks on copied texts can't be guessed from the copy."""
    items, marks = marked(60, signal=0.0, seed=3)
    numbered = [pl.format("{}-{}", "item_id", pl.lit(n)).alias("item_id") for n in range(4)]
    copied = pl.concat([items.with_columns(name) for name in numbered])
    both = pl.concat([marks.with_columns(name) for name in numbered])
    auc = quality_classifier(copied, both).table.row(0, named=True)
    assert auc["value"] < 0.75


def test_the_figures_are_those_of_the_held_out_scores() -> None:
    items, marks = marked(100, signal=0.1)
    found = quality_classifier(items, marks)
    keep = (found.checked["mark"] == "keep").to_numpy()
    held = found.checked["score"].to_numpy()
    value = dict(found.table.select("figure", "value").iter_rows())
    assert value["AUC"] == pytest.approx(roc_auc_score(keep, held))
    assert value["Brier score"] == pytest.approx(brier_score_loss(keep, held))
    assert value["guessed right"] == pytest.approx(((held >= 0.5) == keep).mean())
    assert value["marked keep"] == 0.5
    assert (found.table["from"] <= found.table["value"]).all()
    assert (found.table["value"] <= found.table["to"]).all()
    assert found.calibration["of"].sum() == 100
    assert quality_classifier(items, marks).table.equals(found.table), "the same each time"


def test_marks_name_the_least_likely_first_and_drop_nothing() -> None:
    items, marks = marked(80)
    found = quality_classifier(items, marks)
    scores = dict(found.scores(items).iter_rows())
    out = found.marks(items, below=0.3)
    assert out.columns == ["item_id", "rule", "reason", "kept_id", "score"]
    assert set(out["item_id"]) == {i for i, s in scores.items() if s < 0.3}
    assert out["score"].is_sorted()
    assert out["reason"][0].startswith("would be kept with probability 0.")
    assert found.scores(items.clear()).is_empty()


@pytest.mark.parametrize(
    ("many", "said"),
    [(38, "19 different texts are marked 'drop', 20 are needed"), (0, "0 different")],
)
def test_too_few_marks_are_refused(many: int, said: str) -> None:
    items, marks = marked(40)
    with pytest.raises(FrameError, match=said):
        quality_classifier(items, marks.head(many))


def test_copies_of_one_text_do_not_count_as_many() -> None:
    items, marks = marked(40)
    same = items.with_columns(
        pl.when(pl.arange(40) % 2 == 0).then(pl.lit("Buy!")).otherwise("text").alias("text")
    )
    with pytest.raises(FrameError, match=r"1 different texts are marked 'drop'.*mark 19 more"):
        quality_classifier(same, marks)


def test_bad_marks_are_named() -> None:
    items, marks = marked(40)
    wrong = marks.with_columns(pl.lit("good").alias("mark"))
    with pytest.raises(FrameError, match="item 'i0' is marked 'good'; a mark is 'keep' or 'drop'"):
        quality_classifier(items, wrong)
    with pytest.raises(FrameError, match="no item 'i39' among the items"):
        quality_classifier(items.head(39), marks)
    with pytest.raises(FrameError, match="'mark' is missing"):
        quality_classifier(items, marks.rename({"mark": "value"}))
