"""Consensus and agreement on published crowds, against figures computed apart from this code."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from scalekit.label import agreement, dawid_skene, krippendorff_alpha, majority

DATA = Path(__file__).parents[2].parent / "shared" / "data"
COLUMNS = {"annotator_id": "annotator", "label": "value"}


def crowd(name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return labels and gold of a data set, or skip."""
    home = DATA / name
    if not home.is_dir():
        pytest.skip(f"needs {name} in {home}, see its NOTE.md")
    table = home / "labels.parquet"
    labels = pl.read_parquet(table) if table.is_file() else pl.read_csv(home / "labels.csv")
    labels = labels.rename(COLUMNS).select(pl.col("item_id", "annotator", "value").cast(pl.String))
    gold = pl.read_csv(home / "gold.csv").select(pl.col("item_id", "gold").cast(pl.String))
    return labels, gold


def expected_accuracy(labels: pl.DataFrame, gold: pl.DataFrame) -> float:
    """Accuracy of majority vote, where a tie is right as often as chance among the tied is."""
    votes = labels.group_by("item_id", "value").len()
    top = votes.filter(pl.col("len") == pl.col("len").max().over("item_id"))
    chance = top.with_columns(right=1 / pl.len().over("item_id"))
    own = gold.filter(pl.col("item_id").is_in(votes["item_id"].to_list()))
    said = own.join(chance, left_on=["item_id", "gold"], right_on=["item_id", "value"], how="left")
    return float(said["right"].fill_null(0).mean())  # type: ignore[arg-type]


def posterior_accuracy(labels: pl.DataFrame, gold: pl.DataFrame) -> float:
    likeliest = dawid_skene(labels).sort("posterior").unique("item_id", keep="last")
    own = gold.join(likeliest, on="item_id")
    return float((own["gold"] == own["value"]).mean())  # type: ignore[arg-type]


# Dawid-Skene on adult content: .763 by an expectation maximisation written for the comparison
# (.748 published by Crowd-Kit, JOSS 2024); where it ends depends on start and smoothing.
@pytest.mark.parametrize(
    ("name", "vote", "posterior"),
    [("adultcontent2", 0.760, (0.753, 0.773)), ("barzan_mozafari", 0.696, (0.702, 0.722))],
)
def test_majority_and_dawid_skene_reach_their_known_accuracy(
    name: str, vote: float, posterior: tuple[float, float]
) -> None:
    labels, gold = crowd(name)
    assert expected_accuracy(labels, gold) == pytest.approx(vote, abs=0.005)
    low, high = posterior
    assert low <= posterior_accuracy(labels, gold) <= high
    decided = majority(labels).join(gold, on="item_id")
    right = int((decided["value"] == decided["gold"]).sum())
    at_most = right + int(decided["tied"].sum())
    assert right / len(decided) <= vote + 0.005
    assert at_most / len(decided) >= vote - 0.005


@pytest.mark.parametrize(
    ("name", "alpha"),
    [("adultcontent2", 0.316386), ("barzan_mozafari", 0.405937), ("multipico_en", 0.197287)],
)
def test_alpha_of_a_crowd_is_as_computed_elsewhere(name: str, alpha: float) -> None:
    home = DATA / name
    if not home.is_dir():
        pytest.skip(f"needs {name} in {home}, see its NOTE.md")
    table = home / "labels.parquet"
    long = home / "labels_long.csv"
    if table.is_file():
        labels = pl.read_parquet(table)
    else:
        labels = pl.read_csv(long if long.is_file() else home / "labels.csv")
    # The figures count the first of an annotator's labels of an item.
    labels = labels.unique(["item_id", "annotator_id"], keep="first", maintain_order=True)
    found = krippendorff_alpha(counts(labels["item_id"], labels["label"])).value
    assert found == pytest.approx(alpha, abs=1e-6)


def counts(item: pl.Series, value: pl.Series) -> np.ndarray[Any, Any]:
    """Return how often each item got each value."""
    i, v = ((s.cast(pl.String).rank("dense") - 1).to_numpy().astype(int) for s in (item, value))
    made: np.ndarray[Any, Any] = np.zeros((i.max() + 1, v.max() + 1))
    np.add.at(made, (i, v), 1)
    return made


def test_three_people_on_model_answers_agree_as_published() -> None:
    home = DATA / "pandalm_testset"
    if not home.is_dir():
        pytest.skip(f"needs PandaLM's test set in {home}, see its NOTE.md")
    rows = [json.loads(line) for line in (home / "pairs.jsonl").read_text().splitlines()]
    people = ["annotator1", "annotator2", "annotator3"]
    long = pl.DataFrame(rows).with_columns(item_id="idx")
    labels = long.unpivot(people, index="item_id", variable_name="annotator", value_name="value")
    found = agreement(labels)
    kappa = {(row["annotator"], p): row[p] for row in found.cohen.to_dicts() for p in people}
    exact = dict(zip(combinations(people, 2), (0.852, 0.8789, 0.8617), strict=True))
    for pair, value in exact.items():
        assert kappa[pair] == pytest.approx(value, abs=1e-3)
    assert found.alpha.value == pytest.approx(0.864221, abs=1e-6)
    assert found.fleiss.value == pytest.approx(0.864175, abs=1e-6)
