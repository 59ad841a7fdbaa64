"""Replay: the same to the bit, and any change of a bit is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from scalekit.frames import write_parquet
from scalekit.report.replay import replay

SETS = "evaluate/measured/last-sets.parquet"
RESULTS = "evaluate/measured/last-results.parquet"


@pytest.fixture
def root(measured_folder: Path) -> Path:
    return measured_folder


def change(path: Path, column: str, row: int, value: Any) -> None:
    frame = pl.read_parquet(path)
    values = frame[column].to_list()
    values[row] = value
    write_parquet(frame.with_columns(pl.Series(column, values, frame.schema[column])), path)


def test_every_score_comes_out_the_same(root: Path) -> None:
    found = replay(root)
    assert found
    assert found.table["verdict"].to_list().count("the same") == len(found.table)
    sealed = found.table.filter(pl.col("score of") == "sealed")
    assert "as answered by the seal" in sealed["replayed"][0]


@pytest.mark.parametrize("column", ["accuracy", "from", "to"])
def test_the_last_bit_counts(root: Path, column: str) -> None:
    stored = pl.read_parquet(root / SETS)[column][0]
    change(root / SETS, column, 0, float(np.nextafter(stored, 1.0)))
    found = replay(root)
    assert not found
    assert found.differing["score of"].to_list() == ["dev"]


def test_a_changed_prediction_and_a_changed_score_are_seen(root: Path) -> None:
    before = pl.read_parquet(root / RESULTS)
    other = {"billing": "returns", "returns": "billing"}[before["prediction"][0]]
    change(root / RESULTS, "prediction", 0, other)
    assert len(replay(root).differing) == 2, "its set and its category"
    write_parquet(before, root / RESULTS)
    change(root / RESULTS, "score", 0, 1 - before["score"][0])
    assert len(replay(root).differing) == 2


def test_a_sealed_score_that_the_seal_never_gave_is_not_replayed(root: Path) -> None:
    change(root / SETS, "right", 2, 60)
    row = replay(root).table.filter(pl.col("score of") == "sealed").to_dicts()[0]
    assert (row["verdict"], row["replayed"]) == ("not replayed", "no single results are stored")


def test_scores_of_another_form_are_named_not_judged(root: Path) -> None:
    frame = pl.read_parquet(root / SETS)
    write_parquet(frame.with_columns(pl.lit(9).alias("clusters")), root / SETS)
    found = replay(root)
    own = found.table.filter(file=SETS)
    assert set(own["replayed"]) == {"its interval counts clusters"}
    write_parquet(frame.drop("right"), root / SETS)
    own = replay(root).table.filter(file=SETS)
    assert set(own["verdict"]) == {"not replayed"}
    assert found.differing.is_empty()


def test_without_a_measurement_nothing_is_claimed(tmp_path: Path) -> None:
    assert not replay(tmp_path)
    assert replay(tmp_path).table.is_empty()
