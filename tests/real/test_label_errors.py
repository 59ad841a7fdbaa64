"""Confident learning on published label errors, against what people said of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from scalekit.intervals import wilson
from scalekit.label.mislabels import Mislabels, mislabel_candidates
from scalekit.roc import roc_area

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SETS = ("label_errors_20news", "label_errors_cifar10")
pytestmark = pytest.mark.skipif(
    not all((DATA / s).is_dir() for s in SETS),
    reason=f"needs {' and '.join(SETS)} in {DATA}, see their NOTE.md",
)


def found_in(name: str) -> tuple[Mislabels, pl.DataFrame, dict[str, Any]]:
    """Return the candidates, the verdicts on those that were checked, and the known figures."""
    known = pl.read_parquet(DATA / name / "pred_probs.parquet").rename({"index": "item_id"})
    given = known.select("item_id", value=pl.format("p{}", "given_label"))
    found = mislabel_candidates(None, given, known.drop("given_label"))
    verdicts = pl.read_csv(DATA / name / "human_validation.csv").with_columns(
        item_id=pl.col("index").cast(pl.String)
    )
    expected = json.loads((DATA / name / "expected.json").read_text())["computed_here"]
    return found, verdicts.join(found.table, on="item_id", how="left"), expected


@pytest.mark.parametrize(
    ("name", "precision", "recall"), [(SETS[0], 0.85, 0.65), (SETS[1], 0.2, 0.9)]
)
def test_candidates_are_those_that_people_confirmed(
    name: str, precision: float, recall: float
) -> None:
    found, verdicts, expected = found_in(name)
    errors = verdicts.filter(pl.col("is_label_error") == 1)
    assert len(errors) == expected["label errors by rule votes_given<3"]
    checked = verdicts.filter(pl.col("rank").is_not_null())
    hits = int(checked["is_label_error"].sum())
    assert hits / len(checked) >= precision
    assert hits / len(errors) >= recall
    # Another implementation of the same paper, with roundings of its own.
    theirs = next(v for k, v in expected.items() if k.startswith("cleanlab"))
    assert [len(found.table), len(checked), hits] == pytest.approx(theirs, rel=0.06)


@pytest.mark.parametrize("name", SETS)
def test_among_those_checked_the_ranking_is_little_better_than_chance(name: str) -> None:
    # Only what a first pass had flagged was shown to people: the clear cases of both kinds are out.
    _, verdicts, expected = found_in(name)
    known = pl.read_parquet(DATA / name / "pred_probs.parquet")
    chances = known.drop("index", "given_label").to_numpy().astype(float)
    own = chances[np.arange(len(known)), known["given_label"].to_numpy()]
    doubt = dict(zip(known["index"].to_list(), 1 - own, strict=True))
    error = (verdicts["is_label_error"] == 1).to_numpy()
    score = np.array([doubt[i] for i in verdicts["index"]])
    area, low, high = roc_area(error, score)
    assert area == pytest.approx(roc_auc_score(error, score))
    assert area == pytest.approx(next(v for k, v in expected.items() if "AUROC" in k), abs=5e-5)
    assert low < 0.5 < area < high < 0.8  # 93 and 275 items do not resolve it from a coin


@pytest.mark.parametrize("name", SETS)
def test_candidates_are_right_as_often_as_those_of_another_program(name: str) -> None:
    _, verdicts, expected = found_in(name)
    checked = verdicts.filter(pl.col("rank").is_not_null())
    low, high = wilson(int(checked["is_label_error"].sum()), len(checked))
    _, of, hits = next(v for k, v in expected.items() if k.startswith("cleanlab"))
    assert low < hits / of < high
